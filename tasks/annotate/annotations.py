"""From reports to annotations of images: who is asked, what comes of it, and what it is worth."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from schemas.annotations import (
    ANSWERS,
    AnnotatedConcept,
    AnnotateSpec,
    AnnotationFacts,
    AnnotationFailure,
    Annotations,
    ColumnAgreement,
    ReportAnswer,
)
from schemas.artifact import StudyError
from schemas.concepts import Concept
from schemas.images import ImageDataset, Reports
from schemas.llm import LlmSpec, Usage
from schemas.screened import LabelledConcept
from tasks.annotate.asking import (
    Inquiry,
    Outcome,
    Turn,
    as_sent,
    count_checked,
    in_drawn_order,
    read_reports,
    write_inquiries,
)
from tasks.llm.agreement import cohen_kappa
from tasks.llm.asking import Answers
from tasks.llm.quoting import one_line

Said = Mapping[str, Mapping[int, ReportAnswer]]
"""Report -> place of a concept -> answer."""


@dataclass(frozen=True)
class ReadingPlan:
    """Which reports are read, which of them twice, and everything that is asked."""

    dataset: ImageDataset
    reports: Mapping[str, str]
    """Image id -> its report as it is sent, for the images whose report is read."""
    cut: int
    checked: tuple[str, ...]
    concepts: tuple[Concept, ...]
    inquiries: tuple[Inquiry, ...]

    @classmethod
    def of(
        cls,
        dataset: ImageDataset,
        reports: Reports,
        concepts: Sequence[Concept],
        spec: AnnotateSpec,
        modality: str,
    ) -> "ReadingPlan":
        """Plan the questions; equal reports are asked about once.

        Twice are asked reports of training and validation images alone: what is decided by their
        agreement must not be decided by test images.
        """
        sent = {i: as_sent(text, spec.longest_report) for i, text in reports.texts.items()}
        read = in_drawn_order([text for text in sent.values() if text])[: spec.max_reports]
        among = set(read)
        sent = {i: sent[i] for i in sorted(sent) if sent[i] in among}
        held_out = set(dataset.images["image_id"].to_numpy()[dataset.rows("test")])
        open_to_all = {text for i, text in sent.items() if i not in held_out}
        checkable = [text for text in read if text in open_to_all]
        checked = tuple(checkable[: count_checked(len(checkable), spec)])
        texts = [c.text for c in concepts]
        turns: tuple[tuple[Turn, Iterable[str]], ...] = (("first", read), ("second", checked))
        longer = {
            sent[i]
            for i, text in reports.texts.items()
            if i in sent and len(one_line(text)) > spec.longest_report
        }
        return cls(
            dataset=dataset,
            reports=sent,
            cut=len(longer),
            checked=checked,
            concepts=tuple(concepts),
            inquiries=tuple(
                inquiry
                for turn, asked_about in turns
                for report in asked_about
                for inquiry in write_inquiries(report, texts, turn, spec, modality)
            ),
        )


def annotate(
    plan: ReadingPlan,
    labelled: Sequence[LabelledConcept],
    spec: AnnotateSpec,
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    advance: Callable[[int], None],
) -> Annotations:
    """Return what a language model reads in the reports, and which of it can be relied upon.

    Args:
        plan: what is asked.
        labelled: the concepts that columns of the data decide.
        spec: the consent, and what answers must hold to be used.
        llm: the model.
        answers: where its answers are kept.
        spent: what the study has spent on it so far.
        advance: told how many requests are answered.

    Raises:
        StudyError: the study does not allow reports to be sent to this server; the server refuses
            or fails; or the study's budget is spent.
    """
    if why := spec.why_not_sent(llm):
        raise StudyError(f"annotate: {why}.")
    outcome = read_reports(plan.inquiries, spec, llm, answers, spent, advance)
    return join_annotations(plan, outcome, labelled, spec, llm.server)


def join_annotations(
    plan: ReadingPlan,
    outcome: Outcome,
    labelled: Sequence[LabelledConcept],
    spec: AnnotateSpec,
    server: str,
) -> Annotations:
    """Give every image what was read in its report, and judge every concept by what is known.

    Where a report was read twice and its answers differ, neither counts.
    """
    first, second = (_said(plan.inquiries, outcome, turn) for turn in ("first", "second"))
    settled = {
        report: {p: a for p, a in said.items() if second.get(report, {}).get(p, a) == a}
        for report, said in first.items()
    }
    table = pd.DataFrame({"image_id": list(plan.reports)}, dtype=object)
    for place, concept in enumerate(plan.concepts):
        told = [settled.get(report, {}).get(place) for report in plan.reports.values()]
        table[concept.concept_id] = pd.Series(told, dtype=object)
    by_column = {x.concept_id: x for x in labelled}
    facts = AnnotationFacts(
        model=outcome.model,
        server=server,
        not_mentioned=spec.not_mentioned,
        min_kappa=spec.min_kappa,
        images=len(table),
        images_without=len(plan.dataset) - len(table),
        reports=len(set(plan.reports.values())),
        cut=plan.cut,
        checked_reports=len(plan.checked),
        questions=len(plan.inquiries),
        contradicted=sum(len(said) - len(settled[report]) for report, said in first.items()),
        failures=tuple(_failures(plan, outcome)),
        concepts=tuple(
            _unjudged(plan, place, table, first, second, spec)
            for place in range(len(plan.concepts))
        ),
        usage=outcome.usage,
    )
    made = Annotations(facts, table)
    judged = tuple(
        _judged(c, _against_column(made, plan.dataset, by_column.get(c.concept_id)), spec)
        for c in facts.concepts
    )
    return Annotations(facts.model_copy(update={"concepts": judged}), table)


def _said(inquiries: Sequence[Inquiry], outcome: Outcome, turn: str) -> Said:
    said: dict[str, dict[int, ReportAnswer]] = {}
    for inquiry, reading in zip(inquiries, outcome.readings, strict=True):
        if inquiry.turn == turn:
            said.setdefault(inquiry.report, {}).update(reading.answers)
    return said


def _failures(plan: ReadingPlan, outcome: Outcome) -> Iterator[AnnotationFailure]:
    """Yield what could not be used, by the image that has the report, never by its words."""
    image: dict[str, str] = {}
    for image_id, report in plan.reports.items():
        image.setdefault(report, image_id)
    for inquiry, reading in zip(plan.inquiries, outcome.readings, strict=True):
        if reading.problem:
            places = [place + 1 for place in inquiry.listed if place is not None]
            yield AnnotationFailure(
                image_id=image[inquiry.report],
                turn=inquiry.turn,
                concepts=(min(places), max(places)),
                reason=reading.problem,
            )


# --- what annotations are worth ------------------------------------------------------------------


def _unjudged(
    plan: ReadingPlan,
    place: int,
    table: pd.DataFrame,
    first: Said,
    second: Said,
    spec: AnnotateSpec,
) -> AnnotatedConcept:
    """Return how often a concept was answered, and how far two answers about it agree."""
    concept = plan.concepts[place]
    twice = [
        (first[report][place], second[report][place])
        for report in plan.checked
        if place in first.get(report, {}) and place in second.get(report, {})
    ]
    codes = np.array([[_code(a, spec) for a in pair] for pair in twice], dtype=np.int64)
    one, other = codes.reshape(-1, 2).T
    counts = table[concept.concept_id].value_counts()
    return AnnotatedConcept(
        concept_id=concept.concept_id,
        text=concept.text,
        present=int(counts.get("present", 0)),
        absent=int(counts.get("absent", 0)),
        not_mentioned=int(counts.get("not mentioned", 0)),
        unanswered=len(table) - int(counts.sum()),
        checked=len(twice),
        agreement=float((one == other).mean()) if twice else None,
        kappa=_lower_kappa(codes.reshape(-1, 2)),
    )


def _lower_kappa(codes: Int[np.ndarray, "report 2"]) -> float | None:
    """Return the lower of two kappas: of all answers, and of those that both decide something.

    A model that knows what is mentioned, and guesses what is said of it, agrees with itself on
    the former; one that decides by chance whether anything is said, on the latter.
    """
    decided = codes[(codes != ANSWERS.index("not mentioned")).all(axis=1)]
    both = (cohen_kappa(*codes.T), cohen_kappa(*decided.T))
    return min((kappa for kappa in both if kappa is not None), default=None)


def _code(answer: ReportAnswer, spec: AnnotateSpec) -> int:
    """Return a number for what an answer comes to."""
    silent = answer == "not mentioned" and spec.not_mentioned == "absent"
    return ANSWERS.index("absent" if silent else answer)


def _against_column(
    made: Annotations, dataset: ImageDataset, by: LabelledConcept | None
) -> ColumnAgreement | None:
    """Hold annotations against the column that decides their concept, away from test images."""
    if by is None:
        return None
    truth = dataset.attribute(by.attribute)
    read = dataset.images["image_id"].map(made.truth(by.concept_id)).astype("boolean")
    seen = (dataset.images["split"] != "test").to_numpy() & truth.known & read.notna().to_numpy()
    told = read.fillna(False).to_numpy(dtype=bool)[seen].astype(np.int64)
    there = (truth.present != by.denied)[seen].astype(np.int64)
    return ColumnAgreement(
        attribute=by.attribute,
        denied=by.denied,
        images=int(seen.sum()),
        accuracy=float((told == there).mean()) if len(told) else None,
        kappa=cohen_kappa(told, there),
    )


def _judged(
    concept: AnnotatedConcept, column: ColumnAgreement | None, spec: AnnotateSpec
) -> AnnotatedConcept:
    """Say whether the annotations of a concept are used, and if not, why."""
    silence = concept.not_mentioned if spec.not_mentioned == "absent" else 0
    why = ""
    if column is not None:
        why = f"the column {column.attribute} decides it"
    elif not concept.present + concept.absent + silence:
        why = "no report says whether it is there"
    elif concept.agreement is None:
        why = "no report was answered twice, so nothing says how far the answers can be trusted"
    elif concept.kappa is not None and concept.kappa < spec.min_kappa:
        why = (
            f"asked twice about {concept.checked} reports, the model agrees with itself on "
            f"{concept.agreement:.0%} (kappa {concept.kappa:.2f}, less than {spec.min_kappa:g})"
        )
    return concept.model_copy(update={"column": column, "why_unused": why})
