"""What the page says: everything is computed here, the template only places it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from curette.schemas.artifact import Manifest
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ClassSelection, Concept, ConceptSet
from curette.schemas.evaluation import Evaluation, Explanation, GuardedEvaluation
from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.images import SPLITS, ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.llm import Usage
from curette.schemas.priors import Priors
from curette.schemas.probe import Head, Probe
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.report import ReportSpec
from curette.schemas.validation import Check, SuiteName, ValidationReport
from curette.tasks.report.annotations import annotations_section
from curette.tasks.report.candidates import (
    candidates_section,
    origin_line,
    priors_section,
    quote_of,
)
from curette.tasks.report.charts import training_curve
from curette.tasks.report.concept_truth import concept_truth_section
from curette.tasks.report.evaluation import evaluation_section, guarded_section
from curette.tasks.report.few_shots import few_shot_section
from curette.tasks.report.location import location_section
from curette.tasks.report.pictures import PictureBook
from curette.tasks.report.screening import screening_section
from curette.tasks.report.shifts import shift_section


@dataclass(frozen=True)
class Material:
    """Everything a study made that its report speaks of."""

    dataset: ImageDataset
    candidates: CandidateSet
    screened: ScreenedSet
    priors: Priors
    concepts: ConceptSet
    index: ConceptIndex
    validation: ValidationReport
    published: ConceptDataset
    probe: Probe
    evaluation: Evaluation | GuardedEvaluation
    lineage: tuple[Manifest, ...]
    """Of every artifact the report rests on, first made first."""


def compose_page(material: Material, spec: ReportSpec, book: PictureBook) -> dict[str, Any]:
    """Return what the template places; `book` collects the thumbnails asked for."""
    m = material
    page = {
        "name": m.published.facts.name,
        "title": m.published.facts.name,
        "description": m.published.facts.description,
        "notices": _notices(m),
        "tiles": _tiles(m),
        "class_names": [c.name for c in m.published.facts.classes],
        **_measured(m, book),
        "concepts_note": "Weights are what the concept bottleneck learned: how much a class's "
        "logit grows as the score of image and concept rises by one standard deviation of the "
        f"training images. At most {spec.concepts_per_class} concepts a class are shown, heaviest "
        "first.",
        "classes": [_class(m, i, spec, book) for i in range(len(m.published.class_keys))],
        "charts": list(_training_curves(_shown_heads(m.probe))),
        "skipped_heads": m.probe.skipped,
        "annotations": annotations_section(m.published.facts.annotations),
        **candidates_section(m.candidates, _spent(m)),
        **screening_section(m.screened),
        **priors_section(m.priors, m.published.pool, m.published.facts.classes),
        **_validation(m),
        **_data(m),
        "lineage": [_lineage(manifest) for manifest in m.lineage],
    }
    return page | {"pictures": book.shown}  # asked for only once all thumbnails are made


def _measured(m: Material, book: PictureBook) -> dict[str, Any]:
    """Return what was measured on the test images, or the little that the holdout tells."""
    e = m.evaluation
    if isinstance(e, GuardedEvaluation):
        return guarded_section(e)
    facts = [h.facts for h in m.probe.heads]
    return {
        "guarded": None,
        **evaluation_section(e, facts, m.published.facts.classes, _units(m), book),
        **concept_truth_section(
            e.concepts,
            e.interventions,
            m.probe.grounding,
            m.published.facts.synthetic_images,
            m.published.facts.annotations,
        ),
        **location_section(e.location, book),
        "decisions_note": "Test images, and what each concept added to the logit of the predicted "
        "class, compared with the average training image. Bars to the right speak for the "
        "prediction, bars to the left against it; with what is not shown they add up to the logit.",
        "decisions": [_decision(x, m, book) for x in e.explanations],
        "few_shots": few_shot_section(e.few_shots) if e.few_shots else None,
        "shift": shift_section(e.shifts, m.published.facts.classes) if e.shifts else None,
    }


def _spent(m: Material) -> Usage:
    """Return what the language model was asked in the whole study."""
    annotations = m.published.facts.annotations
    annotated = annotations.usage if annotations else Usage()
    return m.candidates.usage + m.screened.usage + m.priors.usage + annotated


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
    if facts.encoder.demo and not facts.synthetic_images:
        notices.append(
            "The encoder is the embedded demo's, which knows only drawn lesions: these numbers "
            "show that the pipeline runs, not what the method can do."
        )
    return notices


def _tiles(m: Material) -> list[dict[str, str]]:
    facts, evaluation = m.published.facts, m.evaluation
    candidates = len(m.screened.kept) + len(m.screened.dropped)
    warned = len(m.validation.warnings)
    return [
        _headline(evaluation),
        {
            "label": "test images",
            "value": f"{evaluation.images:,}",
            "note": f"in {evaluation.groups:,} independent groups",
        },
        {
            "label": "images",
            "value": f"{len(m.dataset):,}",
            "note": f"{len(facts.classes)} classes, {len(m.dataset.rejected)} rejected",
        },
        {
            "label": "candidates",
            "value": f"{candidates:,}",
            "note": f"{len(m.screened.dropped):,} dropped by the screen",
        },
        {
            "label": "concepts",
            "value": f"{len(m.concepts.concepts):,}",
            "note": f"chosen by {m.concepts.method.replace('_', ' ')} selection",
        },
        {
            "label": "checks",
            "value": f"{sum(c.outcome == 'passed' for c in m.validation.checks)}"
            f"/{len(m.validation.checks)}",
            "note": f"passed; {warned} warning{'' if warned == 1 else 's'}",
        },
    ]


def _headline(evaluation: Evaluation | GuardedEvaluation) -> dict[str, str]:
    """Return what the concept bottleneck reaches."""
    if isinstance(evaluation, GuardedEvaluation):
        [told] = [a for a in evaluation.answers if a.head_kind == EXPLAINED]
        value = "refused" if told.value is None else f"{told.value:.3f}"
        note = "balanced accuracy, as the reusable holdout tells it"
        return {"label": card_of(EXPLAINED).title, "value": value, "note": note}
    best = {x.head_kind: x for x in evaluation.metrics if x.name == "balanced_accuracy"}
    head = best[EXPLAINED]
    return {
        "label": card_of(EXPLAINED).title,
        "value": f"{head.value:.3f}",
        "note": f"balanced accuracy, {evaluation.confidence:.0%} interval "
        f"{head.low:.3f} to {head.high:.3f}",
    }


def _units(m: Material) -> str:
    """Return what is resampled, as far as the data knows who is who."""
    images = m.published.images
    known = [name for name in ("subject", "lesion") if images[name].notna().any()]
    if known:
        return f"groups (images of one {' or '.join(known)} stay together)"
    return "images, each for itself, since no subject is known"


# --- concepts ------------------------------------------------------------------------------------


def _class(m: Material, number: int, spec: ReportSpec, book: PictureBook) -> dict[str, Any]:
    selection = m.concepts.selections[number]
    ranked = _heaviest(m, number)
    largest = max((abs(w) for _, w in ranked), default=0) or 1
    shown = ranked[: spec.concepts_per_class]
    share = sum(abs(w) for _, w in shown) / (sum(abs(w) for _, w in ranked) or 1)
    return {
        "name": m.published.facts.classes[number].name,
        "shown": len(shown),
        "total": len(ranked),
        "share": f"{share:.0%}",
        "more": len(ranked) - len(shown),
        "proof": _proof(m.concepts, selection),
        "concepts": [
            _concept(m, c, w, largest, spec, book)
            | {"selected": selection.class_key in c.selected_for}
            for c, w in shown
        ],
    }


def _proof(concepts: ConceptSet, selection: ClassSelection) -> str:
    """Say how good the selection provably is, and by which similarity."""
    whose = "selection of all classes together" if concepts.scope == "jointly" else "selection"
    among = f"over {selection.similarity}, " if selection.neighbours else ""
    return (
        f"{whose} proven to {selection.certificate:.1%} of the optimum, {among}"
        f"from {selection.pool:,} candidates"
        + (" of this class" if concepts.scope == "jointly" else "")
    )


def _heaviest(m: Material, number: int) -> list[tuple[Concept, float]]:
    """Return all concepts with their weights for a class per standard deviation, heaviest first.

    Those selected for other classes count too: the bottleneck weighs every concept for each.
    """
    head = m.probe.head(EXPLAINED)
    spread = m.published.scores[m.published.rows("train")].std(axis=0)
    weights = head.weights[number] * spread
    pairs = zip(m.published.concepts, weights.tolist(), strict=True)
    return sorted(pairs, key=lambda pair: -abs(pair[1]))


def _concept(
    m: Material,
    concept: Concept,
    weight: float,
    largest: float,
    spec: ReportSpec,
    book: PictureBook,
) -> dict[str, Any]:
    names = {c.key: c.name for c in m.published.facts.classes}
    hits = m.index.top_images.get(concept.concept_id, ())[: spec.images_per_concept]
    return {
        "text": concept.text,
        "proposed_for": ", ".join(names[k] for k in concept.classes),
        "origin": origin_line(concept.origins),
        "quote": quote_of(concept.origins),
        "weight": weight,
        "width": 70 * abs(weight) / largest,
        "pictures": [
            {"css": book.css(h.image_id), "title": f"{h.image_id}, cosine {h.score:.3f}"}
            for h in hits
        ],
    }


# --- decisions and errors ------------------------------------------------------------------------


def _decision(e: Explanation, m: Material, book: PictureBook) -> dict[str, Any]:
    names = {c.key: c.name for c in m.published.facts.classes}
    listed = sorted([*e.speaking_for, *e.speaking_against], key=lambda c: -c.contribution)
    largest = max((abs(c.contribution) for c in listed), default=0) or 1
    return {
        "image_id": e.image_id,
        "css": book.css(e.image_id),
        "label": names[e.label],
        "predicted": names[e.predicted],
        "right": e.label == e.predicted,
        "probability": e.probability,
        "logit": e.logit,
        "baseline": e.baseline,
        "rest": e.rest,
        "shown": sum(c.contribution for c in listed),
        "contributions": [
            {
                "text": c.text,
                "contribution": c.contribution,
                "width": 50 * abs(c.contribution) / largest,
            }
            for c in listed
        ],
    }


def _shown_heads(probe: Probe) -> list[Head]:
    """Return the heads whose errors are drawn: the baselines' are in the table."""
    return [h for h in probe.heads if h.facts.kind in (EXPLAINED, REFERENCE)]


