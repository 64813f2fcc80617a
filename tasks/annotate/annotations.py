"""From reports or images to annotations: who is asked, what comes of it, what it is worth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from curette.schemas.annotations import (
    ANSWERS,
    AnnotatedConcept,
    AnnotationFacts,
    AnnotationFailure,
    Annotations,
    ColumnAgreement,
    ReportAnswer,
)
from curette.schemas.artifact import StudyError
from curette.schemas.concepts import Concept
from curette.schemas.images import ImageDataset, Reports
from curette.schemas.llm import Usage
from curette.schemas.screened import LabelledConcept
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.tasks.annotate.asking import (
    Inquiry,
    Outcome,
    Said,
    as_sent,
    in_drawn_order,
    read_reports,
    write_inquiries,
    write_second_inquiries,
)
from curette.tasks.annotate.looking import (
    check_sight,
    control_statements,
    imagined,
    shown_as_controls,
)
from curette.tasks.methods.llm.agreement import cohen_kappa
from curette.tasks.methods.llm.asking import Answers
from curette.tasks.methods.llm.quoting import one_line
from curette.tasks.methods.llm.shown import Pictures

Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""What is asked and how often -> told how many requests are answered."""
MAX_LUCK: Final = 0.01
"""A concept is used where guesses between present and absent agree as well no more often."""


@dataclass(frozen=True)
class ReadingPlan:
    """Which reports are read, which of them may be read twice, and what is asked at first."""

    dataset: ImageDataset
    reports: Mapping[str, str]
    """Image id -> its report as it is sent, or the sha256 of its file, where that is read."""
    cut: int
    checkable: tuple[str, ...]
    """Reports of training and validation images, in their drawn order."""
    concepts: tuple[Concept, ...]
    modality: str
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
        """Plan the first questions; equal reports are asked about once.

        Reports of test images alone are never asked about twice: what is decided by agreement
        must not be decided by them.
        """
        sent = {i: as_sent(text, spec.longest_report) for i, text in reports.texts.items()}
        read = in_drawn_order([text for text in sent.values() if text])[: spec.max_reports]
        among = set(read)
        sent = {i: sent[i] for i in sorted(sent) if sent[i] in among}
        held_out = set(dataset.images["image_id"].to_numpy()[dataset.rows("test")])
        open_to_all = {text for i, text in sent.items() if i not in held_out}
        texts = [c.text for c in concepts]
        longer = {
            sent[i]
            for i, text in reports.texts.items()
            if i in sent and len(one_line(text)) > spec.longest_report
        }
        return cls(
            dataset=dataset,
            reports=sent,
            cut=len(longer),
            checkable=tuple(text for text in read if text in open_to_all),
            concepts=tuple(concepts),
            modality=modality,
            inquiries=_first(read, texts, spec, modality),
        )

    @classmethod
    def of_images(
        cls, dataset: ImageDataset, concepts: Sequence[Concept], spec: AnnotateSpec, modality: str
    ) -> "ReadingPlan":
        """Plan the first questions about images; test images are sent where the study says so."""
        table = dataset.images.sort_values("image_id")
        read = images_asked_about(dataset, spec)
        asked = table[table["sha256"].isin(read) & (spec.test_images | (table["split"] != "test"))]
        open_to_all = set(table["sha256"][table["split"] != "test"])
        texts = [c.text for c in concepts]
        return cls(
            dataset=dataset,
            reports=dict(zip(asked["image_id"], asked["sha256"], strict=True)),
            cut=0,
            checkable=tuple(sha256 for sha256 in read if sha256 in open_to_all),
            concepts=tuple(concepts),
            modality=modality,
            inquiries=_first(read, texts, spec, modality),
        )

    def control(self, spec: AnnotateSpec) -> tuple[Inquiry, ...]:
        """Return what is asked about pictures whose answers are known."""
        texts = control_statements([c.text for c in self.concepts])
        return _first(
            [p.sha256 for p in shown_as_controls(self.modality)], texts, spec, self.modality
        )

    def check(self, first: Said, spec: AnnotateSpec) -> tuple[Inquiry, ...]:
        """Return what is asked again, which depends on the first answers."""
        texts = [c.text for c in self.concepts]
        return write_second_inquiries(first, self.checkable, texts, spec, self.modality)


def _first(
    read: Sequence[str], texts: Sequence[str], spec: AnnotateSpec, modality: str
) -> tuple[Inquiry, ...]:
    """Return the first questions about each of what is read."""
    return tuple(
        inquiry for one in read for inquiry in write_inquiries(one, texts, "first", spec, modality)
    )


def images_asked_about(dataset: ImageDataset, spec: AnnotateSpec) -> list[str]:
    """Return the sha256 of each image that a model is asked about, in their drawn order."""
    table = dataset.images
    asked = table["sha256"][spec.test_images | (table["split"] != "test")]
    return in_drawn_order(asked.tolist())[: spec.max_reports]


