"""Another study's labelled training images teach directions, and no image of this study does."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings
from curette.schemas.heads import BORROWED, card_of
from curette.schemas.probe import Heads, head_inputs
from curette.schemas.settings.probe import GroundingSpec, ProbeSpec
from curette.tasks.probe.bank import Bank
from curette.tasks.probe.borrowing import Borrowing
from curette.tasks.probe.draws import Images
from curette.tasks.probe.grounding import Grounding
from curette.tasks.probe.training import train_heads
from tests.builders.annotations import annotations
from tests.builders.images import image_dataset
from tests.builders.published_study import KEYS, published_study

SPEC = ProbeSpec(heads=(), nec=(), random_draws=2, l2_values=(1.0,), residual_l2_values=(1.0, 0.1))
OWN = published_study()[0]


def _facts(dataset: ConceptDataset, **changes: Any) -> ConceptDataset:
    return replace(dataset, facts=dataset.facts.model_copy(update=changes))


WORLD = published_study(noise=0.9)[0]
"""Of the same directions as `OWN`; its images are other ones."""
SAYS = {
    "a": AttributePhrases(claimed_by=("sign 0 of a",)),
    "b": AttributePhrases(claimed_by=("sign 0 of b",)),
    "c": AttributePhrases(denied_by=("sign 0 of c",)),
}


def _bank(
    columns: Mapping[str, Any] | None = None,
    *,
    without: tuple[str, ...] = (),
    phrases: Mapping[str, AttributePhrases] = SAYS,
    vectors: np.ndarray = WORLD.vectors,
    encoder: EncoderIdentity = OWN.facts.encoder,
    name: str = "lender",
    drawn: bool = True,
) -> Bank:
    """Return the other study's images, with these columns and without those."""
    others = {"location": "", "sha256": [f"{1000 + i:064x}" for i in range(180)]}
    images = WORLD.images.assign(**(others | dict(columns or {}))).drop(columns=list(without))
    classes = WORLD.facts.classes
    dataset = image_dataset(images, classes=classes, phrases=phrases, synthetic=drawn)
    embedded = ImageEmbeddings(tuple(images["image_id"]), vectors, encoder)
    ours = image_dataset(OWN.images.assign(location=""), classes=classes, synthetic=drawn)
    return Bank.of(name, dataset, embedded, None, ours)


BANK = _bank()
THEIRS = BANK.images


@pytest.fixture(scope="module")
def trained() -> Heads:
    return train_heads(OWN, SPEC, bank=BANK)


def _learn(bank: Bank = BANK, own: ConceptDataset = OWN) -> Borrowing:
    return Borrowing.of(Images.of(own, SPEC, bank))


def _flipped(rows: "pd.Series[bool]") -> dict[str, Any]:
    """Return the columns with the opposite said of some rows."""
    names = [f"attribute.{key}" for key in KEYS]
    return {name: THEIRS[name].where(~rows, ~THEIRS[name]) for name in names}


def _weights(made: Borrowing) -> np.ndarray:
    return made.functions.weights.numpy()


def test_directions_are_those_that_the_lender_would_ground_its_own_concepts_by() -> None:
    there, here = Grounding.of(Images.of(WORLD, SPEC)), _learn()
    assert [OWN.concepts[i].text for i in here.places] == [f"sign 0 of {key}" for key in KEYS]
    np.testing.assert_allclose(here.functions.weights, there.functions.weights)


def test_borrowed_directions_take_the_place_of_their_text_and_of_no_other(trained: Heads) -> None:
    head = trained.head(BORROWED)
    borrowed = {c.concept_id for c in trained.borrowed.concepts} if trained.borrowed else set()
    assert len(borrowed) == len(KEYS)
    assert head.directions is not None
    place = {c.concept_id: i for i, c in enumerate(OWN.pool)}
    for direction, candidate in zip(head.directions, head.facts.candidates, strict=True):
        text = OWN.pool_vectors[place[candidate.concept_id]]
        assert np.allclose(direction, text) != (candidate.concept_id in borrowed)
    seen = head_inputs("scores", OWN.vectors[OWN.rows("train")], head.directions)
    text_spread = OWN.scores[OWN.rows("train")].std(axis=0)
    np.testing.assert_allclose(seen.std(axis=0), text_spread, rtol=1e-4)
    assert head.train_features is None, "no image here taught them, so none has to be held out"


