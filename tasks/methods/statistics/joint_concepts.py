"""What a corrected concept tells of the others, and of the class: concepts that depend on another.

With up to `MOST_EXACT` concepts everything is counted out. For an image x of class y that shows the
concepts c (0 or 1),

    log p(c, y | x) = log p(y | x) + sum_j c_j (s_j e_j + t_yj) + sum_{j<l} J_jl c_j c_l - log Z_y,

where p(y | x) is a head's answer and e_j the evidence of concept j: the log-odds at which its score
is read, minus those of it in training. Z_y sums the rest over all c, so that the head's answer is
the model's where nothing is corrected. A correction holds c_j; everything else is a conditional of
the table. s, t and J are learned by pseudo-likelihood (Besag, The Statistician 1975): a logistic
regression a concept on its own evidence, the class and the other concepts, which an L2 penalty
pulls towards s = 1, J = 0 and one t for all classes; the mean of J_jl and J_lj counts. The idea is
that of Xu et al., Energy-based concept bottleneck models, ICLR 2024.

With more concepts they are normal: what the log-odds l_j lack to a sure reading of the truth,
r_j = v_j(c_j) - l_j, has a covariance C over the training images (Ledoit and Wolf, J. Multivariate
Analysis 2004), and once those of a set S are corrected to v_S, the others U are read at

    l_U + C_US C_SS^-1 (v_S - l_S)

(Vandenhirtz et al., Stochastic concept bottleneck models, NeurIPS 2024). v_j(1) and v_j(0) are the
95 % and the 5 % quantile of the log-odds in training. A head then looks at the scores that are read
so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Shaped
from scipy.special import expit, softmax

from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch

MOST_EXACT = 16
_L2_VALUES = (0.1, 0.03, 0.01, 0.003, 0.001)
_DEPENDENCE = (0.0, 0.3, 1.0)
"""Scales of the other concepts beside evidence and class: the smaller, the nearer J is to 0."""
_FOLDS = 5
_MOST_NUMBERS = 2**23  # of the images of problems that are solved at once, in memory
_SURE = 30.0  # log-odds beyond which nothing is surer
_LOW, _HIGH = 0.05, 0.95

_Evidence = Float64[np.ndarray, "image concept"]
_Present = Bool[np.ndarray, "image concept"]
_Order = Int[np.ndarray, "image look"]
_Logits = Float64[np.ndarray, "image class"]


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is believed of images after 0, 1, .. looks at concepts of each."""

    concepts: Float64[np.ndarray, "image step concept"]
    """Probability of presence; 0 or 1 once a look settled it."""
    class_evidence: Float64[np.ndarray, "image step class"]
    """What the looks add to the logits of a head, beside what it makes of corrected scores; told
    relative to the first class, and 0 before any look."""


@dataclass(frozen=True, eq=False)
class Looks:
    """Conditionals of `PairwiseConcepts` after 0, 1, .. looks, whatever the head."""

    log_evidence: Float64[np.ndarray, "image step class"]
    within: Float64[np.ndarray, "image step concept class"]
    """Probability of presence in images of a class."""

    def beliefs(self, logits: _Logits) -> Beliefs:
        """Return what is believed where a head gives these logits before any look."""
        gained = self.log_evidence - self.log_evidence[:, :1]
        of_class = softmax(logits[:, None] + gained, axis=2)
        concepts = (self.within @ of_class[..., None])[..., 0]
        return Beliefs(concepts, gained - gained[..., :1])


