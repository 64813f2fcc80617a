"""The stage `probe`: a published concept dataset in, trained heads out."""

from typing import TYPE_CHECKING

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draws
from curette.schemas.heads import card_of
from curette.schemas.images import ImageDataset
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.tasks.probe import STAGE
from curette.tasks.stage import Workplace, leave_table

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
    bank: Ref[ConceptDataset] | None = None,
) -> Ref[Heads]:
    """Train the heads that are asked for, and their baselines: on all images, or on every draw.

    Args:
        at: where to work.
        published: images and concepts.
        spec: which heads, and how they are trained.
        draws: what one protocol drew; None: all images are the only draw.
        trained: what all images trained by these settings, for protocols that take it over.
        without: selected concepts that no head may look at, of all images; None: there are none.
        bank: what another study published, whose labelled training images teach directions of
            concepts; None: no other study is named.

    Raises:
        StudyError: no selected concept is left, or the other study has no labelled concepts or
            another encoder.
    """
    from curette.tasks.probe.forbidding import train_without
    from curette.tasks.probe.protocols import train_on_draws
    from curette.tasks.probe.training import train_heads

    dataset = at.store.load(ConceptDataset, published)
    if without:
        heads = train_without(dataset, spec, without, _opened(bank, at))
    elif draws is None:
        heads = train_heads(dataset, spec, bank=_opened(bank, at))
    else:
        known = at.store.load(Heads, trained) if trained else None
        heads = train_on_draws(dataset, at.store.load(Draws, draws), spec, known)
    key = f"heads-{heads.protocol}".replace(" ", "-")
    leave_table(key, _rows(heads), "Trained heads, as validation images see them.")
    return at.store.save(heads, STAGE.recipe())


def _opened(ref: Ref[ConceptDataset] | None, at: Workplace) -> "Bank | None":
    """Return another study's images with the statements that its columns decide."""
    from curette.tasks.probe.bank import Bank

    if ref is None:
        return None
    published = at.store.load(ConceptDataset, ref)
    validated = at.store.load(ValidatedConceptDataset, published.validated_ref)
    dataset = at.store.load(ImageDataset, validated.dataset_ref)
    return Bank.of(published, dataset.attribute_phrases)


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