def test_only_training_images_of_the_lender_teach() -> None:
    turned = _bank(_flipped(THEIRS["split"] != "train"))
    np.testing.assert_array_equal(_weights(_learn(turned)), _weights(_learn()))
    vectors, test = WORLD.vectors.copy(), BANK.rows("test")
    vectors[test] = vectors[test][::-1]
    assert _learn(_bank(vectors=vectors)).facts == _learn().facts


def test_this_studys_own_truth_teaches_nothing() -> None:
    unlabelled = _learn(own=_facts(OWN, labelled=()))
    np.testing.assert_array_equal(_weights(unlabelled), _weights(_learn()))
    assert {c.auroc for c in unlabelled.facts.concepts} == {None}
    assert all((c.auroc_there or 0) > 0.7 for c in unlabelled.facts.concepts), "one is denied"


def test_an_image_of_this_study_and_all_of_its_patient_teach_nothing() -> None:
    train = BANK.rows("train")
    tested, own_train = OWN.rows("test")[0], OWN.rows("train")[0]
    sha = THEIRS["sha256"].copy()
    sha.iloc[train[[0, 4]]] = OWN.images["sha256"].iloc[[tested, own_train]].to_numpy()
    made = _learn(_bank({"sha256": sha}))
    assert made.facts.images == _learn().facts.images - 4
    assert {x.reason: x.images for x in made.facts.left_out} == {
        "this study has the same image, and tests on it": 1,
        "this study has the same image": 1,
        "of the patient or lesion of an image that is left out": 2,
    }
    gone = THEIRS["group"].isin(THEIRS["group"].iloc[train[[0, 4]]])
    again = _learn(_bank({"sha256": sha} | _flipped(gone)))
    np.testing.assert_array_equal(_weights(again), _weights(made))
    assert not np.array_equal(_weights(made), _weights(_learn()))


def test_patients_of_one_name_are_one_patient_unless_both_were_drawn() -> None:
    some = set(OWN.images["subject"][:20])
    subject = [s if s in some else f"t{s}" for s in THEIRS["subject"]]
    (told,) = _learn(_bank({"subject": subject}, drawn=False)).facts.left_out
    assert told.reason == "this study has a patient or lesion of that name"
    assert told.images == (THEIRS["split"].eq("train") & THEIRS["subject"].isin(some)).sum() > 0
    assert not _learn(_bank({"subject": subject})).facts.left_out


def test_all_images_shared_leave_nothing_to_learn_from_and_the_reason_says_so() -> None:
    heads = train_heads(OWN, SPEC, bank=_bank({"sha256": OWN.images["sha256"]}))
    assert heads.borrowed is None
    reasons = {s.kind: s.reason for s in heads.skipped}
    assert reasons.keys() == {BORROWED, "random_borrowed"}
    assert "0 are left" in reasons[BORROWED]
    assert "are left out: this study has the same image" in reasons[BORROWED]


def test_random_directions_stand_in_the_same_places_turned_by_the_lenders_images(
    trained: Heads,
) -> None:
    borrowed = trained.head(BORROWED)
    drawn = [h for h in trained.heads if h.facts.kind == "random_borrowed"]
    assert len(drawn) == SPEC.random_draws
    rows = BANK.rows("train")
    for head in drawn:
        assert head.directions is not None
        assert borrowed.directions is not None
        same = np.isclose(head.directions, borrowed.directions).all(axis=1)
        assert (~same).sum() == len(KEYS)
        assert "random_borrowed" in card_of(BORROWED).baselines
        for j in np.flatnonzero(~same):
            text = head.facts.candidates[j].text
            label = BANK.decided[head.facts.candidates[j].concept_id]
            column = THEIRS[label.column].iloc[rows]
            known = column.notna().to_numpy()
            shown = column[known].to_numpy(dtype=bool) != label.denied
            score = BANK.vectors[rows][known] @ head.directions[j]
            assert roc_auc_score(shown, score) >= 0.5, text


