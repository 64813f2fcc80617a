"""Classes choose from their own candidates, or all of them together from all."""

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.concepts import ConceptSet
from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.selection.labo import choose_concepts

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


MIXED = candidates(*[("mel",)] * 5, *[("mel", "nv")] * 4, *[("nv",)] * 5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ["submodular", "random", "top_discriminability"])
def test_jointly_a_shared_candidate_takes_one_quota_and_keeps_all_its_links(
    seed: int, method: str
) -> None:
    spec = SelectSpec(scope="jointly", per_class=4, method=method)
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
    first, second = choose(MIXED, SelectSpec(scope="jointly", per_class=3)).selections
    assert (first.value, first.upper_bound) == (second.value, second.upper_bound)
    assert first.value == pytest.approx(sum(p.gain for s in (first, second) for p in s.picks))
    assert first.pool == second.pool == 9


@pytest.mark.parametrize("seed", range(5))
def test_per_class_a_candidate_that_two_classes_pick_stands_once_and_names_both(seed: int) -> None:
    shared = candidates(*[("mel", "nv")] * 6)
    chosen = choose(shared, SelectSpec(per_class=3), seed)
    assert [p.concept_id for p in chosen.selections[0].picks] == [
        p.concept_id for p in chosen.selections[1].picks
    ], "equal pools, equal picks"
    assert [c.selected_for for c in chosen.concepts] == [KEYS] * 3


def test_classes_that_share_all_candidates_divide_them() -> None:
    chosen = choose(candidates(*[("mel", "nv")] * 3), SelectSpec(scope="jointly", per_class=3))
    assert len(chosen.concepts) == 3
    assert sum(len(s.picks) for s in chosen.selections) == 3


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_a_class_with_fewer_candidates_than_wanted_keeps_them_all(scope: str) -> None:
    pool = candidates(("mel",), ("mel",), *[("nv",)] * 6)
    chosen = choose(pool, SelectSpec(scope=scope, per_class=4))
    assert {p.concept_id for p in chosen.selections[0].picks} == {c.concept_id for c in pool[:2]}
    assert len(chosen.selections[1].picks) == 4


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_a_class_without_candidates_is_named(scope: str) -> None:
    with pytest.raises(StudyError, match="no candidate of the class `nv` passed the screen"):
        choose(candidates(("mel",), ("mel",)), SelectSpec(scope=scope))


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_small_pools_are_certified_for_the_exact_similarity(scope: str) -> None:
    assert {s.similarity for s in choose(MIXED, SelectSpec(scope=scope)).selections} == {"exact"}


@pytest.mark.parametrize("scope", ["per_class", "jointly"])
def test_a_pool_beyond_the_limit_is_compared_by_neighbours_and_says_so(
    scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = candidates(*[("mel",)] * 30, *[("nv",)] * 12)
    exact = choose(pool, SelectSpec(scope=scope, per_class=3))
    limit = 4 * 20**2  # bytes: of 20 candidates
    monkeypatch.setattr("curette.tasks.methods.selection.neighbours.DENSE_BYTES", limit)
    chosen = choose(pool, SelectSpec(scope=scope, per_class=3))
    of_nv = "64 nearest neighbours" if scope == "jointly" else "exact"
    assert [s.similarity for s in chosen.selections] == ["64 nearest neighbours", of_nv]
    assert chosen.concepts == exact.concepts, "64 are all there are here"
