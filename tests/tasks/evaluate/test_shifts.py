"""What heads are worth in and out of domain, against scikit-learn on the images by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from curette.schemas.artifact import Recipe
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.questions.shifts import ShiftResult, ShiftTables
from curette.schemas.settings.draw import ConfoundedShift, DomainShift
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.schemas.shifts import ShiftPlan, UnusableDraw
from curette.storage.ledger import TestLedger
from curette.storage.store import ArtifactStore
from curette.tasks.draw.shifts import draw
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import ExaminedImages, join_test_labels
from curette.tasks.evaluate.questions import shifts as question
from curette.tasks.evaluate.task import evaluate_probe
from curette.tasks.methods.features import head_features
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.stage import Workplace
from tests.builders.published_study import KEYS, published_study, with_people

_SPEC = EvaluateSpec(resamples=100, smallest_subgroup=2)
_MALE = DomainShift(kind="domain", column="sex", train_on=("male",))
_RULER = ConfoundedShift(kind="confounded", column="ruler", pairing={"a": "yes"}, correlation=0.8)


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    published, test = published_study(noise=2, seed=1)
    return with_people(published), test


@pytest.fixture(scope="module")
def heads(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    draws = draw(study[0], SelectSpec(size=Size(per_class=2)), (_MALE, _RULER))
    return train_on_draws(study[0], draws, ProbeSpec(epochs=30, heads=()))


@pytest.fixture(scope="module")
def images(study: tuple[ConceptDataset, TestLabels]) -> ExaminedImages:
    return join_test_labels(*study)


def measure_shifts(
    published: ConceptDataset, heads: Heads, images: ExaminedImages, spec: EvaluateSpec
) -> ShiftTables:
    """Measure a study that has shifts and no other dataset."""
    exam = Exam(published, replace(heads, heads=()), images, spec, drawn={"shifts": heads})
    tables = question.measure(exam)
    assert tables is not None
    return tables


@pytest.fixture(scope="module")
def tables(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> ShiftTables:
    return measure_shifts(study[0], heads, images, _SPEC)


def _probabilities(published: ConceptDataset, heads: Heads, shift: int) -> np.ndarray:
    """Return what the shift's linear probe says of the test images."""
    head = heads.of(shift).head("linear_probe")
    features = head_features(published, head, published.rows("test"))
    return np.asarray(softmax(head.logits(features), axis=1))


def _plan(heads: Heads, shift: int) -> ShiftPlan:
    plan = heads.draws[shift].plan
    assert plan is not None
    return plan


def _with_plan(heads: Heads, shift: int, plan: ShiftPlan) -> Heads:
    draws = [*heads.draws]
    draws[shift] = draws[shift].model_copy(update={"plan": plan})
    return replace(heads, draws=tuple(draws))


def _values(result: ShiftResult, head: str, name: str) -> dict[str, float]:
    return {v.of: v.value for v in result.values if (v.head, v.name) == (head, name)}


def _with_test_metadata(published: ConceptDataset, **columns: np.ndarray) -> ConceptDataset:
    images, rows = published.images.copy(), published.rows("test")
    for column, values in columns.items():
        images.loc[rows, f"meta.{column}"] = values
    return replace(published, images=images)


def test_a_domain_is_measured_where_it_was_trained_on_and_where_not(
    study: tuple[ConceptDataset, TestLabels],
    heads: Heads,
    images: ExaminedImages,
    tables: ShiftTables,
) -> None:
    said = _probabilities(study[0], heads, 0)
    male = (images.metadata["sex"] == "male").to_numpy()
    areas = [
        np.mean([roc_auc_score(images.labels[h] == k, said[h, k]) for k in range(3)])
        for h in (male, ~male)
    ]
    rights = [balanced_accuracy_score(images.labels[h], said[h].argmax(1)) for h in (male, ~male)]
    for name, (inside, outside) in (("macro_auroc", areas), ("balanced_accuracy", rights)):
        assert _values(tables.results[0], "linear probe", name) == pytest.approx(
            {
                "in_domain": inside,
                "out_of_domain": outside,
                "gap": inside - outside,
                "mean": (inside + outside) / 2,
            }
        )
    assert [p.images for p in tables.results[0].parts] == [male.sum(), (~male).sum()]


