"""The stage `annotate`: what a model reads in the images' reports, or sees in the images."""

from curette.schemas.annotations import AnnotatedConcept, AnnotationFacts, Annotations
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.concepts import ConceptSet
from curette.schemas.images import ImageDataset, Reports
from curette.schemas.priors import Priors
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageShelf, image_reader
from curette.storage.responses import ResponseShelf
from curette.tasks.annotate import STAGE
from curette.tasks.annotate.annotations import ReadingPlan, annotate
from curette.tasks.methods.llm.control_pictures import pictures_of
from curette.tasks.stage import Workplace, leave_table, progress


@STAGE.task
def annotate_reports(
    at: Workplace,
    validated: Ref[ValidatedConceptDataset],
    spec: AnnotateSpec,
    modality: str,
    llm: LlmSpec,
) -> Ref[Annotations]:
    """Find out what every report or image says of every concept; nothing is asked twice.

    What the study has asked before counts towards the model's limits.

    Raises:
        StudyError: the study does not allow reports or images to be sent there, or has none.
    """
    if why := spec.why_not_sent(llm):
        raise StudyError(f"annotate: {why}.")
    passed = at.store.load(ValidatedConceptDataset, validated)
    dataset = at.store.load(ImageDataset, passed.dataset_ref)
    screened = at.store.load(ScreenedSet, passed.screened_ref)
    spent = at.store.load(CandidateSet, passed.candidates_ref).usage + screened.usage
    spent += at.store.load(Priors, passed.priors_ref).usage
    concepts = at.store.load(ConceptSet, passed.concepts_ref).concepts
    shelf = ResponseShelf(at.store.root)
    pictures = None
    if spec.reads == "images":
        plan = ReadingPlan.of_images(dataset, concepts, spec, modality)
        read = image_reader(dataset, ImageShelf(at.store.root))
        pictures = pictures_of(dataset, read, "annotate.images_may_be_sent_to")
    elif dataset.reports is None:
        raise StudyError("annotate: the images have no reports; name `dataset.report_column`.")
    else:
        reports = at.store.load(Reports, dataset.reports)
        plan = ReadingPlan.of(dataset, reports, concepts, spec, modality)
    made = annotate(plan, screened.labelled, spec, llm, shelf, spent, progress, pictures)
    leave_table("annotations", [_row(c) for c in made.facts.concepts], _summary(made.facts))
    return at.store.save(made, STAGE.recipe())


def _row(concept: AnnotatedConcept) -> dict[str, object]:
    by = concept.column
    return {
        "concept": concept.text,
        "present": concept.present,
        "absent": concept.absent,
        "not mentioned": concept.not_mentioned,
        "no answer": concept.unanswered,
        "asked twice": concept.checked,
        "decided twice": concept.decided,
        "agrees with itself": _told(concept.agreement),
        "kappa": _told(concept.kappa),
        "agrees with the column": _told(by.accuracy) if by else "",
        "used": concept.why_unused or "yes",
    }


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _summary(facts: AnnotationFacts) -> str:
    return (
        f"Concepts {facts.source}: a model's reading, which is no ground truth by itself. "
        f"{facts.reports:,} different {facts.reads} of {facts.images:,} images; "
        f"{len(facts.used)} of {len(facts.concepts)} concepts are used. "
        f"{len(facts.failures):,} of {facts.questions:,} questions brought no whole answer."
    )
