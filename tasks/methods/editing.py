"""Editing a linear head on concept scores: what one concept may say, and how much.

Adding one number to a whole column of the weights changes no decision of a softmax, so an edit is
one of the centred column u_k = W_kj - mean over classes. Cosines have a large mean, so a changed
weight also moves every logit by its change times the mean score; each edit takes that back through
the bias: b_k += (W_kj - W'_kj) mean(s_j), which leaves the logits of the average training image as
they were. (Yuksekgonul, Wang and Zou, "Post-hoc concept bottleneck models", ICLR 2023, section 4,
prune weights without either.)

A hybrid has a residual on image vectors beside its concepts. It could say again what an edit took
away, so the residual loses its part along the edited concepts' directions; an edit that allows all
that a concept says, such as scaling by 1, leaves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from curette.schemas.edits import Operation


@dataclass(frozen=True)
class ColumnEdit:
    """What is to become of one concept's column."""

    concept: int
    operation: Operation
    class_index: int | None = None
    """For `forget` and the signs: the class whose weight is held."""
    amount: float | None = None
    """For `scale`: the factor. For `cap`: the largest centred weight."""


@dataclass(frozen=True)
class LinearWeights:
    """A head `logits = scores @ concepts.T + vectors @ residual.T + bias`."""

    concepts: Float64[np.ndarray, "class concept"]
    bias: Float64[np.ndarray, " class"]
    residual: Float64[np.ndarray, "class dim"] | None = None


def edit_column(
    column: Float64[np.ndarray, " class"], edit: ColumnEdit
) -> Float64[np.ndarray, " class"]:
    """Return a column with its edit done; classes that are not named keep their differences.

    Raises:
        ValueError: the edit lacks its class or its amount.
    """
    mean = column.mean()
    centred = column - mean
    if edit.operation == "neutralise":
        return np.full_like(column, mean)
    if edit.operation in ("scale", "cap"):
        if edit.amount is None or edit.amount < 0:
            raise ValueError(f"{edit.operation} needs an amount of 0 or more")
        strongest = np.abs(centred).max()
        capped = min(1.0, edit.amount / strongest) if strongest else 1.0
        return mean + centred * (edit.amount if edit.operation == "scale" else capped)
    if edit.class_index is None or edit.operation == "forbid":
        raise ValueError(
            "forbid takes a head trained anew"
            if edit.operation == "forbid"
            else f"{edit.operation} needs a class"
        )
    held = centred[edit.class_index]
    wanted = {"forget": 0.0, "at least 0": max(held, 0.0), "at most 0": min(held, 0.0)}
    moved = held - wanted[edit.operation]
    edited = centred + moved / (len(column) - 1)
    edited[edit.class_index] = held - moved
    return mean + edited


def edit_weights(
    head: LinearWeights,
    edits: Sequence[ColumnEdit],
    mean_scores: Float64[np.ndarray, " concept"],
    mean_vector: Float64[np.ndarray, " dim"],
    directions: Float64[np.ndarray, "concept dim"],
) -> LinearWeights:
    """Return the head with all edits done, one after another; none: the head itself.

    Args:
        head: what is edited.
        edits: in their order, which matters where two are of one concept.
        mean_scores: of each concept over the training images.
        mean_vector: of their vectors; looked at only where there is a residual.
        directions: what scores are products of image vectors with.

    Raises:
        ValueError: an edit lacks its class or its amount.
    """
    if not edits:
        return head
    concepts = head.concepts.copy()
    for edit in edits:
        concepts[:, edit.concept] = edit_column(concepts[:, edit.concept], edit)
    bias = head.bias + (head.concepts - concepts) @ mean_scores
    if head.residual is None:
        return LinearWeights(concepts, bias)
    moved = ~np.isclose(concepts, head.concepts, rtol=0, atol=1e-12).all(axis=0)
    closed = ("neutralise", "forget")  # what the residual says must go, whatever the column said
    edited = sorted({e.concept for e in edits if e.operation in closed or moved[e.concept]})
    if not edited:
        return LinearWeights(concepts, bias, head.residual)
    basis = np.linalg.qr(directions[edited].T)[0]
    residual = head.residual - (head.residual @ basis) @ basis.T
    return LinearWeights(concepts, bias + (head.residual - residual) @ mean_vector, residual)
