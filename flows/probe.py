"""From a published concept dataset to numbers and a report."""

from collections.abc import Iterator
from typing import Annotated

from prefect import flow
from pydantic import Field

from curette.flows.runs import RunResult, StudyChoice, finish, open_study, run_name, start
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions, Stages
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.edits import Edits
from curette.schemas.external import ExternalImages
from curette.schemas.heads import DRAWN
from curette.schemas.probe import Heads
from curette.schemas.report import Report
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.decisions import DecisionShelf
from curette.storage.store import ArtifactStore
from curette.tasks.draw.task import draw_images
from curette.tasks.edit.task import edit_heads
from curette.tasks.embed.task import embed_images
from curette.tasks.evaluate.task import evaluate_probe
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.locate.task import locate_concepts
from curette.tasks.methods.encoder.precision import resolve_precision
from curette.tasks.probe.task import train_probe
from curette.tasks.report.task import write_report


def measure_concepts(study: Study, published: Ref[ConceptDataset], stages: Stages) -> Ref[Report]:
    """Train heads on a concept dataset, measure them on its test split and tell a person."""
    run, optionally = stages.run, stages.run_unless_skipped
    trained = run(train_probe, published, study.probe)
    probe = run(edit_heads, published, trained, current_edits(study, stages.store))
    drawn = tuple(train_on_draws(study, published, trained, stages))
    encoder = resolve_precision(study.encoder, stages.options.machine)
    heat_maps = optionally(locate_concepts, published, encoder, study.locate)
    evaluation = run(
        evaluate_probe,
        published,
        probe,
        study.evaluate,
        drawn=drawn,
        heat_maps=heat_maps,
        external=take_in_external(study, published, stages),
    )
    return run(write_report, published, probe, evaluation, study.report)


def train_on_draws(
    study: Study, published: Ref[ConceptDataset], trained: Ref[Heads], stages: Stages
) -> Iterator[Ref[Heads]]:
    """Yield the heads of every protocol that the study asks for."""
    for protocol, part in DRAWN.items():
        titled, spec = stages.titled(protocol), getattr(study, part)
        draws = titled.run_unless_skipped(draw_images, published, protocol, study.selection, spec)
        if draws:
            yield titled.run(train_probe, published, study.probe, draws, trained)


def current_edits(study: Study, store: ArtifactStore) -> Ref[Edits] | None:
    """Return the edits of heads that count in a run of the study; None where there are none."""
    ref = DecisionShelf(store.root, Edits).get(study.name)
    return ref if ref and store.load(Edits, ref).edits else None


def take_in_external(
    study: Study, published: Ref[ConceptDataset], stages: Stages
) -> tuple[ExternalImages, ...]:
    """Take in and embed the images of every other dataset, as the study's own were.

    Raises:
        StudyError: naming the dataset that something is wrong with.
    """
    if not study.external or study.evaluate.thresholdout:  # it would tell more than one may know
        return ()
    store = stages.store
    validated = Ref.parse(store.manifest(published).recipe.inputs["validated"])
    own = store.load(ValidatedConceptDataset, validated).dataset_ref
    encoder = resolve_precision(study.encoder, stages.options.machine)
    taken = []
    for external in study.external:
        run = stages.on(external.name).run
        try:
            dataset = run(ingest_dataset, external.dataset, own)
            vectors = run(embed_images, dataset, encoder)
        except StudyError as error:
            raise StudyError(f"the external dataset {external.name}: {error}") from error
        taken.append(
            ExternalImages(
                name=external.name,
                dataset=dataset,
                vectors=vectors,
                pretraining_covers=external.pretraining_covers,
                near_duplicate_cosine=study.index.near_duplicate_cosine,
            )
        )
    return tuple(taken)


@flow(name="probe", flow_run_name=run_name)
def probe(
    concept_dataset: Annotated[
        str,
        Field(
            pattern=r"^(concept-dataset/)?[0-9a-f]{20}$",
            description="digest of a published concept dataset in the store",
        ),
    ],
    study: StudyChoice,
    options: RunOptions = DEFAULT_OPTIONS,
) -> RunResult:
    """Train and measure heads on a concept dataset that was published earlier.

    Args:
        concept_dataset: digest of a published concept dataset in the store.
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """
    whole = open_study(study)
    stages = start(whole, options)
    published: Ref[ConceptDataset] = Ref(
        ConceptDataset.kind, concept_dataset.removeprefix("concept-dataset/")
    )
    with stages.under_way():
        measure_concepts(whole, published, stages)
    return finish(whole, stages, published)
