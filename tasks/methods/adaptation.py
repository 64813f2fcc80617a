"""Adapting a linear head to a new site by a few labelled images: a ladder, whose foot is nothing.

A head says z = W s + b of an image's features s. At another site s moves, and for a linear head a
shift of all means is an offset of the logits, since W (s - d) + b = W s + b - W d. Logits are
centred over classes throughout: decisions depend on nothing else. The rungs, each on top of the
offset:

- offset: d, the mean over classes of how far the class's logits lie from its mean at home, times
  |d|^2 / (|d|^2 + variance / n), the variance being that within classes at home.
- mean and scale: each feature's deviation from the site's centre over its ratio of standard
  deviations within classes, site to home; the logs of all ratios are shrunk as the offset is.
- mask and amplify, of features that are concepts: the tenth that speaks most for wrong answers
  says nothing, and one that tells classes less apart than at home counts more, at most 3 times.
- pulled residual: V (s - centre), fitted with (l2 / 2) ||V||^2 and the offset head standing still.

Most of the value is in leaving a head alone that had better be. An image that was left out is
judged by the others: the gain is the fall of its log loss, every class counting the same, and its
standard error is that of resampling the support class by class. The first step away from nothing
needs a gain above one standard error that also is larger than all but 5 % of those of supports of
the same size that are drawn at home. Without it the climb ends there, so a support that follows
home changes nothing 19 times in 20. Every later rung needs a gain above one standard error over
the rung that stands. What it does to the weights, the offset apart, may cost home's images at most
.01 balanced accuracy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int
from scipy.special import digamma, log_softmax

from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch

NOTHING, OFFSET = "nothing", "shrunk offset"
SCALE, MASK, RESIDUAL = "mean and scale", "mask and amplify", "pulled residual"
RUNGS = (OFFSET, SCALE, MASK, RESIDUAL)
LEVEL = 0.05
"""How often a support that follows home may change the head."""
MOST_LOST_AT_HOME = 0.01
"""Balanced accuracy that new weights may cost home's images, the offset apart."""
_DRAWS = 399  # supports drawn at home; with the one at hand they make p-values of 400 steps
_MOST_AMPLIFIED = 3.0
_MASKED_SHARE = 0.1
_L2 = 1.0  # of the residual, on features of unit mean variance: a prior worth all images together

_Logits = Float64[np.ndarray, "image class"]
_Features = Float64[np.ndarray, "image feature"]
_Labels = Int[np.ndarray, " image"]


class Weights(NamedTuple):
    """A head: `logits = features @ weights.T + bias`."""

    weights: Float64[np.ndarray, "class feature"]
    bias: Float64[np.ndarray, " class"]

    def logits(self, features: _Features) -> _Logits:
        """Return one logit an image and class."""
        return features @ self.weights.T + self.bias


@dataclass(frozen=True)
class Tried:
    """What images that were left out say of a rung."""

    rung: str
    loss: float
    """Mean log loss, every class counting the same."""
    gain: float
    """By how much it is below that of the rung that stood; NaN of nothing."""
    standard_error: float
    """Of the gain, over resamples of the support; NaN of nothing."""
    lost_at_home: float
    """Balanced accuracy that the changed weights cost home's images, the offset apart."""
    taken: bool


@dataclass(frozen=True)
class Choice:
    """The head for the new site, and why it is this one."""

    rung: str
    head: Weights
    """The very weights that were given where nothing was taken."""
    offset: Float64[np.ndarray, " class"]
    """What is subtracted from the logits; zeros where nothing was taken."""
    p_value: float
    """Share of supports drawn at home whose offset gains as much."""
    tried: tuple[Tried, ...]
    """Nothing, then every rung that the support can give, in the ladder's order."""


