"""How fast selection is, and how good, beside apricot.

Run `python -m tests.benchmarks.bench_selection`. Both maximise facility location alone, the
function they share, and the best of three runs counts. apricot compiles its inner loop anew in
every fit, so it is also timed with that loop kept; each time with the fastest of its exact
optimizers. Without apricot (dependency group `bench`) its columns are empty.
"""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from jaxtyping import Float, Int64

from curette.tasks.methods.selection.facility_location import (
    Selection,
    SelectionProblem,
    select_greedily,
    tighten_upper_bound,
)
from tests.benchmarks.measuring import Target, all_met, fastest, print_rows, timed

LABO = Path(__file__).parents[3] / "shared/data/ham10000/labo/class2concepts.json"
PER_CLASS, REPEATS = 50, 3
OPTIMIZERS = ("lazy", "two-stage", "naive")  # apricot's that lose nothing
TIMES_FASTER, OBJECTIVE, CERTIFICATE = Target(">=", 200), Target(">=", 1), Target(">=", 0.9)

Similarity = Float[np.ndarray, "candidate candidate"]


class Row(NamedTuple):
    """One comparison, summed over the classes of a dataset."""

    name: str
    ours_s: float
    apricot_s: float
    kept_s: float  # apricot's, with the compiled loop kept from fit to fit
    ratio: float  # apricot_s / ours_s
    objective: float  # our coverage / apricot's
    certificate: float  # the least of all classes, after tightening
    target: str
    met: bool | None


class _Peer(NamedTuple):
    seconds: float
    picks: list[Int64[np.ndarray, " pick"]]


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
    """Return one row for each set of candidates that is here."""
    rows = [compare("random unit vectors", random_unit_vectors())]
    if LABO.is_file():
        rows.append(compare("LaBo's HAM10000 candidates", labo_candidates(LABO)))
    return rows


def compare(name: str, similarities: list[Similarity]) -> Row:
    """Select `PER_CLASS` candidates of every class with both."""
    problems = [
        SelectionProblem.of_size(phi, np.zeros(len(phi)), PER_CLASS, 1.0) for phi in similarities
    ]
    ours = [select_greedily(problem) for problem in problems]
    proven = [tighten_upper_bound(*pair) for pair in zip(problems, ours, strict=True)]
    seconds = fastest(lambda: [_select(phi) for phi in similarities], REPEATS)
    theirs = kept = _Peer(np.nan, [])
    objective = np.nan
    if importlib.util.find_spec("apricot"):
        theirs = _time_apricot(similarities)
        with _keep_what_apricot_compiles():
            kept = _time_apricot(similarities)
        objective = sum(s.value for s in ours) / sum(
            problem.value(picked) for problem, picked in zip(problems, theirs.picks, strict=True)
        )
    ratio, certificate = theirs.seconds / seconds, min(s.certificate for s in proven)
    return Row(
        name=name,
        ours_s=seconds,
        apricot_s=theirs.seconds,
        kept_s=kept.seconds,
        ratio=ratio,
        objective=objective,
        certificate=certificate,
        target=f"ratio {TIMES_FASTER}, objective {OBJECTIVE}, certificate {CERTIFICATE}",
        met=all_met(
            TIMES_FASTER.is_met_by(ratio),
            OBJECTIVE.is_met_by(round(objective, 9)),
            CERTIFICATE.is_met_by(certificate),
        ),
    )


def _time_apricot(similarities: list[Similarity]) -> _Peer:
    """Let the optimizer that is fastest on one class select for all of them."""
    first = similarities[0]
    tried = {}
    for name in OPTIMIZERS:
        with suppress(AttributeError, TypeError):  # NumPy 2 may lack what one of them calls
            tried[name] = fastest(partial(_apricot, first, name), 2)  # the first may compile
    optimizer = min(tried, key=tried.__getitem__)
    print(f"apricot's optimizers, seconds for one class: {tried}")
    runs = [
        timed(lambda: [_apricot(phi, optimizer) for phi in similarities]) for _ in range(REPEATS)
    ]
    return _Peer(min(seconds for seconds, _ in runs), runs[0][1])


def _select(phi: Similarity) -> Selection:
    return select_greedily(SelectionProblem.of_size(phi, np.zeros(len(phi)), PER_CLASS, 1.0))


def _apricot(phi: Similarity, optimizer: str) -> Int64[np.ndarray, " pick"]:
    from apricot import FacilityLocationSelection

    selector = FacilityLocationSelection(PER_CLASS, metric="precomputed", optimizer=optimizer)
    return np.asarray(selector.fit(phi).ranking, dtype=np.int64)


@contextmanager
def _keep_what_apricot_compiles() -> Iterator[None]:
    """Let every fit use the same compiled functions, which apricot does not do by itself."""
    from apricot.functions import facilityLocation as source  # noqa: N813 - a module

    with (
        patch.object(source, "calculate_gains", cache(source.calculate_gains)),
        patch.object(source, "calculate_gains_sieve", cache(source.calculate_gains_sieve)),
    ):
        yield


def _cosine(vectors: Float[np.ndarray, "candidate dim"]) -> Similarity:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.maximum(0, units @ units.T)


if __name__ == "__main__":
    print_rows("selection", main())
