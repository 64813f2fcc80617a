"""What heads give away of a property is found where classes depend on it, and else chance."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.questions.inferred_shares import InferredShare, InferredShares
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam, check_askable
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import inferred_shares
from curette.tasks.probe.training import train_heads
from curette.tasks.report.sections.inferred_shares import share_section
from tests.builders.published_study import published_study

IMAGES = 720


def _exam(seen: float, value: str = "female") -> Exam:
    """Return an exam of 720 images; one class has another place where the sex is seen."""
    published, test = published_study()
    rng = np.random.default_rng(0)
    number = np.arange(IMAGES)
    labels = number % 3
    sex = np.where(number // 3 % 2 == 0, "female", "male")
    directions = np.asarray(published.class_vectors, dtype=np.float64)
    vectors = directions[labels] + 0.2 * rng.normal(size=(IMAGES, directions.shape[1]))
    vectors[(labels == 0) & (sex == "female"), 0] += seen
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = np.array(published.class_keys, dtype=object)[labels]
    split = np.where(number % 2 == 0, "train", "validation")
    images = pd.DataFrame(
        {
            "image_id": [f"i{i:03d}" for i in number],
            "split": split,
            "label": keys,
            "group": [f"g{i}" for i in number],
            "meta.sex": sex,
        }
    )
    own = published.images.iloc[published.rows("test")]
    images = pd.concat([images, own], ignore_index=True)
    vectors = np.concatenate([vectors, published.vectors[published.rows("test")]])
    rows = published.pool_rows(c.concept_id for c in published.concepts)
    scores = vectors @ published.pool_vectors[rows].T
    larger = replace(
        published,
        images=images,
        vectors=vectors.astype(np.float32),
        scores=scores.astype(np.float32),
    )
    probe = train_heads(larger, ProbeSpec(heads=(), nec=(), random_draws=1, l2_values=(0.05, 0.5)))
    spec = EvaluateSpec(resamples=100, inferred_shares={"sex": value})
    return Exam(larger, probe, join_test_labels(larger, test), spec)


def _measured(exam: Exam, deals: int) -> InferredShares:
    found = inferred_shares.measure(exam, deals)
    assert found is not None
    return found


def _by(found: InferredShares, kind: str, read_from: str) -> InferredShare:
    return next(f for f in found.found if (f.head_kind, f.read_from) == (kind, read_from))


def test_a_property_that_a_class_shows_is_given_away_until_it_is_erased() -> None:
    found = _measured(_exam(seen=0.5), 2)
    assert len(found.found) == 4
    for kind in ("linear_probe", "concept_bottleneck"):
        told = _by(found, kind, "weights")
        assert told.is_told
        assert told.published.auroc.value > 0.9
        assert told.published.error.value < found.error_of_prior
        assert told.erased.auroc.value < told.published.auroc.value
    section = share_section(found)
    assert (
        "can tell whether 20 % or 80 % of its training images had sex female"
        in (section["meaning"])
    )


def test_a_property_that_nothing_shows_is_left_to_chance() -> None:
    exam = _exam(seen=0.0)
    found = _measured(exam, 2)
    assert not any(f.is_told for f in found.found)
    assert all(f.published.auroc.value < 0.75 for f in found.found)
    assert "was not found to learn" in share_section(found)["meaning"]
    turned = replace(exam.images, labels=exam.images.labels[::-1].copy())
    assert _measured(replace(exam, images=turned), 2) == found  # no test label is looked at


def test_what_cannot_be_measured_says_why() -> None:
    refused = _measured(_exam(seen=0.0, value="Female"), 1).not_computable
    assert "no training or validation image has the value Female" in refused["sex"]
    assert "female, male" in refused["sex"]
    published, _ = published_study()
    with pytest.raises(StudyError, match=r"evaluate\.inferred_shares names sex"):
        check_askable(published, EvaluateSpec(inferred_shares={"sex": "female"}))
