"""Edits change the heads that weigh the concept, and only them; without edits nothing changes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curette.flows.edits import read_sheet, write_sheet
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.edits import Edit, Edits
from curette.schemas.heads import EXPLAINED, UNEDITED, card_of
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.edit.heads import check_edits, edit_probe, idle_edits
from curette.tasks.edit.proposals import propose_edits
from curette.tasks.methods.features import head_features
from curette.tasks.probe.forbidding import train_without
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study, with_people


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return with_people(published_study(noise=1.5)[0])


@pytest.fixture(scope="module")
def probe(published: ConceptDataset) -> Heads:
    return train_heads(published, ProbeSpec(epochs=60, random_draws=1, nec=(1,)))


def _edit(probe: Heads, operation: str = "neutralise", **more: object) -> Edit:
    concept = probe.head(EXPLAINED).facts.candidates[1]
    return Edit.model_validate(
        {
            "concept_id": concept.concept_id,
            "text": concept.text,
            "operation": operation,
            "editor": "Dr. A",
            **more,
        }
    )


def _edited(published: ConceptDataset, probe: Heads, *edits: Edit) -> Heads:
    return edit_probe(published, probe, Edits(study="by-hand", edits=edits))


def test_without_edits_the_probe_is_the_same(published: ConceptDataset, probe: Heads) -> None:
    assert _edited(published, probe) is probe


def test_the_bottleneck_stands_there_edited_and_as_it_was(
    published: ConceptDataset, probe: Heads
) -> None:
    made = _edited(published, probe, _edit(probe))
    assert (made.head(UNEDITED).weights == probe.head(EXPLAINED).weights).all()
    assert made.head(EXPLAINED).facts.edits == (f"neutralise: {_edit(probe).text}",)
    column = made.head(EXPLAINED).weights[:, 1]
    assert column == pytest.approx(np.full(len(KEYS), column[0]))


def test_a_neutralised_concept_moves_no_head_of_concepts(
    published: ConceptDataset, probe: Heads
) -> None:
    """Images are moved along the concept, and no difference of logits follows."""
    made = _edited(published, probe, _edit(probe))
    rows = published.rows("validation")
    along = published.pool_vectors[published.pool_rows([_edit(probe).concept_id])][0]
    moved = published.vectors.copy()
    moved[rows] += 0.5 * along
    elsewhere = replace(published, vectors=moved)
    head = made.head("hybrid")
    other = [c.concept_id for c in head.facts.candidates].index(_edit(probe).concept_id)
    logits = [
        head.logits(head_features(of, head, rows)) - _of_others(of, head.weights, head, rows, other)
        for of in (published, elsewhere)
    ]
    centred = [x - x.mean(axis=1, keepdims=True) for x in logits]
    assert centred[1] == pytest.approx(centred[0], abs=1e-6)


def _of_others(
    of: ConceptDataset, weights: np.ndarray, head: object, rows: np.ndarray, but: int
) -> np.ndarray:
    """Return what the other concepts add, which the images' move touches too."""
    features = head_features(of, head, rows)  # type: ignore[arg-type]
    others = [j for j in range(len(head.facts.candidates)) if j != but]  # type: ignore[attr-defined]
    return features[:, others] @ weights[:, others].T


def test_heads_that_others_are_held_against_stay(published: ConceptDataset, probe: Heads) -> None:
    made = _edited(published, probe, _edit(probe))
    after = {h.facts.name: h for h in made.heads}
    for head in probe.heads:
        if card_of(head.facts.kind).role != "concepts":
            assert after[head.facts.name] is head


def test_a_forbidden_concept_is_looked_at_by_no_head_and_the_rest_is_trained_without_it(
    published: ConceptDataset, probe: Heads
) -> None:
    forbidden = _edit(probe, "forbid")
    spec = ProbeSpec(epochs=60, random_draws=1, nec=(1,))
    refitted = train_without(published, spec, (forbidden.concept_id,))
    edits = Edits(study="by-hand", edits=(forbidden,))
    made = edit_probe(published, probe, edits, refitted)
    place = [c.concept_id for c in published.concepts].index(forbidden.concept_id)
    fewer = replace(
        published,
        concepts=published.concepts[:place] + published.concepts[place + 1 :],
        scores=np.delete(published.scores, place, axis=1),
    )
    rows = published.rows("validation")
    alone = {head.facts.name: head for head in train_heads(fewer, spec).heads}
    told = 0
    for head in made.heads:
        if not head.facts.edits:
            continue
        told += 1
        assert head.facts.edits == (f"forbid: {forbidden.text}",)
        assert (head.weights[:, place] == 0).all()
        assert len(head.facts.candidates) == len(published.concepts)
        own = alone[head.facts.name]
        np.testing.assert_allclose(
            head.logits(head_features(published, head, rows)),
            own.logits(head_features(fewer, own, rows)),
            atol=1e-6,
        )
        np.testing.assert_allclose(np.delete(head.center, place), own.center)
    assert told > 3
    assert (made.head(UNEDITED).weights == probe.head(EXPLAINED).weights).all()
    np.testing.assert_array_equal(
        _edited(published, probe, _edit(probe)).head("linear_probe").weights,
        made.head("linear_probe").weights,
    )


