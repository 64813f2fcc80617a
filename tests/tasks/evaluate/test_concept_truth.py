"""What ground truth says of concepts, on a study whose concepts are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.questions.concept_truth import ConceptFinding, ConceptQuality
from curette.schemas.questions.interventions import Interventions
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import concept_truth, interventions
from curette.tasks.methods.features import head_features, known_features
from curette.tasks.methods.statistics.intervention import read_concepts
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study

SPEC = EvaluateSpec(resamples=100, permutations=200)
Study = tuple[ConceptDataset, Heads, TestLabels]


@pytest.fixture(scope="module")
def study() -> Study:
    published, labels = published_study()
    heads = ("sparse", "grounded", "prior", "hybrid")
    return published, train_heads(published, ProbeSpec(heads=heads, epochs=60)), labels


def quality(study: Study) -> ConceptQuality:
    return concept_truth.measure(_exam(study))


def intervened(study: Study) -> Interventions:
    return interventions.measure(_exam(study))


@pytest.fixture(scope="module")
def found(study: Study) -> ConceptQuality:
    return quality(study)


@pytest.fixture(scope="module")
def made(study: Study) -> Interventions:
    return intervened(study)


def _exam(study: Study) -> Exam:
    return Exam(study[0], study[1], join_test_labels(study[0], study[2]), SPEC)


def with_truth(study: Study, key: str, truth: np.ndarray) -> Study:
    """Say something else of the test images' attribute `key`; NaN is unknown."""
    published = study[0]
    images = published.images.copy()
    said = images[f"attribute.{key}"].astype("boolean").to_numpy(dtype=float, na_value=np.nan)
    said[published.rows("test")] = truth
    values = [None if np.isnan(t) else bool(t) for t in said]
    images[f"attribute.{key}"] = pd.array(values, dtype="boolean")
    return replace(published, images=images), study[1], study[2]


def finding(found: ConceptQuality, key: str) -> ConceptFinding:
    return next(f for f in found.findings if f.attribute == key and f.score == "text")


def place(published: ConceptDataset, key: str) -> int:
    (label,) = (x for x in published.facts.labelled if x.attribute == key)
    return [c.concept_id for c in published.concepts].index(label.concept_id)


def test_every_labelled_concept_has_a_line_for_each_score_it_has(found: ConceptQuality) -> None:
    assert (found.labelled, found.unlabelled, found.not_computable) == (3, 3, "")
    assert [(f.attribute, f.score) for f in found.findings] == [
        (key, score) for score in ("text", "grounded") for key in KEYS
    ]
    assert [f.denied for f in found.findings] == [False, False, True] * 2


def test_a_labelled_concept_without_a_function_has_no_grounded_line(
    study: Study, found: ConceptQuality
) -> None:
    published, probe, labels = study
    some = quality((published, replace(probe, grounding=probe.grounding[1:]), labels))
    assert [f.attribute for f in some.findings if f.score == "grounded"] == ["b", "c"]
    whole = {(f.attribute, f.score): f for f in found.findings}
    for line in some.findings:
        other = whole[line.attribute, line.score]
        assert (line.text, line.auroc, line.p_value) == (other.text, other.auroc, other.p_value)


def test_areas_are_scikit_learns_on_what_is_known(study: Study, found: ConceptQuality) -> None:
    published = study[0]
    rows = published.rows("test")
    for key in KEYS:
        shown = published.images[f"attribute.{key}"].iloc[rows]
        known = shown.notna().to_numpy()
        assert not known.all()
        present = shown[known].to_numpy(dtype=bool) != (key == "c")
        expected = roc_auc_score(present, published.scores[rows][known, place(published, key)])
        line = finding(found, key)
        assert line.auroc is not None
        assert line.auroc.value == pytest.approx(expected)
        assert line.auroc.low <= line.auroc.value <= line.auroc.high
        assert (line.present, line.absent) == (present.sum(), (~present).sum())


