"""Training every head of every few-shot draw; all end as linear heads on image vectors.

Heads that `training` trained on all images are taken over and not trained again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import torch

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Drawn
from curette.schemas.draws import Draws as DrawnImages
from curette.schemas.heads import HeadKind, card_of, trained
from curette.schemas.probe import Heads, HeadStack, SkippedHead
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.linear import NotConverged
from curette.tasks.methods.threads import one_thread_of_torch
from curette.tasks.probe.draws import Concepts, Draws, Fitted, Images, NotTrainable
from curette.tasks.probe.heads import TRAINERS
from curette.tasks.probe.training import on_vectors


@one_thread_of_torch()
def train(
    published: ConceptDataset,
    draws: DrawnImages,
    spec: ProbeSpec,
    known: Heads | None = None,
) -> Heads:
    """Train every head on draws of one size together; what all images trained is taken over."""
    images = Images.of(published, spec)
    asked = spec.heads if draws.heads is None else draws.heads
    made: dict[HeadKind, list[HeadBatch]] = {kind: [] for kind in trained("few shots", asked)}
    skipped: dict[HeadKind, SkippedHead] = {}
    drawn: list[Drawn] = []
    for size, again, part in _parts(images, draws):
        drawn += [Drawn(shots=size, seed=seed) for seed in part.seeds]
        for kind, batches in made.items():
            if kind in skipped:
                continue
            if again and not card_of(kind).drawn:
                batches.append(_repeated(batches[-1], len(part.seeds)))
            elif size is None and (ready := _taken_over(known, kind, part)):
                batches.append(ready)
            else:
                try:
                    batches.append(_fit(kind, part))
                except (NotTrainable, NotConverged) as why:
                    title = card_of(kind).title
                    skipped[kind] = SkippedHead(name=title, kind=kind, reason=str(why))
    heads = {kind: _joined(batches) for kind, batches in made.items() if kind not in skipped}
    stack = HeadStack(
        kinds=tuple(heads),
        weights=torch.stack([h.weights.float() for h in heads.values()], 1).numpy(),
        bias=torch.stack([h.bias.float() for h in heads.values()], 1).numpy(),
    )
    return Heads(
        class_keys=published.class_keys,
        skipped=tuple(skipped.values()),
        protocol=draws.protocol,
        draws=tuple(drawn),
        stack=stack,
        unusable=draws.unusable,
    )


def _parts(images: Images, draws: DrawnImages) -> Iterator[tuple[int | None, bool, Draws]]:
    """Yield the size of draws that are trained together, whether it is again, and the draws.

    All images are one draw; it comes once for each of its seeds, first alone.
    """
    for shots, same_size in groupby(draws.draws, key=lambda draw: draw.shots):
        of_size = list(same_size)
        if shots is None:
            whole = of_size[0]
            yield None, False, _look_up(images, [whole.model_copy(update={"seed": 0})])
            of_size = [whole.model_copy(update={"seed": s}) for s in range(1, whole.seeds)]
        if of_size:
            for part in _look_up(images, of_size).parts():
                yield shots, shots is None, part


def _look_up(images: Images, draws: list[Draw]) -> Draws:
    """Find images and concepts by their ids."""
    published = images.published
    ids = published.images["image_id"].to_numpy()[published.rows("train")].tolist()
    row = {image_id: i for i, image_id in enumerate(ids)}
    return Draws(
        images,
        torch.tensor([[row[i] for i in draw.image_ids] for draw in draws]),
        tuple(Concepts.of(published, published.pool_rows(draw.concept_ids)) for draw in draws),
        tuple(draw.seed for draw in draws),
    )


def _fit(kind: HeadKind, draws: Draws) -> HeadBatch:
    return on_vectors(card_of(kind), TRAINERS[kind](draws))


def _taken_over(known: Heads | None, kind: HeadKind, draws: Draws) -> HeadBatch | None:
    """Return what all images trained of these draws of them; None where that is not there."""
    card = card_of(kind)
    same = [h for h in known.heads if h.facts.kind == kind] if known else []
    of_draw = {h.facts.draw: h for h in same if h.facts.family == card.title}
    made = []
    for i, (concepts, seed) in enumerate(zip(draws.concepts, draws.seeds, strict=True)):
        head = of_draw.get(seed + 1 if card.drawn else 0)
        if head is None:
            return None
        rows = draws.images.published.pool_rows(c.concept_id for c in head.facts.candidates)
        if card.looks_at_concepts and not card.drawn and set(rows) != set(concepts.rows):
            return None  # it was trained on concepts that somebody changed after they were selected
        its_own = replace(
            draws.some(slice(i, i + 1)), concepts=(Concepts.of(draws.images.published, rows),)
        )
        heads = HeadBatch(torch.from_numpy(head.weights)[None], torch.from_numpy(head.bias)[None])
        made.append(on_vectors(card, Fitted(its_own, heads)))
    return _joined(made)


def _repeated(heads: HeadBatch, count: int) -> HeadBatch:
    return HeadBatch(heads.weights[-1:].expand(count, -1, -1), heads.bias[-1:].expand(count, -1))


def _joined(heads: Sequence[HeadBatch]) -> HeadBatch:
    return HeadBatch(torch.cat([h.weights for h in heads]), torch.cat([h.bias for h in heads]))
