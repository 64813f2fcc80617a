"""Another study's labelled training images teach directions, and no image of this study does."""

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
from curette.schemas.heads import BORROWED, card_of
from curette.schemas.probe import Heads, head_inputs
from curette.schemas.settings.probe import GroundingSpec, ProbeSpec
from curette.tasks.probe.bank import Bank
from curette.tasks.probe.borrowing import Borrowing
from curette.tasks.probe.draws import Images
from curette.tasks.probe.grounding import Grounding
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study

SPEC = ProbeSpec(heads=(), nec=(), random_draws=2, l2_values=(1.0,), residual_l2_values=(1.0, 0.1))
OWN = published_study()[0]


def _facts(dataset: ConceptDataset, **changes: Any) -> ConceptDataset:
    return replace(dataset, facts=dataset.facts.model_copy(update=changes))


def _lender(**columns: Any) -> ConceptDataset:
    """Return a study of the same world and words, with images of its own."""
    made = published_study(noise=0.9)[0]
    images = made.images.assign(sha256=[f"{1000 + i:064x}" for i in range(180)], **columns)
    return replace(_facts(made, name="lender"), images=images)


LENDER = _lender()
BANK = Bank.of(LENDER, {})


def _train(own: ConceptDataset = OWN, lender: ConceptDataset = LENDER) -> Heads:
    return train_heads(own, SPEC, bank=Bank.of(lender, {}))


@pytest.fixture(scope="module")
def trained() -> Heads:
    return _train()


def _learn(own: ConceptDataset = OWN, lender: ConceptDataset = LENDER) -> Borrowing:
    return Borrowing.of(Images.of(own, SPEC, Bank.of(lender, {})))


def _weights(made: Borrowing) -> np.ndarray:
    return made.functions.weights.numpy()


def test_directions_are_those_that_the_lender_would_ground_its_own_concepts_by() -> None:
    there = Grounding.of(Images.of(LENDER, SPEC))
    here = Borrowing.of(Images.of(OWN, SPEC, BANK))
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
    unseen = LENDER.images["split"] != "train"
    turned = {
        f"attribute.{key}": LENDER.images[f"attribute.{key}"].where(
            ~unseen, ~LENDER.images[f"attribute.{key}"]
        )
        for key in KEYS
    }
    np.testing.assert_array_equal(_weights(_learn(lender=_lender(**turned))), _weights(_learn()))
    vectors = LENDER.vectors.copy()
    test = LENDER.rows("test")
    vectors[test] = vectors[test][::-1]
    assert _learn(lender=replace(LENDER, vectors=vectors)).facts == _learn().facts


def test_this_studys_own_truth_teaches_nothing() -> None:
    unlabelled = _learn(own=_facts(OWN, labelled=()))
    np.testing.assert_array_equal(_weights(unlabelled), _weights(_learn()))
    assert {c.auroc for c in unlabelled.facts.concepts} == {None}
    assert all((c.auroc_there or 0) > 0.7 for c in unlabelled.facts.concepts), "one is denied"


def test_an_image_of_this_study_and_all_of_its_patient_teach_nothing() -> None:
    train = LENDER.rows("train")
    (tested,), own_train = OWN.rows("test")[:1], OWN.rows("train")[0]
    sha = LENDER.images["sha256"].copy()
    sha.iloc[train[0]], sha.iloc[train[4]] = OWN.images["sha256"].iloc[[tested, own_train]]
    shared = _lender().images.assign(sha256=sha)
    gone = shared["group"].isin(shared["group"].iloc[train[[0, 4]]])
    made = _learn(lender=replace(LENDER, images=shared))
    assert made.facts.images == _learn().facts.images - 4
    assert {x.reason: x.images for x in made.facts.left_out} == {
        "this study has the same image, and tests on it": 1,
        "this study has the same image": 1,
        "of the patient or lesion of an image that is left out": 2,
    }
    flipped = {
        f"attribute.{k}": shared[f"attribute.{k}"].where(~gone, ~shared[f"attribute.{k}"])
        for k in KEYS
    }
    again = _learn(lender=replace(LENDER, images=shared.assign(**flipped)))
    np.testing.assert_array_equal(_weights(again), _weights(made))
    assert not np.array_equal(_weights(made), _weights(_learn()))


