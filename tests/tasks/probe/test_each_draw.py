"""The heads of a draw know its images, and nothing of the others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.probe import Heads
from curette.schemas.settings.draw import DomainShift
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.shifts import ShiftPlan, UnusableDraw
from curette.tasks.probe.each_draw import restrict, train
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study, with_people

_SPEC = ProbeSpec(
    epochs=20,
    heads=("sparse", "zero_shot", "shuffled_labels", "grounded"),
    random_draws=3,
    nec=(1,),
)
_UNUSABLE = UnusableDraw(title="age, trained on under 3", reason="no training image of a is left")


def _draws(published: ConceptDataset) -> Draws:
    """Train on men, by hand, with the last concepts of the published ones."""
    images = published.images[published.images["meta.sex"] == "male"]
    ids = {
        name: tuple(images["image_id"][images["split"] == name]) for name in ("train", "validation")
    }
    shift = DomainShift(kind="domain", column="sex", train_on=("male",))
    men = Draw(
        title=shift.title,
        plan=ShiftPlan(spec=shift, values=("male", "other than male"), parts=()),
        image_ids=ids["train"],
        validation_ids=ids["validation"],
        concept_ids=tuple(c.concept_id for c in published.concepts[1:]),
    )
    return Draws(protocol="shifts", draws=(men, men), unusable=(_UNUSABLE,))


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return with_people(published_study(noise=1.5)[0])


@pytest.fixture(scope="module")
def heads(published: ConceptDataset) -> Heads:
    return train(published, _draws(published), _SPEC)


def test_the_view_has_the_shifts_rows_and_no_test_image(published: ConceptDataset) -> None:
    draw = _draws(published).draws[0]
    view = restrict(published, draw)
    assert len(view.rows("test")) == 0
    assert tuple(view.images["image_id"].iloc[view.rows("train")]) == draw.image_ids
    place = [c.concept_id for c in published.concepts].index(draw.concept_ids[0])
    kept = published.images["image_id"].isin(view.images["image_id"])
    np.testing.assert_allclose(view.scores[:, 0], published.scores[kept, place], atol=1e-6)


def test_heads_are_those_of_a_dataset_without_the_other_images(
    published: ConceptDataset, heads: Heads
) -> None:
    """Whatever the other images show, and whatever their labels are, the heads stay the same."""
    other = (published.images["meta.sex"] != "male").to_numpy()
    spoiled = published.images.copy()
    known = other & spoiled["label"].notna().to_numpy()
    spoiled.loc[known, "label"] = KEYS[0]
    vectors = published.vectors.copy()
    vectors[other] = np.roll(vectors[other], 1, axis=0)
    draws = _draws(published)
    once = draws.model_copy(update={"draws": draws.draws[:1]})
    again = train(replace(published, images=spoiled, vectors=vectors), once, _SPEC)
    for first, second in zip(heads.of(0).heads, again.of(0).heads, strict=True):
        np.testing.assert_array_equal(first.weights, second.weights)
    plain = _SPEC.model_copy(update={"heads": (), "nec": ()})
    whole = train_heads(published, plain).head("linear_probe")
    assert not np.allclose(whole.weights, heads.of(0).head("linear_probe").weights)


def test_what_is_trained_stands_beside_its_baselines(heads: Heads) -> None:
    kinds = [head.facts.kind for head in heads.of(0).heads]
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


def test_heads_of_every_draw_come_back_as_they_were_saved(heads: Heads, tmp_path: Path) -> None:
    heads.write(tmp_path)
    again = Heads.read(tmp_path)
    assert again.draws == heads.draws
    assert again.unusable == (_UNUSABLE,)
    for draw in range(2):
        pairs = zip(again.of(draw).heads, heads.of(draw).heads, strict=True)
        for first, second in pairs:
            assert first.facts == second.facts
            np.testing.assert_array_equal(first.weights, second.weights)


def test_the_same_draw_has_the_same_heads(heads: Heads) -> None:
    for first, second in zip(heads.of(0).heads, heads.of(1).heads, strict=True):
        assert first.on(1).facts == second.facts
        np.testing.assert_array_equal(first.weights, second.weights)
