"""Adapting a linear head to a new site by a few labelled images: an offset, or nothing.

For a linear head a shift of all concept means is an offset of the logits, since
W (s - d) + b = W s + b - W d. So K numbers are estimated: how far the support images' logits lie
from the mean logits that their classes have at home,

    delta_i = z_i - m_(y_i),   d = mean over classes of the mean delta of their images

and subtracted, shrunk by the positive-part James-Stein factor max(0, 1 - noise / |d|^2), where the
noise is the variance of such a d among images of home (James and Stein, 1961).

Most of the value is in knowing when to leave the head alone. It is left alone unless both hold:

1. The support is not what home would send: |d|^2, in the metric of the spread at home, is larger
   than for all but `level` of the supports of the same class counts that are drawn at home.
2. The offset helps images that it was not estimated from: left out one by one, their log loss falls
   by more than one standard error.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import log_softmax

_DRAWS = 999
"""Supports drawn at home; with the one at hand they make a p-value of a thousand steps."""


@dataclass(frozen=True)
class Adaptation:
    """What a few images say of a head at another site."""

    offset: Float64[np.ndarray, " class"]
    """To be subtracted from the logits; zeros where the head is left alone."""
    p_value: float
    """Share of the supports drawn at home that lie as far off."""
    gain: float
    """Mean fall of the log loss of support images that were left out; NaN: none can be."""
    standard_error: float
    """Of the gain."""

    @property
    def changes(self) -> bool:
        """Whether the head is changed at all."""
        return bool(self.offset.any())


@dataclass(frozen=True)
class Home:
    """Logits at the site that the head was trained at, of images that it was not trained on."""

    means: Float64[np.ndarray, "class class"]
    """Of the logits of each class, one row a class."""
    deviations: tuple[Float64[np.ndarray, "image class"], ...]
    """Of each class's images from its mean."""

    @classmethod
    def of(
        cls, logits: Float64[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]
    ) -> "Home":
        """Take the logits of held-out images.

        Raises:
            ValueError: a class has fewer than two images, so its spread is unknown.
        """
        classes = logits.shape[1]
        counts = np.bincount(labels, minlength=classes)
        if counts.min() < 2:
            raise ValueError(
                f"class {int(counts.argmin())} has {int(counts.min())} held-out images at home; "
                "at least 2 of each class are needed to know how far apart they lie"
            )
        means = np.stack([logits[labels == k].mean(axis=0) for k in range(classes)])
        return cls(means, tuple(logits[labels == k] - means[k] for k in range(classes)))

    def precision(self) -> Float64[np.ndarray, "class class"]:
        """Return the pseudo-inverse of the spread within classes, each class counting the same."""
        spread = np.mean([d.T @ d / (len(d) - 1) for d in self.deviations], axis=0)
        return np.linalg.pinv(_centred(_centred(spread).T), rcond=1e-8, hermitian=True)

    def supports(
        self, counts: Int[np.ndarray, " class"], draws: int, seed: int
    ) -> Float64[np.ndarray, "draw class"]:
        """Return the shifts of supports of these class counts that are drawn at home."""
        generator = np.random.default_rng(seed)
        shifts = [
            d[generator.integers(len(d), size=(draws, n))].mean(axis=1)
            for d, n in zip(self.deviations, counts, strict=True)
            if n
        ]
        return _centred(np.mean(shifts, axis=0))


def adapt(
    home: Home,
    logits: Float64[np.ndarray, "image class"],
    labels: Int[np.ndarray, " image"],
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Adaptation:
    """Return the offset for a new site, zeros where the head had better be left alone.

    Args:
        home: what the head says at the site it was trained at.
        logits: of the support images.
        labels: of the support images; classes may be missing, but not all.
        level: how often a support that is like home may be taken for another site.
        seed: of the supports drawn at home.

    Raises:
        ValueError: there is no support image.
    """
    if not len(labels):
        raise ValueError("there is no support image")
    classes = logits.shape[1]
    counts = np.bincount(labels, minlength=classes)
    deviations = _centred(logits - home.means[labels])
    shift = _shift(deviations, labels)
    at_home = home.supports(counts, _DRAWS, seed)
    precision = home.precision()
    distances = np.einsum("dk,kl,dl->d", at_home, precision, at_home)
    farther = int((distances >= shift @ precision @ shift).sum())
    p_value = (1 + farther) / (1 + _DRAWS)
    noise = float(np.square(at_home).sum(axis=1).mean())
    gains = _left_out_gains(deviations, logits, labels, noise)
    gain = float(gains.mean())
    error = float(gains.std() / np.sqrt(max(len(gains) - 1, 1)))
    helps = p_value <= level and gain > error
    offset = _shrunk(shift, noise) if helps else np.zeros(classes)
    return Adaptation(offset, p_value, gain, error)


def _centred(logits: Float64[np.ndarray, "row class"]) -> Float64[np.ndarray, "row class"]:
    """Take away what no decision depends on."""
    return logits - logits.mean(axis=-1, keepdims=True)


def _shift(
    deviations: Float64[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]
) -> Float64[np.ndarray, " class"]:
    return np.mean([deviations[labels == k].mean(axis=0) for k in np.unique(labels)], axis=0)


def _shrunk(shift: Float64[np.ndarray, " class"], noise: float) -> Float64[np.ndarray, " class"]:
    length = float(shift @ shift)
    return shift * max(0.0, 1 - noise / length) if length else shift


def _left_out_gains(
    deviations: Float64[np.ndarray, "image class"],
    logits: Float64[np.ndarray, "image class"],
    labels: Int[np.ndarray, " image"],
    noise: float,
) -> Float64[np.ndarray, " image"]:
    """Return by how much each image's log loss falls by the offset of all the others."""
    images = np.arange(len(labels))
    if len(labels) < 2:
        return np.full(len(labels), np.nan)
    offsets = np.stack(
        [_shrunk(_shift(deviations[images != i], labels[images != i]), noise) for i in images]
    )
    before = log_softmax(logits, axis=1)[images, labels]
    return np.asarray(log_softmax(logits - offsets, axis=1)[images, labels] - before)
