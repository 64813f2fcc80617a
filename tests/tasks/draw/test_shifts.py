"""What a shift trains on: as declared, of the study's own splits, without a look at the test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw
from curette.schemas.settings.draw import ConfoundedShift, DomainShift, ShiftSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.schemas.shifts import ShiftPlan
from curette.tasks.draw.shifts import draw as draw_shifts
from curette.tasks.methods.selection.choosing import choose_concepts
from tests.builders.published_study import KEYS, published_study, with_people

_SELECT = SelectSpec(size=Size(per_class=2))
_MALE = DomainShift(kind="domain", column="sex", train_on=("male",))
_YOUNG = DomainShift(kind="domain", column="age", below=50)
_RULER = ConfoundedShift(kind="confounded", column="ruler", pairing={"a": "yes"}, correlation=0.8)


def _split(published: ConceptDataset, shift: ShiftSpec) -> Draw:
    made = draw_shifts(published, _SELECT, (shift,))
    assert made.unusable == ()
    return made.draws[0]


def _plan(draw: Draw) -> ShiftPlan:
    assert draw.plan is not None
    return draw.plan


def _rows(published: ConceptDataset, ids: tuple[str, ...]) -> pd.DataFrame:
    return published.images[published.images["image_id"].isin(ids)]


def _repeated(published: ConceptDataset, times: int) -> ConceptDataset:
    copies = [
        published.images.assign(image_id=published.images["image_id"] + f"-{i}")
        for i in range(times)
    ]
    return replace(
        published,
        images=pd.concat(copies, ignore_index=True),
        vectors=np.tile(published.vectors, (times, 1)),
        scores=np.tile(published.scores, (times, 1)),
    )


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return with_people(published_study(noise=1.5)[0])


def test_a_domain_is_trained_on_whole_and_nothing_else_is(published: ConceptDataset) -> None:
    for shift, here in (
        (_MALE, published.images["meta.sex"] == "male"),
        (_YOUNG, published.images["meta.age"] < 50),
    ):
        split = _split(published, shift)
        for ids, name in ((split.image_ids, "train"), (split.validation_ids, "validation")):
            expected = published.images["image_id"][here & (published.images["split"] == name)]
            assert set(ids) == set(expected)


def test_label_and_attribute_go_together_as_declared_in_both_parts(
    published: ConceptDataset,
) -> None:
    many = _repeated(published, 10)
    split = _split(many, _RULER)
    assert _plan(split).pairing == ("yes", "no", "no")
    for ids, part in zip((split.image_ids, split.validation_ids), _plan(split).parts, strict=True):
        drawn = _rows(many, ids)
        table = pd.crosstab(drawn["label"], drawn["meta.ruler"]).to_numpy()
        assert association(table, method="cramer") == pytest.approx(0.8, abs=0.02)
        assert part.cramers_v == pytest.approx(0.8, abs=0.02)
        assert part.images == len(drawn) > 50


def test_nobody_stands_in_two_parts(published: ConceptDataset) -> None:
    test = set(published.images["group"][published.images["split"] == "test"])
    for shift in (_MALE, _YOUNG, _RULER):
        split = _split(published, shift)
        train, validation = (
            set(_rows(published, ids)["group"]) for ids in (split.image_ids, split.validation_ids)
        )
        assert not train & validation
        assert not (train | validation) & test


def test_concepts_are_selected_from_the_images_that_are_left(published: ConceptDataset) -> None:
    split = _split(published, _MALE)
    rows = _rows(published, split.image_ids)
    chosen = choose_concepts(
        published.pool,
        published.pool_vectors,
        published.vectors[rows.index],
        np.array([KEYS.index(label) for label in rows["label"]]),
        KEYS,
        _SELECT,
    )
    assert split.concept_ids == chosen.ids


def test_nothing_of_a_test_image_is_looked_at(published: ConceptDataset) -> None:
    """Neither vectors nor metadata of test images change anything, and labels they have none."""
    test = (published.images["split"] == "test").to_numpy()
    generator = np.random.default_rng(1)
    images = published.images.copy()
    for column in ("meta.sex", "meta.age", "meta.ruler"):
        images.loc[test, column] = generator.permutation(images.loc[test, column])
    vectors = published.vectors.copy()
    vectors[test] = generator.permutation(vectors[test])
    spoiled = replace(published, images=images, vectors=vectors)
    shifts = (_MALE, _YOUNG, _RULER)
    made = [draw_shifts(p, _SELECT, shifts) for p in (published, spoiled)]
    assert made[0] == made[1]


def test_a_shift_that_leaves_a_class_without_images_says_so(published: ConceptDataset) -> None:
    sexes = np.where(published.images["label"] == "b", "female", "male")
    images = published.images.assign(**{"meta.sex": sexes})
    confounded = ConfoundedShift(kind="confounded", column="sex")
    made = draw_shifts(replace(published, images=images), _SELECT, (_MALE, confounded))
    assert made.draws == ()
    assert made.unusable[0].reason == "no training image of b is left"
    assert "no training image of a with sex female, b with sex male, c" in made.unusable[1].reason


def test_a_class_without_training_images_of_a_value_is_left_out_and_trained_as_it_is(
    published: ConceptDataset,
) -> None:
    images = published.images.copy()
    images.loc[(images["label"] == "c") & (images["split"] == "train"), "meta.ruler"] = False
    many = _repeated(replace(published, images=images), 10)
    split = _split(many, _RULER)
    assert _plan(split).left_out == ("c",)
    rows = _rows(many, split.image_ids)
    assert set(rows["label"]) == set(KEYS)
    assert not rows["meta.ruler"][rows["label"] == "c"].any()
    two = rows[rows["label"] != "c"]
    table = pd.crosstab(two["label"], two["meta.ruler"]).to_numpy()
    assert association(table, method="cramer") == pytest.approx(0.8, abs=0.02)
    assert _plan(split).parts[0].cramers_v == pytest.approx(0.8, abs=0.02)
    assert _plan(split).parts[0].images == len(rows)


def test_a_class_without_validation_images_of_a_value_costs_nothing_else(
    published: ConceptDataset,
) -> None:
    images = published.images.copy()
    images.loc[(images["label"] == "c") & (images["split"] == "validation"), "meta.ruler"] = False
    split = _split(replace(published, images=images), _RULER)
    whole = _split(published, _RULER)
    assert _plan(split).left_out == ()
    assert split.image_ids == whole.image_ids
    drawn = _rows(published, split.validation_ids)
    assert set(drawn["label"]) == set(KEYS)
    assert len(drawn) == _plan(split).parts[1].images


def test_undeclared_pairs_follow_the_data(published: ConceptDataset) -> None:
    images = published.images.copy()
    often = np.where(images["label"] == "c", 0.8, 0.3)
    images["meta.ruler"] = np.random.default_rng(0).random(len(images)) < often
    shift = ConfoundedShift(kind="confounded", column="ruler", correlation=0.5)
    split = _split(replace(published, images=images), shift)
    assert _plan(split).pairing == ("no", "no", "yes")


def test_what_the_dataset_does_not_have_is_refused(published: ConceptDataset) -> None:
    def refused(shift: ShiftSpec) -> str:
        with pytest.raises(StudyError) as error:
            draw_shifts(published, _SELECT, (shift,))
        return str(error.value)

    assert "they have age, ruler, sex" in refused(_MALE.model_copy(update={"column": "site"}))
    assert "the column says female, male" in refused(
        _MALE.model_copy(update={"train_on": ("men",)})
    )
    refusal = refused(_MALE.model_copy(update={"column": "age"}))
    assert "and 31 more. Numbers can be parted with `below`" in refusal
    rare = _RULER.model_copy(update={"column": "age", "pairing": {}})
    assert "has 43 values, each rare; declare a `pairing`" in refused(rare)
    assert "not of numbers" in refused(_YOUNG.model_copy(update={"column": "sex"}))
    wrong = _RULER.model_copy(update={"pairing": {"d": "yes"}})
    assert "it must name classes (a, b, c)" in refused(wrong)
    incomplete = _RULER.model_copy(update={"pairing": {"a": "yes", "b": "no"}})
    assert "left are: none" in refused(incomplete)


def test_a_site_is_trained_on_by_its_identifier_though_a_split_has_few(
    published: ConceptDataset,
) -> None:
    """Sites are numbers in most splits, and "01" is "1" only because no split says otherwise."""
    number = published.images["subject"].str[1:].astype(int) % 30
    test = published.images["split"] == "test"
    sites = np.where(test, number.astype(str).str.zfill(2), number.astype(str))
    named = replace(published, images=published.images.assign(**{"meta.site_id": sites}))
    sites_of_all = tuple(str(i) for i in range(0, 30, 2))
    split = _split(named, DomainShift(kind="domain", column="site_id", train_on=sites_of_all))
    rows = _rows(named, split.image_ids)
    assert set(rows["meta.site_id"]) <= set(sites_of_all)
    assert len(rows) > 20


def test_a_shift_says_which_side_is_trained_on() -> None:
    for said in ({}, {"train_on": ("male",), "below": 60}):
        with pytest.raises(ValueError, match="say either the values to `train_on`"):
            DomainShift.model_validate({"kind": "domain", "column": "sex", **said})
    confounded = ConfoundedShift.model_validate(
        {"kind": "confounded", "column": "ruler", "pairing": {"a": True, "b": False}}
    )
    assert confounded.pairing == {"a": "yes", "b": "no"}
