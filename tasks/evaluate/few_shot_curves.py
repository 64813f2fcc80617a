"""Balanced accuracy over shots, averaged over draws, with intervals.

A point averages the draws (seeds) of one size. Its interval answers two questions at once: what
would other test subjects say, and what would other draws? So a resample draws test groups with
replacement and, independently, seeds with replacement, and averages over both: the crossed, or
pigeonhole, bootstrap (Owen, Annals of Applied Statistics 1, 2007), which errs towards intervals
that are too wide. The bounds are percentiles.

All heads and sizes see the same resamples, and draws of one seed are nested over sizes, so that
leads over the tuned linear probe are paired. "All images" are one draw, in which seeds differ in
what is dealt at random alone: the interval of every other head is that of the test groups. Draws
come from one training split: where a draw nearly exhausts a class, seeds differ less than other
training images would.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from schemas.few_shots import FewShotCurves, FewShotHeads, FewShotLead, FewShotPoint
from tasks.evaluate.bootstrap import ClusterBootstrap

_PerHead = Float64[np.ndarray, "resample head"]


def few_shot_curves(
    heads: FewShotHeads,
    vectors: Float32[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    bootstrap: ClusterBootstrap,
    confidence: float,
) -> FewShotCurves:
    """Return a point for every size and head, and its lead over the tuned linear probe.

    Args:
        heads: of every draw.
        vectors: of the test images.
        labels: theirs.
        bootstrap: of the test images' groups.
        confidence: coverage of the intervals.
    """
    right = heads.answer(vectors, labels)
    draws, kinds, images = right.shape
    flat = right.reshape(draws * kinds, images)
    replicates = bootstrap.replicate(
        lambda weights: balanced_accuracies(flat, labels, weights), "percentile"
    )
    whole = replicates.value.reshape(1, draws, kinds)
    resampled = replicates.resampled.reshape(-1, draws, kinds)
    linear = heads.heads.index("linear_probe")
    points: list[FewShotPoint] = []
    leads: list[FewShotLead] = []
    for shots in dict.fromkeys(heads.shots):
        here = np.array([s == shots for s in heads.shots])
        seeds = int(here.sum())
        value = whole[:, here].mean(axis=1)
        spread = _average_over_seeds(resampled[:, here], bootstrap.seed)
        ahead, ahead_spread = value - value[:, [linear]], spread - spread[:, [linear]]
        bounds, ahead_bounds = _bounds(spread, confidence), _bounds(ahead_spread, confidence)
        for i, head in enumerate(heads.heads):
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
            if head != "linear_probe":
                leads.append(
                    FewShotLead(
                        shots=shots,
                        head=head,
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
        skipped=heads.skipped,
    )


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