def test_a_perfect_score_is_found_and_luck_is_not(study: Study) -> None:
    published = study[0]
    scores = published.scores[published.rows("test")][:, place(published, "a")]
    perfect = finding(quality(with_truth(study, "a", scores > np.median(scores))), "a")
    assert perfect.auroc is not None
    assert perfect.within_class_auroc is not None
    assert perfect.normalised_ap is not None
    assert perfect.auroc.value == perfect.within_class_auroc.value == 1
    assert perfect.normalised_ap.value == 1
    assert perfect.family_p_value is not None
    assert perfect.family_p_value < 0.05
    luck = np.random.default_rng(0).random(len(scores)) < 0.5
    found = finding(quality(with_truth(study, "a", luck)), "a")
    assert found.p_value is not None
    assert found.p_value > 0.05


def test_a_score_that_finds_the_class_alone_is_chance_within_it(study: Study) -> None:
    """The attribute is the class with a tenth dealt anew, and the score knows the class only."""
    published, _, labels = study
    rows = published.rows("test")
    ids = published.images["image_id"].to_numpy()[rows]
    of_class = np.array([labels.labels[i] == "a" for i in ids])
    scores = published.scores.copy()
    scores[rows, place(published, "a")] = of_class
    line = finding(quality((replace(published, scores=scores), study[1], study[2])), "a")
    assert line.auroc is not None
    assert line.within_class_auroc is not None
    assert line.auroc.value > 0.8
    assert line.within_class_auroc.value == 0.5


