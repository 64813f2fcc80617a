"""The stage `probe`: a published concept dataset in, trained heads out."""

from dataclasses import replace

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draws
from curette.schemas.heads import card_of
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe import STAGE
from curette.tasks.stage import Workplace, in_shards, leave_table, shares_work


@STAGE.task
def train_probe(
    at: Workplace,
    published: Ref[ConceptDataset],
    spec: ProbeSpec,
    draws: Ref[Draws] | None = None,
    trained: Ref[Heads] | None = None,
    without: tuple[str, ...] | None = None,
) -> Ref[Heads]:
    """Train the heads that are asked for, and their baselines: on all images, or on every draw.

    Args:
        at: where to work.
        published: images and concepts.
        spec: which heads, and how they are trained.
        draws: what one protocol drew; None: all images are the only draw.
        trained: what all images trained by these settings, for protocols that take it over.
        without: selected concepts that no head may look at, of all images; None: there are none.

    Raises:
        StudyError: no selected concept is left.
    """
    from curette.tasks.probe.forbidding import train_without
    from curette.tasks.probe.protocols import train_on_draws
    from curette.tasks.probe.shards import joined, shards
    from curette.tasks.probe.training import train_heads

    dataset = at.store.load(ConceptDataset, published)
    if without:
        heads = train_without(dataset, spec, without)
    elif draws is None:
        heads = train_heads(dataset, spec)
    else:
        known = at.store.load(Heads, trained) if trained else None
        drawn, whole = at.store.load(Draws, draws), replace(dataset)  # all of it is read now

        def train(some: Draws) -> Heads:
            return train_on_draws(whole, some, spec, known)

        parts = shards(drawn) if shares_work(at) else [drawn]
        heads = joined(in_shards(train, parts, at))
    key = f"heads-{heads.protocol}".replace(" ", "-")
    leave_table(key, _rows(heads), "Trained heads, as validation images see them.")
    return at.store.save(heads, STAGE.recipe())


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
