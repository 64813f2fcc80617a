"""From labelled images to a published concept dataset."""

from dataclasses import dataclass

from prefect import flow

from curette.flows.beforehand import check_columns
from curette.flows.review import ask_reviewer, current_decisions, parted
from curette.flows.runs import RunResult, StudyChoice, finish, open_study, run_name, start
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions, Stages
from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.encoder import EncoderSpec
from curette.schemas.study import Study
from curette.tasks.annotate.task import annotate_reports
from curette.tasks.appraise.task import appraise_round
from curette.tasks.embed.task import embed_images
from curette.tasks.embed_texts.task import embed_texts
from curette.tasks.index.task import build_index
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.methods.encoder.precision import resolve_precision
from curette.tasks.priors.task import form_priors
from curette.tasks.propose.again_task import propose_concepts_again
from curette.tasks.propose.task import needs_images, propose_concepts
from curette.tasks.publish.task import publish_concept_dataset
from curette.tasks.review.decisions import reworded_texts
from curette.tasks.review.task import review_concepts
from curette.tasks.screen.task import screen_concepts
from curette.tasks.select.task import select_concepts
from curette.tasks.stage import round_title
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
    spec = study.propose.first_round
    candidates = run(propose_concepts, dataset, seen, spec, llm if spec.asks else None)
    taken_in = TakenIn(dataset, images, encoder)
    made = choose(study, taken_in, candidates, current_decisions(study, store), stages)
    made, rounds, last = propose_in_rounds(study, taken_in, made, stages)
    modality = study.propose.modality
    asked = llm if study.priors.kind == "llm" else None
    priors = run(form_priors, dataset, last, made.screened, study.priors, modality, asked)
    index = run(build_index, dataset, made.concepts, made.embeddings, study.index)
    validated = run(
        validate_concept_dataset,
        *(dataset, made.candidates, made.screened, made.concepts, priors, made.embeddings, index),
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
        rounds,
    )


@dataclass(frozen=True)
class TakenIn:
    """The images, as all rounds see them."""

    dataset: Ref[ImageDataset]
    images: Ref[ImageEmbeddings]
    encoder: EncoderSpec


@dataclass(frozen=True)
class Chosen:
    """What one round made."""

    candidates: Ref[CandidateSet]
    embeddings: Ref[StudyEmbeddings]
    screened: Ref[ScreenedSet]
    decided: Ref[Decisions]
    concepts: Ref[ConceptSet]

    @property
    def appraised(
        self,
    ) -> tuple[Ref[CandidateSet], Ref[ScreenedSet], Ref[ConceptSet], Ref[StudyEmbeddings]]:
        """What is held against validation images."""
        return self.candidates, self.screened, self.concepts, self.embeddings


def choose(
    study: Study,
    taken_in: TakenIn,
    candidates: Ref[CandidateSet],
    decided: Ref[Decisions],
    stages: Stages,
) -> Chosen:
    """Screen candidates, let a person decide about them where one is to, and select."""
    run, store, dataset = stages.run, stages.store, taken_in.dataset
    reworded = reworded_texts(store.load(Decisions, decided))
    embeddings = run(embed_texts, dataset, taken_in.images, candidates, reworded, taken_in.encoder)
    judge = study.llm if study.screen.asks else None
    screened = run(screen_concepts, dataset, candidates, embeddings, study.screen, judge)
    decided = ask_reviewer(study, dataset, screened, decided, store)
    reviewed, exchanges = parted(decided, study, store)
    screened = run(review_concepts, dataset, screened, reviewed)
    concepts = run(select_concepts, dataset, screened, embeddings, study.selection, exchanges)
    return Chosen(candidates, embeddings, screened, decided, concepts)


def propose_in_rounds(
    study: Study, taken_in: TakenIn, made: Chosen, stages: Stages
) -> tuple[Chosen, Ref[Appraisal] | None, Ref[CandidateSet]]:
    """Ask again about what is still confused, until a round adds less than a standard error.

    Every round is run by itself, under its own title, so nothing is gone back to.

    Returns:
        What the last round made that was worth it, what each round added (None where there is but
        one), and the candidates of the last round, which know what all rounds have cost.
    """
    spec, store, dataset = study.propose, stages.store, taken_in.dataset
    if spec.rounds == 1:
        return made, None, made.candidates
    rounds = stages.run(appraise_round, dataset, *made.appraised, None)
    tried = made
    for number in range(2, spec.rounds + 1):
        if not store.load(Appraisal, rounds).pairs:
            break
        again = stages.titled(round_title(number))
        llm = study.llm if spec.asks_again else None
        candidates = again.run(
            propose_concepts_again,
            *(dataset, made.candidates, made.screened, rounds, spec.first_round, llm),
        )
        tried = choose(study, taken_in, candidates, made.decided, again)
        rounds = again.run(appraise_round, dataset, *tried.appraised, rounds)
        if not store.load(Appraisal, rounds).last.kept:
            break
        made = tried
    stages.end_with_a_round()
    return made, rounds, tried.candidates


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
