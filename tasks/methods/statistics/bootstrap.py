"""Intervals by the cluster bootstrap: whole groups are drawn, never single images.

Images of one person or lesion resemble each other, so n of them tell less than n independent ones.
A resample therefore draws as many groups as there are, with replacement and equal chance, and takes
all images of each (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section
3.8). It is kept as a weight for each image: how often its group was drawn. The number of images and
the share of each class vary between resamples as they would between samples: nothing is stratified
but by the sample, where there are several.

Two heads are compared by their difference in each resample, so that what both find hard cancels.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int, Shaped

from curette.schemas.metrics import Estimate, IntervalMethod
from curette.tasks.methods.threads import one_thread_of_blas, usual_threads

Statistic = Callable[
    [Float64[np.ndarray, "resample image"]], Float64[np.ndarray, "resample statistic"]
]

_BLOCK = 2**19  # weights at a time: 4 MiB, so that a resample costs arithmetic and not memory
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A value and where it may lie; NaN bounds if no resample defines it."""

    value: float
    low: float
    high: float
    method: IntervalMethod  # percentile where BCa was asked for but has no answer
    resamples: int  # those in which the value is defined
    groups: int

    @property
    def estimate(self) -> Estimate:
        """The value with its bounds alone, as artifacts hold it."""
        return Estimate(value=self.value, low=self.low, high=self.high)


