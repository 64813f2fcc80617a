"""Sizes are the first concepts of fixed orders, on all images that are no test images."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw
from curette.schemas.settings.draw import SizeSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw.sizes import draw
from curette.tasks.methods.features import head_features
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study

_SPEC = SizeSpec(concepts=(1, 3, 6, 10), random_draws=2)


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return published_study(noise=1.5)[0]


def _by_order(draws: tuple[Draw, ...]) -> dict[tuple[str | None, int], list[Draw]]:
    orders: dict[tuple[str | None, int], list[Draw]] = {}
    for d in draws:
        orders.setdefault((d.way, d.seed), []).append(d)
    return orders


def test_fewer_concepts_are_the_first_of_more_and_the_selected_come_first(
    published: ConceptDataset,
) -> None:
    orders = _by_order(draw(published, SelectSpec(), _SPEC).draws)
    assert [*orders] == [("selected", 0), ("labo", 0), ("random", 0), ("random", 1)]
    for of_order in orders.values():
        assert [len(d.concept_ids) for d in of_order] == [d.size for d in of_order] == [1, 3, 6, 10]
        most = of_order[-1].concept_ids
        assert len(set(most)) == len(most)
        assert all(d.concept_ids == most[: d.size] for d in of_order)
    own = tuple(c.concept_id for c in published.concepts)
    assert orders["selected", 0][-1].concept_ids[: len(own)] == own
    assert len({of_order[-1].concept_ids for of_order in orders.values()}) == 4


def test_all_training_images_train_and_all_validation_images_choose(
    published: ConceptDataset,
) -> None:
    split = published.images.set_index("image_id")["split"]
    for d in draw(published, SelectSpec(), _SPEC).draws:
        assert {*d.image_ids} == {*split.index[split == "train"]}
        assert {*d.validation_ids} == {*split.index[split == "validation"]}


def test_test_images_have_no_say(published: ConceptDataset) -> None:
    vectors = published.vectors.copy()
    vectors[published.rows("test")] = np.nan
    without = replace(published, vectors=vectors)
    assert draw(without, SelectSpec(), _SPEC) == draw(published, SelectSpec(), _SPEC)


def test_as_many_as_are_selected_give_the_bottleneck_of_the_study(
    published: ConceptDataset,
) -> None:
    spec = ProbeSpec(heads=("sparse",), random_draws=1, nec=())
    chosen = SizeSpec(concepts=(len(published.concepts),))
    trained = train_on_draws(published, draw(published, SelectSpec(), chosen), spec)
    there, here = trained.of(0), train_heads(published, spec)
    assert {h.facts.kind for h in trained.heads} == {"concept_bottleneck", "sparse"}
    rows = published.rows("validation")
    for kind in ("concept_bottleneck", "sparse"):
        a, b = there.head(kind), here.head(kind)
        np.testing.assert_allclose(
            a.logits(head_features(published, a, rows)),
            b.logits(head_features(published, b, rows)),
            rtol=1e-4,
            atol=1e-4,
        )


def test_a_number_that_there_is_not_says_so(published: ConceptDataset) -> None:
    made = draw(published, SelectSpec(), SizeSpec(concepts=(2, 500)))
    assert {d.size for d in made.draws} == {2}
    (lost,) = made.unusable
    assert lost.title == "500 concepts"
    assert f"{len(published.pool)} to choose from" in lost.reason


@pytest.mark.parametrize("numbers", [(), (0, 1), (3, 2), (2, 2)])
def test_numbers_must_rise_from_1(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match=r"concepts"):
        SizeSpec(concepts=numbers)