def annotate(
    plan: ReadingPlan,
    labelled: Sequence[LabelledConcept],
    spec: AnnotateSpec,
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    watch: Watch,
    pictures: Pictures | None = None,
) -> Annotations:
    """Return what a model reads in reports or images, and which of it can be relied upon.

    Args:
        plan: what is asked at first.
        labelled: the concepts that columns of the data decide.
        spec: the consent, and what answers must hold to be used.
        llm: the model.
        answers: where its answers are kept.
        spent: what the study has spent on it so far.
        watch: shows how far it is.
        pictures: the images' pixels, where images are read.

    Raises:
        StudyError: the study does not allow them to be sent to this server; the server refuses
            or fails, or does not see; or the study's budget is spent.
    """
    if why := spec.why_not_sent(llm):
        raise StudyError(f"annotate: {why}.")

    def read(inquiries: Sequence[Inquiry], words: str, used: Usage) -> Outcome:
        with watch(words, len(inquiries)) as advance:
            return read_reports(inquiries, spec, llm, answers, used, advance, pictures)

    shown = None
    if pictures is not None:
        shown = read(plan.control(spec), "looking at control pictures", spent)
        check_sight(shown.said, len(plan.concepts), shown.model)
        spent += shown.usage
    first = read(plan.inquiries, f"reading {spec.reads}", spent)
    again = plan.check(first.said, spec)
    second = read(again, f"reading {spec.reads} again", spent + first.usage)
    return join_annotations(plan, first, second, labelled, spec, llm.server, shown)


def join_annotations(
    plan: ReadingPlan,
    first: Outcome,
    second: Outcome,
    labelled: Sequence[LabelledConcept],
    spec: AnnotateSpec,
    server: str,
    shown: Outcome | None = None,
) -> Annotations:
    """Give every image what was read in its report, and judge every concept by what is known.

    Where a report was read twice and its answers differ, neither counts. Columns are held against
    the first answers, as they were before that: most reports are read once.
    """
    said, again = first.said, second.said
    settled = {
        report: {p: a for p, a in of.items() if again.get(report, {}).get(p, a) == a}
        for report, of in said.items()
    }
    table = _of_images(plan, settled)
    by_column = {x.concept_id: x for x in labelled}
    facts = AnnotationFacts(
        model=first.model,
        server=server,
        reads=spec.reads,
        side=spec.image_side if spec.reads == "images" else None,
        test_images=spec.test_images,
        not_mentioned=spec.not_mentioned,
        min_kappa=spec.min_kappa,
        images=len(table),
        images_without=len(plan.dataset) - len(table),
        reports=len(set(plan.reports.values())),
        cut=plan.cut,
        checked_reports=len({inquiry.report for inquiry in second.inquiries}),
        questions=len(first.inquiries) + len(second.inquiries),
        contradicted=sum(len(of) - len(settled[report]) for report, of in said.items()),
        failures=(*_failures(plan, first), *_failures(plan, second)),
        concepts=tuple(
            _unjudged(plan, place, table, said, again, spec) for place in range(len(plan.concepts))
        ),
        usage=first.usage + second.usage + (shown.usage if shown else Usage()),
    )
    as_read = Annotations(facts, _of_images(plan, said))
    open_to_all = (plan.dataset.images["split"] != "test").to_numpy()
    unreal = imagined(shown.said, len(plan.concepts), plan.modality) if shown else {}
    judged = []
    for place, concept in enumerate(facts.concepts):
        read = plan.dataset.images["image_id"].map(as_read.truth(concept.concept_id))
        read = read.astype("boolean").where(open_to_all)
        by_class = plan.dataset.images["label"].isin(plan.concepts[place].classes).to_numpy()
        label = by_column.get(concept.concept_id)
        column = _against_column(read, plan.dataset, label, by_class if shown else None)
        why = _why_unused(concept, column, int(read.notna().sum()), spec)
        if column is None and place in unreal:
            why = f"it was called present on {unreal[place]}"
        found: dict[str, Any] = {"column": column, "why_unused": why}
        if shown:
            found["class_kappa"] = _kappa(read, by_class)
        judged.append(concept.model_copy(update=found))
    return Annotations(facts.model_copy(update={"concepts": tuple(judged)}), table)


def _of_images(plan: ReadingPlan, said: Said) -> pd.DataFrame:
    """Return what is said of each image, by what is said of its report."""
    table = pd.DataFrame({"image_id": list(plan.reports)}, dtype=object)
    for place, concept in enumerate(plan.concepts):
        told = [said.get(report, {}).get(place) for report in plan.reports.values()]
        table[concept.concept_id] = pd.Series(told, dtype=object)
    return table