@dataclass(frozen=True, eq=False)
class PairwiseConcepts:
    """The counted-out model; s, t and J of the formula above."""

    slope: Float64[np.ndarray, " concept"]
    class_effect: Float64[np.ndarray, "class concept"]
    coupling: Float64[np.ndarray, "concept concept"]
    """Symmetric, with nothing on its diagonal."""
    l2: float = 0.0
    """Chosen by folds."""

    def look(self, evidence: _Evidence, order: _Order, present: _Present, known: _Present) -> Looks:
        """Return the conditionals as concepts are looked at, one after another.

        Args:
            evidence: e of the formula; what is NaN says nothing.
            order: which concept of each image is looked at first, second, ...
            present: what a look finds.
            known: whether it finds anything; else the concept stays as it was.
        """
        images = zip(self.slope * _tamed(evidence), order, present, known, strict=True)
        found = [self._look(*image) for image in images]
        return Looks(np.stack([x for x, _ in found]), np.stack([x for _, x in found]))

    def together(
        self, evidence: _Evidence, classes: Int[np.ndarray, " image"]
    ) -> Float64[np.ndarray, "image concept concept"]:
        """Return how probably two concepts are both there, given the class; once on the diagonal.

        Args:
            evidence: as for `look`.
            classes: of each image.
        """
        on, made = self._configurations, []
        for told, k in zip(self.slope * _tamed(evidence), classes, strict=True):
            shares = softmax(self._fixed[:, k] + on @ told)
            made.append(on.T @ (on * shares[:, None]))
        return np.stack(made)

    @cached_property
    def _configurations(self) -> Float64[np.ndarray, "configuration concept"]:
        count = len(self.slope)
        return (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(np.float64)

    @cached_property
    def _fixed(self) -> Float64[np.ndarray, "configuration class"]:
        """What a configuration weighs in each class, whatever the image."""
        on = self._configurations
        pairs = ((on @ self.coupling) * on).sum(1) / 2
        return on @ self.class_effect.T + pairs[:, None]

    def _look(
        self,
        told: Float64[np.ndarray, " concept"],
        order: Int[np.ndarray, " look"],
        present: Bool[np.ndarray, " concept"],
        known: Bool[np.ndarray, " concept"],
    ) -> tuple[Float64[np.ndarray, "step class"], Float64[np.ndarray, "step concept class"]]:
        on = self._configurations
        weights = self._fixed + (on @ told)[:, None]
        state = _conditionals(on, weights)
        states = [state]
        for look in order.tolist():
            if known[look]:
                kept = on[:, look] == present[look]
                on, weights = on[kept], weights[kept]
                state = _conditionals(on, weights)
            states.append(state)
        evidence, within = zip(*states, strict=True)
        return np.stack(evidence), np.stack(within)


def _conditionals(
    on: Float64[np.ndarray, "configuration concept"],
    weights: Float64[np.ndarray, "configuration class"],
) -> tuple[Float64[np.ndarray, " class"], Float64[np.ndarray, "concept class"]]:
    """Return the log of the sum over configurations, and how often each concept is on."""
    top = weights.max(0)
    shares = np.exp(weights - top)
    total = shares.sum(0)
    return top + np.log(total), (on.T @ (shares / total)).clip(0, 1)


def fit_pairwise(
    evidence: _Evidence,
    present: _Present,
    known: _Present,
    labels: Int[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
    class_count: int,
    *,
    seed: int = 0,
    coupled: bool = True,
    l2_values: Sequence[float] = _L2_VALUES,
) -> PairwiseConcepts:
    """Learn how concepts depend on each other and on the class.

    The strength, and how much harder J is held at 0 than the rest, are those of the lowest log loss
    of folds of whole groups, over all concepts; ties go to the strongest, and so to J = 0. Another
    concept of unknown truth counts as what its evidence makes probable.

    Args:
        evidence: e of the formula, of images that it was not learned from.
        present: whether an image shows a concept; looked at only where that is known.
        known: whether it was ever said.
        labels: the class of each image.
        groups: images of one group share a fold.
        class_count: how many classes there are.
        seed: of the folds.
        coupled: whether concepts may depend on each other within a class; otherwise J = 0.
        l2_values: strengths to choose from.
    """
    strengths = sorted(l2_values, reverse=True)
    names, member = np.unique(groups, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % _FOLDS)[member]
    told = _tamed(evidence)
    filled = np.where(known, present, expit(told + _log_odds(present, known)))
    class_of = np.eye(class_count)[labels]

    def questions(scale: float) -> _Questions:
        features = []
        for j in range(evidence.shape[1]):
            others = scale * np.delete(filled, j, axis=1) if scale else filled[:, :0]
            features.append(np.hstack([told[:, [j]], class_of, others]))
        return _Questions(np.stack(features), told.T, present.T, known.T, fold)

    tried = {scale: questions(scale) for scale in (_DEPENDENCE if coupled else _DEPENDENCE[:1])}
    lost = {
        (scale, l2): loss
        for scale, asked in tried.items()
        for l2, loss in zip(strengths, asked.losses(strengths), strict=True)
    }
    scale, l2 = min(lost, key=lost.__getitem__)
    weights, bias = (x[:, 0, 0] for x in tried[scale].solve(np.ones((1, len(fold)), bool), [l2]))
    coupling = np.zeros((evidence.shape[1],) * 2)
    if scale:
        of_others = ~np.eye(len(coupling), dtype=bool)
        coupling[of_others] = scale * weights[:, 1 + class_count :].ravel()
    effect = weights[:, 1 : 1 + class_count] + bias[:, None]
    return PairwiseConcepts(1 + weights[:, 0], effect.T, (coupling + coupling.T) / 2, l2)


@dataclass(frozen=True, eq=False)
class _Questions:
    """Whether images show a concept, asked of its evidence, the class and the other concepts."""

    features: Float64[np.ndarray, "concept image feature"]
    offset: Float64[np.ndarray, "concept image"]
    present: Bool[np.ndarray, "concept image"]
    known: Bool[np.ndarray, "concept image"]
    fold: Int[np.ndarray, " image"]

    def solve(
        self, rows: Bool[np.ndarray, "part image"], strengths: Sequence[float]
    ) -> tuple[
        Float64[np.ndarray, "concept part value feature"], Float64[np.ndarray, "concept part value"]
    ]:
        """Return weights and bias by some of the rows; the bias alone where all answer the same."""
        _, images, features = self.features.shape
        counted = self.known[:, None] & rows
        shown = (counted & self.present[:, None]).sum(2)
        hidden = counted.sum(2) - shown
        bias = _odds(shown, hidden)[..., None].repeat(len(strengths), axis=2)
        weights = np.zeros((*bias.shape, features))
        mixed = np.argwhere((shown > 0) & (hidden > 0))
        numbers = len(mixed) * images * (features + 2 * len(strengths))
        batches = min(len(mixed), 1 + numbers // _MOST_NUMBERS)
        for some in np.array_split(mixed, batches) if batches else ():
            weights[*some.T], bias[*some.T] = self._solve(some, counted, strengths)
        return weights, bias

    def _solve(
        self,
        problems: Int[np.ndarray, "problem 2"],
        counted: Bool[np.ndarray, "concept part image"],
        strengths: Sequence[float],
    ) -> tuple[Float64[np.ndarray, "problem value feature"], Float64[np.ndarray, "problem value"]]:
        """Solve for some concepts and parts as one batch."""
        concept = problems[:, 0]
        here = counted[*problems.T]
        used = here.any(0)
        offset = self.offset[concept][:, used]
        solved = solve_logistic_batch(
            torch.from_numpy(self.features[concept][:, used]),
            torch.from_numpy(self.present[concept][:, used].astype(np.int64)),
            2,
            strengths,
            counted=torch.from_numpy(here[:, used]),
            offsets=torch.from_numpy(np.stack([np.zeros_like(offset), offset], axis=2))[
                :, None
            ].expand(-1, len(strengths), -1, -1),
        )
        weights, bias = solved.weights, solved.bias
        return (weights[:, :, 1] - weights[:, :, 0]).numpy(), (bias[..., 1] - bias[..., 0]).numpy()

    def losses(self, strengths: Sequence[float]) -> Float64[np.ndarray, " value"]:
        """Return the log loss of each strength, summed over images held out of the fit."""
        held = self.fold == np.unique(self.fold)[:, None]
        weights, bias = self.solve(~held, strengths)
        lost = np.zeros(len(strengths))
        for rows, by, base in zip(held, weights.swapaxes(0, 1), bias.swapaxes(0, 1), strict=True):
            logits = by @ self.features[:, rows].mT + base[..., None] + self.offset[:, None, rows]
            surprise = np.where(self.present[:, None, rows], -logits, logits)
            lost += (np.logaddexp(0, surprise) * self.known[:, None, rows]).sum((0, 2))
        return lost


@dataclass(frozen=True, eq=False)
class NormalConcepts:
    """The model of many concepts; `low` and `high` are v(0) and v(1) of the formula above."""

    low: Float64[np.ndarray, " concept"]
    high: Float64[np.ndarray, " concept"]
    covariance: Float64[np.ndarray, "concept concept"]

    def beliefs(
        self,
        log_odds: _Evidence,
        per_log_odds: Float64[np.ndarray, "class concept"],
        order: _Order,
        present: _Present,
        known: _Present,
    ) -> Beliefs:
        """Return what is believed as concepts are looked at, one after another.

        Args:
            log_odds: at which each concept is read.
            per_log_odds: what one more of a concept's log-odds adds to the head's logits.
            order: which concept of each image is looked at first, second, ...
            present: what a look finds.
            known: whether it finds anything; else the concept stays as it was.
        """
        read = _tamed(log_odds)
        looked = np.zeros_like(known)
        image = np.arange(len(read))
        moved = [np.zeros_like(read)]
        settled = [looked.copy()]
        for column in order.T:
            looked[image, column] |= known[image, column]
            moved.append(self._moved(read, looked, present))
            settled.append(looked.copy())
        shift, sure = np.stack(moved, axis=1), np.stack(settled, axis=1)
        concepts = np.where(sure, present[:, None], expit(read[:, None] + shift))
        gained = shift @ per_log_odds.T
        return Beliefs(concepts, gained - gained[..., :1])

    def _moved(self, read: _Evidence, looked: _Present, present: _Present) -> _Evidence:
        """Return what other concepts' log-odds move by."""
        moved = np.zeros_like(read)
        lacking = np.where(present, self.high, self.low) - read
        for i in np.flatnonzero(looked.any(1)):
            s, u = np.flatnonzero(looked[i]), np.flatnonzero(~looked[i])
            weights = np.linalg.solve(self.covariance[np.ix_(s, s)], lacking[i, s])
            moved[i, u] = self.covariance[np.ix_(u, s)] @ weights
        return moved


def fit_normal(log_odds: _Evidence, present: _Present, known: _Present) -> NormalConcepts:
    """Learn how what concepts' log-odds lack goes together; what is unknown lacks what is usual.

    Args:
        log_odds: at which each concept is read, of images that the reading was not learned from.
        present: whether an image shows a concept; looked at only where that is known.
        known: whether it was ever said.
    """
    from sklearn.covariance import ledoit_wolf

    read = _tamed(log_odds)
    low, high = np.quantile(read, [_LOW, _HIGH], axis=0)
    lacking = np.where(present, high, low) - read
    mean = (lacking * known).sum(0) / known.sum(0).clip(1)
    return NormalConcepts(low, high, ledoit_wolf(np.where(known, lacking, mean))[0])


def _log_odds(present: _Present, known: _Present) -> Float64[np.ndarray, " concept"]:
    """Return log-odds of presence in training, half an image more with either answer."""
    shown = (present & known).sum(0)
    return _odds(shown, known.sum(0) - shown)


def _odds(
    shown: Int[np.ndarray, "*any"], hidden: Int[np.ndarray, "*any"]
) -> Float64[np.ndarray, "*any"]:
    return np.log((shown + 0.5) / (hidden + 0.5))


def _tamed(log_odds: _Evidence) -> _Evidence:
    return np.nan_to_num(log_odds, nan=0.0, posinf=_SURE, neginf=-_SURE).clip(-_SURE, _SURE)
