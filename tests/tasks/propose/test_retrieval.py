import logging
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snowballstemmer import stemmer

from curette.tasks.propose.retrieval import VectorIndex, WordIndex, fuse_rankings

TEXTS = [
    "A pigment network of thin brown lines, and brown globules.",
    "Red lacunae, purple lacunae; pale septa between the lacunae.",
    "The network stops abruptly at the border of the lesion.",
    "Milia-like cysts and fissures.",
    "The network stops abruptly at the border of the lesion.",
]
STOP_WORDS = {"a", "an", "and", "at", "of", "the"}


def expected_scores(texts: list[str], query: str, k1: float = 1.5, b: float = 0.75) -> list[float]:
    """BM25 as its formula reads, in plain Python."""

    def stems(text: str) -> list[str]:
        words = [w for w in re.findall(r"\w{2,}", text.lower()) if w not in STOP_WORDS]
        return list(stemmer("english").stemWords(words))

    documents = [Counter(stems(text)) for text in texts]
    mean_length = sum(d.total() for d in documents) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in set(stems(query)):
            having = sum(word in d for d in documents)
            idf = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
            norm = k1 * (1 - b + b * document.total() / mean_length)
            score += idf * document[word] / (document[word] + norm)
        scores.append(score)
    return scores


@pytest.mark.parametrize(
    "query",
    [
        "network",
        "brown networks",
        "lacuna lacunae LACUNAE red",
        "the border of lesions",
        "cyst line",
    ],
)
def test_scores_are_those_of_the_formula(query: str) -> None:
    assert WordIndex(TEXTS).scores(query) == pytest.approx(expected_scores(TEXTS, query), abs=1e-6)


def test_a_score_worked_out_by_hand() -> None:
    # "red" stands in 1 of 2 texts of 1 and 3 words, once: ln(1 + 1.5 / 1.5) / (1 + 1.5 * 0.625)
    scores = WordIndex(["red", "blue blue veil"]).scores("red")
    assert scores == pytest.approx([math.log(2) / 1.9375, 0])


@given(
    st.lists(st.text("vwx yz", max_size=30), min_size=1, max_size=6), st.text("vwx yz", max_size=9)
)
def test_any_texts_are_scored_by_the_formula(texts: list[str], query: str) -> None:
    scores = WordIndex(texts).scores(query)
    if any(re.search(r"\w{2,}", text) for text in texts):
        assert scores == pytest.approx(expected_scores(texts, query), abs=1e-5)
    else:
        assert scores.tolist() == [0] * len(texts)


def test_equal_texts_rank_by_number_and_texts_without_the_words_not_at_all() -> None:
    index = WordIndex(TEXTS)
    assert index.ranking("border of a network", 10) == [2, 4, 0]
    assert index.ranking("border of a network", 2) == [2, 4]
    assert index.ranking("cryotherapy", 10) == []
    assert index.ranking("the of", 10) == []
    assert index.ranking("", 10) == []


@pytest.mark.parametrize("texts", [["", " "], ["the", "of a"], ["- !"]])
def test_texts_without_words_are_never_found(texts: list[str]) -> None:
    assert WordIndex(texts).ranking("network", 5) == []


def test_other_scripts_are_searched_too() -> None:
    assert WordIndex(["黒い 斑点", "赤い 斑点", "Пигментная сеть"]).ranking("Пигментная", 5) == [2]


def test_searching_by_words_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    handler = logging.StreamHandler()  # takes every level, as Prefect's does
    logging.getLogger().addHandler(handler)
    try:
        WordIndex(TEXTS).ranking("network", 5)
    finally:
        logging.getLogger().removeHandler(handler)
    assert capfd.readouterr() == ("", "")


def test_nearest_vectors_are_those_of_the_inner_product() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex(vectors)
    for query in vectors[:5]:
        assert index.ranking(query, 10) == np.argsort(-(vectors @ query))[:10].tolist()


def test_equal_vectors_rank_by_number() -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (300, 1))
    vectors[7] = [1, 0]
    ranking = VectorIndex(vectors).ranking(np.array([1, 0], dtype=np.float32), 4)
    assert ranking == [7, 0, 1, 2]


@pytest.mark.parametrize("bad", [[0.0, 0.0], [2.0, 0.0], [math.nan, 1.0]])
def test_vectors_without_length_1_are_refused(bad: list[float]) -> None:
    good = np.array([[1.0, 0.0]])
    with pytest.raises(ValueError, match="must have length 1: divide each by its length"):
        VectorIndex(np.array([[1.0, 0.0], bad]))
    with pytest.raises(ValueError, match="must have length 1"):
        VectorIndex(good).ranking(np.array(bad), 1)


def test_fused_ranks_worked_out_by_hand() -> None:
    # 5: 1/61 + 1/63; 3: 1/62 + 1/61; 8: 1/63; 1: 1/62
    assert fuse_rankings([[5, 3, 8], [3, 1, 5]]) == [3, 5, 1, 8]
    # 2 is last twice: 2/64 is more than 1/61, but with k = 0 first places win: 1 against 2/4
    assert fuse_rankings([[1, 9, 8, 2], [3, 7, 6, 2]])[0] == 2
    assert fuse_rankings([[1, 9, 8, 2], [3, 7, 6, 2]], k=0)[0] == 1
    assert fuse_rankings([[2, 1], [1, 2]]) == [1, 2]
    assert fuse_rankings([[], []]) == []


@given(st.lists(st.permutations(range(6)).map(lambda p: p[:4]), max_size=4))
def test_fused_ranks_are_those_of_exact_fractions(rankings: list[list[int]]) -> None:
    from fractions import Fraction

    scores: Counter[int] = Counter()
    for ranking in rankings:
        for rank, text in enumerate(ranking, start=1):
            scores[text] += Fraction(1, 60 + rank)  # type: ignore[assignment]
    assert fuse_rankings(rankings) == sorted(scores, key=lambda text: (-scores[text], text))
