"""Which stage follows which, and what each is given: the story that flows tell.

Nothing here needs Prefect, which is imported where a stage has to be run: a run with nothing to do
answers before that would be imported.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from curette.flows.beforehand import check_columns, lender_of, wanted_stages
from curette.flows.finished import last_finished
from curette.flows.review import ask_reviewer, current_decisions, parted
from curette.flows.runs import RunResult, finish, start
from curette.flows.stages import (
    NotRemembered,
    Reached,
    RunOptions,
    Stages,
    only_remembered,
    stage_watcher,
)
from curette.flows.watching import revision_seen
from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.annotations import Annotations
from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet
from curette.schemas.edits import Edits
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings
from curette.schemas.encoders import EncoderHeads
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.external import ExternalImages
from curette.schemas.heads import DRAWN
from curette.schemas.images import ImageDataset
from curette.schemas.lender import Lender
from curette.schemas.probe import Heads
from curette.schemas.report import Report
from curette.schemas.review import Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.encoder import EncoderSpec
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.decisions import DecisionShelf
from curette.storage.store import ArtifactStore
from curette.storage.withdrawals import WithdrawalShelf
from curette.tasks.annotate.task import annotate_reports
from curette.tasks.appraise.task import appraise_round
from curette.tasks.draw.task import draw_images
from curette.tasks.edit.task import edit_heads
from curette.tasks.embed.task import embed_images
from curette.tasks.embed_texts.selected_task import embed_selected
from curette.tasks.embed_texts.task import embed_texts
from curette.tasks.evaluate.task import evaluate_probe
from curette.tasks.index.task import build_index
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.locate.task import locate_concepts
from curette.tasks.methods.encoder.precision import resolve_precision
from curette.tasks.priors.task import form_priors
from curette.tasks.probe.encoders_task import train_beside
from curette.tasks.probe.task import train_probe
from curette.tasks.propose.again_task import propose_concepts_again
from curette.tasks.propose.task import needs_images, propose_concepts
from curette.tasks.publish.task import publish_concept_dataset
from curette.tasks.push.task import push_concept_dataset
from curette.tasks.report.task import write_report
from curette.tasks.review.decisions import renamed_directions, reworded_texts
from curette.tasks.review.task import review_concepts
from curette.tasks.screen.task import screen_concepts
from curette.tasks.select.task import select_concepts
from curette.tasks.stage import round_title
from curette.tasks.validate.task import validate_concept_dataset


def whole_study(study: Study, options: RunOptions) -> RunResult:
    """Curate concepts for one dataset and measure how well they explain its labels."""
    stages = start(study, options)
    with stages.under_way():
        # What would be refused later is refused now.
        lender = borrow(study, stages) if "probe" in wanted_stages(options) else None
        published = curate_concepts(study, stages)
        measure_concepts(study, published, stages, lender)
    return finish(study, stages)


def remembered(study: Study, options: RunOptions) -> RunResult | None:
    """Return what earlier runs made, where nothing is left to do; None where something is."""
    token = only_remembered.set(True)
    try:
        return whole_study(study, options)
    except NotRemembered:
        return None
    finally:
        only_remembered.reset(token)


def curate_concepts(study: Study, stages: Stages) -> Ref[ConceptDataset]:
    """Find, choose and check concepts for one dataset, and publish them with their scores.

    Each line is one cached stage; a line that fails is where the next run resumes.
    """
    run, store, llm = stages.run, stages.store, study.llm
    encoder = resolve_precision(study.encoder, stages.options.machine)

    withdrawn = WithdrawalShelf(store.root).current().of(study.name)
    revision = revision_seen(study, store.root)
    dataset = run(ingest_dataset, study.kept_dataset, None, withdrawn, revision)
    check_columns(study, store.load(ImageDataset, dataset))
    images = run(embed_images, dataset, encoder)
    seen = images if needs_images(study.propose) else None
    spec = study.propose.first_round
    reader = encoder if spec.discovers else None
    candidates = run(propose_concepts, dataset, seen, spec, llm if spec.asks else None, reader)
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
    published = run(
        publish_concept_dataset,
        *(study.name, study.description),
        validated,
        study.publish.card,
        annotations,
        rounds,
    )
    stages.run_unless_skipped(push_concept_dataset, published, study.publish.push)
    return published


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
    decisions = store.load(Decisions, decided)
    reworded = reworded_texts(decisions)
    renamed = renamed_directions(decisions, store.load(CandidateSet, candidates))
    embeddings = run(
        embed_texts, dataset, taken_in.images, candidates, reworded, taken_in.encoder, renamed
    )
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


def measure_concepts(
    study: Study, published: Ref[ConceptDataset], stages: Stages, lender: Lender | None
) -> Ref[Report]:
    """Train heads on a concept dataset, measure them on its test split and tell a person."""
    run, optionally = stages.run, stages.run_unless_skipped
    trained = run(train_probe, published, study.probe, lender=lender)
    edits = current_edits(study, stages.store)
    refitted = None
    if edits and (forbidden := stages.store.load(Edits, edits).forbidden):
        refitted = stages.titled("forbidden").run(
            train_probe, published, study.probe, without=forbidden, lender=lender
        )
    probe = run(edit_heads, published, trained, edits, refitted)
    drawn = tuple(train_on_draws(study, published, trained, stages))
    encoder = resolve_precision(study.encoder, stages.options.machine)
    heat_maps = optionally(locate_concepts, published, encoder, study.locate)
    external = take_in_external(study, published, stages)
    if lender:
        refuse_teachers(external, lender, stages.store)
    encoders, resampled = look_with_others(study, published, stages)
    evaluation = run(
        evaluate_probe,
        published,
        probe,
        study.evaluation,
        drawn=drawn,
        heat_maps=heat_maps,
        external=external,
        encoders=encoders,
        resampled=resampled,
    )
    gone = WithdrawalShelf(stages.store.root).current().counts.get(study.name)
    adapted = adaptations_of(probe, stages.store) or None
    since = since_before(study, evaluation, stages)
    return run(write_report, published, probe, evaluation, study.report, gone, adapted, since)


def borrow(study: Study, stages: Stages) -> Lender | None:
    """Return the study whose images teach this one; None where none is named.

    Its images and labels are what a run of it, as it was run last, would find again. Nothing of it
    is run, and what it makes of its statements changes nothing here.

    Raises:
        StudyError: it was not run, or has something left to be run, or erases columns.
    """
    if study.probe.grounding is None:
        return None
    lender = lender_of(study.probe.grounding.study, study, stages.store)
    until = "annotate" if lender.annotate else "embed"
    options = RunOptions(store=stages.options.store, until=until, machine=stages.options.machine)
    found = Stages(lender, options)
    asked, watched = only_remembered.set(True), stage_watcher.set(None)
    try:
        with suppress(Reached):
            curate_concepts(lender, found)
    except NotRemembered as missing:
        raise StudyError(
            f"probe.grounding.from: {lender.name} is not finished as it stands now; its stage "
            f"{missing.title} is to be run. Run it first: `curette run {lender.name}`, or its "
            "study file, with the same --store"
        ) from None
    finally:
        only_remembered.reset(asked)
        stage_watcher.reset(watched)
    made = {(ref := Ref[Any].parse(r.ref)).kind: ref for r in found.records}
    return Lender(
        lender.name,
        made[ImageDataset.kind],
        made[ImageEmbeddings.kind],
        made.get(Annotations.kind),
    )


def refuse_teachers(
    external: Iterable[ExternalImages], lender: Lender, store: ArtifactStore
) -> None:
    """Refuse to test heads on another dataset's images that taught one of them its concepts.

    Raises:
        StudyError: naming the dataset.
    """
    theirs = store.load(ImageDataset, lender.dataset)
    taught = theirs.images["sha256"].iloc[theirs.rows("train")]
    for one in external:
        shared = store.load(ImageDataset, one.dataset).images["sha256"].isin(taught).sum()
        if shared:
            raise StudyError(
                f"the external dataset {one.name}: {shared:,} of its images are training images of "
                f"{lender.name}, whose directions a head borrows (`probe.grounding.from`), so that "
                "no number of that head would be out of domain. Take it off `external`, or borrow "
                "from another study"
            )


def since_before(
    study: Study, measured: Ref[Evaluation | GuardedEvaluation], stages: Stages
) -> str | None:
    """Return what differs from the study's run that was finished before; None where none was."""
    evaluation = Ref[Evaluation](Evaluation.kind, measured.digest)
    if evaluation != measured or not last_finished(stages.store, study.name, before=evaluation):
        return None
    from curette.flows.compare import since_last_run  # which draws figures, and takes long

    return since_last_run(stages.store, study.name, evaluation)


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


