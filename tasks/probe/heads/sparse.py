"""An elastic net on standardised concept scores, also cut down to numbers of effective concepts."""

from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from curette.tasks.methods.solvers.head_batch import HeadBatch, choose_heads
from curette.tasks.methods.solvers.linear import (
    LinearHead,
    Standardisation,
    column_standardisation,
    cross_entropy,
)
from curette.tasks.methods.solvers.sparse import (
    STRENGTHS,
    Refit,
    SparsePaths,
    sparse_paths,
    truncate_to_nec,
)
from curette.tasks.probe.draws import Draws, Fitted, NotTrainable

# Every second one down to a thousandth, where GLM-SAGA's path ends too: what is weaker costs more
# than all of these together and overfits.
PATH = tuple(share for share in STRENGTHS[::2] if share >= 1e-3)


@dataclass(frozen=True)
class Solved:
    """The path of every draw, up to the largest NEC asked for, and what scaled its scores."""

    paths: SparsePaths
    scalings: tuple[Standardisation, ...]
    standardised: Float64[Tensor, "draw shot concept"]


def fit(draws: Draws) -> Fitted:
    """Take each draw's head of the least validation log loss."""
    images, scores, solved = draws.images, draws.scores, draws.once(solve)
    mean = torch.stack([s.mean for s in solved.scalings])
    weights = solved.paths.weights / torch.stack([s.scale for s in solved.scalings])[:, None, None]
    chosen = choose_heads(
        weights,
        solved.paths.bias - (weights @ mean[:, None, :, None])[..., 0],
        scores.validation[:, None],
        images.validation_labels,
        images.spec.class_weight,
    )
    shares = ({"share of the largest strength": PATH[i]} for i in chosen.index)
    return Fitted(draws, HeadBatch(chosen.weights, chosen.bias), tuple(shares))


def at_nec(draws: Draws, which: int, nec: int) -> Fitted:
    """Return one draw's head with so many effective concepts.

    Whether the weights that are left are solved again without the penalty that chose and shrank
    them, or stay as they are (as in VLG-CBM), is chosen by validation log loss.
    """
    solved, concepts = draws.once(solve), len(draws.concepts[which].rows)
    if nec > concepts:
        raise NotTrainable(
            f"{nec} effective concepts a class were asked for, and there are {concepts}."
        )
    if nec > (reached := float(solved.paths.nec[which].max())):
        raise NotTrainable(
            f"no strength leaves {nec} effective concepts a class; the weakest tried leave "
            f"{reached:.1f} of {concepts}, as the others bring nothing."
        )
    images, scores = draws.images, draws.scores.validation[which]

    def cut(refit: Refit) -> LinearHead:
        features, labels = solved.standardised[which], draws.labels[which]
        head = truncate_to_nec(solved.paths, which, nec, features, labels, refit)
        return solved.scalings[which].fold(head)

    def loss(head: LinearHead) -> float:
        logits = head.logits(scores)
        return float(cross_entropy(logits, images.validation_labels, images.spec.class_weight))

    heads = {refit: cut(refit) for refit in get_args(Refit)}
    best = min(heads, key=lambda refit: loss(heads[refit]))
    only = HeadBatch(heads[best].weights[None], heads[best].bias[None])
    chosen = {"weights solved again": float(best == "weights")}
    return Fitted(draws.some(slice(which, which + 1)), only, (chosen,))


def solve(draws: Draws) -> Solved:
    """Solve every draw's path on its standardised scores."""
    images, scores = draws.images, draws.scores
    scalings = tuple(column_standardisation(images.vectors @ v.T) for v in scores.vectors)
    standardised = torch.stack(
        [scaling.apply(drawn) for scaling, drawn in zip(scalings, scores.drawn, strict=True)]
    )
    paths = sparse_paths(
        standardised,
        draws.labels,
        images.class_count,
        PATH,
        class_weight=images.spec.class_weight,
        most_effective_concepts=max(images.spec.nec, default=float("inf")),
    )
    return Solved(paths, scalings, standardised)
