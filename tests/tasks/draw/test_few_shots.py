"""A draw knows its own images and nothing of the others."""

from dataclasses import replace

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.tasks.draw.few_shots import draw as draw_few_shots
from curette.tasks.methods.selection.choosing import choose_concepts
from tests.builders.published_study import KEYS, published_study

_SELECT = SelectSpec(size=Size(per_class=2))
_SPEC = FewShotSpec(shots=(1, 3), seeds=4)


def test_each_size_is_drawn_by_each_seed_and_all_images_once() -> None:
    draws = draw_few_shots(published_study()[0], _SELECT, _SPEC).draws
    assert [(d.shots, d.seed) for d in draws] == [
        *[(1, s) for s in range(4)],
        *[(3, s) for s in range(4)],
        (None, 0),
    ]
    assert [len(d.image_ids) for d in draws[:8]] == [3] * 4 + [9] * 4


def test_drawn_images_are_of_the_training_split_and_nested() -> None:
    published, _ = published_study()
    draws = draw_few_shots(published, _SELECT, _SPEC).draws
    train = set(published.images["image_id"][published.rows("train")])
    assert set(draws[-1].image_ids) == train
    for few, more in zip(draws[:4], draws[4:8], strict=True):
        assert set(few.image_ids) < set(more.image_ids) < train


def test_all_images_select_what_the_select_stage_selects() -> None:
    published, _ = published_study()
    chosen = choose_concepts(
        published.pool,
        published.pool_vectors,
        published.vectors[published.rows("train")],
        published.labels("train"),
        KEYS,
        _SELECT,
    )
    assert set(draw_few_shots(published, _SELECT, _SPEC).draws[-1].concept_ids) == set(chosen.ids)


def test_draws_of_unlike_images_select_unlike_concepts() -> None:
    draws = draw_few_shots(published_study(noise=3)[0], _SELECT, _SPEC).draws
    assert len({d.concept_ids for d in draws}) > 2


def test_a_draw_selects_what_its_images_alone_would() -> None:
    """A dataset without any other training image, label or vector selects the same."""
    published, _ = published_study(noise=3)
    few = FewShotSpec(shots=(1,), seeds=1)  # and all images once
    for draw in draw_few_shots(published, _SELECT, _SPEC).draws[:-1]:
        alone = draw_few_shots(_without_others(published, draw.image_ids), _SELECT, few)
        assert set(alone.draws[-1].image_ids) == set(draw.image_ids)
        assert set(alone.draws[-1].concept_ids) == set(draw.concept_ids)


def _without_others(published: ConceptDataset, drawn: tuple[str, ...]) -> ConceptDataset:
    train = (published.images["split"] == "train").to_numpy()
    kept = ~train | published.images["image_id"].isin(drawn).to_numpy()
    return replace(
        published,
        images=published.images[kept].reset_index(drop=True),
        vectors=published.vectors[kept],
        scores=published.scores[kept],
    )
