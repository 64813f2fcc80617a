"""The rule keeps its promise of recall or searches exactly; an index answers for its vectors."""

from dataclasses import replace

import faiss
import numpy as np
import pytest
from jaxtyping import Float32

from curette.tasks.index import image_index
from curette.tasks.index.faiss_index import build_flat, open_serialised, search, serialise
from curette.tasks.index.image_index import (
    OtherVectors,
    build_image_index,
    index_kind,
    list_count,
    open_image_index,
)
from tests.builders.small_study import index_facts, small_study


def unit(vectors: Float32[np.ndarray, "row d"]) -> Float32[np.ndarray, "row d"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clustered(rows: int, spread: float) -> Float32[np.ndarray, "row d"]:
    generator = np.random.default_rng(3)
    centers = generator.standard_normal((40, 16), dtype=np.float32)
    noise = generator.standard_normal((rows, 16), dtype=np.float32)
    return unit(centers[generator.integers(0, 40, rows)] + np.float32(spread) * noise)


def test_search_is_exact_up_to_a_size() -> None:
    assert index_kind(262_144, 512) == "flat"
    assert index_kind(262_145, 512) == "ivf"
    assert index_kind(300_000, 256) == "flat"


@pytest.mark.parametrize(("count", "lists"), [(262_145, 1024), (1_000_000, 2048), (2500, 128)])
def test_lists_grow_with_the_root_of_the_vectors(count: int, lists: int) -> None:
    assert list_count(count) == lists


def test_a_small_index_is_exact_and_says_so() -> None:
    vectors = clustered(300, 0.3)
    built = build_image_index(vectors)
    assert built.facts == index_facts(vectors)
    assert np.array_equal(built.content, serialise(build_flat(vectors)))
    assert built.facts.summary == "The search among 300 images is exact."


def test_a_large_index_keeps_its_promise_of_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_index, "EXACT_NUMBERS", 1000)
    vectors = clustered(4000, 0.2)
    content, facts = build_image_index(vectors)
    assert (facts.kind, facts.lists, facts.sampled, facts.fallback) == ("ivf", 128, 200, "")
    assert 0.98 <= facts.recall_at_10 <= 1
    index = open_serialised(content)
    assert faiss.extract_index_ivf(index).nprobe == facts.probes, (
        "the effort is kept with the index"
    )
    rows = np.arange(0, 4000, 20)  # other images than those that recall was measured on
    found, exact = search(index, vectors[rows], 10)[1], search(build_flat(vectors), vectors, 10)[1]
    shares = [len({*a} & {*b}) / 10 for a, b in zip(found, exact[rows], strict=True)]
    assert np.mean(shares) > 0.96
    assert facts.summary == (
        f"The search among 4,000 images looks at {facts.probes} of 128 lists and finds "
        f"{facts.recall_at_10:.1%} of the 10 nearest, measured on 200 images."
    )


def test_the_effort_rises_until_recall_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_index, "EXACT_NUMBERS", 1000)
    monkeypatch.setattr(image_index, "_FIRST_PROBES", 1)
    facts = build_image_index(clustered(4000, 0.2)).facts
    assert facts.kind == "ivf"
    assert facts.probes > 1
    assert facts.recall_at_10 >= 0.98


def test_search_is_exact_where_lists_find_too_little_and_the_index_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_index, "EXACT_NUMBERS", 1000)
    vectors = clustered(4000, 50)  # no clusters: lists cut through neighbourhoods
    content, facts = build_image_index(vectors)
    assert (facts.kind, facts.recall_at_10) == ("flat", 1)
    assert np.array_equal(content, serialise(build_flat(vectors)))
    assert facts.summary.startswith("The search among 4,000 images is exact: 16 of 128 lists hold ")
    assert facts.summary.endswith("% of the 10 nearest images, and the index promises 98%.")


def test_an_index_opens_for_its_own_vectors_alone() -> None:
    study = small_study()
    vectors = study.images.vectors
    built = build_image_index(vectors)
    index = replace(study.index, images=built.content, facts=built.facts)
    assert search(open_image_index(index, vectors), vectors, 1)[1][:, 0].tolist() == list(range(60))
    for others in (vectors[::-1], vectors[:59], vectors[:, :8]):
        with pytest.raises(OtherVectors, match="run the study again with --refresh index"):
            open_image_index(index, others)
    with pytest.raises(
        OtherVectors, match=r"is of 60 vectors of 16 dimensions with digest .* 59 of 16"
    ):
        open_image_index(index, vectors[:59])
