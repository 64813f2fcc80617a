"""From labelled images to a published concept dataset."""

from prefect import flow

from curette.flows.beforehand import check_columns
from curette.flows.review import ask_reviewer, current_decisions, parted
from curette.flows.runs import RunResult, StudyChoice, finish, open_study, run_name, start
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions, Stages
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decisions
from curette.schemas.study import Study
from curette.tasks.annotate.task import annotate_reports
from curette.tasks.embed.task import embed_images
from curette.tasks.embed_texts.task import embed_texts
from curette.tasks.index.task import build_index
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.methods.encoder.precision import resolve_precision
from curette.tasks.priors.task import form_priors
from curette.tasks.propose.task import needs_images, propose_concepts
from curette.tasks.publish.task import publish_concept_dataset
from curette.tasks.review.decisions import reworded_texts
from curette.tasks.review.task import review_concepts
from curette.tasks.screen.task import screen_concepts
from curette.tasks.select.task import select_concepts
from curette.tasks.validate.task import validate_concept_dataset


def curate_concepts(study: Study, stages: Stages) -> Ref[ConceptDataset]:
    """Find, choose and check concepts for one dataset, and publish them with their scores.

    Each line is one cached stage; a line that fails is where the next run resumes.
    """
    run, store, llm = stages.run, stages.store, study.llm
    encoder = resolve_precision(study.encoder, stages.options.machine)

    dataset = run(ingest_dataset, study.kept_dataset)
    check_columns(study, store.load(ImageDataset, dataset))
    images = run(embed_images, dataset, encoder)
    seen = images if needs_images(study.propose) else None
    asked = llm if study.propose.asks else None
    candidates = run(propose_concepts, dataset, seen, study.propose, asked)
    decided = current_decisions(study, store)
    reworded = reworded_texts(store.load(Decisions, decided))
    embeddings = run(embed_texts, dataset, images, candidates, reworded, encoder)
    judge = llm if study.screen.asks else None
    screened = run(screen_concepts, dataset, candidates, embeddings, study.screen, judge)
    decided = ask_reviewer(study, dataset, screened, decided, store)
    reviewed, exchanges = parted(decided, study, store)
    screened = run(review_concepts, dataset, screened, reviewed)
    modality = study.propose.modality
    asked = llm if study.priors.kind == "llm" else None
    priors = run(form_priors, dataset, candidates, screened, study.priors, modality, asked)
    concepts = run(select_concepts, dataset, screened, embeddings, study.selection, exchanges)
    index = run(build_index, dataset, concepts, embeddings, study.index)
    validated = run(
        validate_concept_dataset,
        *(dataset, candidates, screened, concepts, priors, embeddings, index),
        study.validation,
    )
    annotations = stages.run_unless_skipped(
        annotate_reports, validated, study.annotate, modality, llm
    )
    return run(
        publish_concept_dataset,
        *(study.name, study.description),
        validated,
        study.publish,
        annotations,
    )


@flow(name="curate", flow_run_name=run_name)
def curate(study: StudyChoice, options: RunOptions = DEFAULT_OPTIONS) -> RunResult:
    """Make a validated, published concept dataset out of a labelled image dataset and an LLM.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """
    whole = open_study(study)
    stages = start(whole, options)
    with stages.under_way():
        curate_concepts(whole, stages)
    return finish(whole, stages)
