"""Concepts that speak for decisions are held against the masks, and what is missing is said."""

from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.probe import Heads
from curette.schemas.questions.location import ConceptLocation
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import ExaminedImages, join_test_labels
from curette.tasks.evaluate.questions import location
from curette.tasks.evaluate.questions.location import REGION
from curette.tasks.methods.features import head_features
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import heat_maps, published_study

Measured = tuple[ConceptDataset, Heads, ExaminedImages]
SPEC = EvaluateSpec(resamples=200)


@pytest.fixture(scope="module")
def measured() -> Measured:
    published, labels = published_study()
    spec = ProbeSpec(epochs=20, random_draws=1, heads=("sparse", "grounded"))
    return published, train_heads(published, spec), join_test_labels(published, labels)


def measure(measured: Measured, maps: HeatMaps | None) -> ConceptLocation:
    published, probe, images = measured
    return location.measure(Exam(published, probe, images, SPEC, heat_maps=maps))


def test_the_strongest_reason_is_counted_as_one_by_one(measured: Measured) -> None:
    published, probe, images = measured
    maps = heat_maps(published, hotter=0.05)
    [line] = [
        x
        for x in measure(measured, maps).heads
        if x.head_kind == "concept_bottleneck" and x.reasons == 1
    ]
    head = probe.head("concept_bottleneck")
    scores = head_features(published, head, published.rows("test"))
    clm, peaks = [], []
    for row, image_id in enumerate(maps.image_ids):
        i = images.ids.index(image_id)
        decision = head.logits(scores[i : i + 1])[0].argmax()
        added = head.weights[decision] * (scores[i] - head.center)
        added[scores[i] <= head.center] = 0
        if added.max() <= 0:
            continue
        heat, lesion = maps.heat[row, added.argmax()].ravel(), maps.lesion[row].ravel()
        hottest = np.argsort(-heat.astype(float))[:4]  # a quarter of 16 places
        clm.append(lesion[hottest].sum(dtype=float) / lesion.sum(dtype=float))
        peaks.append(lesion[hottest[0]])
    assert line.images == len(clm)
    assert line.clm.value == pytest.approx(np.mean(clm), abs=0.01)  # ties in float16
    assert line.peak.value == pytest.approx(np.mean(peaks, dtype=float), abs=0.02)


def test_heat_in_the_lesion_is_ahead_of_others_masks_and_heat_of_noise_is_not(
    measured: Measured,
) -> None:
    published, _, _ = measured
    found = measure(measured, heat_maps(published))
    assert found.region == REGION == 0.25
    assert found.lesion == 0.5
    assert found.most == pytest.approx(0.5)  # a quarter of the image holds half of its half
    by_text = {c.text: c for c in found.concepts}
    located, lost = by_text["sign 0 of a"], by_text["sign 0 of c"]
    assert located.clm.value == pytest.approx(0.5)
    assert located.peak.value == pytest.approx(1)
    assert located.ahead_of_others is not None
    assert located.ahead_of_others.low > 0.15
    assert lost.clm.high < located.clm.low  # a quarter but for luck on few images
    assert lost.ahead_of_others is not None
    assert lost.ahead_of_others.high < located.ahead_of_others.low
    assert lost.denied
    assert not located.denied
    assert found.concepts[-1].clm.value == min(c.clm.value for c in found.concepts)
    by_chance = measure(measured, heat_maps(published, hotter=0.0, seed=1))
    assert all(h.ahead_of_any.low < 0 < h.ahead_of_any.high for h in by_chance.heads)


def test_heat_that_only_knows_the_middle_is_ahead_of_others_by_nothing(
    measured: Measured,
) -> None:
    """Lesions of class a are small and in the middle, those of b and c fill the image."""
    published, _, images = measured
    maps = heat_maps(published)
    middle = np.pad(np.ones((2, 2)), 1)
    label_of = dict(zip(images.ids, images.labels, strict=True))
    small = np.array([label_of[i] == 0 for i in maps.image_ids])
    lesion = np.where(small[:, None, None], middle, 1.0).astype(np.float16)
    heat = np.broadcast_to(middle.astype(np.float16), maps.heat.shape)
    found = measure(measured, replace(maps, heat=heat, lesion=lesion))
    of_small, of_large = (
        next(c for c in found.concepts if c.text == text) for text in ("sign 0 of a", "sign 0 of b")
    )
    assert of_small.clm.value > of_large.clm.value + 0.3  # it goes with what is easily met
    for line in (*found.concepts, *found.heads, *found.by_truth):
        assert line.ahead_of_others is not None
        assert line.ahead_of_others.value == pytest.approx(0, abs=1e-6)


def test_truth_parts_the_images_that_show_a_claimed_concept_from_the_others(
    measured: Measured,
) -> None:
    published, _, _ = measured
    maps = heat_maps(published, hotter=0.0)
    truth = published.concept_truth("test")
    rows = slice(1, None)  # the first test image has no map
    claimed = [0, 2]  # of class a and b; that of c denies
    heat = maps.heat.astype(np.float32)
    shown = (truth.present & truth.known)[rows][:, claimed]
    heat[:, claimed] += (shown[:, :, None, None] * maps.lesion[:, None]).astype(np.float32)
    found = measure(measured, replace(maps, heat=heat.astype(np.float16)))
    there, not_there = found.by_truth
    assert (there.shown, not_there.shown) == (True, False)
    assert there.clm.value == pytest.approx(0.5)
    assert there.concepts == not_there.concepts == 2
    assert there.images == shown.any(1).sum()
    absent = (~truth.present & truth.known)[rows][:, claimed]
    assert not_there.images == absent.any(1).sum()
    assert not_there.clm.high < there.clm.low


def test_grounded_heads_are_left_out_and_masks_that_say_nothing_are_named(
    measured: Measured,
) -> None:
    published, probe, images = measured
    found = measure(measured, heat_maps(published))
    assert "grounded" in {h.facts.kind for h in probe.heads}
    assert {h.head_kind for h in found.heads} == {"concept_bottleneck", "sparse"}
    assert found.images == len(images.ids) - 1
    assert [x.reason for x in found.left_out] == ["its mask is empty"]
    assert found.grid == (4, 4)


def test_examples_are_from_the_worst_located_to_the_best(measured: Measured) -> None:
    published, _, _ = measured
    examples = measure(measured, heat_maps(published)).examples
    assert len(examples) == 6
    shares = [e.clm for e in examples]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    assert all(np.shape(e.heat) == (4, 4) for e in examples)


def test_what_is_missing_is_said(measured: Measured) -> None:
    published, _, _ = measured
    assert "asks for no heat maps" in measure(measured, None).not_computable
    none = HeatMaps.none("no test image has a lesion mask", heat_maps(published).left_out)
    found = measure(measured, none)
    assert found.not_computable == "no test image has a lesion mask"
    assert len(found.left_out) == 1
    assert not found.heads


def test_one_group_with_masks_has_no_others(measured: Measured) -> None:
    published, _, images = measured
    maps = heat_maps(published)
    alike = [i for i, image_id in enumerate(maps.image_ids) if image_id in images.ids[2:4]]
    some = replace(
        maps,
        image_ids=tuple(maps.image_ids[i] for i in alike),
        heat=maps.heat[alike],
        lesion=maps.lesion[alike],
    )
    found = measure(measured, some)
    assert found.images == 2
    assert all(h.ahead_of_others is None for h in found.heads)
    assert found.concepts == ()
