"""Adapting a trained head to another site: a list of images in, an artifact and a page out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from curette.flows.explain import RunStudy, with_heads_alone
from curette.flows.outcome import Told
from curette.flows.stages import RunOptions
from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.readings import describe_readings
from curette.schemas.study import Study
from curette.storage.lease import in_use
from curette.storage.ledger import TestLedger, digest_of_question, reading_of
from curette.storage.store import ArtifactStore
from curette.tasks.adapt.heads import Asked, SiteImages, adapt_head, head_of, measure_adaptation
from curette.tasks.adapt.page import adaptation_page, finding, measured, tell
from curette.tasks.adapt.support import (
    Listed,
    find_support,
    label_support,
    read_support,
)
from curette.tasks.methods.markdown import escape
from curette.tasks.methods.page.numbers import plain, signed
from curette.tasks.stage import code_digest


@dataclass(frozen=True)
class Wanted:
    """What is to be adapted, to what, by which images, and who wants it."""

    site: str
    support: tuple[Listed, ...]
    head: str = EXPLAINED
    editor: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Adapted:
    """What was made, what it was worth, and the page about it."""

    ref: Ref[Adaptation]
    adaptation: Adaptation
    result: AdaptationResult
    html: str

    @property
    def told(self) -> str:
        """What a terminal shows of it."""
        return f"{tell(self.adaptation, self.result)}\nkept as {self.ref}; the probe is untouched"


def tell_adapted(made: Adapted) -> Told[str]:
    """Return what the page of the run says: what was chosen, what it is worth, what was tried."""
    facts = made.adaptation.facts
    headline = f"{finding(made.adaptation)} {measured(made.result)}"
    rows = [
        f"| {escape(t.rung)}{' (taken)' if t.rung == facts.rung else ''} | {plain(t.loss)} | "
        f"{'' if t.gain is None else f'{signed(t.gain)} ± {plain(t.standard_error)}'} |"
        for t in facts.tried
    ]
    table = "\n".join(["| correction | log loss | gain |", "| --- | --- | --- |", *rows])
    notes = (*facts.notes, made.result.readings, f"Kept as {made.ref}; the probe is untouched.")
    page = "\n\n".join([escape(headline), table, *map(escape, filter(None, notes))])
    return Told(headline, page, str(made.ref), "adaptation")


def open_support(file: Path) -> tuple[Listed, ...]:
    """Return the rows of a list of support images.

    Raises:
        StudyError: it cannot be read, or is no such list.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read the list {file}: {error.strerror}") from None
    return read_support(content, str(file))


def adapt_to_site(study: Study, options: RunOptions, wanted: Wanted, run: RunStudy) -> Adapted:
    """Adapt a head, keep it beside the probe, and only then measure it.

    The ledger is written before labels are read: once for the support images', once for those of
    all others.

    Args:
        study: what is not done of it yet, up to its heads and the site's vectors, is done first.
        options: where things are kept.
        wanted: the head, the site and the support images.
        run: runs the study.

    Raises:
        StudyError: there is no such site or head, or the list is wrong.
    """
    sites = {external.name: external for external in study.external}
    if wanted.site not in sites:
        there = f"it has {', '.join(sites)}" if sites else "it has none"
        raise StudyError(
            f"{study.name} has no external dataset {wanted.site!r}; {there}. Add the site under "
            "`external`, so that its images are taken in beside the study's classes."
        )
    if study.evaluate.thresholdout:
        raise StudyError(
            "behind a reusable holdout (`evaluate.thresholdout`) no other dataset is measured, so "
            "no head can be adapted to one; take it off the study first"
        )
    alone = with_heads_alone(study).model_copy(update={"external": (sites[wanted.site],)})
    ran = run(alone, options.model_copy(update={"before": "evaluate"}))
    made = {s.name: Ref.parse(s.ref) for s in ran.stages if s.external == wanted.site}
    store = ArtifactStore(options.store.resolve())
    with in_use(store.root):
        return _adapt(study, store, wanted, ran.given, made)


def _adapt(
    study: Study,
    store: ArtifactStore,
    wanted: Wanted,
    given: dict[str, str],
    made: dict[str, Ref[ImageDataset | ImageEmbeddings]],
) -> Adapted:
    probe_ref: Ref[Heads] = Ref.parse(given["probe"])
    published = store.load(ConceptDataset, Ref.parse(given["published"]))
    probe = store.load(Heads, probe_ref)
    head_of(probe, wanted.head)
    images = store.load(ImageDataset, Ref.parse(str(made["ingest"])))
    support_ids = find_support(wanted.support, wanted.site, images, published)
    ids = tuple(images.images["image_id"])
    vectors = store.load(ImageEmbeddings, Ref.parse(str(made["embed"]))).take(list(ids))
    groups = tuple(images.images["group"].astype(str))
    site = SiteImages(ids, groups, published.seen(vectors))
    now = datetime.now(UTC)
    asked = Asked(
        study.name, wanted.site, wanted.head, wanted.editor, wanted.reason, f"{now:%Y-%m-%d}"
    )
    look = _Ledger(store, study.name, images.test_labels)
    chosen = images.images["image_id"].isin(support_ids)
    inputs = (str(probe_ref), wanted.site, wanted.head, *sorted(support_ids))
    look.record(
        f"{len(support_ids)} support images, to adapt a head by", inputs, images.images[chosen]
    )
    labels = store.load(TestLabels, images.test_labels).labels
    support = label_support(wanted.support, support_ids, wanted.site, images, labels)
    adaptation = adapt_head(published, probe, probe_ref, site, support, asked)
    recipe = Recipe(
        stage="adapt",
        code=code_digest("adapt"),
        spec={"site": wanted.site, "head": wanted.head},
        inputs={**given, **{f"{wanted.site} {name}": str(ref) for name, ref in made.items()}},
    )
    ref = store.save(adaptation, recipe)
    readings = look.record(
        "balanced accuracy of 1 head before and after it was adapted",
        (str(ref), study.evaluate.model_dump_json()),
        images.images[~chosen],
    )
    result = measure_adaptation(
        published, probe, adaptation, ref, site, labels, study.evaluate, readings
    )
    store.save(result, recipe.model_copy(update={"inputs": {"adaptation": str(ref)}}))
    return Adapted(ref, adaptation, result, adaptation_page(published, adaptation, result, ref))


@dataclass(frozen=True)
class _Ledger:
    """Where the readings of one site's labels are written down."""

    store: ArtifactStore
    study: str
    labels: Ref[TestLabels]

    def record(self, what: str, question: Sequence[str], images: pd.DataFrame) -> str:
        """Write down that labels are about to be read; return what is told of earlier readings."""
        asked = digest_of_question(question)
        reading = reading_of(self.labels, self.store, self.study, what, asked)
        earlier = TestLedger(self.store.root).record(reading, images["sha256"])
        return describe_readings(earlier) or ""
