"""The stage `probe`: a published concept dataset in, trained heads out."""

from dataclasses import replace
from typing import TYPE_CHECKING

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draws
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.heads import card_of
from curette.schemas.images import ImageDataset
from curette.schemas.lender import Lender
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.tasks.probe import STAGE
from curette.tasks.stage import Workplace, in_shards, leave_table, shares_work

if TYPE_CHECKING:
    from curette.tasks.probe.bank import Bank


@STAGE.task
def train_probe(
    at: Workplace,
    published: Ref[ConceptDataset],
    spec: ProbeSpec,
    draws: Ref[Draws] | None = None,
    trained: Ref[Heads] | None = None,
    without: tuple[str, ...] | None = None,
    lender: Lender | None = None,
) -> Ref[Heads]:
    """Train the heads that are asked for, and their baselines: on all images, or on every draw.

    Args:
        at: where to work.
        published: images and concepts.
        spec: which heads, and how they are trained.
        draws: what one protocol drew; None: all images are the only draw.
        trained: what all images trained by these settings, for protocols that take it over.
        without: selected concepts that no head may look at, of all images; None: there are none.
        lender: another study, whose labelled training images teach directions of concepts; None:
            none is named.

    Raises:
        StudyError: no selected concept is left, or the other study has no labelled concepts or
            another encoder.
    """
    from curette.tasks.probe.forbidding import train_without
    from curette.tasks.probe.protocols import train_on_draws
    from curette.tasks.probe.shards import joined, shards
    from curette.tasks.probe.training import train_heads

    dataset = at.store.load(ConceptDataset, published)
    if without:
        heads = train_without(dataset, spec, without, _bank_of(lender, dataset, at))
    elif draws is None:
        heads = train_heads(dataset, spec, bank=_bank_of(lender, dataset, at))
    else:
        known = at.store.load(Heads, trained) if trained else None
        drawn = at.store.load(Draws, draws)
        if shares_work(at):
            whole = replace(dataset)  # read to the end, since only this machine has its folder
            heads = joined(
                in_shards(
                    lambda some: train_on_draws(whole, some, spec, known), shards(drawn), at.machine
                )
            )
        else:
            heads = train_on_draws(dataset, drawn, spec, known)
    key = f"heads-{heads.protocol}".replace(" ", "-")
    leave_table(key, _rows(heads), "Trained heads, as validation images see them.")
    return at.store.save(heads, STAGE.recipe())


def _bank_of(lender: Lender | None, published: ConceptDataset, at: Workplace) -> "Bank | None":
    """Return the images of another study, of which those that this one has may not teach."""
    from curette.tasks.probe.bank import Bank

    if lender is None:
        return None
    own = at.store.load(ValidatedConceptDataset, published.validated_ref).dataset_ref
    return Bank.of(
        lender.name,
        at.store.load(ImageDataset, lender.dataset),
        at.store.load(ImageEmbeddings, lender.vectors),
        at.store.load(Annotations, lender.annotations) if lender.annotations else None,
        at.store.load(ImageDataset, own),
    )


def _rows(heads: Heads) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "head": facts.name,
            "draw": heads.draws[facts.trained_on].title if heads.draws else "",
            "effective concepts": round(facts.nec, 1),
            "chosen": ", ".join(f"{k} {v:g}" for k, v in facts.chosen.items()),
            "validation loss": round(facts.validation_loss, 4),
            "validation balanced accuracy": round(facts.validation_balanced_accuracy, 4),
        }
        for facts in (head.facts for head in heads.heads)
    ]
    rows += [
        {"head": card_of(kind).title, "draw": f"each of {len(heads.draws)}"}
        for kind in heads.stack.kinds
    ]
    return rows + [{"head": s.name, "chosen": f"skipped: {s.reason}"} for s in heads.skipped]
