"""Do two samples of images come from one source? Tests by exchanging whole groups between them.

Where nothing changed, any of the groups (patients, lesions) could as well stand in the other
sample, so what is seen is one of many equally likely deals, whatever images of a group have in
common: p = (1 + deals at least as extreme) / (1 + deals) (Phipson and Smyth, 2010). That is exact
where both samples have groups of one kind. Differences are told over the standard error that the
sizes of the groups of a deal give them, so that the test also holds, in large samples, where one
sample has more images of a group than the other. That error rests on how alike images of a group
are in all samples together; one for each sample and deal, as of Student's, cost a batch of eight
patients a quarter of its power.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped
from scipy.sparse import csr_array
from scipy.stats import rankdata

_Values = Float64[np.ndarray, "image column"]
_Deals = Float64[np.ndarray, "deal group"]
_BySum = Float64[np.ndarray, "group column"]
_CLOSE = 1e-9  # sums of equal numbers may differ in the last digits
_NONE = 1e-15


@dataclass(frozen=True, eq=False)
class Dealt:
    """Which groups stand in the second sample, as it is and in every other deal."""

    group_of: Int[np.ndarray, " image"]
    second: _Deals
    """1 where a group stands in the second sample; the first row is as it is."""

    @classmethod
    def of(
        cls,
        groups: Shaped[np.ndarray, " image"],
        in_second: Bool[np.ndarray, " image"],
        deals: int,
        seed: int,
    ) -> "Dealt":
        """Deal whole groups anew, as many to the second sample as it has.

        Raises:
            ValueError: a group stands in both samples, or one has fewer than two groups.
        """
        _, group_of = np.unique(groups, return_inverse=True)
        count = int(group_of.max()) + 1
        share = np.bincount(group_of, in_second) / np.bincount(group_of)
        here = share > 0
        if not np.isin(share, (0, 1)).all():
            raise ValueError("a group stands in both samples, and could not be dealt whole")
        if min(here.sum(), (~here).sum()) < 2:
            raise ValueError("two groups at least are needed in each sample")
        generator = np.random.default_rng(seed)
        order = generator.random((deals, count)).argsort(axis=1)
        dealt = np.zeros((deals + 1, count))
        dealt[0] = here
        np.put_along_axis(dealt[1:], order[:, : here.sum()], 1, axis=1)
        return cls(group_of, dealt)

    @cached_property
    def sizes(self) -> Float64[np.ndarray, " group"]:
        """Images of each group."""
        return np.bincount(self.group_of).astype(np.float64)

    def sums(self, values: Float64[np.ndarray, "image column"]) -> _BySum:
        """Return the sum of each group's rows."""
        member = csr_array((np.ones(len(self.group_of)), (self.group_of, np.arange(len(values)))))
        return np.asarray(member @ values)

    def steps(self, values: _Values) -> Float64[np.ndarray, "deal column"]:
        """Return how far the second sample's mean is above the first's, in standard errors."""
        values = values - values.mean(axis=0)
        sums = self.sums(values)
        in_second = self.second @ sums
        images = (self.second @ self.sizes)[:, None]
        ahead = in_second / images + in_second / (len(values) - images)  # all sum to nothing
        square = np.square(values).sum(axis=0) / len(values)
        pairs = (self.sizes**2).sum() - len(values)
        alike = (
            (np.square(sums).sum(axis=0) - len(values) * square) / pairs if pairs else 0 * square
        )
        variance = self._variances(square, np.clip(alike, 0, square))
        return np.asarray(ahead / np.where(variance > _NONE, np.sqrt(variance), np.inf))

    def discrepancies(
        self, vectors: Float32[np.ndarray, "image dim"]
    ) -> Float64[np.ndarray, " deal"]:
        """Return the squared maximum mean discrepancy of both samples, by pairs of other groups.

        The kernel is Gaussian, as wide as the median distance (Gretton et al., A kernel two-sample
        test, JMLR 2012); pairs within a group are left out, since these are alike in any case. It
        is told over what chance alone would make of it, as the samples' sizes are.
        """
        squared = np.maximum(2 - 2 * (vectors @ vectors.T).astype(np.float64), 0)
        kernel = np.exp(-squared / np.median(squared))
        between = self.sums(self.sums(kernel).T)
        within, images = np.trace(between) - len(vectors), (self.sizes**2).sum()
        np.fill_diagonal(between, 0)
        apart = between.sum() / (len(vectors) ** 2 - images)
        alike = within / (images - len(vectors)) if images > len(vectors) else apart
        second, first = self.second, 1 - self.second

        def mean(a: _Deals, b: _Deals, same: bool) -> Float64[np.ndarray, " deal"]:
            pairs = (a @ self.sizes) * (b @ self.sizes) - same * (a @ self.sizes**2)
            return np.asarray(((a @ between) * b).sum(axis=1) / pairs)

        apart_in = mean(second, second, True), mean(first, first, True), mean(second, first, False)
        spread = np.array([1 - apart]), np.array([np.clip(alike - apart, 0, 1 - apart)])
        chance = self._variances(*spread)[:, 0]
        return (apart_in[0] + apart_in[1] - 2 * apart_in[2]) / np.maximum(chance, _NONE)

    def _variances(
        self, square: Float64[np.ndarray, " column"], alike: Float64[np.ndarray, " column"]
    ) -> Float64[np.ndarray, "deal column"]:
        """Return the variance of the difference of both means in each deal.

        Args:
            square: mean square of a value.
            alike: mean product of the values of two images of one group.
        """
        total = 0.0
        for dealt in (self.second, 1 - self.second):
            images, pairs = (dealt @ self.sizes)[:, None], (dealt @ self.sizes**2)[:, None]
            total = total + (images * square + (pairs - images) * alike) / images**2
        return np.asarray(total)


@dataclass(frozen=True, eq=False)
class Changes:
    """What became of each column from the first sample to the second."""

    above: Float64[np.ndarray, " column"]
    """The chance that an image of the second sample has a higher value than one of the first."""
    p_value: Float64[np.ndarray, " column"]
    """Two-sided, of this column alone."""
    family_p_value: Float64[np.ndarray, " column"]
    """Corrected for having looked at all columns."""


def changed_columns(dealt: Dealt, values: _Values) -> Changes:
    """Test all columns at once, by ranks, so that only their order counts.

    The family's p compares with the largest change of each deal (Westfall and Young, 1993): it
    holds whatever columns have in common, where Holm's would take them for as many as there are.
    """
    ranks = rankdata(values, axis=0) / len(values)
    steps = np.abs(dealt.steps(ranks))
    largest = steps[1:].max(axis=1, keepdims=True, initial=0)
    in_second = dealt.second[0][dealt.group_of] > 0
    ahead = ranks[in_second].mean(axis=0) - ranks[~in_second].mean(axis=0)
    others = np.broadcast_to(largest, steps[1:].shape)
    return Changes(
        0.5 + ahead, share_beyond(steps), share_beyond(np.concatenate([steps[:1], others]))
    )


def share_beyond(
    statistic: Float64[np.ndarray, "deal *column"],
) -> Float64[np.ndarray, "*column"]:
    """Return the p-value of what is large where samples differ; the first deal is the real one."""
    others = (statistic[1:] >= statistic[0] - _CLOSE).sum(axis=0)
    return np.asarray((1 + others) / len(statistic), dtype=np.float64)


def holm(p_values: Float64[np.ndarray, " test"]) -> Float64[np.ndarray, " test"]:
    """Return p-values corrected for being several (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
