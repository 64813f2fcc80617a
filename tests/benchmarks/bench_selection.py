"""How fast selection is, and how good, beside apricot.

Run `python -m tests.benchmarks.bench_selection`. Both maximise facility location alone, the
function they share. apricot compiles its inner loop anew in every fit, so it is also timed with
that loop kept. Without apricot (dependency group `bench`) its columns are `nan`.
"""

import functools
import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from jaxtyping import Float

from tasks.select.facility_location import (
    Selection,
    SelectionProblem,
    select_greedily,
    tighten_upper_bound,
)

LABO = Path(__file__).parents[3] / "shared/data/ham10000/labo/class2concepts.json"
PER_CLASS = 50

Similarity = Float[np.ndarray, "candidate candidate"]


class Row(NamedTuple):
    """One comparison, summed over the classes of a dataset."""

    name: str
    seconds_ours: float
    seconds_apricot: float
    seconds_apricot_compiled: float  # with the compiled loop kept from fit to fit
    ratio: float  # seconds_apricot / seconds_ours
    target_ratio: float
    objective_ratio: float  # our coverage / apricot's
    target_objective_ratio: float
    certificate: float  # the least of all classes, after `seconds_tightening`
    target_certificate: float
    seconds_tightening: float


def random_unit_vectors() -> list[Similarity]:
    """Seven classes of 400 candidates in 512 dimensions: the size of HAM10000 in LaBo."""
    rng = np.random.default_rng(0)
    return [_cosine(rng.normal(size=(400, 512))) for _ in range(7)]


def labo_candidates(path: Path) -> list[Similarity]:
    """LaBo's sentences for HAM10000, as tf-idf of hashed character n-grams."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    classes = json.loads(path.read_text(encoding="utf-8")).values()
    ngrams = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), alternate_sign=False, n_features=2**16
    )
    similarities = []
    for texts in classes:
        weights = TfidfTransformer().fit_transform(ngrams.transform(sorted(set(texts))))
        similarities.append((weights @ weights.T).toarray())
    return similarities


def main() -> list[Row]:
    """Print and return one row for each set of candidates that is here."""
    rows = [compare("random unit vectors", random_unit_vectors())]
    if LABO.is_file():
        rows.append(compare("LaBo's HAM10000 candidates", labo_candidates(LABO)))
    for row in rows:
        print(", ".join(f"{k} {v:.4g}" if k != "name" else v for k, v in row._asdict().items()))
    return rows


def compare(name: str, similarities: list[Similarity]) -> Row:
    """Select `PER_CLASS` candidates of every class with both."""
    problems = [
        SelectionProblem.of_size(phi, np.zeros(len(phi)), PER_CLASS, 1.0) for phi in similarities
    ]
    ours = [select_greedily(problem) for problem in problems]
    start = time.perf_counter()
    proven = [tighten_upper_bound(*pair) for pair in zip(problems, ours, strict=True)]
    tightening = time.perf_counter() - start
    seconds = _fastest(lambda: [_select(phi) for phi in similarities], repeats=5)
    theirs, compiled, objective = np.nan, np.nan, np.nan
    if importlib.util.find_spec("apricot"):
        picks = [_apricot(phi, PER_CLASS) for phi in similarities]
        theirs = _fastest(lambda: [_apricot(phi, PER_CLASS) for phi in similarities], repeats=1)
        with _keep_what_apricot_compiles():
            compiled = _fastest(
                lambda: [_apricot(phi, PER_CLASS) for phi in similarities], repeats=3
            )
        objective = sum(s.value for s in ours) / sum(
            problem.value(picked) for problem, picked in zip(problems, picks, strict=True)
        )
    certificate = min(selection.certificate for selection in proven)
    return Row(
        name=name,
        seconds_ours=seconds,
        seconds_apricot=theirs,
        seconds_apricot_compiled=compiled,
        ratio=theirs / seconds,
        target_ratio=200,
        objective_ratio=objective,
        target_objective_ratio=1,
        certificate=certificate,
        target_certificate=0.9,
        seconds_tightening=tightening,
    )


def _select(phi: Similarity) -> Selection:
    return select_greedily(SelectionProblem.of_size(phi, np.zeros(len(phi)), PER_CLASS, 1.0))


def _apricot(phi: Similarity, k: int) -> np.ndarray:
    from apricot import FacilityLocationSelection

    selector = FacilityLocationSelection(k, metric="precomputed", optimizer="lazy")
    return np.asarray(selector.fit(phi).ranking, dtype=np.int64)


@contextmanager
def _keep_what_apricot_compiles() -> Iterator[None]:
    """Let every fit use the same compiled functions, which apricot does not do by itself."""
    from apricot.functions import facilityLocation as source  # noqa: N813 - a module

    with (
        patch.object(source, "calculate_gains", functools.cache(source.calculate_gains)),
        patch.object(
            source, "calculate_gains_sieve", functools.cache(source.calculate_gains_sieve)
        ),
    ):
        yield


def _fastest(run: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _cosine(vectors: Float[np.ndarray, "candidate dim"]) -> Similarity:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.maximum(0, units @ units.T)


if __name__ == "__main__":
    main()
