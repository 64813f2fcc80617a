"""What the page says: everything is computed here and in the sections, templates only place it."""

from collections.abc import Sequence
from typing import Any

from curette.schemas.evaluation import Evaluation
from curette.schemas.settings.report import ReportSpec
from curette.tasks.methods.page.decision import LEARNED
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.report.finding import compose_finding
from curette.tasks.report.glossary import TERMS
from curette.tasks.report.material import Draft, Material
from curette.tasks.report.sections import SECTIONS, Section


def compose_page(
    material: Material, spec: ReportSpec, book: PictureBook, sections: Sequence[Section] = SECTIONS
) -> dict[str, Any]:
    """Return what the templates place; `book` collects the thumbnails asked for."""
    draft = Draft(material, spec, book)
    evaluation, facts = material.evaluation, material.published.facts
    page = {
        "name": facts.name,
        "description": facts.description,
        "notices": _notices(material),
        "finding": compose_finding(draft),
        "since": material.since,
        "interval": evaluation.interval if isinstance(evaluation, Evaluation) else "",
        "terms": TERMS,
        "sections": [
            {"name": s.name, "anchor": s.anchor, "title": s.title, "place": s.place, "told": told}
            for s in sections
            if (told := s.compose(draft)) is not None
        ],
    }
    return page | {  # asked for only once all thumbnails are made
        "pictures": [*book.shown, *draft.sprites.shown],
        "beside": draft.sprites.beside,
        "sheets": draft.sprites.sheets if draft.sprites.beside else {},
    }


def _notices(m: Material) -> list[str]:
    """Return what a reader must know before any number."""
    facts = m.published.facts
    notices = []
    if facts.synthetic_images:
        notices.append("The images were drawn by curette itself; no patient is behind them.")
    if facts.recorded_answers:
        notices.append(f"Recorded answers stand in for a language model: {facts.concepts_from}.")
    if facts.annotations and facts.annotations.used:
        notices.append(
            f"Labels of {len(facts.annotations.used)} concepts were {facts.annotations.source}: "
            "they are a language model's reading, and no ground truth by themselves."
        )
    if not facts.encoder.reads_text:
        notices.append(LEARNED)
    if facts.encoder.demo and not facts.synthetic_images:
        notices.append(
            "The encoder is the embedded demo's, which knows only drawn lesions: these numbers "
            "show that the pipeline runs, not what the method can do."
        )
    return notices