def test_what_all_images_show_or_none_has_no_area_and_unknown_is_not_absent(study: Study) -> None:
    count = len(study[0].rows("test"))
    half = np.where(np.arange(count) % 2, 1.0, np.nan)
    line = finding(quality(with_truth(study, "b", half)), "b")
    assert (line.present, line.absent) == (count // 2, 0)
    assert line.auroc is None
    assert line.p_value is None


def test_a_concept_unknown_on_all_test_images_has_no_numbers(study: Study) -> None:
    nothing = np.full(len(study[0].rows("test")), np.nan)
    line = finding(quality(with_truth(study, "b", nothing)), "b")
    assert (line.present, line.absent) == (0, 0)
    numbers = (line.auroc, line.within_class_auroc, line.normalised_ap, line.p_value)
    assert all(number is None for number in numbers)


def test_concepts_that_never_part_are_named(study: Study) -> None:
    count = len(study[0].rows("test"))
    shown = (np.arange(count) % 3 == 0).astype(float)
    alike = with_truth(with_truth(study, "a", shown), "b", shown)
    (pair,) = [p for p in quality(alike).pairs if not (p.only_first or p.only_second)]
    assert (pair.both, pair.neither) == (shown.sum(), count - shown.sum())


def test_existence_and_importance_are_above_what_other_concepts_reach(
    found: ConceptQuality,
) -> None:
    for head in found.heads:
        for match in head.importance:
            assert match.value > match.of_others
        for there in head.existence:
            assert there.share.value > there.chance


def test_without_labels_it_says_why_nothing_is_there(study: Study) -> None:
    published = study[0]
    bare = published.facts.model_copy(update={"labelled": ()})
    for made in (quality, intervened):
        assert made((replace(published, facts=bare), study[1], study[2])).not_computable == (
            "no selected concept is decided by ground truth; name true/false columns, and the "
            "statements that claim them, under `dataset.attributes`, or have reports annotated"
        )
    nothing = np.full(len(published.rows("test")), np.nan)
    blank = study
    for key in KEYS:
        blank = with_truth(blank, key, nothing)
    assert quality(blank).not_computable == intervened(blank).not_computable != ""


def test_a_grounded_head_is_read_by_what_it_was_trained_on(study: Study) -> None:
    published, probe, _ = study
    train, validation = (published.rows(split) for split in ("train", "validation"))
    for kind in ("grounded", "concept_bottleneck"):
        head = probe.head(kind)
        seen = known_features(published, head)
        own = head_features(published, head, np.concatenate([train, validation]))
        np.testing.assert_allclose(seen[: len(train)].mean(0), head.center, rtol=1e-9)
        np.testing.assert_array_equal(seen[len(train) :], own[len(train) :])
        grounded = [place(published, key) for key in KEYS] if kind == "grounded" else []
        differs = ~np.isclose(seen, own).all(0)
        assert np.flatnonzero(differs).tolist() == sorted(grounded)


def test_curves_start_at_each_heads_accuracy_and_end_alike(made: Interventions) -> None:
    assert 0 < made.read_wrong < 0.5
    kinds = ("concept_bottleneck", "grounded", "sparse", "prior", "hybrid")
    found = list(dict.fromkeys(c.head_kind for c in made.curves))
    assert (found[0], found[-1], sorted(found)) == (kinds[0], kinds[-1], sorted(kinds))
    for kind in kinds:
        curves = [c for c in made.curves if c.head_kind == kind]
        assert len(curves) == 4
        assert all(len(c.accuracy) == made.concepts + 1 for c in curves)
        assert len({c.accuracy[0].value for c in curves}) == 1
        ends = [c.accuracy[-1].value for c in curves if c.order != "propagated"]
        np.testing.assert_allclose(ends, ends[0], rtol=1e-12)


def test_nothing_is_gained_where_truth_is_what_training_and_validation_let_one_read(
    study: Study,
) -> None:
    published = study[0]
    seen = np.concatenate([published.rows("train"), published.rows("validation")])
    truths = [published.concept_truth(split) for split in ("train", "validation")]
    reading = read_concepts(
        published.scores[seen].astype(np.float64),
        np.concatenate([t.present for t in truths]),
        np.concatenate([t.known for t in truths]),
    )
    read = reading.probability(published.scores[published.rows("test")].astype(np.float64)) > 0.5
    agreed = study
    for key in KEYS:
        agreed = with_truth(agreed, key, (read[:, place(published, key)] != (key == "c")) * 1.0)
    made = intervened(agreed)
    assert made.read_wrong == 0
    for curve in made.curves:
        if curve.head_kind == "concept_bottleneck" and curve.order != "propagated":
            assert {p.value for p in curve.accuracy} == {curve.accuracy[0].value}


def test_each_head_has_what_propagating_brings_beside_what_does_not(made: Interventions) -> None:
    heads = list(dict.fromkeys(c.head for c in made.curves))
    assert [p.head for p in made.propagated] == heads
    for gain in made.propagated:
        own = {c.order: c.accuracy for c in made.curves if c.head == gain.head}
        points = zip(own["propagated"][1:], own["most uncertain first"][1:], strict=True)
        assert gain.model == "pairwise"
        assert gain.accuracy is not None and gain.log_loss_within is not None
        expected = np.mean([a.value - b.value for a, b in points])
        np.testing.assert_allclose(gain.accuracy.value, expected, atol=1e-12)
        assert gain.accuracy.low <= gain.accuracy.value <= gain.accuracy.high
    # attributes are drawn given the class, one by one
    within = made.propagated[0].log_loss_within
    assert within is not None and within.low <= 0 <= within.high


def test_shares_of_concepts_are_counts_and_few_groups_say_nothing(
    study: Study, made: Interventions
) -> None:
    published, _, held_out = study
    shares = made.shares
    test = published.images.iloc[published.rows("test")]
    truth = published.concept_truth("test")
    labels = np.array([held_out.labels[i] for i in test["image_id"]])
    by_text = {c.text: j for j, c in enumerate(published.concepts)}
    assert len([s for s in shares if not s.given]) == 3 * len(KEYS)
    for s in shares:
        j = by_text[s.concept]
        among = (labels == s.class_key) & truth.known[:, j]
        if s.given:
            given = by_text[s.given]
            among &= truth.present[:, given] & truth.known[:, given]
        groups = test["group"][among].nunique()
        assert (s.images, s.groups) == (among.sum(), groups)
        assert (s.observed is None) == (groups < 10)
        if s.observed is not None:
            expected = (truth.present[among, j].sum() + 0.5) / (among.sum() + 1)
            np.testing.assert_allclose(s.observed.value, expected)
            absent = ((~truth.present[among, j]).sum() + 0.5) / (among.sum() + 1)
            np.testing.assert_allclose(s.observed.value + absent, 1)
        assert s.predicted is not None and 0 <= s.predicted <= 1
