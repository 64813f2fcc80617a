"""Which share of its training images had a property, guessed from a trained head.

Distribution inference: Suri and Evans, Formalizing and estimating distribution inference risks,
PETS 2022; first Ateniese et al., Hacking smart machines with smarter ones, 2015. Who receives a
head and has images of the same kind trains heads of their own on known shares of the property
(shadow heads), learns to tell the share from what such a head is, and asks the same of the head
received.

Here the owner's images and the adversary's are of different groups. Each has the same shares drawn,
every class with the same number of images and the same share of the property in each draw, so that
what is told is the property and not the mix of classes. Both are each other's adversary in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Of the images with the property; the first and the last are to be told apart."""
_SMALLEST = 10  # images of a class in each draw
_PENALTIES = tuple(float(10**power) for power in np.linspace(-1, 4, 11))


class TooFew(Exception):
    """A class has not enough images with the property, or without; the text says which."""


@dataclass(frozen=True)
class Drawn:
    """Rows of one party's draws, in the order of `shares`."""

    rows: Int[np.ndarray, "draw image"]
    shares: Float64[np.ndarray, " draw"]


@dataclass(frozen=True)
class Guesses:
    """How well shares were guessed."""

    auroc: float
    """Pairs of a head of the first share and one of the last that stand in their order."""
    accuracy: float
    """Of the heads of these two shares, those guessed nearer to their own."""
    error: float
    """Mean distance of the guessed share from the true one, over all heads."""


def deal_parties(
    groups: Shaped[np.ndarray, " image"], rng: np.random.Generator
) -> Int[np.ndarray, " image"]:
    """Deal whole groups to two parties, 0 and 1, of two fifths each, and to the questions, 2.

    Questions are the images that the adversary asks any head about; none was trained on them.
    """
    names, group = np.unique(groups, return_inverse=True)
    return np.asarray((rng.permutation(len(names)) % 5 // 2)[group], dtype=np.int64)


def draw_shares(
    has: Bool[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
    class_keys: Sequence[str],
    party: Int[np.ndarray, " image"],
    heads_a_share: int,
    most_images: int,
    rng: np.random.Generator,
) -> tuple[Drawn, Drawn]:
    """Draw images for the heads of both parties, each class and each draw as many.

    Args:
        has: whether an image has the property.
        labels: classes, as places in `class_keys`.
        class_keys: their names.
        party: as `deal_parties` has it.
        heads_a_share: draws of each of `SHARES`, of each party.
        most_images: of one draw; more are left out.
        rng: draws.

    Raises:
        TooFew: a class would have fewer than 10 images in a draw.
    """
    cells = [
        [
            [np.flatnonzero((party == p) & (labels == k) & (has == h)) for h in (False, True)]
            for k in range(len(class_keys))
        ]
        for p in (0, 1)
    ]
    most = max(SHARES)
    counts = [
        min(int(len(cell) / most + 1e-9) for of_party in cells for cell in of_party[k])
        for k in range(len(class_keys))
    ]
    if min(counts) < _SMALLEST:
        raise TooFew(
            f"heads of any share would have {min(counts)} images of the class "
            f"{class_keys[int(np.argmin(counts))]} to train on, and {_SMALLEST} are the least"
        )
    fewer = min(1.0, most_images / sum(counts))
    counts = [max(_SMALLEST, int(count * fewer)) for count in counts]
    return _draw(cells[0], counts, heads_a_share, rng), _draw(cells[1], counts, heads_a_share, rng)


def _draw(
    cells: Sequence[Sequence[Int[np.ndarray, " _"]]],
    counts: Sequence[int],
    heads_a_share: int,
    rng: np.random.Generator,
) -> Drawn:
    rows, shares = [], []
    for share in SHARES:
        having = [round(share * count) for count in counts]
        for _ in range(heads_a_share):
            drawn = [
                rng.choice(cell, size, replace=False)
                for (without, with_it), count, own in zip(cells, counts, having, strict=True)
                for cell, size in ((without, count - own), (with_it, own))
            ]
            rows.append(np.concatenate(drawn))
            shares.append(sum(having) / sum(counts))
    return Drawn(np.stack(rows), np.array(shares))


def answers_by_cell(
    probabilities: Float64[np.ndarray, "head image class"],
    has: Bool[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
) -> Float64[np.ndarray, "head answer"]:
    """Return each head's mean probabilities for images of each class, with and without.

    It is what somebody learns who may only ask the head; classes of which no image is given with
    the property, or none without, are left out.
    """
    told = []
    for k in range(probabilities.shape[2]):
        for held in (False, True):
            cell = (labels == k) & (has == held)
            if cell.any():
                told.append(probabilities[:, cell].mean(1))
    return np.concatenate(told, axis=1)


def guess_shares(
    shadows: Float64[np.ndarray, "shadow feature"],
    shares: Float64[np.ndarray, " shadow"],
    heads: Float64[np.ndarray, "head feature"],
) -> Float64[np.ndarray, " head"]:
    """Return the share that a ridge regression on shadow heads reads from others.

    Its penalty is chosen by leaving one shadow head out at a time, of features of unit deviation.
    Nothing beyond the shares that shadow heads had is guessed.
    """
    from sklearn.linear_model import RidgeCV

    mean, spread = shadows.mean(0), shadows.std(0)
    varies = spread > 1e-9 * max(float(spread.max()), 1e-300)
    scaled, asked = ((x - mean)[:, varies] / spread[varies] for x in (shadows, heads))
    if not varies.any():
        return np.full(len(heads), shares.mean())
    width = scaled.shape[1]
    fitted = RidgeCV(alphas=[penalty * width for penalty in _PENALTIES]).fit(scaled, shares)
    return np.asarray(fitted.predict(asked).clip(shares.min(), shares.max()), dtype=np.float64)


def grade(guessed: Float64[np.ndarray, " head"], shares: Float64[np.ndarray, " head"]) -> Guesses:
    """Return how well shares were guessed."""
    from sklearn.metrics import roc_auc_score

    first, last = shares == shares.min(), shares == shares.max()
    middle, ends = (shares.min() + shares.max()) / 2, first | last
    return Guesses(
        auroc=float(roc_auc_score(last[ends], guessed[ends])),
        accuracy=float(np.where(last, guessed > middle, guessed < middle)[ends].mean()),
        error=float(np.abs(guessed - shares).mean()),
    )
