"""What do the heads give away about the people or things on their training images?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Shaped
from torch import Tensor

from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.images import METADATA
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.schemas.questions.inferred_shares import (
    GuessedShare,
    InferredShare,
    InferredShares,
    ReadFrom,
)
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.erasure import leace
from curette.tasks.methods.metadata import name_values
from curette.tasks.methods.solvers.head_batch import HeadBatch, shrinkage_discriminants
from curette.tasks.methods.solvers.linear import (
    column_standardisation,
    global_standardisation,
)
from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch
from curette.tasks.methods.statistics.share_inference import (
    SHARES,
    Drawn,
    Guesses,
    TooFew,
    answers_by_cell,
    deal_parties,
    draw_shares,
    grade,
    guess_shares,
)
from curette.tasks.methods.threads import one_thread_of_torch

DEALS = 10
HEADS_A_SHARE = 8
MOST_IMAGES = 1000
_MOST_NUMBERS = 2**24  # of the features of heads trained together

_Guessed = dict[tuple[str, ReadFrom, str], list[Guesses]]
_READ_FROM: tuple[ReadFrom, ...] = ("weights", "answers")


def measure(exam: Exam, deals: int = DEALS) -> InferredShares | None:
    """Return how well the share of a property is guessed from heads like the study's own.

    Test images are not looked at. Nothing where the study names no property.
    """
    if not exam.spec.inferred_shares:
        return None
    found: list[InferredShare] = []
    refused: dict[str, str] = {}
    for column, value in exam.spec.inferred_shares.items():
        try:
            with one_thread_of_torch():
                found += _of_column(exam, column, value, deals)
        except TooFew as why:
            refused[column] = str(why)
    away = np.abs(np.array(SHARES) - np.mean(SHARES)).mean()
    return InferredShares(
        deals=deals,
        shares=SHARES,
        heads=HEADS_A_SHARE * len(SHARES),
        error_of_prior=float(away),
        found=tuple(found),
        not_computable=refused,
    )


@dataclass(frozen=True)
class _Pool:
    """Training and validation images of which the property is known."""

    vectors: Float64[np.ndarray, "image dim"]
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    has: Bool[np.ndarray, " image"]


def _pool(exam: Exam, column: str, value: str) -> _Pool:
    published = exam.published
    rows = np.concatenate([published.rows("train"), published.rows("validation")])
    named = name_values(column, published.images[f"{METADATA}{column}"], None)[rows]
    known = np.array([name is not None for name in named], dtype=bool)
    labels = np.concatenate([published.labels("train"), published.labels("validation")])
    if not (named == value).any():
        there = ", ".join(sorted({str(name) for name in named[known]}))
        raise TooFew(f"no training or validation image has the value {value}; they have {there}")
    return _Pool(
        published.vectors[rows[known]].astype(np.float64),
        labels[known],
        published.images["group"].to_numpy()[rows[known]],
        named[known] == value,
    )


def _of_column(exam: Exam, column: str, value: str, deals: int) -> Iterator[InferredShare]:
    pool = _pool(exam, column, value)
    guessed: _Guessed = {}
    erased = leace(pool.vectors, pool.has[:, None].astype(np.float64)).apply(pool.vectors)
    images = 0
    for deal in range(deals):
        rng = np.random.default_rng((exam.spec.seed, deal))
        party = deal_parties(pool.groups, rng)
        dealt = _dealt(pool, party, rng)
        for way, vectors, has in (
            ("published", pool.vectors, pool.has),
            ("erased", erased, pool.has),
            ("dealt", pool.vectors, dealt),
        ):
            drawn = draw_shares(
                has,
                pool.labels,
                exam.published.class_keys,
                party,
                HEADS_A_SHARE,
                MOST_IMAGES,
                rng,
            )
            images = drawn[0].rows.shape[1]
            for head in _heads(exam):
                for by, grades in _attack(exam, head, pool, vectors, has, party, drawn):
                    guessed.setdefault((head.facts.name, by, way), []).append(grades)
    for head in _heads(exam):
        for by in _READ_FROM:
            told = partial(_over, guessed, head.facts.name, by)
            yield InferredShare(
                column=column,
                value=value,
                head=head.facts.name,
                head_kind=head.facts.kind,
                read_from=by,
                images=images,
                published=told("published"),
                erased=told("erased"),
                dealt=told("dealt"),
            )


def _heads(exam: Exam) -> list[Head]:
    """Return the heads that can be trained again on any images as they were: no person's edits."""
    heads = (exam.probe.head(REFERENCE), exam.probe.head(EXPLAINED))
    return [head for head in heads if not head.facts.edits]


