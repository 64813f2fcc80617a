"""The groundability gate: can the encoder tell images that show it from images that do not?

Images alone decide, without labels: KnoBo (Yang et al., NeurIPS 2024) asks that a concept be true,
and be false, of a tenth of the examples; label-free CBM (Oikarinen et al., ICLR 2023) that its best
images resemble it enough. Noise passes: that a score means the concept is for labels to say.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field

from curette.tasks.screen.activation import centred_scores, mean_of_highest, present
from curette.tasks.screen.gate import (
    Candidates,
    Circumstances,
    Doubt,
    Finding,
    Gate,
    Outcome,
    doubt_about,
    drop,
)

_BLOCK = 256  # concepts at a time: 20,000 images x 256 scores take 20 MB
_SAME = 1e-6
"""Scores that differ by less are equal: float32 gives no more."""
_NEAR = 0.25
"""A share within this part above the smallest one is nearly too small."""


class Groundability(Gate, frozen=True):
    """The settings of the gate."""

    needs_images: ClassVar[bool] = True

    kind: Literal["groundability"] = "groundability"
    min_share: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="share of training images that must lie above, and below, the midpoint of a "
        "concept's scores",
    )
    activation_quantile: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="a concept's five highest scores must reach on average what this share of all "
        "proposed statements fails to reach",
    )

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Drop concepts whose scores do not part the training images."""
        images = known.training_images(self.kind)
        if not left or not len(images.vectors):
            return Outcome(left)
        pool = known.vectors(known.proposed)
        found = ground(images.vectors, known.vectors(left), pool, self.activation_quantile)
        why = [why_not_groundable(found, place, self.min_share) for place in range(len(left))]
        shares = np.minimum(found.share_above, 1 - found.share_above)
        margins = (shares - self.min_share) / max(_NEAR * self.min_share, 1e-9)
        return Outcome(
            kept=tuple(c for c, reason in zip(left, why, strict=True) if not reason),
            dropped=tuple(
                drop(
                    c,
                    self.kind,
                    Finding(
                        reason,
                        {
                            "share_above": round(float(found.share_above[place]), 4),
                            "activation": round(float(found.activation[place]), 4),
                            "least_activation": round(found.least_activation, 4),
                        },
                    ),
                )
                for place, (c, reason) in enumerate(zip(left, why, strict=True))
                if reason
            ),
            unsure=tuple(
                doubt_about(
                    c,
                    self.kind,
                    Doubt(float(margin), f"parts off only {share:.1%} of the training images"),
                )
                for c, reason, margin, share in zip(left, why, margins, shares, strict=True)
                if not reason and margin < 1
            ),
        )


@dataclass(frozen=True)
class Grounding:
    """How the scores of every concept lie on the training images."""

    spread: Float32[np.ndarray, " concept"]
    """Highest minus lowest score."""
    share_above: Float[np.ndarray, " concept"]
    """Of images above the concept's midpoint."""
    activation: Float32[np.ndarray, " concept"]
    """Mean of the five highest cosines."""
    least_activation: float
    """The pool's quantile that a concept must reach."""


def ground(
    images: Float32[np.ndarray, "image dim"],
    texts: Float32[np.ndarray, "concept dim"],
    pool: Float32[np.ndarray, "reference dim"],
    quantile: float,
) -> Grounding:
    """Measure the concepts on the images.

    Args:
        images: unit vectors of training images.
        texts: unit vectors of the concepts.
        pool: unit vectors of everything that was proposed, rubbish included: what is usual for
            this encoder, whose cosines may lie anywhere.
        quantile: share of the pool whose activation is too little.
    """
    spread, above = [], []
    for start in range(0, len(texts), _BLOCK):
        scores = centred_scores(images, texts[start : start + _BLOCK], pool)
        spread.append(np.ptp(scores, axis=0))
        above.append(present(scores).mean(axis=0))
    usual = _activation(images, pool)
    return Grounding(
        spread=np.concatenate(spread),
        share_above=np.concatenate(above),
        activation=_activation(images, texts),
        least_activation=float(np.quantile(usual, quantile)),
    )


def why_not_groundable(grounding: Grounding, concept: int, min_share: float) -> str:
    """Return why a concept cannot be grounded, in words that continue 'it ...'; empty if it can."""
    if grounding.spread[concept] <= _SAME:
        return "has the same score on every training image"
    above = grounding.share_above[concept]
    if min(above, 1 - above) < min_share:
        side, share = ("above", above) if above < 1 - above else ("below", 1 - above)
        return (
            f"lies {side} its midpoint on {share:.1%} of the training images, fewer than "
            f"{min_share:.0%}"
        )
    if grounding.activation[concept] < grounding.least_activation:
        return (
            "resembles even its five best images less (cosine "
            f"{grounding.activation[concept]:.4f}) than all but a few of what was proposed "
            f"({grounding.least_activation:.4f})"
        )
    return ""


def _activation(
    images: Float32[np.ndarray, "image dim"], texts: Float32[np.ndarray, "concept dim"]
) -> Float32[np.ndarray, " concept"]:
    blocks = [texts[start : start + _BLOCK] for start in range(0, len(texts), _BLOCK)]
    return np.concatenate([mean_of_highest(images @ block.T) for block in blocks])