@dataclass(frozen=True)
class Home:
    """The head at the site it was trained at, and images of that site it was not trained on."""

    head: Weights
    features: _Features
    labels: _Labels

    def __post_init__(self) -> None:
        """Refuse a class of which nobody knows how it scatters."""
        counts = np.bincount(self.labels, minlength=self.classes)
        if counts.min() < 2:
            raise ValueError(
                f"class {int(counts.argmin())} has {int(counts.min())} held-out images at home; at "
                "least 2 of each class are needed to know how far apart they lie"
            )

    @property
    def classes(self) -> int:
        """K."""
        return len(self.head.bias)

    @cached_property
    def means(self) -> Float64[np.ndarray, "class class"]:
        """Mean centred logits of each class, one row a class."""
        return class_means(_centred(self.head.logits(self.features)), self.labels)

    @cached_property
    def variances(self) -> Float64[np.ndarray, " class"]:
        """Sum over logits of each class's variance."""
        logits = _centred(self.head.logits(self.features))
        parts = (logits[self.labels == k] for k in range(self.classes))
        return np.array([part.var(axis=0, ddof=1).sum() for part in parts])

    def noise(self, labels: _Labels) -> float:
        """Return how far the offset of a support of these labels lies from 0 at home, squared."""
        counts = np.bincount(labels, minlength=self.classes)
        there = counts > 0
        return float((self.variances[there] / counts[there]).sum() / there.sum() ** 2)

    def supports(
        self, labels: _Labels, draws: int, seed: int
    ) -> Float64[np.ndarray, "draw image class"]:
        """Return logits of supports of these labels that are drawn at home.

        Deviations from the class's mean are drawn, longer by what the mean took of them and by
        what it may be wrong itself, so that few images at home do not look closer than they are.
        """
        generator = np.random.default_rng(seed)
        logits, means = _centred(self.head.logits(self.features)), self.means
        drawn = means[labels][None].repeat(draws, axis=0)
        for k, n in enumerate(np.bincount(labels, minlength=self.classes)):
            own = logits[self.labels == k] - means[k]
            size = len(own)
            longer = np.sqrt(size / (size - 1) * (1 + n / size))
            drawn[:, labels == k] += longer * own[generator.integers(size, size=(draws, n))]
        return drawn


def adapt(
    home: Home,
    features: _Features,
    labels: _Labels,
    *,
    concepts: bool,
    seed: int = 0,
    rungs: Sequence[str] = RUNGS,
) -> Choice:
    """Return the head for a new site, which is the given one where that had better be left alone.

    The order of the images does not matter.

    Args:
        home: the head, and what it says at home.
        features: of the support images; what the head looks at.
        labels: theirs, of at least two classes. With fewer than two images of any class only the
            offset is tried; an image that is its class's only one is judged by the other classes.
        concepts: whether the features are concepts, which alone can be masked and amplified.
        seed: of the supports drawn at home.
        rungs: that are tried.

    Raises:
        ValueError: the support is of fewer than two classes.
    """
    counts = np.bincount(labels, minlength=home.classes)
    if (counts > 0).sum() < 2:
        raise ValueError("the support images are of fewer than two classes")
    order = np.lexsort((*features.T, labels))
    features, labels = features[order], labels[order]
    able = [r for r in rungs if r == OFFSET or counts.min() > 1]
    able = [r for r in able if r != MASK or concepts]
    images = np.arange(len(labels))
    standing = -log_softmax(home.head.logits(features), axis=1)[images, labels]
    best, head, offset = NOTHING, home.head, np.zeros(home.classes)
    tried = [Tried(NOTHING, float(_by_class(standing, labels)), np.nan, np.nan, 0.0, True)]
    p_value = 1.0
    for rung in able:
        losses = _left_out_losses(rung, home, features, labels)
        gains = standing - losses
        gain, error = float(_by_class(gains, labels)), resampling_error(gains, labels)
        made, new_offset = _FITS[rung](home, features, labels)
        lost = _lost_at_home(home, made)
        if rung == OFFSET:
            at_home = offset_gains(home, home.supports(labels, _DRAWS, seed), labels)
            farther = int((_by_class(at_home, labels) >= gain).sum())
            p_value = (1 + farther) / (1 + _DRAWS)
            taken = gain > error and p_value <= LEVEL
        else:
            taken = best != NOTHING and gain > error and lost <= MOST_LOST_AT_HOME
        if taken:
            best, head, offset, standing = rung, made, new_offset, losses
        tried.append(Tried(rung, float(_by_class(losses, labels)), gain, error, lost, bool(taken)))
    return Choice(best, head, offset, p_value, tuple(tried))


def class_means(
    values: Float64[np.ndarray, "image value"], labels: _Labels
) -> Float64[np.ndarray, "class value"]:
    """Return the mean of every class that occurs, in their order."""
    return np.stack([values[labels == k].mean(axis=0) for k in np.unique(labels)])


def offset_of(home: Home, logits: _Logits, labels: _Labels) -> Float64[np.ndarray, " class"]:
    """Return the shrunk offset that a support's logits say of its site."""
    deviations = _centred(logits) - home.means[labels]
    return shrunk(class_means(deviations, labels).mean(axis=0), home.noise(labels))