def _dealt(
    pool: _Pool, party: Int[np.ndarray, " image"], rng: np.random.Generator
) -> Bool[np.ndarray, " image"]:
    """Deal the property to other images of the same class and party: it says nothing of them.

    It is laid along the groups in another order, so that images of one go on being alike.
    """
    _, group = np.unique(pool.groups, return_inverse=True)
    order = rng.permutation(int(group.max()) + 1)[group]
    dealt = pool.has.copy()
    for p in range(3):
        for k in np.unique(pool.labels):
            cell = np.flatnonzero((party == p) & (pool.labels == k))
            laid_along = cell[np.argsort(order[cell], kind="stable")]
            dealt[laid_along] = pool.has[cell[np.argsort(group[cell], kind="stable")]]
    return dealt


def _attack(
    exam: Exam,
    head: Head,
    pool: _Pool,
    vectors: Float64[np.ndarray, "image dim"],
    has: Bool[np.ndarray, " image"],
    party: Int[np.ndarray, " image"],
    drawn: tuple[Drawn, Drawn],
) -> Iterator[tuple[ReadFrom, Guesses]]:
    """Yield how well each party guesses the other's shares, from weights and from answers."""
    features = _features(exam, head, vectors)
    labels = torch.from_numpy(pool.labels)
    asked = np.flatnonzero(party == 2)
    weights, answers = [], []
    for of_party in drawn:
        heads = _train(head, features, labels, of_party.rows, len(exam.published.class_keys))
        flat = torch.cat([heads.weights, heads.bias[..., None]], 2)
        weights.append((flat - flat.mean(1, keepdim=True)).flatten(1).numpy())
        said = heads.logits(features[asked]).softmax(2).numpy()
        answers.append(answers_by_cell(said, has[asked], pool.labels[asked]))
    for by, told in zip(_READ_FROM, (weights, answers), strict=True):
        guessed = [guess_shares(told[own], drawn[own].shares, told[1 - own]) for own in (0, 1)]
        shares = np.concatenate([drawn[1].shares, drawn[0].shares])
        yield by, grade(np.concatenate(guessed), shares)


def _features(
    exam: Exam, head: Head, vectors: Float64[np.ndarray, "image dim"]
) -> Float64[Tensor, "image feature"]:
    """Return what a head looks at, standardised as it was trained on it."""
    images = torch.from_numpy(vectors)
    if head.facts.kind == REFERENCE:
        return global_standardisation(images).apply(images)
    published = exam.published
    concepts = published.pool_rows(c.concept_id for c in head.facts.candidates)
    scores = images @ torch.from_numpy(published.pool_vectors[concepts]).double().T
    return column_standardisation(scores).apply(scores)


def _train(
    head: Head,
    features: Float64[Tensor, "image feature"],
    labels: Int[Tensor, " image"],
    rows: Int[np.ndarray, "draw drawn"],
    classes: int,
) -> HeadBatch:
    """Train a head on each draw, at the strength that was chosen for the study's own."""
    together = max(1, _MOST_NUMBERS // (rows.shape[1] * features.shape[1]))
    made = [
        _train_some(head, features, labels, torch.from_numpy(some), classes)
        for some in np.array_split(rows, -(-len(rows) // together))
    ]
    return HeadBatch(torch.cat([h.weights for h in made]), torch.cat([h.bias for h in made]))


def _train_some(
    head: Head,
    features: Float64[Tensor, "image feature"],
    labels: Int[Tensor, " image"],
    rows: Int[Tensor, "draw drawn"],
    classes: int,
) -> HeadBatch:
    if head.facts.kind == REFERENCE:
        strength = (head.facts.chosen["l2"],)
        solved = solve_logistic_batch(
            features[rows], labels[rows], classes, strength, class_weight="balanced"
        )
        return HeadBatch(solved.weights[:, 0], solved.bias[:, 0])
    amount = (head.facts.chosen["shrinkage"],)
    return shrinkage_discriminants(
        features,
        labels,
        rows,
        classes,
        features,  # of one amount any images choose
        labels,
        class_weight="balanced",
        shrinkages=amount,
    )


def _over(guessed: _Guessed, head: str, by: ReadFrom, way: str) -> GuessedShare:
    """Return the means over deals, with the range of 95 % of them."""
    deals = guessed[head, by, way]

    def told(values: list[float]) -> Estimate:
        low, high = np.percentile(values, (2.5, 97.5))
        return Estimate(value=float(np.mean(values)), low=float(low), high=float(high))

    return GuessedShare(
        auroc=told([g.auroc for g in deals]),
        accuracy=told([g.accuracy for g in deals]),
        error=told([g.error for g in deals]),
    )
