"""Another dataset: its numbers by hand, its gap by brute force, and what is no other dataset."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.external import ExternalImages
from curette.schemas.images import ImageDataset, Rejection, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.questions.shifts import ShiftResult, ShiftTables
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.external import (
    ExternalTest,
    OtherImages,
    describe_external,
)
from curette.tasks.evaluate.images import ExaminedImages, join_test_labels
from curette.tasks.evaluate.questions import shifts
from curette.tasks.methods.features import features_of, head_features
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from tests.builders.images import image_dataset
from tests.builders.published_study import DIM, KEYS, published_study

_SPEC = EvaluateSpec(resamples=150, smallest_subgroup=2)
_NOWHERE: Any = Ref("image-dataset", "0" * 20)
_GIVEN = ExternalImages(
    name="other",
    dataset=_NOWHERE,
    vectors=_NOWHERE,
    pretraining_covers="no",
    near_duplicate_cosine=0.995,
)


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, ExaminedImages]:
    published, test = published_study(noise=2, seed=1)
    return published, join_test_labels(published, test)


@pytest.fixture(scope="module")
def probe(study: tuple[ConceptDataset, ExaminedImages]) -> Heads:
    from curette.tasks.probe.training import train_heads

    return train_heads(study[0], ProbeSpec(epochs=20, heads=(), random_draws=2))


def _elsewhere(
    published: ConceptDataset, labels: np.ndarray, seed: int = 0, copied: int = 0
) -> tuple[ImageDataset, ImageEmbeddings]:
    """Return images around the classes' directions, two a group; the first are near-copies."""
    generator = np.random.default_rng(seed)
    assert published.class_vectors is not None
    vectors = published.class_vectors[labels] + 3 * generator.normal(size=(len(labels), DIM)) / 3.5
    vectors[:copied] = published.vectors[published.rows("train")[:copied]]
    vectors[:copied] += 0.005 * generator.normal(size=(copied, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"img{i:03d}" for i in range(len(labels))]  # as the study calls its own
    images = pd.DataFrame(
        {
            "image_id": ids,
            "sha256": [f"{10**6 + i:064x}" for i in range(len(labels))],
            "location": "",
            "split": "test",
            "label": None,
            "group": [f"s{i // 2}" for i in range(len(labels))],
        }
    )
    dataset = image_dataset(
        images,
        classes=published.facts.classes,
        rejected=(
            Rejection(row="x", reason="other-class", detail=""),
            Rejection(row="y", reason="other-class", detail=""),
            Rejection(row="z", reason="study-image", detail=""),
        ),
        source="drawn elsewhere",
    )
    return dataset, ImageEmbeddings(tuple(ids), vectors, published.facts.encoder)


def _external(published: ConceptDataset, labels: np.ndarray, seed: int = 0) -> ExternalTest:
    dataset, vectors = _elsewhere(published, labels, seed)
    truth = {i: KEYS[k] for i, k in zip(vectors.keys, labels, strict=True)}
    return ExternalTest(
        describe_external(published, _GIVEN, dataset, vectors), TestLabels(labels=truth)
    )


def _measured(
    study: tuple[ConceptDataset, ExaminedImages],
    probe: Heads,
    external: ExternalTest,
    spec: EvaluateSpec = _SPEC,
) -> ShiftTables:
    tables = shifts.measure(Exam(study[0], probe, study[1], spec, external=(external,)))
    assert tables is not None
    return tables


_LABELS = np.arange(80) // 2 % 3


@pytest.fixture(scope="module")
def result(study: tuple[ConceptDataset, ExaminedImages], probe: Heads) -> ShiftResult:
    return _measured(study, probe, _external(study[0], _LABELS)).results[0]


def _said(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads, other: OtherImages
) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear probe's probabilities of the study's test images and of the others."""
    head, published = probe.head("linear_probe"), study[0]
    own = head_features(published, head, published.rows("test"))
    features = (own, features_of(published, head, other.vectors))
    inside, outside = (softmax(head.logits(f), axis=1) for f in features)
    return inside, outside


def _values(result: ShiftResult, name: str, head: str = "linear probe") -> dict[str, float]:
    return {v.of: v.value for v in result.values if (v.head, v.name) == (head, name)}


def test_the_studys_own_heads_are_measured_on_both_datasets_as_they_are(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads, result: ShiftResult
) -> None:
    inside, outside = _said(study, probe, _external(study[0], _LABELS).images)
    sides = ((study[1].labels, inside), (_LABELS, outside))
    rights = [balanced_accuracy_score(y, p.argmax(1)) for y, p in sides]
    areas = [np.mean([roc_auc_score(y == k, p[:, k]) for k in range(3)]) for y, p in sides]
    for name, (here, there) in (("balanced_accuracy", rights), ("macro_auroc", areas)):
        assert _values(result, name) == pytest.approx(
            {
                "in_domain": here,
                "out_of_domain": there,
                "gap": here - there,
                "mean": (here + there) / 2,
            }
        )
    assert [p.images for p in result.parts] == [len(study[1].ids), 80]
    assert [p.groups for p in result.parts] == [len(np.unique(study[1].groups)), 40]
    assert [p.images for p in result.plan.parts] == [
        len(study[0].rows(split)) for split in ("train", "validation")
    ]


def test_the_worst_group_is_a_class_of_one_of_the_datasets(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads, result: ShiftResult
) -> None:
    inside, outside = _said(study, probe, _external(study[0], _LABELS).images)
    right = {
        (KEYS[k], name): np.mean(p[y == k].argmax(1) == k)
        for name, y, p in (("own", study[1].labels, inside), ("other", _LABELS, outside))
        for k in range(3)
    }
    worst = next(w for w in result.worst_groups if w.head == "linear probe")
    assert right[worst.class_key, worst.value] == pytest.approx(min(right.values()))
    found = next(v for v in result.values if (v.head, v.of) == ("linear probe", "worst_group"))
    assert found.value == pytest.approx(min(right.values()))


def test_leads_are_over_the_linear_probe_on_the_same_resamples(result: ShiftResult) -> None:
    linear = {(v.of, v.name): v.value for v in result.values if v.head == "linear probe"}
    others = [v for v in result.values if v.head != "linear probe"]
    assert others
    for v in others:
        if (v.of, v.name) in linear and v.lead is not None:
            assert v.lead == pytest.approx(v.value - linear[v.of, v.name])


def test_the_interval_of_the_gap_is_that_of_two_samples_drawn_apart(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads
) -> None:
    """By brute force: draw the groups of each dataset on their own, and subtract."""
    external = _external(study[0], _LABELS)
    sides = zip(_said(study, probe, external.images), (study[1].labels, _LABELS), strict=True)
    groups = (study[1].groups, np.array(external.images.groups))
    generator = np.random.default_rng(5)
    values: list[np.ndarray] = []
    for (said, labels), of in zip(sides, groups, strict=True):
        rows = [np.flatnonzero(of == g) for g in np.unique(of)]
        drawn = [
            np.concatenate([rows[g] for g in generator.integers(len(rows), size=len(rows))])
            for _ in range(1000)
        ]
        right = said.argmax(1) == labels
        counted = right, np.ones(len(labels))
        hits, images = (
            np.stack([np.bincount(labels[d], of[d], 3) for d in drawn]) for of in counted
        )
        values.append(np.nanmean(hits / images, axis=1))
    low, high = np.quantile(np.subtract(values[0], values[1]), [0.025, 0.975])
    spec = EvaluateSpec(resamples=2000, smallest_subgroup=2)
    two = replace(probe, heads=(probe.head("linear_probe"), probe.head("concept_bottleneck")))
    tables = _measured(study, two, external, spec)
    gap = next(
        v
        for v in tables.results[0].values
        if (v.head, v.name, v.of) == ("linear probe", "balanced_accuracy", "gap")
    )
    assert (gap.low, gap.high) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_both_datasets_keep_their_size_in_every_resample_of_a_result(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads, result: ShiftResult
) -> None:
    """The same resamples of two parts, and scikit-learn's metric of each: equal to the digit."""
    external = _external(study[0], _LABELS).images
    labels = np.concatenate([study[1].labels, _LABELS])
    said = np.concatenate(_said(study, probe, external)).argmax(1)
    groups = [f"0/{g}" for g in study[1].groups] + [f"1/{g}" for g in external.groups]
    part = np.repeat([0, 1], [len(study[1].ids), len(_LABELS)])

    def gap(weights: np.ndarray) -> np.ndarray:
        reached = [
            [balanced_accuracy_score(labels[s], said[s], sample_weight=w[s]) for w in weights]
            for s in (part == 0, part == 1)
        ]
        return np.subtract(reached[0], reached[1])[:, None]

    bootstrap = ClusterBootstrap.of(np.array(groups), _SPEC.resamples, _SPEC.seed, part)
    [expected] = bootstrap.replicate(gap, "percentile").intervals("percentile", _SPEC.confidence)
    found = next(
        v
        for v in result.values
        if (v.head, v.name, v.of) == ("linear probe", "balanced_accuracy", "gap")
    )
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_each_of_two_samples_keeps_its_number_of_groups_in_every_resample() -> None:
    parts = np.array([1, 0, 1, 0, 1, 1])
    groups = np.array(["b", "z", "c", "y", "b", "a"])
    bootstrap = ClusterBootstrap.of(groups, 500, 0, parts)
    once = (groups == "z") | (groups == "y"), np.isin(groups, ["a", "c"])

    def counts(weights: np.ndarray) -> np.ndarray:
        of_b = weights[:, 0]
        assert (weights[:, 0] == weights[:, 4]).all(), "a group is drawn as a whole"
        return np.column_stack(
            [weights[:, once[0]].sum(1), weights[:, once[1]].sum(1) + of_b, of_b]
        )

    replicates = bootstrap.replicate(counts, "percentile")
    assert (replicates.resampled[:, 0] == 2).all()
    assert (replicates.resampled[:, 1] == 3).all()
    assert replicates.resampled[:, 2].mean() == pytest.approx(1, abs=0.15)


def test_one_sample_is_drawn_as_if_it_were_the_only_part() -> None:
    groups = np.repeat(np.arange(20), 2)
    alone, part = (
        ClusterBootstrap.of(groups, 50, 3, parts).replicate(lambda w: w, "percentile").resampled
        for parts in (None, np.zeros(40, dtype=np.int64))
    )
    assert (alone == part).all()


def test_the_gap_of_two_equal_samples_is_found_to_be_none_as_often_as_it_says() -> None:
    """Of 200 studies without a gap, intervals of 90 % leave zero out in about 10 %."""
    missed = 0
    for number in range(200):
        generator = np.random.default_rng(number)
        sizes = (60, 40)
        right = np.concatenate([np.repeat(generator.random(n) < 0.7, 2) for n in sizes]).astype(
            np.float64
        )
        part = np.repeat([0, 1], [2 * n for n in sizes])
        groups = np.arange(len(right)) // 2

        def gap(weights: np.ndarray, right: np.ndarray = right, part: np.ndarray = part) -> Any:
            means = [
                weights[:, part == p] @ right[part == p] / weights[:, part == p].sum(1)
                for p in (0, 1)
            ]
            return (means[0] - means[1])[:, None]

        drawn = ClusterBootstrap.of(groups, 200, 0, part).replicate(gap, "percentile")
        [interval] = drawn.intervals("percentile", 0.9)
        missed += not interval.low <= 0 <= interval.high
    assert 8 <= missed <= 36


def test_a_class_that_the_other_dataset_lacks_is_left_out_of_both(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads
) -> None:
    labels = np.arange(80) // 2 % 2
    external = _external(study[0], labels)
    result = _measured(study, probe, external).results[0]
    assert result.left_out == ("c",)
    inside, outside = _said(study, probe, external.images)
    common = study[1].labels < 2
    here = np.mean([np.mean(inside[study[1].labels == k].argmax(1) == k) for k in (0, 1)])
    there = np.mean([np.mean(outside[labels == k].argmax(1) == k) for k in (0, 1)])
    found = _values(result, "balanced_accuracy")
    assert (found["in_domain"], found["out_of_domain"]) == pytest.approx((here, there))
    assert [p.images for p in result.parts] == [common.sum(), 80]
    assert {w.class_key for w in result.worst_groups} <= {"a", "b"}
    never = _measured(study, probe, _external(study[0], np.arange(80) // 2 % 2 + 1)).results[0]
    majority = next(w for w in never.worst_groups if w.head == "majority class")
    assert majority.class_key in ("b", "c"), "the others are left out, however wrong it is there"


def test_too_few_images_elsewhere_are_said_to_be_too_few(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads
) -> None:
    tables = _measured(study, probe, _external(study[0], np.array([0, 0, 0, 0, 1, 2])))
    assert tables.results == ()
    assert tables.unusable[0].title == "another dataset: other"
    assert "test images of 2 independent groups on both sides" in tables.unusable[0].reason


def test_what_is_known_before_labels_are_read_is_said(
    study: tuple[ConceptDataset, ExaminedImages],
) -> None:
    other = describe_external(study[0], _GIVEN, *_elsewhere(study[0], _LABELS, copied=7))
    assert other.shift.near_copies == 7
    assert other.shift.rejected == {"other-class": 2, "study-image": 1}
    assert other.shift.synthetic
    assert other.shift.source == "drawn elsewhere"


def test_vectors_of_another_encoder_are_refused(
    study: tuple[ConceptDataset, ExaminedImages],
) -> None:
    dataset, vectors = _elsewhere(study[0], _LABELS)
    encoder = vectors.encoder.model_copy(update={"digest": "f" * 64})
    with pytest.raises(StudyError, match=r"was embedded by by hand .* so no head can be asked"):
        describe_external(study[0], _GIVEN, dataset, replace(vectors, encoder=encoder))


def test_a_concept_that_only_tells_the_dataset_is_found(
    study: tuple[ConceptDataset, ExaminedImages], probe: Heads
) -> None:
    published = study[0]
    candidates = probe.head("concept_bottleneck").facts.candidates
    place = published.pool_rows([candidates[0].concept_id])[0]
    external = _external(published, _LABELS)
    tinted = external.images.vectors + 2 * published.pool_vectors[place]
    tinted = (tinted / np.linalg.norm(tinted, axis=1, keepdims=True)).astype(np.float32)
    there = ExternalTest(replace(external.images, vectors=tinted), external.test)
    told = _measured(study, probe, there).results[0].confounders
    assert told[0].concept_id == candidates[0].concept_id
    assert told[0].value == "other"
    assert told[0].within_class_auroc is not None
    assert told[0].within_class_auroc > 0.9