def _failures(plan: ReadingPlan, outcome: Outcome) -> Iterator[AnnotationFailure]:
    """Yield what could not be used, by the image that has the report, never by its words."""
    image: dict[str, str] = {}
    for image_id, report in plan.reports.items():
        image.setdefault(report, image_id)
    for inquiry, reading in zip(outcome.inquiries, outcome.readings, strict=True):
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
        for report in plan.checkable
        if place in first.get(report, {}) and place in second.get(report, {})
    ]
    codes = np.array([[_code(a, spec) for a in pair] for pair in twice], dtype=np.int64)
    codes = codes.reshape(-1, 2)
    decided = codes[(codes != ANSWERS.index("not mentioned")).all(axis=1)]
    counts = table[concept.concept_id].value_counts()
    return AnnotatedConcept(
        concept_id=concept.concept_id,
        text=concept.text,
        present=int(counts.get("present", 0)),
        absent=int(counts.get("absent", 0)),
        not_mentioned=int(counts.get("not mentioned", 0)),
        unanswered=len(table) - int(counts.sum()),
        checked=len(twice),
        decided=len(decided),
        agreement=float((codes[:, 0] == codes[:, 1]).mean()) if twice else None,
        kappa=_lower_kappa(codes, decided),
        luck=_luck(decided),
    )


def _lower_kappa(
    codes: Int[np.ndarray, "report 2"], decided: Int[np.ndarray, "decided 2"]
) -> float | None:
    """Return the lower of two kappas: of all answers, and of those that both decide something.

    A model that knows what is mentioned, and guesses what is said of it, agrees with itself on
    the former; one that decides by chance whether anything is said, on the latter. None where
    either is undefined.
    """
    of_all, of_decided = cohen_kappa(*codes.T), cohen_kappa(*decided.T)
    return None if of_all is None or of_decided is None else min(of_all, of_decided)


def _luck(decided: Int[np.ndarray, "decided 2"]) -> float:
    """Return how likely second answers that do not depend on the first agree as well or better.

    Given how often each turn says `present`, the number of times both say it is hypergeometric,
    and this is its upper tail: Fisher's exact test, one-sided (Fisher, Journal of the Royal
    Statistical Society 98(1), 1935). 1 where a turn always says the same, or nothing is decided.
    """
    from scipy.stats import hypergeom

    if not len(decided):
        return 1.0
    present = decided == ANSWERS.index("present")
    one, other = present.sum(axis=0)
    return float(hypergeom.sf(present.all(axis=1).sum() - 1, len(decided), one, other))


def _code(answer: ReportAnswer, spec: AnnotateSpec) -> int:
    """Return a number for what an answer comes to."""
    silent = answer == "not mentioned" and spec.not_mentioned == "absent"
    return ANSWERS.index("absent" if silent else answer)


def _kappa(read: "pd.Series[Any]", other: Bool[np.ndarray, " image"]) -> float | None:
    """Return Cohen's kappa of what was read and something else, where anything was read."""
    seen = read.notna().to_numpy()
    told = read.fillna(False).to_numpy(dtype=bool)[seen]
    return cohen_kappa(told.astype(np.int64), other[seen].astype(np.int64))


def _against_column(
    read: "pd.Series[Any]",
    dataset: ImageDataset,
    by: LabelledConcept | None,
    by_class: Bool[np.ndarray, " image"] | None,
) -> ColumnAgreement | None:
    """Hold what was read of each image against the column that decides its concept.

    Beside it stands whoever goes by the class alone, which is what a concept's labels come to where
    a model is asked only about images of its class, as in VLG-CBM (Srivastava et al., 2024).
    """
    if by is None:
        return None
    truth = dataset.attribute(by.attribute)
    seen = truth.known & read.notna().to_numpy()
    told = read.fillna(False).to_numpy(dtype=bool)[seen].astype(np.int64)
    there = (truth.present != by.denied)[seen].astype(np.int64)
    return ColumnAgreement(
        attribute=by.attribute,
        denied=by.denied,
        images=int(seen.sum()),
        accuracy=float((told == there).mean()) if len(told) else None,
        kappa=cohen_kappa(told, there),
        class_kappa=None
        if by_class is None
        else cohen_kappa(by_class[seen].astype(np.int64), there),
    )


def _why_unused(
    concept: AnnotatedConcept,
    column: ColumnAgreement | None,
    known: int,
    spec: AnnotateSpec,
) -> str:
    """Say why the annotations of a concept are not used; empty where they are.

    Args:
        concept: what its answers are worth.
        column: where a column decides it.
        known: images outside the test split of which the first answers decide it.
        spec: what is asked of it.
    """
    one = spec.reads[:-1]
    if column is not None:
        return f"the column {column.attribute} decides it"
    if not known:
        of = "training or validation image"
        return f"no {f'report of a {of}' if one == 'report' else of} says whether it is there"
    if concept.agreement is None:
        return f"no {one} was answered twice, so nothing says how far the answers can be trusted"
    if concept.kappa is not None and concept.kappa < spec.min_kappa:
        return (
            f"asked twice about {concept.checked} {spec.reads}, the model agrees with itself on "
            f"{concept.agreement:.0%} (kappa {concept.kappa:.2f}, less than {spec.min_kappa:g})"
        )
    if concept.kappa is None or concept.luck > MAX_LUCK:
        return (
            f"of {concept.checked} {spec.reads} asked about twice, both answers decide it for "
            f"{concept.decided}: too few, or too much alike, to tell the model from one that "
            f"guesses (which agrees as well with a probability of {concept.luck:.2g}, and "
            f"{MAX_LUCK:g} is allowed)"
        )
    return ""