def test_statements_that_nobody_proposed_there_are_decided_by_what_its_columns_say() -> None:
    phrases = {"b": AttributePhrases(claimed_by=("Sign 1 of B.",), denied_by=("sign 1 of a",))}
    facts = _learn(_bank(phrases=phrases)).facts
    assert [(c.text, c.attribute, c.denied) for c in facts.concepts] == [
        ("sign 1 of a", "b", True),
        ("sign 1 of b", "b", False),
    ]
    assert facts.concepts[0].present == facts.concepts[1].absent


def test_columns_that_decide_no_selected_concept_are_told() -> None:
    stripes = {"a": AttributePhrases(claimed_by=("stripes",))}
    assert _learn(_bank(phrases=SAYS | stripes)).facts.unused == ("a",)
    both = {"a": AttributePhrases(claimed_by=("stripes", "sign 0 of a"))}
    assert _learn(_bank(phrases=SAYS | both)).facts.unused == ()


def test_a_lender_whose_columns_decide_nothing_here_leaves_the_head_out() -> None:
    heads = train_heads(OWN, SPEC, bank=_bank(phrases={}))
    assert heads.borrowed is None
    assert {s.reason for s in heads.skipped} == {
        "no column of lender decides a concept that is selected here. Name the statements that its "
        "columns decide in the words of this study, under `dataset.attributes` of lender, and run "
        "it again."
    }


def test_a_lender_that_cannot_teach_is_refused_and_told_why() -> None:
    with pytest.raises(StudyError, match="no image of the study lender says which concepts"):
        _bank(without=tuple(f"attribute.{key}" for key in KEYS), phrases={})
    encoder = OWN.facts.encoder.model_copy(update={"name": "another", "digest": "f" * 64})
    with pytest.raises(StudyError, match=r"lender were embedded by another \(12 numbers, ffffff"):
        train_heads(OWN, SPEC, bank=_bank(encoder=encoder))
    with pytest.raises(StudyError, match="by-hand is this study itself"):
        train_heads(OWN, SPEC, bank=_bank(name="by-hand"))


def test_without_a_lender_nothing_is_borrowed_and_nothing_kept_of_it(tmp_path: Path) -> None:
    heads = train_heads(OWN, SPEC)
    assert {BORROWED, "random_borrowed"}.isdisjoint(h.facts.kind for h in heads.heads)
    assert not heads.skipped
    heads.write(tmp_path)
    assert "borrowed" not in (tmp_path / "heads.json").read_text()
    assert "grounding" not in SPEC.model_dump()


def test_what_was_borrowed_is_kept_with_the_heads(trained: Heads, tmp_path: Path) -> None:
    trained.write(tmp_path)
    assert Heads.read(tmp_path).borrowed == trained.borrowed


def test_a_study_names_the_lender_under_from() -> None:
    spec = ProbeSpec.model_validate({"grounding": {"from": "other"}})
    assert spec.grounding == GroundingSpec(study="other")
    assert ProbeSpec.model_validate(spec.model_dump()) == spec


def test_the_truth_of_a_missing_cell_is_unknown() -> None:
    column = pd.array([None] * 180, dtype="boolean")
    facts = _learn(_bank({"attribute.a": column})).facts
    assert [c.attribute for c in facts.concepts] == ["b", "c"]


def test_what_a_model_read_there_teaches_what_no_column_decides() -> None:
    dataset = image_dataset(THEIRS, classes=WORLD.facts.classes, phrases=SAYS)
    read = annotations(dataset, OWN.concepts)
    embedded = ImageEmbeddings(tuple(THEIRS["image_id"]), WORLD.vectors, OWN.facts.encoder)
    ours = image_dataset(OWN.images.assign(location=""), classes=WORLD.facts.classes)
    facts = _learn(Bank.of("lender", dataset, embedded, read, ours)).facts
    decided = {f"sign 0 of {key}" for key in KEYS}
    used = {x.concept_id for x in read.labelled}
    sources = {c.text: c.labels_from for c in facts.concepts}
    assert {c.text for c in OWN.concepts if c.concept_id in used} | decided == set(sources)
    assert {text for text, source in sources.items() if source == "column"} == decided
