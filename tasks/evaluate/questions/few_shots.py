"""How good are heads with few images a class? Averaged over draws, with intervals.

A point averages the draws (seeds) of one size. Its interval answers two questions at once: what
would other test subjects say, and what would other draws? So a resample draws test groups with
replacement and, independently, seeds with replacement, and averages over both: the crossed, or
pigeonhole, bootstrap (Owen, Annals of Applied Statistics 1, 2007), which errs towards intervals
that are too wide. The bounds are percentiles.

All heads and sizes see the same resamples, and draws of one seed are nested over sizes, so that
leads are paired. What concepts bring is the lead over the same head without them or with wrong
ones; a lead over the tuned linear probe has also what averaging brings. The best probe is picked
where it is compared, in every resample anew, which favours it.

"All images" are one draw, in which seeds differ in what is dealt at random alone: the interval of
every other head is that of the test groups. Draws come from one training split: where a draw nearly
exhausts a class, seeds differ less than other training images would.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from curette.schemas.heads import BEST_PROBE, REFERENCE, FewShotBaseline, HeadKind, card_of
from curette.schemas.probe import Heads
from curette.schemas.questions.few_shots import FewShotCurves, FewShotLead, FewShotPoint
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap

_PerHead = Float64[np.ndarray, "resample head"]


def measure(exam: Exam) -> FewShotCurves | None:
    """Return the curves; None where the study asks for no few shots."""
    if (heads := exam.drawn.get("few shots")) is None:
        return None
    vectors = exam.published.vectors[exam.rows]
    return few_shot_curves(heads, vectors, exam.images.labels, exam.bootstrap, exam.spec.confidence)


def few_shot_curves(
    heads: Heads,
    vectors: Float32[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    bootstrap: ClusterBootstrap,
    confidence: float,
) -> FewShotCurves:
    """Return a point for every size and head, and what leads what by how much.

    Args:
        heads: of every draw.
        vectors: of the test images.
        labels: theirs.
        bootstrap: of the test images' groups.
        confidence: coverage of the intervals.
    """
    right = heads.stack.answer(vectors, labels)
    draws, kinds, images = right.shape
    flat = right.reshape(draws * kinds, images)
    replicates = bootstrap.replicate(
        lambda weights: balanced_accuracies(flat, labels, weights), "percentile"
    )
    whole = replicates.value.reshape(1, draws, kinds)
    resampled = replicates.resampled.reshape(-1, draws, kinds)
    compared = _compared(heads.stack.kinds)
    points: list[FewShotPoint] = []
    leads: list[FewShotLead] = []
    for shots in dict.fromkeys(draw.shots for draw in heads.draws):
        here = np.array([draw.shots == shots for draw in heads.draws])
        seeds = int(here.sum())
        value = whole[:, here].mean(axis=1)
        spread = _average_over_seeds(resampled[:, here], bootstrap.seed)
        bounds = _bounds(spread, confidence)
        ahead, ahead_spread = _ahead(value, compared), _ahead(spread, compared)
        ahead_bounds = _bounds(ahead_spread, confidence)
        for i, head in enumerate(heads.stack.kinds):
            points.append(
                FewShotPoint(
                    shots=shots,
                    head=head,
                    value=float(value[0, i]),
                    low=float(bounds[0, i]),
                    high=float(bounds[1, i]),
                    seeds=seeds,
                )
            )
        for i, pair in enumerate(compared):
            leads.append(
                FewShotLead(
                    shots=shots,
                    head=heads.stack.kinds[pair.head],
                    baseline=pair.baseline,
                    value=float(ahead[0, i]),
                    low=float(ahead_bounds[0, i]),
                    high=float(ahead_bounds[1, i]),
                    seeds=seeds,
                )
            )
    return FewShotCurves(
        points=tuple(points),
        leads=tuple(leads),
        confidence=confidence,
        resamples=bootstrap.resamples,
        images=images,
        groups=bootstrap.groups,
        skipped=tuple(f"{head.name}: {head.reason}" for head in heads.skipped),
    )


class _Pair(NamedTuple):
    """Columns of a head and of what it is compared with: the best of these."""

    head: int
    baseline: FewShotBaseline
    columns: list[int]


def _compared(heads: Sequence[HeadKind]) -> list[_Pair]:
    """Return what is compared with what, as far as it is there."""
    at = {head: i for i, head in enumerate(heads)}
    probes = [at[head] for head in heads if card_of(head).role == "probe"]
    pairs = [
        _Pair(at[h], b, [at[b]]) for h in heads for b in card_of(h).without_concepts if b in at
    ]
    if len(probes) > 1:
        on_concepts = [head for head in heads if card_of(head).role == "concepts"]
        pairs += [_Pair(at[head], BEST_PROBE, probes) for head in on_concepts]
    linear = at[REFERENCE]
    pairs += [_Pair(i, REFERENCE, [linear]) for i in at.values() if i != linear]
    return pairs


def _ahead(values: _PerHead, compared: Sequence[_Pair]) -> Float64[np.ndarray, "resample pair"]:
    leads = [values[:, pair.head] - values[:, pair.columns].max(axis=1) for pair in compared]
    return np.stack(leads, axis=1) if leads else np.empty((len(values), 0))


def balanced_accuracies(
    right: Bool[np.ndarray, "head image"],
    labels: Int[np.ndarray, " image"],
    weights: Float64[np.ndarray, "resample image"],
) -> _PerHead:
    """Return the mean over classes of the share of right answers, for every head and resample.

    A class without images in a resample is left out of its mean. One matrix product a class, in
    single precision: weights are counts, so sums of them are exact.
    """
    total = np.zeros((len(weights), len(right)))
    classes = np.zeros((len(weights), 1))
    for label in np.unique(labels):
        here = labels == label
        counts = weights[:, here].astype(np.float32)
        size = counts.sum(axis=1, keepdims=True)
        total += (counts @ right[:, here].T.astype(np.float32)) / np.maximum(size, 1)
        classes += size > 0
    return np.asarray(total / classes)


def _average_over_seeds(
    values: Float64[np.ndarray, "resample seed head"], bootstrap_seed: int
) -> _PerHead:
    """Return the mean over seeds drawn with replacement, the same for equal numbers of seeds."""
    resamples, seeds, _ = values.shape
    generator = np.random.default_rng([bootstrap_seed, 1])
    drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return np.asarray(np.einsum("rs,rsh->rh", drawn, values))


def _bounds(values: _PerHead, confidence: float) -> Float64[np.ndarray, "2 head"]:
    tail = (1 - confidence) / 2
    return np.asarray(np.quantile(values, [tail, 1 - tail], axis=0))