def shrunk(
    shift: Float64[np.ndarray, "*draw class"], noise: float | Float64[np.ndarray, "image 1"]
) -> Float64[np.ndarray, "*draw class"]:
    """Return shift |shift|^2 / (|shift|^2 + noise)."""
    length = np.square(shift).sum(axis=-1, keepdims=True)
    return shift * (length / np.maximum(length + noise, np.finfo(float).tiny))


def offset_gains(
    home: Home, logits: Float64[np.ndarray, "draw image class"], labels: _Labels
) -> Float64[np.ndarray, "draw image"]:
    """Return by how much each image's log loss falls by the offset of all others of its support.

    All supports at once: without image i of class k the shift is d - (x_i - m_k) / ((n_k - 1) K),
    and d K / (K - 1) - x_i / (K - 1) where it was the only one; K classes occur.
    """
    deviations = _centred(logits) - home.means[labels]
    counts = np.bincount(labels, minlength=home.classes)
    present = np.flatnonzero(counts)
    means = np.zeros((len(logits), home.classes, home.classes))
    for k in present:
        means[:, k] = deviations[:, labels == k].mean(axis=1)
    shift, classes = means[:, present].mean(axis=1), len(present)
    left_out = np.empty_like(deviations)
    noise = np.empty(len(labels))
    for i, k in enumerate(labels):
        if counts[k] > 1:
            own = deviations[:, i] - means[:, k]
            left_out[:, i] = shift - own / ((counts[k] - 1) * classes)
        else:
            left_out[:, i] = (shift * classes - deviations[:, i]) / (classes - 1)
        noise[i] = home.noise(np.delete(labels, i))
    offsets = shrunk(left_out, noise[:, None])
    images = np.arange(len(labels))
    before = log_softmax(logits, axis=2)[:, images, labels]
    return np.asarray(log_softmax(logits - offsets, axis=2)[:, images, labels] - before)


def resampling_error(values: Float64[np.ndarray, " image"], labels: _Labels) -> float:
    """Return the standard error of the mean over classes, resampled class by class.

    That of resamples without number: sqrt(sum of variance / images of each class) / K. A class of
    one image does not vary, so that then all images are taken as of one class.
    """
    present, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    variances = [values[labels == k].var(ddof=1) for k in present]
    return float(np.sqrt(np.sum(variances / counts)) / len(present))


# --- rungs -----------------------------------------------------------------------------------


def _offset(
    home: Home, features: _Features, labels: _Labels
) -> tuple[Weights, Float64[np.ndarray, " class"]]:
    offset = offset_of(home, home.head.logits(features), labels)
    return Weights(home.head.weights, home.head.bias - offset), offset


def _scaled(
    home: Home, features: _Features, labels: _Labels
) -> tuple[Weights, Float64[np.ndarray, " class"]]:
    own, spread_home = _within(home.features, home.labels)
    here, spread_here = _within(features, labels)
    logs = np.log(np.maximum(spread_here, 1e-300)) - np.log(np.maximum(spread_home, 1e-300))
    logs = np.where((spread_here > 0) & (spread_home > 0), logs, 0.0)
    # the log of a mean of squares is below that of what it estimates (its mean is a digamma's)
    bias = [digamma(df / 2) - np.log(df / 2) for df in (here, own)]
    ratios = shrunk((logs - bias[0] + bias[1]) / 2, len(logs) * (1 / here + 1 / own) / 2)
    return _about_centre(home, features, labels, home.head.weights / np.exp(ratios))


def _masked(
    home: Home, features: _Features, labels: _Labels
) -> tuple[Weights, Float64[np.ndarray, " class"]]:
    at_offset, _ = _offset(home, features, labels)
    weights = home.head.weights
    means = class_means(features, labels)
    images, wrong = np.arange(len(labels)), at_offset.logits(features).argmax(axis=1)
    pushed = (weights[wrong] - weights[labels]) * (features - means[labels])
    confusion = pushed[images[wrong != labels]].sum(axis=0)
    strongest = np.argsort(-confusion, kind="stable")[
        : int(np.ceil(_MASKED_SHARE * len(confusion)))
    ]
    gains = np.clip(
        np.sqrt(_apart(home.features, home.labels) / np.maximum(_apart(features, labels), 1e-12)),
        1,
        _MOST_AMPLIFIED,
    )
    gains[strongest[confusion[strongest] > 0]] = 0
    mean = weights.mean(axis=0)
    return _about_centre(home, features, labels, mean + (weights - mean) * gains)


def _residual(
    home: Home, features: _Features, labels: _Labels
) -> tuple[Weights, Float64[np.ndarray, " class"]]:
    return _residuals(home, features[None], labels[None])[0]


