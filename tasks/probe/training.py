"""Training every head that takes part, whatever the draws are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import BORROWED, HeadCard, HeadKind, Protocol, card_of, trained
from curette.schemas.probe import (
    GroundedConcept,
    Head,
    HeadFacts,
    Heads,
    SkippedHead,
    head_inputs,
)
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.linear import (
    LinearHead,
    NotConverged,
    balanced_accuracy,
    cross_entropy,
)
from curette.tasks.probe.bank import Bank, check_encoder
from curette.tasks.probe.borrowing import Borrowing
from curette.tasks.probe.draws import Draws, Fitted, Images, NotTrainable
from curette.tasks.probe.heads import AT_NEC, TRAINERS


def train_heads(
    published: ConceptDataset,
    spec: ProbeSpec,
    protocol: Protocol = "all images",
    bank: Bank | None = None,
    kinds: Sequence[HeadKind] | None = None,
) -> Heads:
    """Train the heads that the spec names on all training images, and their baselines.

    Whatever is chosen is chosen on validation images. What chance has a part in is drawn several
    times.

    Args:
        published: images and concepts.
        spec: which heads, and how they are trained.
        protocol: says which heads take part.
        bank: another study's images, which teach directions of concepts; None: none is named.
        kinds: these heads take part, whatever the others say.

    Raises:
        StudyError: a split is empty, or the bank is of another encoder.
    """
    if bank:
        check_encoder(published, bank)
    images, made = Images.of(published, spec, bank), _Made()
    if kinds is None:
        kinds = trained(protocol, spec.heads, borrowing=bank is not None)
    made.add([kind for kind in kinds if not card_of(kind).drawn], images.whole())
    for draws in images.whole(range(spec.random_draws)).parts():
        made.add([kind for kind in kinds if card_of(kind).drawn], draws)
    return Heads(
        class_keys=published.class_keys,
        heads=tuple(head for kind in kinds for head in made.heads.get(kind, ())),
        skipped=tuple(made.skipped.values()),
        grounding=made.grounding,
        borrowed=images.once(Borrowing.of).facts if BORROWED in made.heads else None,
    )


@dataclass
class _Made:
    """The heads of each kind, and by their family those that could not be trained."""

    heads: dict[HeadKind, list[Head]] = field(default_factory=dict)
    skipped: dict[str, SkippedHead] = field(default_factory=dict)
    grounding: tuple[GroundedConcept, ...] = ()

    def add(self, kinds: Iterable[HeadKind], draws: Draws) -> None:
        """Train heads of these kinds on some draws."""
        for kind in kinds:
            card = card_of(kind)
            try:
                if kind in TRAINERS:
                    fitted = TRAINERS[kind](draws)
                    self.heads.setdefault(kind, []).extend(finished(card, fitted))
                    self.grounding += fitted.grounding
            except (NotTrainable, NotConverged) as why:
                self._skip(card, card.title, why)
            if kind in AT_NEC:
                self._add_at_each_nec(card, draws)

    def _add_at_each_nec(self, card: HeadCard, draws: Draws) -> None:
        for nec in sorted(set(draws.images.spec.nec)):
            for which in range(len(draws.seeds)):
                try:
                    fitted = AT_NEC[card.kind](draws, which, nec)
                    made = finished(card, fitted, f", NEC {nec}")
                    self.heads.setdefault(card.kind, []).extend(made)
                except (NotTrainable, NotConverged) as why:
                    self._skip(card, f"{card.title}, NEC {nec}", why)

    def _skip(self, card: HeadCard, family: str, why: Exception) -> None:
        self.skipped[family] = SkippedHead(name=family, kind=card.kind, reason=str(why))


def finished(card: HeadCard, fitted: Fitted, suffix: str = "") -> Iterator[Head]:
    """Yield the head of each draw with all that is said about it."""
    draws, images = fitted.draws, fitted.draws.images
    for i, (rows, concepts, seed) in enumerate(
        zip(draws.rows, draws.concepts, draws.seeds, strict=True)
    ):
        head = _own(card, fitted, i)
        directions = None if fitted.directions is None else fitted.directions[i].numpy()
        looked_at = concepts.vectors.numpy() if directions is None else directions
        train, validation = (
            torch.from_numpy(head_inputs(card.inputs, vectors.numpy(), looked_at))
            for vectors in (images.vectors[rows], images.validation_vectors)
        )
        if fitted.train_features is not None:
            train = fitted.train_features[i]
        logits = head.logits(validation)
        loss = cross_entropy(logits, images.validation_labels, images.spec.class_weight)
        facts = HeadFacts(
            name=f"{card.title} {seed + 1}{suffix}" if card.drawn else f"{card.title}{suffix}",
            kind=card.kind,
            family=f"{card.title}{suffix}",
            draw=seed + 1 if card.drawn else 0,
            inputs=card.inputs,
            candidates=tuple(
                images.published.pool[r] for r in concepts.rows if card.looks_at_concepts
            ),
            nec=int((head.weights != 0).sum()) / images.class_count,
            chosen=fitted.chosen[i] if fitted.chosen else {},
            validation_loss=float(loss),
            validation_balanced_accuracy=balanced_accuracy(logits, images.validation_labels),
            curve=fitted.curve,
        )
        yield Head(
            facts,
            head.weights.numpy(),
            head.bias.numpy(),
            train.mean(0).numpy(),
            directions,
            None if fitted.train_features is None else train.numpy(),
        )


def _own(card: HeadCard, fitted: Fitted, draw: int) -> LinearHead:
    """Return one draw's head without the columns that only other draws have concepts for."""
    weights, bias = fitted.heads.weights[draw], fitted.heads.bias[draw]
    if not card.looks_at_concepts:
        return LinearHead(weights, bias)
    own, most = len(fitted.draws.concepts[draw].rows), fitted.draws.scores.vectors.shape[1]
    return LinearHead(torch.cat([weights[:, :own], weights[:, most:]], 1), bias)


def on_vectors(card: HeadCard, fitted: Fitted) -> HeadBatch:
    """Return heads on image vectors, what they are on scores folded in.

    One on unit scores becomes one on scores: its answers are the same.
    """
    weights, dim = fitted.heads.weights, fitted.draws.images.vectors.shape[1]
    if not weights.shape[2]:
        weights = weights.new_zeros(*weights.shape[:2], dim)
    elif card.looks_at_concepts:
        concepts = fitted.draws.scores.vectors
        count = concepts.shape[1]
        folded = weights[..., :count] @ concepts
        weights = folded + weights[..., count:] if weights.shape[2] > count else folded
    return HeadBatch(weights, fitted.heads.bias)