def test_a_head_that_cannot_be_trained_anew_says_nothing_by_a_forbidden_concept(
    published: ConceptDataset, probe: Heads
) -> None:
    forbidden = _edit(probe, "forbid")
    nothing = replace(probe, heads=())
    made = edit_probe(published, probe, Edits(study="by-hand", edits=(forbidden,)), nothing)
    expected = _edited(published, probe, _edit(probe)).head(EXPLAINED)
    np.testing.assert_array_equal(made.head(EXPLAINED).weights, expected.weights)
    assert made.head(EXPLAINED).facts.edits == (f"neutralise: {forbidden.text}",)


def test_not_every_concept_can_be_forbidden(published: ConceptDataset, probe: Heads) -> None:
    every = tuple(
        _edit(probe, "forbid", concept_id=c.concept_id, text=c.text)
        for c in probe.head(EXPLAINED).facts.candidates
    )
    with pytest.raises(StudyError, match="every concept is forbidden, so no head is left"):
        check_edits(published, probe, Edits(study="by-hand", edits=every))


def test_an_unknown_concept_or_class_is_refused_with_what_is_there(
    published: ConceptDataset, probe: Heads
) -> None:
    unknown = _edit(probe).model_copy(update={"concept_id": "0" * 12})
    with pytest.raises(StudyError, match=r"no head weighs .* Did you mean"):
        _edited(published, probe, unknown)
    with pytest.raises(StudyError, match="there are a, b, c"):
        _edited(published, probe, _edit(probe, "forget", class_key="z"))


def test_an_edit_that_changes_no_head_is_told_from_one_that_does(
    published: ConceptDataset, probe: Heads
) -> None:
    edits = (
        _edit(probe, "scale", amount=1.0),
        _edit(probe),
        _edit(probe),
        _edit(probe, "cap", amount=3.0),
    )
    bottleneck = replace(probe, heads=(probe.head(EXPLAINED),))
    idle = idle_edits(published, bottleneck, Edits(study="by-hand", edits=edits))
    assert idle == (edits[0], edits[2], edits[3])


def test_proposals_begin_with_the_concept_whose_score_tells_a_column_within_classes(
    published: ConceptDataset, probe: Heads
) -> None:
    head = probe.head(EXPLAINED)
    concept = head.facts.candidates[3]
    row = published.pool_rows([concept.concept_id])[0]
    scores = published.vectors @ published.pool_vectors[row]
    labels = published.images["label"]
    medians = pd.Series(scores).groupby(labels.fillna("")).transform("median")
    images = published.images.loc[:, ~published.images.columns.str.startswith("meta.")]
    assert not any(p.told for p in propose_edits(replace(published, images=images), head))
    images = images.assign(**{"meta.ruler": np.where(scores > medians, "yes", "no")})
    first, *others = propose_edits(replace(published, images=images), head)
    assert (first.place, first.column) == (3, "ruler")
    assert first.told > max(p.told for p in others)
    assert first.weights.sum() == pytest.approx(0)


def test_a_sheet_gives_back_the_edits_it_was_written_with(
    published: ConceptDataset, probe: Heads
) -> None:
    edits = (
        _edit(probe, "forget", class_key="b", reason="=a ruler, not a lesion", edited_on="today"),
        _edit(probe, "scale", amount=0.5),
    )
    content = write_sheet(published, probe.head(EXPLAINED), edits)
    assert read_sheet(content, "edits.csv") == edits
    assert read_sheet(write_sheet(published, probe.head(EXPLAINED), ()), "edits.csv") == ()


def test_a_sheet_that_is_wrong_says_in_which_rows(published: ConceptDataset, probe: Heads) -> None:
    good = write_sheet(published, probe.head(EXPLAINED), (_edit(probe, "scale", amount=0.5),))
    wrong = good.decode("utf-8-sig").replace('"scale"', '"erase"').encode()
    with pytest.raises(
        StudyError,
        match=r"edits\.csv; nothing was imported:\n  row \d+, column operation: 'erase': ",
    ):
        read_sheet(wrong, "edits.csv")
    with pytest.raises(StudyError, match=r"row \d+, column editor: who edits"):
        read_sheet(good.replace(b'"Dr. A"', b'""'), "edits.csv")
    with pytest.raises(StudyError, match="it is empty; to take all edits back"):
        read_sheet(b"", "edits.csv")
    with pytest.raises(StudyError, match="column operation is missing"):
        read_sheet(b"concept_id,text\n", "edits.csv")