def _residuals(
    home: Home,
    features: Float64[np.ndarray, "draw image feature"],
    labels: Int[np.ndarray, "draw image"],
) -> list[tuple[Weights, Float64[np.ndarray, " class"]]]:
    """Return the head with its residual for several supports of as many images, in one batch."""
    scale = float(np.sqrt(home.features.var(axis=0).mean())) or 1.0
    pairs = list(zip(features, labels, strict=True))
    centred = np.stack([(x - class_means(x, y).mean(axis=0)) / scale for x, y in pairs])
    offsets = np.stack([_offset(home, x, y)[0].logits(x) for x, y in pairs])
    solved = solve_logistic_batch(
        torch.from_numpy(centred),
        torch.from_numpy(labels),
        home.classes,
        [_L2],
        offsets=torch.from_numpy(offsets)[:, None],
        class_weight="balanced",
    )
    added = solved.weights[:, 0].numpy() / scale
    return [
        _about_centre(home, x, y, home.head.weights + v)
        for (x, y), v in zip(pairs, added, strict=True)
    ]


def _about_centre(
    home: Home, features: _Features, labels: _Labels, weights: Float64[np.ndarray, "class feature"]
) -> tuple[Weights, Float64[np.ndarray, " class"]]:
    """Give new weights the bias at which the site's centre has the logits of the offset head."""
    at_offset, offset = _offset(home, features, labels)
    centre = class_means(features, labels).mean(axis=0)
    bias = at_offset.bias + (home.head.weights - weights) @ centre
    return Weights(weights, bias), offset


_FITS: dict[
    str,
    Callable[[Home, _Features, _Labels], tuple[Weights, Float64[np.ndarray, " class"]]],
] = {OFFSET: _offset, SCALE: _scaled, MASK: _masked, RESIDUAL: _residual}


def _left_out_losses(
    rung: str, home: Home, features: _Features, labels: _Labels
) -> Float64[np.ndarray, " image"]:
    """Return the log loss of each image by what all others say."""
    images = np.arange(len(labels))
    logits = home.head.logits(features)
    if rung == OFFSET:
        before = -log_softmax(logits, axis=1)[images, labels]
        return np.asarray(before - offset_gains(home, logits[None], labels)[0])
    folds = [np.delete(images, i) for i in images]
    if rung == RESIDUAL:
        fits = _residuals(home, features[np.stack(folds)], labels[np.stack(folds)])
    else:
        fits = [_FITS[rung](home, features[fold], labels[fold]) for fold in folds]
    left_out = [made.logits(features[i : i + 1])[0] for i, (made, _) in enumerate(fits)]
    return np.asarray(-log_softmax(left_out, axis=1)[images, labels])


def _lost_at_home(home: Home, made: Weights) -> float:
    """Return the balanced accuracy that new weights cost home, at home's own centre."""
    centre = class_means(home.features, home.labels).mean(axis=0)
    bias = home.head.bias + (home.head.weights - made.weights) @ centre
    right = [
        head.logits(home.features).argmax(axis=1) == home.labels
        for head in (home.head, Weights(made.weights, bias))
    ]
    before, after = (_by_class(r.astype(np.float64), home.labels) for r in right)
    return float(before - after)


def _within(features: _Features, labels: _Labels) -> tuple[int, Float64[np.ndarray, " feature"]]:
    """Return degrees of freedom and variance within classes, every image counting the same."""
    deviations = features - class_means(features, labels)[labels]
    df = len(labels) - len(np.unique(labels))
    return df, np.square(deviations).sum(axis=0) / df


def _apart(features: _Features, labels: _Labels) -> Float64[np.ndarray, " feature"]:
    """Return the variance of class means over that within classes, less what chance adds."""
    _, within = _within(features, labels)
    counts = np.bincount(labels)
    between = class_means(features, labels).var(axis=0, ddof=1) - within * (1 / counts).mean()
    return np.asarray(np.maximum(between, 0) / np.maximum(within, 1e-12))


def _by_class(
    values: Float64[np.ndarray, "*draw image"], labels: _Labels
) -> Float64[np.ndarray, "*draw"]:
    """Return the mean over classes of the means of their images."""
    means = [values[..., labels == k].mean(axis=-1) for k in np.unique(labels)]
    return np.asarray(np.mean(means, axis=0))


def _centred(logits: Float64[np.ndarray, "*image class"]) -> Float64[np.ndarray, "*image class"]:
    """Take away what no decision depends on."""
    return np.asarray(logits - logits.mean(axis=-1, keepdims=True))