def test_a_confounded_test_goes_as_in_training_and_the_other_way_round(
    tables: ShiftTables,
) -> None:
    inside, outside = tables.results[1].parts
    assert inside.cramers_v == pytest.approx(0.8)
    assert outside.cramers_v == pytest.approx(0.8)
    assert inside.paired_share is not None
    assert outside.paired_share is not None
    assert inside.paired_share > 0.85
    assert outside.paired_share < 0.15
    assert inside.images == outside.images > inside.effective_images > outside.effective_images


def test_a_confounded_value_is_that_of_weights_by_class_and_attribute(
    study: tuple[ConceptDataset, TestLabels],
    heads: Heads,
    images: ExaminedImages,
    tables: ShiftTables,
) -> None:
    """P(k, a) = p_k (r [a = a(k)] + (1 - r) q_a) over the share of k and a, by hand."""
    ruler, labels = images.metadata["ruler"].to_numpy(bool), images.labels
    shares = np.bincount(labels) / len(labels)
    q = np.where(ruler, shares[1] + shares[2], shares[0])  # reversed: b and c with a ruler
    wanted = shares[labels] * (0.8 * (ruler == (labels > 0)) + 0.2 * q)
    had = np.array(
        [np.mean((labels == k) & (ruler == a)) for k, a in zip(labels, ruler, strict=True)]
    )
    said = _probabilities(study[0], heads, 1).argmax(1)
    expected = balanced_accuracy_score(labels, said, sample_weight=wanted / had)
    found = _values(tables.results[1], "linear probe", "balanced_accuracy")
    assert found["out_of_domain"] == pytest.approx(expected)


def test_the_worst_group_is_the_class_and_value_that_is_right_least_often(
    study: tuple[ConceptDataset, TestLabels],
    heads: Heads,
    images: ExaminedImages,
    tables: ShiftTables,
) -> None:
    said = _probabilities(study[0], heads, 0).argmax(1)
    right = {}
    for k, key in enumerate(KEYS):
        for sex, value in (("male", "male"), ("female", "other than male")):
            here = (images.labels == k) & (images.metadata["sex"] == sex).to_numpy()
            if len(np.unique(images.groups[here])) >= 2:
                right[key, value] = accuracy_score(images.labels[here], said[here])
    worst = next(w for w in tables.results[0].worst_groups if w.head == "linear probe")
    found = _values(tables.results[0], "linear probe", "accuracy")["worst_group"]
    assert found == pytest.approx(min(right.values()))
    assert right[worst.class_key, worst.value] == pytest.approx(found)


def test_of_several_draws_the_worst_group_is_that_of_their_mean(
    study: tuple[ConceptDataset, TestLabels],
    heads: Heads,
    images: ExaminedImages,
    tables: ShiftTables,
) -> None:
    published, probe = study[0], heads.of(0)
    draws = [h for h in probe.heads if h.facts.kind == "random_concepts"]
    assert len(draws) == 2
    rows = published.rows("test")
    right = np.mean(
        [h.logits(head_features(published, h, rows)).argmax(1) == images.labels for h in draws], 0
    )
    worst = next(w for w in tables.results[0].worst_groups if w.head.startswith("random"))
    here = (images.labels == KEYS.index(worst.class_key)) & (
        (images.metadata["sex"] == "male") == (worst.value == "male")
    ).to_numpy()
    found = _values(tables.results[0], worst.head, "accuracy")["worst_group"]
    assert found == pytest.approx(right[here].mean())


