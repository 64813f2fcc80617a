"""The gates that look at the training images: one that drops, two that only warn."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from curette.schemas.artifact import StudyError
from curette.schemas.screened import Flag, ScreenSpec
from curette.tasks.methods.statistics.average_precision import normalised_average_precision
from curette.tasks.screen.activation import centred_scores, present
from curette.tasks.screen.co_occurrence import Pair, indistinct_pairs
from curette.tasks.screen.duplicates import plain_form
from curette.tasks.screen.groundability import ground, why_not_groundable
from curette.tasks.screen.outcome import (
    Candidates,
    Doubt,
    Finding,
    Gate,
    Outcome,
    doubt_about,
    drop,
)
from curette.tasks.screen.training import TrainingImages

Vectors = Callable[[Candidates], Float32[np.ndarray, "candidate dim"]]

MOST_CONCEPTS = 5_000
"""Of which every pair is compared: 25 million tables take about a gigabyte."""
MOST_PAIRS = 200
"""Pairs that are flagged, the most alike; each says how many there are."""
_NEAR = 0.25
"""A share within this part above the smallest one is nearly too small."""


def groundability_gate(
    images: TrainingImages,
    vectors: Vectors,
    pool: Float32[np.ndarray, "text dim"],
    spec: ScreenSpec,
) -> Gate:
    """Return the gate that drops concepts whose scores do not part the training images."""

    def decide(left: Candidates) -> Outcome:
        if not left or not len(images.vectors):
            return Outcome(left)
        found = ground(images.vectors, vectors(left), pool, spec.activation_quantile)
        why = [why_not_groundable(found, place, spec.min_share) for place in range(len(left))]
        shares = np.minimum(found.share_above, 1 - found.share_above)
        margins = (shares - spec.min_share) / max(_NEAR * spec.min_share, 1e-9)
        return Outcome(
            kept=tuple(c for c, reason in zip(left, why, strict=True) if not reason),
            dropped=tuple(
                drop(
                    c,
                    "groundability",
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
                    "groundability",
                    Doubt(float(margin), f"parts off only {share:.1%} of the training images"),
                )
                for c, reason, margin, share in zip(left, why, margins, shares, strict=True)
                if not reason and margin < 1
            ),
        )

    return decide


def learnability_gate(images: TrainingImages, vectors: Vectors, spec: ScreenSpec) -> Gate:
    """Return the gate that flags concepts that rank the attribute of their own name badly."""
    truths = {form: truth for form, truth in images.truths.items() if truth.present.any()}

    def decide(left: Candidates) -> Outcome:
        named = tuple(c for c in left if plain_form(c.text) in truths)
        if not named:
            return Outcome(left)
        flags = []
        scores = images.vectors @ vectors(named).T
        for candidate, score in zip(named, scores.T, strict=True):
            truth = truths[plain_form(candidate.text)]
            shown, known = truth.present[truth.known], truth.known
            usual = len(shown) / images.classes
            (precision,) = normalised_average_precision(
                score[known], shown, usual, np.ones((1, len(shown)))
            )
            if precision < spec.min_normalised_ap:
                flags.append(
                    Flag(
                        gate="learnability",
                        concept_ids=(candidate.concept_id,),
                        warning=f"'{candidate.text}' ranks the images of its attribute badly: "
                        f"normalised average precision {precision:.2f}, below "
                        f"{spec.min_normalised_ap:.2f}",
                        evidence={
                            "normalised_ap": round(float(precision), 4),
                            "share_shown": round(float(shown.mean()), 4),
                        },
                    )
                )
        return Outcome(left, flags=tuple(flags))

    return decide


def co_occurrence_gate(
    images: TrainingImages,
    vectors: Vectors,
    pool: Float32[np.ndarray, "text dim"],
    spec: ScreenSpec,
) -> Gate:
    """Return the gate that flags pairs of concepts that the training images cannot tell apart.

    Where an attribute has a concept's name it says on which images the concept is present;
    elsewhere its scores do.
    """

    def decide(left: Candidates) -> Outcome:
        if len(left) < 2 or not len(images.vectors):
            return Outcome(left)
        if len(left) > MOST_CONCEPTS:
            raise StudyError(
                f"the gate co_occurrence compares every pair, and {len(left):,} concepts have too "
                f"many (at most {MOST_CONCEPTS:,}): leave it out of `screen.gates`, or put gates "
                "before it that drop more"
            )
        on = present(centred_scores(images.vectors, vectors(left), pool))
        for place, candidate in enumerate(left):
            if truth := images.truths.get(plain_form(candidate.text)):
                on[:, place] = np.where(truth.known, truth.present, on[:, place])
        pairs = sorted(
            indistinct_pairs(on, spec.max_jaccard),
            key=lambda p: (-p.jaccard, p.first, p.second),
        )
        return Outcome(
            left,
            flags=tuple(
                Flag(
                    gate="co_occurrence",
                    concept_ids=(left[p.first].concept_id, left[p.second].concept_id),
                    warning=_warning(left[p.first].text, left[p.second].text, p, spec),
                    evidence={
                        "jaccard": round(p.jaccard, 4),
                        "empty": [*p.empty],
                        "pairs_found": len(pairs),
                    },
                )
                for p in pairs[:MOST_PAIRS]
            ),
        )

    return decide


def _warning(first: str, second: str, pair: Pair, spec: ScreenSpec) -> str:
    if pair.jaccard > spec.max_jaccard:
        return (
            f"'{first}' and '{second}' come together on {pair.jaccard:.1%} of the training images "
            "that have either: nothing trained on them can tell which is meant"
        )
    return (
        f"no training image has {' or '.join(pair.empty)} of '{first}' and '{second}', though "
        "chance alone would give some"
    )
