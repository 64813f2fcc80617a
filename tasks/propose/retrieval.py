"""Which texts answer a query best: by words, by vectors, and by both rankings fused."""

import logging
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

K1: Final = 1.5
B: Final = 0.75
FUSION_K: Final = 60
"""Of reciprocal rank fusion: the value of its paper."""


class WordIndex:
    """BM25 over stemmed English words, by the library bm25s.

    With t the query's different words, f(t, d) how often d has t, |d| the number of words of d
    and m their mean, N texts of which n(t) have t:

    score(d) = sum_t idf(t) f(t, d) / (f(t, d) + K1 (1 - B + B |d| / m))
    idf(t) = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5))

    This is Lucene's form (Kamphuis et al., ECIR 2020). Words are two or more letters, digits or
    underscores in a row, in lower case, without stop words, stemmed by Snowball.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        # It asks for debug messages of its own, which any handler then prints.
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        words = _stems(texts)
        self._empty = not any(words)
        self._count = len(words)
        self._index = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
        if not self._empty:
            self._index.index(words, show_progress=False)

    def scores(self, query: str) -> Float[np.ndarray, " text"]:
        """Return how well each text answers the query; 0 where they share no word."""
        [words] = _stems([query])
        known = [] if self._empty else self._index.get_tokens_ids(list(dict.fromkeys(words)))
        if not known:
            return np.zeros(self._count, dtype=np.float32)
        return self._index.get_scores_from_ids(known)

    def ranking(self, query: str, depth: int) -> list[int]:
        """Return the best texts that share a word with the query; ties go to the lower number."""
        scores = self.scores(query)
        best = np.argsort(-scores, kind="stable")[:depth]
        return [int(text) for text in best if scores[text] > 0]


class VectorIndex:
    """Exact search by cosine among unit vectors, by FAISS.

    Raises:
        ValueError: a vector has not length 1.
    """

    def __init__(self, vectors: Float[np.ndarray, "text dim"]) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(_unit(vectors))

    def ranking(self, query: Float[np.ndarray, " dim"], depth: int) -> list[int]:
        """Return the texts nearest to the query; ties go to the lower number.

        Raises:
            ValueError: the query has not length 1.
        """
        cosines, texts = self._index.search(_unit(query[None]), self._index.ntotal)
        order = np.lexsort((texts[0], -cosines[0]))
        return [int(text) for text in texts[0][order][:depth]]


def fuse_rankings(rankings: Sequence[Sequence[int]], k: int = FUSION_K) -> list[int]:
    """Return all texts of some rankings, best first, by reciprocal rank fusion.

    score(d) = sum over rankings that have d of 1 / (k + rank of d), ranks from 1; ties go to the
    lower number. Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    terms: dict[int, list[float]] = {}
    for ranking in rankings:
        for rank, text in enumerate(ranking, start=1):
            terms.setdefault(text, []).append(1 / (k + rank))
    return sorted(terms, key=lambda text: (-math.fsum(terms[text]), text))


def _stems(texts: Sequence[str]) -> list[list[str]]:
    import bm25s
    from snowballstemmer import stemmer

    found: list[list[str]] = bm25s.tokenize(
        list(texts),
        stopwords="en",
        stemmer=stemmer("english"),
        return_ids=False,
        show_progress=False,
    )
    return found


def _unit(vectors: Float[np.ndarray, "text dim"]) -> Float[np.ndarray, "text dim"]:
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):  # also where one is not a number
        raise ValueError("the vectors of texts must have length 1: divide each by its length")
    return np.ascontiguousarray(vectors, dtype=np.float32)