def adaptations_of(probe: Ref[Heads], store: ArtifactStore) -> tuple[Ref[AdaptationResult], ...]:
    """Return what was measured of heads of this probe that were adapted to other sites."""
    found = []
    for ref in filter(store.is_whole, store.latest(AdaptationResult.kind)):
        adaptation: Ref[Adaptation] = Ref.parse(store.load(AdaptationResult, ref).adaptation)
        if store.is_whole(adaptation) and store.load(Adaptation, adaptation).probe == probe:
            found.append(ref)
    return tuple(sorted(found, key=str))


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
    withdrawn = WithdrawalShelf(store.root).current().of(study.name)
    taken = []
    for external in study.external:
        run = stages.on(external.name).run
        try:
            dataset = run(ingest_dataset, external.dataset, own, withdrawn)
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


def look_with_others(
    study: Study, published: Ref[ConceptDataset], stages: Stages
) -> tuple[tuple[EncoderHeads, ...], Ref[Heads] | None]:
    """Embed the study's images by every further encoder, and train heads on what it sees.

    Returns:
        Those heads, and heads of the study's own encoder that resampled images trained, beside
        which they are held: any second head disagrees with the first on something.

    Raises:
        StudyError: naming the encoder that something is wrong with.
    """
    if not study.encoders or study.evaluate.thresholdout:  # it would tell more than one may know
        return (), None
    store = stages.store
    recipe = store.manifest(published).recipe
    validated = store.load(ValidatedConceptDataset, Ref.parse(recipe.inputs["validated"]))
    own = store.load(StudyEmbeddings, validated.embeddings_ref).encoder
    known = {own.digest: "the study's own"}
    found: list[EncoderHeads] = []
    for further in study.encoders:
        run = stages.on(further.name).run
        try:
            encoder = resolve_precision(further.encoder, stages.options.machine)
            images = run(embed_images, validated.dataset_ref, encoder)
            digest = store.load(ImageEmbeddings, images).encoder.digest
            if digest in known:
                raise StudyError(
                    f"it is {known[digest]} under another name ({digest[:12]}), with which it can "
                    "only agree. Name other weights under `encoders`, or leave it out."
                )
            known[digest] = further.name
            seen = run(embed_selected, validated.concepts_ref, images, encoder)
            heads = run(train_beside, published, study.probe, seen)
        except StudyError as error:
            raise StudyError(f"the encoder {further.name}: {error}") from error
        found.append(EncoderHeads(further.name, seen, heads))
    resampled = stages.titled("resampled").run(train_beside, published, study.probe)
    return tuple(found), resampled
