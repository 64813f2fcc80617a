"""The gates that look at training images, on images whose content is known."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin, concept_id
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ClassLabel, ImageDataset, Truth
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.screen import training
from curette.tasks.screen.gate import Circumstances
from curette.tasks.screen.gates import co_occurrence
from curette.tasks.screen.gates.co_occurrence import MOST_PAIRS
from curette.tasks.screen.screening import screen
from curette.tasks.screen.training import TrainingImages, training_images
from curette.tasks.screen.wording import plain_form
from tests.builders.images import image_dataset

CLASSES = (ClassLabel(key="a", name="melanoma"), ClassLabel(key="b", name="nevus"))
TEXTS = ("red dots", "blue veil", "white scale", "ruddy dots", "brown rim")
SHOWN_BY_NONE = tuple(f"pattern {n}" for n in range(90))
DIM, COUNT = 96, 100
AXES = np.eye(DIM, dtype=np.float32)


def encoder() -> EncoderIdentity:
    return EncoderIdentity(name="by hand", digest="0" * 64, dim=DIM, demo=False)


def pictures(shown: dict[str, float], **attributes: np.ndarray) -> TrainingImages:
    """Return images on which each text is shown on this share: the first ones."""
    rows = np.tile(3 * AXES[-1], (COUNT, 1))
    for text, share in shown.items():
        rows[: round(share * COUNT), TEXTS.index(text)] += 1
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    everywhere = np.ones(COUNT, dtype=bool)
    return TrainingImages(
        vectors, {plain_form(n): Truth(a, everywhere) for n, a in attributes.items()}, 2
    )


def run(images: TrainingImages, *gates: str, **settings: float) -> ScreenedSet:
    proposed = CandidateSet(
        candidates=tuple(
            Candidate(text=t, classes=("a",), origins=(FileOrigin(file="f", line=1),))
            for t in (*TEXTS, *SHOWN_BY_NONE)
        ),
        source="by hand",
    )
    texts = TextEmbeddings((*TEXTS, *SHOWN_BY_NONE), AXES[:-1], encoder())
    spec = ScreenSpec.model_validate({"gates": gates, **settings})
    return screen(proposed, Circumstances(CLASSES, texts, images), spec)


def test_what_no_image_or_too_few_show_is_not_groundable() -> None:
    images = pictures({"red dots": 0.5, "blue veil": 0.03, "ruddy dots": 0.98, "brown rim": 0.11})
    screened = run(images, "groundability", activation_quantile=0)
    reasons = {d.candidate.text: d.reason for d in screened.dropped}
    assert not {"red dots", "brown rim"} & set(reasons)
    assert reasons["blue veil"].startswith("lies above its midpoint on 3.0% of the training images")
    assert reasons["ruddy dots"].startswith("lies below its midpoint on 2.0%")
    (doubt,) = [u for u in screened.unsure if u.concept_id == concept_id("brown rim")]
    assert doubt.why == "parts off only 11.0% of the training images"
    assert doubt.sure == pytest.approx(0.4, abs=1e-3)


def test_a_concept_that_ranks_its_attribute_badly_is_flagged_and_kept() -> None:
    first, last = np.arange(COUNT) < 50, np.arange(COUNT) >= 50
    images = pictures({"red dots": 0.5, "blue veil": 0.5}, red_dot=first, blue_veils=last)
    screened = run(images, "learnability", min_normalised_ap=0.6)
    assert screened.dropped == ()
    (flag,) = screened.flags
    assert flag.concept_ids == (concept_id("blue veil"),)
    assert flag.evidence["normalised_ap"] == 0.5  # the wrong half comes first
    assert "'blue veil' ranks the images of its attribute badly" in flag.warning


def test_pairs_that_always_or_never_come_together_are_flagged_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = np.arange(COUNT) >= 50
    images = pictures({"red dots": 0.5, "ruddy dots": 0.5}, white_scales=last)
    few = run(images, "co_occurrence").flags
    assert len(few) == MOST_PAIRS
    monkeypatch.setattr(co_occurrence, "MOST_PAIRS", 10_000)
    screened = run(images, "co_occurrence")
    assert screened.dropped == ()
    assert {flag.evidence["pairs_found"] for flag in few} == {len(screened.flags)}
    warnings = {frozenset(f.concept_ids): f for f in screened.flags}
    twins = warnings[frozenset(map(concept_id, ("red dots", "ruddy dots")))]
    assert twins.evidence["jaccard"] == 1
    assert twins.warning.startswith("'red dots' and 'ruddy dots' come together on 100.0%")
    rivals = warnings[frozenset(map(concept_id, ("red dots", "white scale")))]
    assert rivals.evidence["empty"] == ["both", "neither"]


def test_more_concepts_than_pairs_can_be_compared_of_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(co_occurrence, "MOST_CONCEPTS", 90)
    with pytest.raises(StudyError, match="95 concepts have too many"):
        run(pictures({}), "co_occurrence")


def test_a_gate_that_needs_images_says_so() -> None:
    texts = TextEmbeddings((), AXES[:0], encoder())
    nothing = CandidateSet(candidates=(), source="nobody")
    with pytest.raises(ValueError, match="groundability needs the training images"):
        screen(nothing, Circumstances(CLASSES, texts), ScreenSpec(gates=("groundability",)))


def dataset(splits: list[str]) -> tuple[ImageDataset, ImageEmbeddings]:
    ids = [f"i{n:03d}" for n in range(len(splits))]
    table = pd.DataFrame(
        {
            "image_id": ids,
            "sha256": [hashlib.sha256(i.encode()).hexdigest() for i in ids],
            "location": "",
            "split": splits,
            "label": [None if s == "test" else "a" for s in splits],
            "group": ids,
            "attribute.red dots": [s == "train" for s in splits],
        }
    )
    images = image_dataset(table, classes=CLASSES)
    vectors = np.tile(AXES[0], (len(ids), 1))
    vectors[[s != "train" for s in splits]] = AXES[1]
    return images, ImageEmbeddings(tuple(ids), vectors, encoder())


def test_only_training_images_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    material = dataset(["train", "test", "validation", "train", "train", "test"])
    seen = training_images(*material)
    assert len(seen.vectors) == 3
    assert (seen.vectors[:, 1] == 0).all()
    assert seen.truths[plain_form("red dots")].present.all()
    assert seen.classes == 2
    monkeypatch.setattr(training, "MOST_IMAGES", 2)
    assert len(training_images(*material).vectors) == 2
