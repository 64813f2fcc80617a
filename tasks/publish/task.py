"""The stage `publish`: what passed the gate in, a dataset that others can load out."""

from typing import Any

from curette.schemas.annotations import Annotations
from curette.schemas.appraisal import Appraisal
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
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.store import ArtifactStore
from curette.tasks.publish import STAGE
from curette.tasks.publish.assembly import assemble_concept_dataset
from curette.tasks.publish.inputs import PublishInputs
from curette.tasks.publish.markdown import without_head
from curette.tasks.stage import Workplace, leave_markdown


@STAGE.task
def publish_concept_dataset(
    at: Workplace,
    name: str,
    description: str,
    validated: Ref[ValidatedConceptDataset],
    spec: PublishSpec,
    annotations: Ref[Annotations] | None = None,
    appraisal: Ref[Appraisal] | None = None,
) -> Ref[ConceptDataset]:
    """Put the concept dataset together, with every image's score on every concept, and its card."""
    passed = at.store.load(ValidatedConceptDataset, validated)
    vectors = at.store.load(StudyEmbeddings, passed.embeddings_ref)
    inputs = PublishInputs(
        validated_ref=validated,
        validated=passed,
        dataset=at.store.load(ImageDataset, passed.dataset_ref),
        candidates=at.store.load(CandidateSet, passed.candidates_ref),
        screened=at.store.load(ScreenedSet, passed.screened_ref),
        concepts=at.store.load(ConceptSet, passed.concepts_ref),
        priors=at.store.load(Priors, passed.priors_ref),
        images=at.store.load(ImageEmbeddings, vectors.images_ref),
        texts=at.store.load(TextEmbeddings, vectors.texts_ref),
        class_prompts=vectors.class_prompts,
        reference=vectors.reference,
        annotations=at.store.load(Annotations, annotations) if annotations else None,
        rounds=at.store.load(Appraisal, appraisal).rounds if appraisal else (),
        report=at.store.load(ValidationReport, passed.report_ref),
        screen_settings=_settings("screen", passed.screened_ref, at.store),
        select_settings=_settings("select", passed.concepts_ref, at.store),
    )
    pseudonyms = Pseudonyms(at.store.root)
    published = assemble_concept_dataset(name, description, inputs, spec, pseudonyms.of)
    leave_markdown(
        "dataset-card", without_head(published.card), "The card of the published concept dataset."
    )
    return at.store.save(published, STAGE.recipe())


def _settings(stage: str, made: Ref[Any], store: ArtifactStore) -> dict[str, Any]:
    """Return the settings of the stage that made an artifact, or that a review of it came after."""
    manifest = store.manifest(made)
    while manifest.recipe.stage != stage:
        manifest = store.manifest(Ref.parse(manifest.recipe.inputs["screened"]))
    return manifest.recipe.spec