def _training_curves(heads: Sequence[Head]) -> Iterator[dict[str, Any]]:
    for head in heads:
        facts = head.facts
        if len(facts.curve) > 1:
            on_path = "epoch" not in facts.chosen
            steps = tuple(
                s.model_copy(update={"x": float(np.log10(s.x)) if on_path else s.x})
                for s in facts.curve
            )
            label = "log10 of the regularisation strength" if on_path else "epoch"
            yield {
                "title": f"{facts.name}: loss on training (dashed) and validation images",
                "svg": training_curve(steps, label, card_of(facts.kind).colour),
            }


# --- validation, data, lineage --------------------------------------------------------


def _validation(m: Material) -> dict[str, Any]:
    def suite(name: str) -> dict[str, Any]:
        checks: list[Check] = [c for c in m.validation.checks if c.suite == name]
        passed = sum(c.outcome == "passed" for c in checks)
        return {
            "name": name,
            "checks": sorted(checks, key=lambda c: c.outcome == "passed"),
            "passed": passed,
            "total": len(checks),
            "troubled": passed < len(checks),
        }

    return {
        "validation_note": "Everything below was checked before anything was published; a failed "
        "check rejects the dataset, a warning is shown.",
        "suites": [suite(name) for name in get_args(SuiteName)],
    }


def _data(m: Material) -> dict[str, Any]:
    counts = m.dataset.class_counts
    return {
        "data_note": f"{m.dataset.source} Encoded by {m.published.facts.encoder.name}. Labels of "
        "the test split were set apart when the images were taken in.",
        "data_notes": m.dataset.notes,
        "split_names": SPLITS,
        "split_rows": [
            {"name": c.name, "counts": [counts.get(c.key, {}).get(s, 0) for s in SPLITS]}
            for c in m.dataset.classes
        ],
        "rejected": m.dataset.rejected,
        "index_note": m.index.facts.summary,
        "duplicates": m.index.duplicates,
    }


def _lineage(manifest: Manifest) -> dict[str, Any]:
    return {
        "stage": manifest.recipe.stage,
        "ref": f"{manifest.kind}/{manifest.digest}",
        "inputs": manifest.recipe.inputs,
        "code": manifest.recipe.code[:20],
        "commit": manifest.code_commit,
        "spec": json.dumps(manifest.recipe.spec, indent=1, sort_keys=True, ensure_ascii=False),
    }