def test_patients_of_one_name_are_one_patient_unless_both_were_drawn() -> None:
    real = _facts(LENDER, synthetic_images=False)
    some = set(OWN.images["subject"][:20])
    images = real.images.assign(
        subject=[s if s in some else f"t{s}" for s in real.images["subject"]]
    )
    (told,) = _learn(lender=replace(real, images=images)).facts.left_out
    assert told.reason == "this study has a patient or lesion of that name"
    in_train = real.images["split"].eq("train") & real.images["subject"].isin(some)
    assert told.images == in_train.sum() > 0


def test_all_images_shared_leave_nothing_to_learn_from_and_the_reason_says_so() -> None:
    same = LENDER.images.assign(sha256=OWN.images["sha256"])
    heads = _train(lender=replace(LENDER, images=same))
    assert heads.borrowed is None
    reasons = {s.kind: s.reason for s in heads.skipped}
    assert reasons.keys() == {BORROWED, "random_borrowed"}
    assert "0 are left" in reasons[BORROWED]
    assert "left out: this study has the same image, and tests on it" not in reasons[BORROWED]
    assert "left out: this study has the same image" in reasons[BORROWED]


def test_random_directions_stand_in_the_same_places_turned_by_the_lenders_images(
    trained: Heads,
) -> None:
    borrowed = trained.head(BORROWED)
    drawn = [h for h in trained.heads if h.facts.kind == "random_borrowed"]
    assert len(drawn) == SPEC.random_draws
    rows = LENDER.rows("train")
    for head in drawn:
        assert head.directions is not None
        assert borrowed.directions is not None
        same = np.isclose(head.directions, borrowed.directions).all(axis=1)
        assert (~same).sum() == len(KEYS)
        assert "random_borrowed" in card_of(BORROWED).baselines
        for j in np.flatnonzero(~same):
            text = head.facts.candidates[j].text
            label = BANK.decided[head.facts.candidates[j].concept_id]
            column = LENDER.images[label.column].iloc[rows]
            known = column.notna().to_numpy()
            shown = column[known].to_numpy(dtype=bool) != label.denied
            score = LENDER.vectors[rows][known] @ head.directions[j]
            assert roc_auc_score(shown, score) >= 0.5, text


def test_statements_that_nobody_proposed_there_are_decided_by_what_its_columns_say() -> None:
    phrases = {"b": AttributePhrases(claimed_by=("Sign 1 of B.",), denied_by=("sign 1 of a",))}
    bank = Bank.of(_facts(LENDER, labelled=()), phrases)
    facts = Borrowing.of(Images.of(OWN, SPEC, bank)).facts
    assert [(c.text, c.attribute, c.denied) for c in facts.concepts] == [
        ("sign 1 of a", "b", True),
        ("sign 1 of b", "b", False),
    ]
    assert facts.concepts[0].present == facts.concepts[1].absent


def test_columns_that_decide_no_selected_concept_are_told() -> None:
    phrases = {"a": AttributePhrases(claimed_by=("stripes",))}
    facts = Borrowing.of(Images.of(OWN, SPEC, Bank.of(LENDER, phrases))).facts
    assert facts.unused == ()
    bank = Bank.of(_facts(LENDER, labelled=LENDER.facts.labelled[1:]), phrases)
    assert Borrowing.of(Images.of(OWN, SPEC, bank)).facts.unused == ("a",)


def test_a_lender_whose_columns_decide_nothing_here_leaves_the_head_out() -> None:
    phrases = {"a": AttributePhrases(claimed_by=("stripes",))}
    heads = train_heads(OWN, SPEC, bank=Bank.of(_facts(LENDER, labelled=()), phrases))
    assert heads.borrowed is None
    assert {s.reason for s in heads.skipped} == {
        "no column of lender decides a concept that is selected here. Name the statements that its "
        "columns decide in the words of this study, under `dataset.attributes` of lender, and run "
        "it again."
    }


def test_a_lender_that_cannot_teach_is_refused_and_told_why() -> None:
    with pytest.raises(StudyError, match="no image of the study lender says which concepts"):
        Bank.of(_facts(LENDER, labelled=()), {})
    encoder = OWN.facts.encoder.model_copy(update={"name": "another", "digest": "f" * 64})
    with pytest.raises(StudyError, match=r"lender were embedded by another \(12 numbers, ffffff"):
        _train(lender=_facts(LENDER, encoder=encoder))
    with pytest.raises(StudyError, match="by-hand is this study itself"):
        _train(lender=_facts(LENDER, name="by-hand"))


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
    bank = Bank.of(_lender(**{"attribute.a": column}), {})
    facts = Borrowing.of(Images.of(OWN, SPEC, bank)).facts
    assert [c.attribute for c in facts.concepts] == ["b", "c"]
