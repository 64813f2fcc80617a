"""The heads of a shift know its images, and nothing of the others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curette.schemas.artifact import Recipe
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.draw import DomainShift
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.shifts import ShiftHeads, ShiftPlan, ShiftSplit, ShiftSplits, UnusableShift
from curette.storage.store import ArtifactStore
from curette.tasks.probe.shift_task import train_shift_heads as stage
from curette.tasks.probe.shifts import restrict, train_shift_heads
from curette.tasks.probe.training import train_heads
from curette.tasks.stage import Workplace
from tests.builders.published_study import KEYS, published_study, with_people

_SPEC = ProbeSpec(
    epochs=20,
    heads=("sparse", "zero_shot", "shuffled_labels", "grounded"),
    random_draws=3,
    nec=(1,),
)
_UNUSABLE = UnusableShift(title="age, trained on under 3", reason="no training image of a is left")


def _splits(published: ConceptDataset) -> ShiftSplits:
    """Train on men, by hand, with the last concepts of the published ones."""
    images = published.images[published.images["meta.sex"] == "male"]
    ids = {
        name: tuple(images["image_id"][images["split"] == name]) for name in ("train", "validation")
    }
    shift = DomainShift(kind="domain", column="sex", train_on=("male",))
    split = ShiftSplit(
        plan=ShiftPlan(spec=shift, values=("male", "other than male"), parts=()),
        train_ids=ids["train"],
        validation_ids=ids["validation"],
        concepts=published.concepts[1:],
    )
    return ShiftSplits(splits=(split,), unusable=(_UNUSABLE,))


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return with_people(published_study(noise=1.5)[0])


@pytest.fixture(scope="module")
def heads(published: ConceptDataset) -> ShiftHeads:
    return train_shift_heads(published, _splits(published), _SPEC)


def test_the_view_has_the_shifts_rows_and_no_test_image(published: ConceptDataset) -> None:
    split = _splits(published).splits[0]
    view = restrict(published, split)
    assert len(view.rows("test")) == 0
    assert tuple(view.images["image_id"].iloc[view.rows("train")]) == split.train_ids
    place = [c.concept_id for c in published.concepts].index(split.concepts[0].concept_id)
    kept = published.images["image_id"].isin(view.images["image_id"])
    np.testing.assert_allclose(view.scores[:, 0], published.scores[kept, place], atol=1e-6)


def test_heads_are_those_of_a_dataset_without_the_other_images(
    published: ConceptDataset, heads: ShiftHeads
) -> None:
    """Whatever the other images show, and whatever their labels are, the heads stay the same."""
    other = (published.images["meta.sex"] != "male").to_numpy()
    spoiled = published.images.copy()
    known = other & spoiled["label"].notna().to_numpy()
    spoiled.loc[known, "label"] = KEYS[0]
    vectors = published.vectors.copy()
    vectors[other] = np.roll(vectors[other], 1, axis=0)
    again = train_shift_heads(
        replace(published, images=spoiled, vectors=vectors), _splits(published), _SPEC
    )
    for first, second in zip(heads.probes[0].heads, again.probes[0].heads, strict=True):
        np.testing.assert_array_equal(first.weights, second.weights)
    whole = train_heads(published, _SPEC).head("linear_probe")
    assert not np.allclose(whole.weights, heads.probes[0].head("linear_probe").weights)


def test_what_is_trained_stands_beside_its_baselines(heads: ShiftHeads) -> None:
    kinds = [head.facts.kind for head in heads.probes[0].heads]
    assert sorted(set(kinds)) == sorted(
        [
            "linear_probe",
            "concept_bottleneck",
            "sparse",
            "zero_shot",
            "random_concepts",
            "shuffled_labels",
            "majority",
        ]
    )
    assert kinds.count("shuffled_labels") == 2
    assert kinds.count("random_concepts") == 2
    assert kinds.count("sparse") == 1


def test_heads_of_saved_shifts_are_saved(
    published: ConceptDataset, heads: ShiftHeads, tmp_path: Path
) -> None:
    store, recipe = ArtifactStore(tmp_path), Recipe(stage="made", code="")
    refs = store.save(published, recipe), store.save(_splits(published), recipe)
    saved = stage.fn(Workplace(store), *refs, _SPEC)
    loaded = store.load(ShiftHeads, saved)
    assert loaded.plans == heads.plans
    assert loaded.unusable == (_UNUSABLE,)
    for first, second in zip(loaded.probes[0].heads, heads.probes[0].heads, strict=True):
        assert first.facts == second.facts
        np.testing.assert_array_equal(first.weights, second.weights)
    inputs = store.manifest(saved).recipe.inputs
    assert inputs == {"published": str(refs[0]), "shifts": str(refs[1])}
