"""The stage `publish`: what passed the gate in, a dataset that others can load out."""

from prefect import task

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.priors import Priors
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.publish import PublishSpec
from curette.schemas.validation import ValidatedConceptDataset, ValidationReport
from curette.storage.store import ArtifactStore
from curette.tasks.publish.assembly import assemble_concept_dataset
from curette.tasks.publish.markdown import without_head
from curette.tasks.publish.parts import Parts
from curette.tasks.stage import Stage, leave_markdown

STAGE = Stage(name="publish")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def publish_concept_dataset(
    name: str,
    description: str,
    validated: Ref[ValidatedConceptDataset],
    spec: PublishSpec,
    store: ArtifactStore,
    annotations: Ref[Annotations] | None = None,
) -> Ref[ConceptDataset]:
    """Put the concept dataset together, with every image's score on every concept, and its card."""
    passed = store.load(ValidatedConceptDataset, validated)
    vectors = store.load(StudyEmbeddings, passed.embeddings_ref)
    parts = Parts(
        validated_ref=validated,
        validated=passed,
        dataset=store.load(ImageDataset, passed.dataset_ref),
        candidates=store.load(CandidateSet, passed.candidates_ref),
        screened=store.load(ScreenedSet, passed.screened_ref),
        concepts=store.load(ConceptSet, passed.concepts_ref),
        priors=store.load(Priors, passed.priors_ref),
        images=store.load(ImageEmbeddings, vectors.images_ref),
        texts=store.load(TextEmbeddings, vectors.texts_ref),
        class_prompts=vectors.class_prompts,
        annotations=store.load(Annotations, annotations) if annotations else None,
        report=store.load(ValidationReport, passed.report_ref),
        screen_settings=store.manifest(passed.screened_ref).recipe.spec,
        select_settings=store.manifest(passed.concepts_ref).recipe.spec,
    )
    published = assemble_concept_dataset(name, description, parts, spec)
    leave_markdown("dataset-card", without_head(published.card))
    return store.save(published, STAGE.recipe(spec, validated=validated, annotations=annotations))
