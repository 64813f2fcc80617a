"""How often each class stands among images without labels, and how often a head is right there.

Both rest on probabilities that are calibrated on labelled images held out from training, and on one
assumption: images of a class look as they did, only the classes are more or less frequent (label
shift). Where images themselves changed, neither number can know how wrong the head has become.

Sources: Alexandari, Kundaje and Shrikumar, Maximum likelihood with bias-corrected calibration is
hard-to-beat at label shift adaptation, ICML 2020, for the calibration by one temperature and one
bias a class; Saerens, Latinne and Decaestecker, Adjusting the outputs of a classifier to new a
priori probabilities, Neural Computation 2002, for the class mix by EM.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import log_softmax, softmax

_Logits = Float64[np.ndarray, "image class"]
_Mix = Float64[np.ndarray, " class"]
_Parameters = Float64[np.ndarray, " parameter"]
_PULL = 1e-3  # on biases, so that a class that no image shows has one too
_STEPS, _NEWTON_STEPS, _CLOSE = 1000, 50, 1e-5
_SHARPNESS = 1e-3, 1e3


@dataclass(frozen=True, eq=False)
class Calibration:
    """`softmax(sharpness * logits + bias)` are probabilities where the class mix is `mix`."""

    sharpness: float
    bias: _Mix
    mix: _Mix

    def log_probabilities(self, logits: _Logits) -> _Logits:
        """Return log probabilities of images that are mixed as those it was fitted to."""
        return np.asarray(log_softmax(self.sharpness * logits + self.bias, axis=1))


def calibrate(
    logits: _Logits,
    labels: Int[np.ndarray, " image"],
    weights: Float64[np.ndarray, " image"],
    near: Calibration | None = None,
) -> Calibration:
    """Return the temperature and biases of the least mean log loss, which is convex: by Newton.

    Args:
        logits: of held-out images.
        labels: theirs.
        weights: how often each counts.
        near: what is probably not far from it, to begin there.
    """
    classes, share = logits.shape[1], weights[:, None] / weights.sum()
    truth = np.eye(classes)[labels]
    pull = _PULL * np.concatenate([[0.0], np.ones(classes)])

    def loss(x: _Parameters) -> float:
        log_p = log_softmax(x[0] * logits + x[1:], axis=1)
        return float(-(share * truth * log_p).sum() + (pull * x**2).sum() / 2)

    x = np.zeros(classes + 1)
    x[0], x[1:] = (near.sharpness, near.bias) if near else (1.0, 0.0)
    for _ in range(_NEWTON_STEPS):
        p = softmax(x[0] * logits + x[1:], axis=1)
        mean = (p * logits).sum(axis=1, keepdims=True)
        off, turned = share * (p - truth), share * p * (logits - mean)
        slope = np.concatenate([[(off * logits).sum()], off.sum(axis=0)]) + pull * x
        bend = np.diag(pull + _PULL * _CLOSE)
        bend[0, 0] += (turned * logits).sum()
        bend[0, 1:] += turned.sum(axis=0)
        bend[1:, 0] += turned.sum(axis=0)
        bend[1:, 1:] += np.diag((share * p).sum(axis=0)) - p.T @ (share * p)
        step = -np.linalg.solve(bend, slope)
        if -slope @ step < _CLOSE**2:
            break
        here = loss(x)
        while loss(x + step) > here + slope @ step / 4 and np.abs(step).max() > _CLOSE:
            step = step / 2
        x = x + step
        x[0] = np.clip(x[0], *_SHARPNESS)
    mix = np.bincount(labels, weights, minlength=classes) / weights.sum()
    return Calibration(float(x[0]), x[1:], mix)


def class_mix(
    log_probabilities: _Logits,
    mix: _Mix,
    weights: Float64[np.ndarray, " image"],
    near: _Mix | None = None,
) -> _Mix:
    """Return the most likely shares of the classes, by EM from the shares calibrated on.

    Args:
        log_probabilities: calibrated, of images without labels.
        mix: shares of the classes among the images calibrated on.
        weights: how often each image counts.
        near: what is probably not far from it, to begin there.
    """
    ratios = np.exp(log_probabilities) / np.maximum(mix, 1e-12)
    shares, total = mix if near is None else near, weights.sum()
    for _ in range(_STEPS):
        posterior = shares * ratios
        posterior /= posterior.sum(axis=1, keepdims=True)
        found = weights @ posterior / total
        if np.abs(found - shares).max() < _CLOSE:
            return np.asarray(found)
        shares = found
    return np.asarray(shares)


def at_mix(log_probabilities: _Logits, mix: _Mix, shares: _Mix) -> _Logits:
    """Return probabilities where classes are mixed as in `shares` and not as in calibration."""
    with np.errstate(divide="ignore"):
        ratios = np.log(shares) - np.log(np.maximum(mix, 1e-12))
    return softmax(log_probabilities + ratios, axis=1)


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of new images: as it is, then of each resample of both kinds of images."""

    mix: Float64[np.ndarray, "resample class"]
    accuracy_before: Float64[np.ndarray, " resample"]
    accuracy_change: Float64[np.ndarray, " resample"]


def expect(
    held: _Logits,
    labels: Int[np.ndarray, " image"],
    new: Float64[np.ndarray, "new class"],
    held_weights: Float64[np.ndarray, "resample image"],
    new_weights: Float64[np.ndarray, "resample new"],
) -> Expected:
    """Return the class mix of new images and what becomes of a head's accuracy.

    That changes by as much as the mean probability of what is decided (as in Guillory et al.,
    Predicting with confidence on unseen distributions, ICCV 2021), that of the new images at their
    own class mix. It is blind to a head that is misled and sure.

    Args:
        held: logits of labelled images that the head was not trained on.
        labels: theirs.
        new: logits of the new images.
        held_weights: how often each held-out image counts; the first row is 1.
        new_weights: the same of the new images.
    """
    right = held.argmax(axis=1) == labels
    rows: list[tuple[_Mix, float, float]] = []
    fitted, near = None, None
    for here, there in zip(held_weights, new_weights, strict=True):
        fitted = calibrate(held, labels, here, fitted)
        of_held, of_new = fitted.log_probabilities(held), fitted.log_probabilities(new)
        mix = class_mix(of_new, fitted.mix, there, near)
        near = (mix + 1e-3) / (mix + 1e-3).sum()  # EM never leaves a share of nothing
        sure_of_held = _sure(held, np.exp(of_held), here)
        sure_of_new = _sure(new, at_mix(of_new, fitted.mix, mix), there)
        rows.append((mix, float(here @ right / here.sum()), sure_of_new - sure_of_held))
    mixes, before, change = zip(*rows, strict=True)
    return Expected(np.array(mixes), np.array(before), np.array(change))


def _sure(
    logits: _Logits,
    probabilities: _Logits,
    weights: Float64[np.ndarray, " image"],
) -> float:
    """Return the mean probability of what a head decides by its logits."""
    decided = np.take_along_axis(probabilities, logits.argmax(axis=1)[:, None], axis=1)[:, 0]
    return float(weights @ decided / weights.sum())