def test_each_class_tells_on_how_few_groups_its_numbers_rest(
    images: ExaminedImages, tables: ShiftTables
) -> None:
    male = (images.metadata["sex"] == "male").to_numpy()
    groups = {
        key: min(
            len(np.unique(images.groups[(images.labels == k) & here])) for here in (male, ~male)
        )
        for k, key in enumerate(KEYS)
    }
    assert tables.results[0].smaller_side == groups


def test_leads_are_differences_to_the_linear_probe(tables: ShiftTables) -> None:
    for result in tables.results:
        linear = {(v.of, v.name): v for v in result.values if v.head == "linear probe"}
        assert all(v.lead is None for v in linear.values())
        for v in result.values:
            if v.head != "linear probe":
                assert v.lead == pytest.approx(v.value - linear[v.of, v.name].value)


def test_a_class_that_one_side_lacks_is_left_out_of_both(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> None:
    sexes = np.where(images.labels == 2, "male", images.metadata["sex"])
    changed = _with_test_metadata(study[0], sex=sexes)
    result = measure_shifts(changed, heads, images, _SPEC).results[0]
    assert result.left_out == ("c",)
    assert [p.classes for p in result.parts] == [2, 2]
    said = _probabilities(study[0], heads, 0).argmax(1)
    here = (sexes == "male") & (images.labels < 2)
    right = [np.mean(said[here & (images.labels == k)] == k) for k in (0, 1)]
    found = _values(result, "linear probe", "balanced_accuracy")
    assert found["in_domain"] == pytest.approx(np.mean(right))


def test_a_class_that_training_left_out_is_not_measured(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> None:
    plan = _plan(heads, 1).model_copy(update={"left_out": ("c",)})
    result = measure_shifts(study[0], _with_plan(heads, 1, plan), images, _SPEC).results[1]
    assert result.left_out == ("c",)
    assert [p.classes for p in result.parts] == [2, 2]
    assert result.parts[0].cramers_v == pytest.approx(0.8)


def test_too_few_images_are_said_to_be_too_few(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> None:
    nobody = _with_test_metadata(
        study[0], sex=np.full(len(images.ids), "male"), ruler=images.labels == 0
    )
    spoken = UnusableDraw(title="site", reason="before")
    found = measure_shifts(nobody, replace(heads, unusable=(spoken,)), images, _SPEC)
    assert found.results == ()
    assert found.unusable[0] == spoken
    for unusable in found.unusable[1:]:
        assert "test images of 2 independent groups on both sides" in unusable.reason
        assert "left out are: a, b, c" in unusable.reason


def test_what_is_wrong_with_a_column_costs_its_shift_alone(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> None:
    plan = _plan(heads, 0)
    aged = DomainShift(kind="domain", column="sex", below=60)
    spoiled = _with_plan(heads, 0, plan.model_copy(update={"spec": aged}))
    found = measure_shifts(study[0], spoiled, images, _SPEC)
    assert len(found.results) == 1
    assert "column sex is not of numbers" in found.unusable[0].reason


def test_sides_are_named_by_the_whole_column_not_by_the_test(
    study: tuple[ConceptDataset, TestLabels], images: ExaminedImages
) -> None:
    """A truth value that only the test misses, and a number that only the test pads with zeros."""
    published = study[0]
    number = published.images["subject"].str[1:].astype(int) // 3 % 2
    test = (published.images["split"] == "test").to_numpy()
    sites = np.where(test, number.astype(str).str.zfill(2), number.astype(str))
    here = (
        published.images["meta.ruler"].astype(object).where(published.images["meta.age"] < 75, None)
    )
    columns = published.images.assign(**{"meta.site_id": sites}).assign(**{"meta.here": here})
    changed = replace(published, images=columns)
    shifts = tuple(
        DomainShift.model_validate({"kind": "domain", "column": column, "train_on": [value]})
        for column, value in (("site_id", 1), ("here", True))
    )
    spec = ProbeSpec(epochs=2, heads=(), random_draws=1)
    draws = draw(changed, SelectSpec(size=Size(per_class=2)), shifts)
    found = measure_shifts(changed, train_on_draws(changed, draws, spec), images, _SPEC)
    assert found.unusable == ()
    inside = [result.parts[0].images for result in found.results]
    assert inside == [(sites[test] == "01").sum(), (here[test] == True).sum()]  # noqa: E712


def _pair_share(scores: np.ndarray, positive: np.ndarray, labels: np.ndarray) -> float:
    """Return how often, over pairs of one label, the positive scores higher; by counting."""
    pairs = [
        float(a > b) + 0.5 * float(a == b)
        for k in np.unique(labels)
        for a in scores[positive & (labels == k)]
        for b in scores[~positive & (labels == k)]
    ]
    return float(np.mean(pairs))


def test_a_concept_that_shows_the_attribute_leads_all_others(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> None:
    published = study[0]
    ruler = published.images["meta.ruler"].to_numpy()
    candidates = heads.of(1).head("concept_bottleneck").facts.candidates
    concept = candidates[0]
    place = [c.concept_id for c in published.pool].index(concept.concept_id)
    vectors = published.vectors + ruler[:, None] * published.pool_vectors[place]
    shown = replace(published, vectors=vectors)
    told = measure_shifts(shown, heads, images, _SPEC).results[1].confounders
    assert {c.concept_id for c in told} == {c.concept_id for c in candidates}
    first = told[0]
    assert (first.concept_id, first.value) == (concept.concept_id, "yes")
    known = np.concatenate([published.rows("train"), published.rows("validation")])
    scores = vectors[known] @ published.pool_vectors[place]
    assert first.auroc == pytest.approx(roc_auc_score(ruler[known], scores))
    labels = published.images["label"].to_numpy()[known]
    assert first.within_class_auroc == pytest.approx(_pair_share(scores, ruler[known], labels))


def test_a_concept_that_tells_only_the_class_does_not_tell_of_what_goes_with_it(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, images: ExaminedImages
) -> None:
    """Rulers lie on nearly all images of one class, and its concepts know nothing else of them."""
    published = study[0]
    own = (published.images["label"] == "a").to_numpy()
    ruler = own ^ (np.random.default_rng(3).random(len(own)) < 0.1)
    columns = published.images.assign(**{"meta.ruler": ruler})
    told = measure_shifts(replace(published, images=columns), heads, images, _SPEC)
    of_class = [c for c in told.results[-1].confounders if c.text.endswith("of a")]
    assert max(c.auroc for c in of_class) > 0.7
    assert all(c.within_class_auroc and abs(c.within_class_auroc - 0.5) < 0.2 for c in of_class)


def test_shifts_are_part_of_the_question_and_of_the_recipe(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, tmp_path: Path
) -> None:
    from curette.tasks.probe.training import train_heads

    store, recipe = ArtifactStore(tmp_path), Recipe(stage="made", code="")
    labels = store.save(study[1], recipe)
    # No labelled concept: what is asked of these takes longest, and is no matter here.
    facts = study[0].facts.model_copy(update={"test_labels": labels.digest, "labelled": ()})
    published = replace(study[0], facts=facts)
    probe = train_heads(published, ProbeSpec(epochs=5, heads=(), random_draws=1))
    refs = store.save(published, recipe), store.save(probe, recipe)
    shifted = store.save(heads, recipe)
    asked = [
        evaluate_probe.fn(Workplace(store), *refs, _SPEC, drawn=drawn)
        for drawn in ((), (shifted,), (shifted,))
    ]
    digest = store.manifest(labels).files["test-labels.json"].sha256
    assert len({reading.question for reading in TestLedger(store.root).readings(digest)}) == 2
    assert store.manifest(asked[1]).recipe.inputs["drawn 0"] == str(shifted)
    without, whole = (store.load(Evaluation, ref) for ref in asked[:2])
    assert isinstance(without, Evaluation)
    assert isinstance(whole, Evaluation)
    assert without.shifts is None
    exam = Exam(published, probe, join_test_labels(*study), _SPEC, drawn={"shifts": heads})
    assert whole.shifts == question.measure(exam)