@dataclass(frozen=True, eq=False)
class ClusterBootstrap:
    """The resamples of one test set; equal groups and seed give equal resamples."""

    membership: Int[np.ndarray, " image"]  # index of the image's group
    groups: int
    resamples: int
    seed: int
    parts: tuple[int, ...]  # groups of each part, which are drawn among themselves

    @classmethod
    def of(
        cls,
        groups: Shaped[np.ndarray, " image"],
        resamples: int,
        seed: int,
        parts: Int[np.ndarray, " image"] | None = None,
    ) -> "ClusterBootstrap":
        """Resample images by the name of their group.

        Args:
            groups: the group of each image.
            resamples: how many.
            seed: equal ones give equal resamples.
            parts: which sample each image is of, 0, 1, ..., where there are several that were
                collected apart, so that each has as many groups in every resample as it has. A
                group is of one part.

        Raises:
            ValueError: there are fewer than two groups or there is no resample.
        """
        names, first, membership = np.unique(groups, return_index=True, return_inverse=True)
        if len(names) < 2 or resamples < 1:
            raise ValueError(
                f"{len(names)} groups cannot be resampled {resamples} times: an interval needs at "
                "least 2 groups; usually all images carry the same subject id. Check the group "
                "column, or give each image its own group if they are independent."
            )
        if parts is None:
            return cls(membership, len(names), resamples, seed, (len(names),))
        order = np.argsort(parts[first], kind="stable")  # of the groups: part by part
        membership = np.argsort(order)[membership]
        sizes = np.bincount(parts[first])
        return cls(membership, len(names), resamples, seed, tuple(sizes[sizes > 0].tolist()))

    def replicate(self, statistic: Statistic, method: IntervalMethod = "bca") -> "Replicates":
        """Compute statistics on the sample, on each resample and, for BCa, without each group."""
        whole = statistic(np.ones((1, len(self.membership))))
        resampled = list(_in_threads(statistic, self._drawn()))
        without = list(_in_threads(statistic, self._without())) if method == "bca" else [whole[:0]]
        return Replicates(
            value=whole[0],
            resampled=np.concatenate(resampled),
            without=np.concatenate(without),
            source=self,
        )

    def _drawn(self) -> Iterator[Float64[np.ndarray, "resample image"]]:
        """Yield blocks of resamples: how often each image was drawn.

        An image's weights lie together in memory, as what sums along sorted images wants them.
        """
        generator = np.random.default_rng(self.seed)
        for first, last in self._blocks(self.resamples):
            drawn = np.concatenate(
                [
                    generator.integers(start, start + count, size=(last - first, count))
                    for start, count in zip(accumulate((0, *self.parts)), self.parts, strict=False)
                ],
                axis=1,
            )
            drawn += self.groups * np.arange(last - first)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
            yield counts.T.astype(np.float64)[self.membership].T

    def _without(self) -> Iterator[Float64[np.ndarray, "group image"]]:
        """Yield blocks of the jackknife: the sample without one group each."""
        for first, last in self._blocks(self.groups):
            left_out = np.arange(first, last)
            yield (self.membership[:, None] != left_out).astype(np.float64).T

    def _blocks(self, rows: int) -> Iterator[tuple[int, int]]:
        step = max(1, _BLOCK // len(self.membership))
        return ((first, min(first + step, rows)) for first in range(0, rows, step))


@dataclass(frozen=True, eq=False)
class Replicates:
    """Some statistics of a sample, of its resamples, and of the sample without each group.

    The last has no rows where only percentile intervals were wanted.
    """

    value: Float64[np.ndarray, " statistic"]
    resampled: Float64[np.ndarray, "resample statistic"]
    without: Float64[np.ndarray, "group statistic"]
    source: ClusterBootstrap

    def __sub__(self, other: "Replicates") -> "Replicates":
        """Return the paired differences.

        Raises:
            ValueError: the two come from different resamples.
        """
        if self.source is not other.source:
            raise ValueError(
                "these statistics come from different resamples, so their differences are not "
                "paired. Replicate both with the same ClusterBootstrap."
            )
        return Replicates(
            self.value - other.value,
            self.resampled - other.resampled,
            self.without - other.without,
            self.source,
        )

    def columns(self, which: slice) -> "Replicates":
        """Return some of the statistics."""
        return replace(
            self,
            value=self.value[which],
            resampled=self.resampled[:, which],
            without=self.without[:, which],
        )

    def intervals(self, method: IntervalMethod, confidence: float) -> tuple[Interval, ...]:
        """Return one interval a statistic, of coverage `confidence`.

        "percentile" cuts (1 - confidence) / 2 off both ends of the resampled values. "bca" moves
        the cuts for bias and skew (Efron, 1987): with z = Phi^-1(share of resamples below the
        value), acceleration a from the jackknife over groups, and u either normal quantile,

            cut = Phi(z + (z + u) / (1 - a (z + u)))

        If a cut lies beyond the outermost resample, as for a calibration error that resampling
        only ever raises, BCa has no answer and the percentile interval is given, and named so.

        Resamples in which a statistic is NaN (no class had images) are left out and not counted.

        Raises:
            ValueError: BCa is asked of what was replicated for percentile intervals.
        """
        if method == "bca" and not len(self.without):
            raise ValueError(
                "BCa needs the statistics without each group, and these were replicated for "
                "percentile intervals. Replicate them with method bca."
            )
        tail = (1 - confidence) / 2
        plain = method == "percentile" and len(self.resampled) > 0
        whole = plain & ~np.isnan(self.resampled).any(axis=0)
        ends = np.zeros((2, len(whole)))
        if whole.any():  # all at once, which takes less than each alone
            ends[:, whole] = np.quantile(self.resampled[:, whole], (tail, 1 - tail), axis=0)
        return tuple(
            self._told(column, low, high, "percentile", len(self.resampled))
            if whole[column]
            else self._interval(column, method, tail)
            for column, (low, high) in enumerate(ends.T)
        )

    def _interval(self, column: int, method: IntervalMethod, tail: float) -> Interval:
        value, resampled = float(self.value[column]), _defined(self.resampled[:, column])
        cuts = None
        if method == "bca":
            cuts = _bca_cuts(value, resampled, _defined(self.without[:, column]), tail)
        known = resampled if len(resampled) else np.array([np.nan])
        low, high = np.quantile(known, cuts or (tail, 1 - tail))
        return self._told(column, low, high, "bca" if cuts else "percentile", len(resampled))

    def _told(
        self, column: int, low: float, high: float, method: IntervalMethod, resamples: int
    ) -> Interval:
        return Interval(
            value=float(self.value[column]),
            low=float(low),
            high=float(high),
            method=method,
            resamples=resamples,
            groups=self.source.groups,
        )


def doubted(interval: Interval, groups: int, confidence: float) -> Interval:
    """Return a share's interval with the doubt that a bootstrap has not where all agree.

    There every resample says the same. The bound is that of Clopper and Pearson (Biometrika, 1934)
    with each group as one trial: of g groups all right, the lower end is (a / 2)^(1 / g),
    a = 1 - confidence.
    """
    far = ((1 - confidence) / 2) ** (1 / groups)
    if interval.value == 1:
        return replace(interval, low=min(interval.low, far))
    if interval.value == 0:
        return replace(interval, high=max(interval.high, 1 - far))
    return interval


def _in_threads(
    statistic: Statistic, blocks: Iterator[Float64[np.ndarray, "resample image"]]
) -> Iterator[Float64[np.ndarray, "resample statistic"]]:
    """Yield the statistics of each block in their order, as many blocks at a time as threads.

    Nearly all of the work is in NumPy and SciPy, which let other threads run meanwhile. BLAS keeps
    to one thread each, or the cores would be asked for twice. A single block needs no other thread,
    whose start would take longer than a small one.
    """
    count = usual_threads()
    with one_thread_of_blas(), ThreadPoolExecutor(count) as threads:
        while some := list(islice(blocks, count)):
            yield from (threads.map if len(some) > 1 else map)(statistic, some)


def _defined(values: Float64[np.ndarray, " any"]) -> Float64[np.ndarray, " defined"]:
    return values[~np.isnan(values)]


def _bca_cuts(
    value: float,
    resampled: Float64[np.ndarray, " resample"],
    without: Float64[np.ndarray, " group"],
    tail: float,
) -> tuple[float, float] | None:
    """Return the shares of resamples below the two bounds, None where there are none such."""
    below = (resampled < value).sum() + (resampled == value).sum() / 2
    if not 0 < below < len(resampled):
        return None
    influence = without.mean() - without
    spread = (influence**2).sum() ** 1.5
    acceleration = float((influence**3).sum() / (6 * spread)) if spread else 0.0
    bias = _NORMAL.inv_cdf(float(below / len(resampled)))

    def cut(quantile: float) -> float:
        moved = bias + quantile
        return _NORMAL.cdf(bias + moved / (1 - acceleration * moved))

    low, high = cut(_NORMAL.inv_cdf(tail)), cut(_NORMAL.inv_cdf(1 - tail))
    resolution = 1 / len(resampled)
    return (low, high) if resolution <= low < high <= 1 - resolution else None
