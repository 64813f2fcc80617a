"""Classes choose from their own candidates, or all of them together from all."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, FileOrigin, concept_id
from curette.schemas.concepts import ConceptSet
from curette.schemas.review import Decision
from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.selection.choosing import Known, choose_concepts, read_avoided

KEYS = ("mel", "nv")


def candidates(*links: tuple[str, ...]) -> tuple[Candidate, ...]:
    origins = (FileOrigin(file="list.txt", line=1),)
    return tuple(
        Candidate(text=f"finding {i}", classes=classes, origins=origins)
        for i, classes in enumerate(links)
    )


def choose(pool: tuple[Candidate, ...], spec: SelectSpec, seed: int = 0) -> ConceptSet:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(pool) + 20, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    labels = np.arange(20) % 2
    return choose_concepts(pool, vectors[20:], vectors[:20], labels, KEYS, spec)


def labo(per_class: int, scope: str = "per_class", method: str = "labo") -> SelectSpec:
    size = {"per_class": per_class}
    return SelectSpec.model_validate({"method": method, "size": size, "scope": scope})


MIXED = candidates(*[("mel",)] * 5, *[("mel", "nv")] * 4, *[("nv",)] * 5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ["labo", "random", "top"])
def test_jointly_a_shared_candidate_takes_one_quota_and_keeps_all_its_links(
    seed: int, method: str
) -> None:
    spec = labo(4, "jointly", method)
    chosen = choose(MIXED, spec, seed)
    assert chosen.scope == "jointly"
    assert [len(s.picks) for s in chosen.selections] == [4, 4]
    assert len(chosen.concepts) == 8, "nothing is picked twice"
    for concept in chosen.concepts:
        assert concept.selected_for == concept.classes
    for selection in chosen.selections:
        linked = {c.concept_id for c in chosen.concepts if selection.class_key in c.classes}
        assert {p.concept_id for p in selection.picks} <= linked


def test_jointly_there_is_one_certificate() -> None:
    first, second = choose(MIXED, labo(3, "jointly")).selections
    assert (first.value, first.upper_bound) == (second.value, second.upper_bound)
    assert first.value == pytest.approx(sum(p.gain for s in (first, second) for p in s.picks))
    assert first.pool == second.pool == 9


@pytest.mark.parametrize("seed", range(5))
def test_per_class_a_candidate_that_two_classes_pick_stands_once_and_names_both(seed: int) -> None:
    shared = candidates(*[("mel", "nv")] * 6)
    chosen = choose(shared, labo(3), seed)
    assert [p.concept_id for p in chosen.selections[0].picks] == [
        p.concept_id for p in chosen.selections[1].picks
    ], "equal pools, equal picks"
    assert [c.selected_for for c in chosen.concepts] == [KEYS] * 3


def test_classes_that_share_all_candidates_divide_them() -> None:
    chosen = choose(candidates(*[("mel", "nv")] * 3), labo(3, "jointly"))
    assert len(chosen.concepts) == 3
    assert sum(len(s.picks) for s in chosen.selections) == 3


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_a_class_with_fewer_candidates_than_wanted_keeps_them_all(scope: str) -> None:
    pool = candidates(("mel",), ("mel",), *[("nv",)] * 6)
    chosen = choose(pool, labo(4, scope))
    assert {p.concept_id for p in chosen.selections[0].picks} == {c.concept_id for c in pool[:2]}
    assert len(chosen.selections[1].picks) == 4


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_a_class_without_candidates_is_named(scope: str) -> None:
    with pytest.raises(StudyError, match="no candidate of the class `nv` passed the screen"):
        choose(candidates(("mel",), ("mel",)), labo(10, scope))


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_small_pools_are_certified_for_the_exact_similarity(scope: str) -> None:
    assert {s.similarity for s in choose(MIXED, labo(10, scope)).selections} == {"exact"}


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_a_pool_beyond_the_limit_is_compared_by_neighbours_and_says_so(
    scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = candidates(*[("mel",)] * 30, *[("nv",)] * 12)
    exact = choose(pool, labo(3, scope))
    limit = 4 * 20**2  # bytes: of 20 candidates
    monkeypatch.setattr("curette.tasks.methods.selection.neighbours.DENSE_BYTES", limit)
    chosen = choose(pool, labo(3, scope))
    of_nv = "64 nearest neighbours" if scope == "jointly" else "exact"
    assert [s.similarity for s in chosen.selections] == ["64 nearest neighbours", of_nv]
    assert chosen.concepts == exact.concepts, "64 are all there are here"


def study_images(seed: int) -> Known:
    """Images of two classes that the first dimension tells, four of each group."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(np.arange(40) % 2), 4)
    vectors = rng.normal(size=(160, 8)) + 2 * np.eye(8)[0] * (2 * labels[:, None] - 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hair = (rng.random(160) < 0.5).astype(np.int64)
    vectors[:, 1] += 0.5 * hair
    return Known(vectors.astype(np.float32), labels, np.arange(160) // 4, (hair,))


AXES = np.eye(8, dtype=np.float32)
OF_AXES = candidates(*[("mel",), ("nv",)] * 4)


def choose_axes(
    size: object,
    known: Known | None,
    exchanges: tuple[Decision, ...] = (),
    **more: object,
) -> ConceptSet:
    images = study_images(0)
    spec = SelectSpec.model_validate({"size": size, "most_correlated": 1.0} | more)
    return choose_concepts(
        *(OF_AXES, AXES, images.vectors, images.labels, KEYS, spec),
        avoided=images.avoided if spec.avoid else (),
        known=known,
        exchanges=exchanges,
    )


def test_enough_is_the_least_that_loses_nothing_and_every_class_has_one() -> None:
    chosen = choose_axes("enough", study_images(3))
    assert chosen.sizes is not None
    assert chosen.sizes.enough <= 2
    assert chosen.sizes.groups == 40
    assert [s.concepts for s in chosen.sizes.steps] == list(range(1, 9))
    assert chosen.texts[0] == "finding 0"
    assert len(chosen.concepts) == 2, "as many as there are classes"
    assert [len(s.picks) for s in chosen.selections] == [1, 1]
    assert chosen.stability is not None
    assert chosen.stability.shares[chosen.concepts[0].concept_id] == 1


@pytest.mark.parametrize("method", ["explained_variance", "labo", "random", "top"])
@pytest.mark.parametrize("size", [1, 3, 8, 20])
def test_a_number_is_a_number_by_every_method(method: str, size: int) -> None:
    chosen = choose_axes(size, None, method=method)
    assert len(chosen.concepts) == min(size, 8)
    assert chosen.method == method
    assert chosen.sizes is None
    assert chosen.stability is None


def test_classes_that_pick_the_same_are_given_more() -> None:
    shared = candidates(*[("mel", "nv")] * 6)
    chosen = choose(shared, SelectSpec.model_validate({"method": "labo", "size": 4}))
    assert len(chosen.concepts) == 4


def test_together_each_class_has_its_number() -> None:
    chosen = choose(MIXED, SelectSpec.model_validate({"size": {"per_class": 3}}))
    assert len(chosen.concepts) == 6
    for selection, key in zip(chosen.selections, KEYS, strict=True):
        assert len(selection.picks) >= 3
        assert {p.concept_id for p in selection.picks} == {
            c.concept_id for c in chosen.concepts if key in c.classes
        }
        assert selection.value <= selection.upper_bound


def test_enough_without_images_to_say_so_is_refused() -> None:
    with pytest.raises(StudyError, match="cannot say how many"):
        choose_axes("enough", None)


def test_what_tells_an_avoided_column_is_chosen_last_and_what_it_tells_is_said() -> None:
    freely = choose_axes(8, None)
    avoiding = choose_axes(8, None, avoid=("hair",))
    assert avoiding.texts[-1] == "finding 1"
    assert avoiding.avoided["hair"][avoiding.ids[-1]] > 0.3
    assert freely.avoided == {}
    together = avoiding.avoided_together["hair"]
    assert together.told > max(avoiding.avoided["hair"].values())
    assert together.by_chance == 8 / (160 - 2)
    assert choose_axes(2, None, avoid=("hair",)).avoided_together["hair"].told < 0.1


def exchange(pick: str, other: str) -> Decision:
    return Decision(
        concept_id=concept_id(pick), text=pick, verdict="exchange", new_text=other, reviewer="Ada"
    )


def test_a_person_exchanges_picks_and_what_it_costs_is_said() -> None:
    known = study_images(0)
    before = choose_axes(2, known)
    pick = before.concepts[0]
    others = [c for c in OF_AXES if c.concept_id not in before.ids and c.classes == pick.classes]
    first, second = (c.text for c in others[:2])
    after = choose_axes(2, known, (exchange(first, second), exchange(pick.text, first)))
    assert [c.text for c in after.concepts] == [second, *before.texts[1:]], "a chain is followed"
    one, two = after.exchanged
    assert (one.text, one.for_text, two.text, two.for_text) == (pick.text, first, first, second)
    assert one.loss_before == pytest.approx(before.loss)
    assert two.loss_after == pytest.approx(after.loss)
    assert one.loss_after is not None
    assert one.loss_before is not None
    assert one.loss_after > one.loss_before, "the first axis tells the classes"
    (value,) = {s.value for s in after.selections}
    assert value == pytest.approx(sum(p.gain for s in after.selections for p in s.picks))
    assert value < before.selections[0].value
    assert choose_axes(2, known, (exchange(first, second),)) == before, "it waits"


def test_an_exchange_that_cannot_be_is_refused() -> None:
    known = study_images(0)
    one, two = choose_axes(2, known).concepts
    first, second = one.text, two.text
    of_its_class = next(c for c in OF_AXES if c.classes == two.classes and c.text != second)
    for other, why in (
        ("never proposed", "no statement that was let through says so"),
        (second, "that is chosen already"),
        (of_its_class.text, "a class would be left without"),
    ):
        with pytest.raises(StudyError, match=f"exchanged '{first}' for '{other}', but .*{why}"):
            choose_axes(2, known, (exchange(first, other),))


def test_an_unknown_column_to_avoid_is_named() -> None:
    with pytest.raises(StudyError, match=r"avoid or shifts name the column rular.*they have ruler"):
        read_avoided(pd.DataFrame({"meta.ruler": [True, None]}), ("rular",), np.arange(2))
    levels = read_avoided(pd.DataFrame({"meta.ruler": [True, None]}), ("ruler",), np.arange(2))
    assert [of.tolist() for of in levels] == [[0, -1]]


def test_settings_as_they_were_once_written_are_read() -> None:
    read = SelectSpec.model_validate({"method": "submodular", "per_class": 10})
    assert (read.method, read.size.per_class) == ("labo", 10)
    assert SelectSpec.model_validate(read.model_dump(mode="json")) == read
    assert SelectSpec().size.enough
    assert str(SelectSpec.model_validate({"size": "enough"}).size) == "enough"
    assert SelectSpec.model_validate({"size": 7}).size.total == 7
    with pytest.raises(ValidationError, match="belongs into `size`"):
        SelectSpec.model_validate({"size": 7, "per_class": 3})
