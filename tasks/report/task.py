"""The report stage: everything a study made in, one page for a person out."""

from collections.abc import Callable

from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.priors import Priors
from curette.schemas.probe import Heads
from curette.schemas.report import Report
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.report import ReportSpec
from curette.schemas.validation import ValidatedConceptDataset, ValidationReport
from curette.storage.images import ImageShelf, image_reader
from curette.tasks.report import STAGE
from curette.tasks.stage import Workplace


@STAGE.task
def write_report(
    at: Workplace,
    published: Ref[ConceptDataset],
    probe: Ref[Heads],
    evaluation: Ref[Evaluation | GuardedEvaluation],
    spec: ReportSpec,
    withdrawn: int | None = None,
    adaptations: tuple[Ref[AdaptationResult], ...] | None = None,
    since: str | None = None,
) -> Ref[Report]:
    """Write the page that a person reads; it says how many images were withdrawn, never whose.

    Args:
        at: where to work.
        published: images and concepts.
        probe: the heads that were measured.
        evaluation: what was measured of them.
        spec: of the page.
        withdrawn: how many images; None: none.
        adaptations: of heads of this probe to other sites; None: there are none.
        since: what differs from the run that was finished before; None: none was.
    """
    from curette.tasks.methods.explanation import Explainer
    from curette.tasks.methods.page.pictures import PictureBook
    from curette.tasks.methods.plane import lay_out
    from curette.tasks.methods.threads import decoding_threads
    from curette.tasks.report.material import Material
    from curette.tasks.report.page import compose_page
    from curette.tasks.report.render import render_page

    dataset = at.store.load(ConceptDataset, published)
    validated = at.store.load(ValidatedConceptDataset, dataset.validated_ref)
    images = at.store.load(ImageDataset, validated.dataset_ref)
    validation = at.store.load(ValidationReport, validated.report_ref)
    heads = at.store.load(Heads, probe)
    scores = Explainer(dataset, heads.head(EXPLAINED)).scores(dataset.vectors)
    measured = Evaluation if evaluation.kind == Evaluation.kind else GuardedEvaluation
    material = Material(
        dataset=images,
        candidates=at.store.load(CandidateSet, validated.candidates_ref),
        screened=at.store.load(ScreenedSet, validated.screened_ref),
        priors=at.store.load(Priors, validated.priors_ref),
        concepts=at.store.load(ConceptSet, validated.concepts_ref),
        index=at.store.load(ConceptIndex, validated.index_ref),
        validation=validation,
        published=dataset,
        probe=heads,
        evaluation=at.store.load(measured, evaluation),
        lineage=tuple(at.store.lineage(evaluation)),
        withdrawn=withdrawn or 0,
        adaptations=tuple(
            (at.store.load(Adaptation, Ref.parse(result.adaptation)), result)
            for result in (at.store.load(AdaptationResult, ref) for ref in adaptations or ())
        ),
        since=since or "",
        places=lay_out(scores, dataset.rows("train")) if spec.wall else None,
    )
    shelf = ImageShelf(at.store.root)
    pixels, masks = (_reader(images, shelf, column) for column in ("location", "mask_location"))
    book = PictureBook(pixels, spec.thumbnail_px, masks, threads=decoding_threads(at.machine))
    page = compose_page(material, spec, book)
    report = Report(render_page(page), validation.data_docs, page["sheets"])
    return at.store.save(report, STAGE.recipe())


def _reader(images: ImageDataset, shelf: ImageShelf, column: str) -> Callable[[str], bytes]:
    """Return a function from an image's id to the bytes at the location in a column."""
    read = image_reader(images, shelf)
    if column not in images.images:
        return lambda _: read("")
    locations = dict(zip(images.images["image_id"], images.images[column], strict=True))
    return lambda image_id: read(locations[image_id])
