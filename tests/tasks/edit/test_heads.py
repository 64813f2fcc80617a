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
from curette.tasks.edit.heads import edit_probe, idle_edits
from curette.tasks.edit.proposals import propose_edits
from curette.tasks.methods.features import head_features
from tests.builders.published_study import KEYS, published_study, with_people


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return with_people(published_study(noise=1.5)[0])


@pytest.fixture(scope="module")
def probe(published: ConceptDataset) -> Heads:
    from curette.tasks.probe.training import train_heads

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
    images = published.images.assign(**{"meta.ruler": np.where(scores > medians, "yes", "no")})
    first, *others = propose_edits(replace(published, images=images), head, ("ruler",))
    assert (first.place, first.column) == (3, "ruler")
    assert first.told > max(p.told for p in others)
    assert first.weights.sum() == pytest.approx(0)
    assert [p.told for p in propose_edits(published, head, ())] == [0.0] * len(
        head.facts.candidates
    )


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
    with pytest.raises(StudyError, match=r"nothing of edits.csv was taken in:\n  row \d+"):
        read_sheet(wrong, "edits.csv")
    with pytest.raises(StudyError, match=r"row \d+, editor: say who edits"):
        read_sheet(good.replace(b'"Dr. A"', b'""'), "edits.csv")
    with pytest.raises(StudyError, match=r"edits\.csv is empty"):
        read_sheet(b"", "edits.csv")
    with pytest.raises(StudyError, match="lacks the columns"):
        read_sheet(b"concept_id,text\n", "edits.csv")
