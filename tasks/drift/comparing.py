"""What differs between new images and those that a head learned from.

Statements and vectors are compared with training *and* validation images: the encoder has learned
from neither, so the scores of both are as those of any other images, and more images tell more.
Whatever the head says is compared with validation images alone, since it fitted its training
images; so is how many images are unlike all training images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.drift import AskedOf, ClassShare, DriftTest, StatementDrift, TestName
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.tasks.methods.features import features_of
from curette.tasks.methods.predictions import least_usual_cosine, nearest_cosines
from curette.tasks.methods.statistics.label_shift import Expected, expect
from curette.tasks.methods.statistics.two_samples import (
    Changes,
    Dealt,
    changed_columns,
    holm,
    share_beyond,
)

_DEALS = 2000
_RESAMPLES = 200
_MOST_COMPARED = 4000  # images of the reference; their distances are all held at once
_CONFIDENCE = 0.95
_ALIKE = 0.6
"""Correlation over known images from which on two statements tell the same change."""
_MOST_TOLD = 6
_HEAD: AskedOf = "head"
_POOL: AskedOf = "pool"
_PICTURE: AskedOf = "picture"


@dataclass(frozen=True, eq=False)
class Batch:
    """New images, of whose labels nothing is known."""

    vectors: Float32[np.ndarray, "image dim"]
    groups: Shaped[np.ndarray, " image"]
    known_groups: frozenset[str] = frozenset()
    """Groups of the reference that are left out, since the batch has more images of them."""


@dataclass(frozen=True, eq=False)
class Asked:
    """The statements whose scores are compared."""

    texts: tuple[str, ...]
    asked_of: tuple[AskedOf, ...]
    vectors: Float32[np.ndarray, "statement dim"]


@dataclass(frozen=True, eq=False)
class Found:
    """What differs."""

    reference_images: int
    reference_groups: int
    tests: tuple[DriftTest, ...]
    statements: tuple[StatementDrift, ...]
    told: tuple[int, ...]
    mix: tuple[ClassShare, ...]
    unlike_before: float
    unlike_now: float
    accuracy_before: Estimate
    accuracy_now: Estimate
    accuracy_change: Estimate


def statements_asked(
    published: ConceptDataset,
    head: Head,
    texts: Sequence[str],
    vectors: Float32[np.ndarray, "statement dim"],
) -> Asked:
    """Return what the head weighs, what else passed the screen, and statements about pictures.

    Args:
        published: what the head learned from.
        head: any head.
        texts: about how pictures were taken.
        vectors: theirs.
    """
    weighed = {c.concept_id for c in head.facts.candidates}
    pool = [c.text for c in published.pool]
    more = [i for i, text in enumerate(texts) if text not in pool]
    return Asked(
        texts=(*pool, *(texts[i] for i in more)),
        asked_of=(
            *(_HEAD if c.concept_id in weighed else _POOL for c in published.pool),
            *(_PICTURE for _ in more),
        ),
        vectors=np.concatenate([published.pool_vectors, vectors[more]]),
    )


def find_drift(
    published: ConceptDataset, head: Head, asked: Asked, batch: Batch, level: float, seed: int = 0
) -> Found:
    """Hold new images against the ones that a head learned from.

    Args:
        published: what the head learned from.
        head: a head on vectors or scores.
        asked: the statements.
        batch: the new images, of two groups at least.
        level: share of batches without drift that may be called changed.
        seed: of deals and resamples.

    Raises:
        ValueError: there are fewer than two groups.
    """
    own = published.images["group"].astype(str).to_numpy()
    left = ~np.isin(own, list(batch.known_groups))
    train, held = (r[left[r]] for r in (published.rows("train"), published.rows("validation")))
    known = np.concatenate([train, held])
    compared = known[_some_groups(own[known], seed)]
    dealt = _dealt(own[compared], batch.groups, seed)
    vectors = np.concatenate([published.vectors[compared], batch.vectors])
    scores = vectors.astype(np.float64) @ asked.vectors.T.astype(np.float64)
    changes = changed_columns(dealt, scores)
    unlike_before, unlike_now = (
        _unlike(published, train, some) for some in (published.vectors[held], batch.vectors)
    )
    beyond = _dealt(own[held], batch.groups, seed).steps(
        np.concatenate([unlike_before, unlike_now])[:, None].astype(np.float64)
    )
    p_values = np.array(
        [
            changes.family_p_value.min(),
            share_beyond(dealt.discrepancies(vectors)),
            share_beyond(beyond[:, 0]),
        ]
    )
    corrected = holm(p_values)
    expected = _expected(published, head, held, batch, seed)
    statements = _statements(asked, changes, scores, _labels(published, compared), expected.mix[0])
    order = np.argsort([-abs(x.above - 0.5) for x in statements], kind="stable").tolist()
    # The family is tested at what Holm's correction leaves of the level for it.
    rest = level * p_values[0] / corrected[0]
    changed = [i for i in order if statements[i].family_p_value <= rest]
    told = _not_alike(changed, scores[: len(compared)])
    shares = _labels(published, held)
    return Found(
        reference_images=len(known),
        reference_groups=len(np.unique(own[known])),
        tests=tuple(
            DriftTest(name=name, p_value=float(p), corrected=float(c))
            for name, p, c in zip(get_args(TestName), p_values, corrected, strict=True)
        ),
        statements=tuple(statements[i] for i in order),
        told=tuple(order.index(i) for i in told),
        mix=tuple(
            ClassShare(
                class_key=key,
                before=float((shares == k).mean()),
                now=_estimate(expected.mix[:, k]),
            )
            for k, key in enumerate(published.class_keys)
        ),
        unlike_before=float(unlike_before.mean()),
        unlike_now=float(unlike_now.mean()),
        accuracy_before=_estimate(expected.accuracy_before),
        accuracy_now=_estimate(np.clip(expected.accuracy_before + expected.accuracy_change, 0, 1)),
        accuracy_change=_estimate(expected.accuracy_change),
    )


def _dealt(
    known: Shaped[np.ndarray, " known"], new: Shaped[np.ndarray, " new"], seed: int
) -> Dealt:
    """Deal groups of both kinds, which have nothing in common but perhaps a name."""
    named = [np.char.add(mark, g.astype(str)) for mark, g in (("known ", known), ("new ", new))]
    in_second = np.arange(len(known) + len(new)) >= len(known)
    return Dealt.of(np.concatenate(named), in_second, _DEALS, seed)


def _some_groups(groups: Shaped[np.ndarray, " image"], seed: int) -> Bool[np.ndarray, " image"]:
    """Choose whole groups at random until there are as many images as are compared."""
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    chosen = order[np.cumsum(sizes[order]) <= max(_MOST_COMPARED, sizes[order[0]])]
    return np.isin(group_of, chosen)


def _unlike(
    published: ConceptDataset,
    train: Int[np.ndarray, " train"],
    vectors: Float32[np.ndarray, "image dim"],
) -> Bool[np.ndarray, " image"]:
    """Return which images nothing that was trained on is like."""
    known = published.vectors[train]
    least = least_usual_cosine(known, published.images["group"].to_numpy()[train])
    return np.asarray(nearest_cosines(known, vectors)[0] < least)


def _labels(published: ConceptDataset, rows: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
    """Return the integer labels of training or validation images."""
    order = {key: k for k, key in enumerate(published.class_keys)}
    return np.array([order[key] for key in published.images["label"].to_numpy()[rows]])


def _expected(
    published: ConceptDataset,
    head: Head,
    held: Int[np.ndarray, " held"],
    batch: Batch,
    seed: int,
) -> Expected:
    groups = published.images["group"].to_numpy()[held]
    return expect(
        head.logits(features_of(published, head, published.vectors[held])),
        _labels(published, held),
        head.logits(features_of(published, head, batch.vectors)),
        _resampled(groups, seed),
        _resampled(batch.groups, seed + 1),
    )


def _resampled(
    groups: Shaped[np.ndarray, " image"], seed: int
) -> Float64[np.ndarray, "resample image"]:
    """Return how often each image counts: once each, then as often as its group is drawn."""
    _, group_of = np.unique(groups, return_inverse=True)
    count = int(group_of.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    return np.concatenate([np.ones((1, len(groups))), drawn[:, group_of].astype(np.float64)])


def _estimate(values: Float64[np.ndarray, " resample"]) -> Estimate:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(values[1:], (tail, 1 - tail))
    return Estimate(value=float(values[0]), low=float(low), high=float(high))


def _statements(
    asked: Asked,
    changes: Changes,
    scores: Float64[np.ndarray, "image statement"],
    labels: Int[np.ndarray, " known"],
    mix: Float64[np.ndarray, " class"],
) -> list[StatementDrift]:
    """Return each statement with its change, in their order."""
    known, new = scores[: len(labels)], scores[len(labels) :]
    spread = known.std(axis=0)
    spread = np.where(spread > 0, spread, np.inf)
    shares = np.bincount(labels, minlength=len(mix)) / len(labels)
    by_mix = sum((mix[k] - shares[k]) * known[labels == k].mean(axis=0) for k in np.unique(labels))
    moved = (new.mean(axis=0) - known.mean(axis=0)) / spread
    return [
        StatementDrift(
            text=text,
            asked_of=of,
            above=float(changes.above[j]),
            p_value=float(changes.p_value[j]),
            family_p_value=float(changes.family_p_value[j]),
            moved=float(moved[j]),
            by_mix=float(by_mix[j] / spread[j]),
        )
        for j, (text, of) in enumerate(zip(asked.texts, asked.asked_of, strict=True))
    ]


def _not_alike(places: Sequence[int], scores: Float64[np.ndarray, "image statement"]) -> list[int]:
    """Return the first places whose scores tell what no earlier one tells."""
    told: list[int] = []
    for place in places:
        alike = [abs(np.corrcoef(scores[:, [place, other]].T)[0, 1]) for other in told]
        if max(alike, default=0.0) < _ALIKE:
            told.append(place)
        if len(told) == _MOST_TOLD:
            break
    return told
