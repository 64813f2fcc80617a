"""Putting a concept dataset together from what was validated together."""

from collections.abc import Callable
from dataclasses import replace

from curette.schemas.concept_dataset import ConceptDataset, ConceptDatasetFacts
from curette.schemas.images import METADATA
from curette.schemas.settings.publish import PublishSpec
from curette.tasks.publish.dataset_card import write_card
from curette.tasks.publish.inputs import PublishInputs


def assemble_concept_dataset(
    name: str,
    description: str,
    inputs: PublishInputs,
    spec: PublishSpec,
    pseudonym: Callable[[str, str], str],
) -> ConceptDataset:
    """Return the concept dataset with its card.

    The score of an image and a concept is the cosine of their vectors. Where the pixels lie on
    this machine is not published, what makes them findable here (the digests) is. Subjects and
    lesions, which may be numbers of records, go out under pseudonyms; drawn ones are nobody's.
    Columns of `spec.erase` are taken out of vectors, and so of scores, and are left out themselves.

    Args:
        name: of the study.
        description: of the study.
        inputs: what was validated together.
        spec: what the card says.
        pseudonym: from what a thing is (`subject`) and its id to what it is called outside.

    Raises:
        StudyError: a column that is to be erased is not there, or has too many values.
    """
    dataset, concepts, kept = inputs.dataset, inputs.concepts, inputs.screened.kept
    pool = {c.concept_id for c in kept}
    annotations = inputs.annotations
    private = [c for c in ("location", "mask_location", "source_id") if c in dataset.images]
    images = dataset.images.drop(columns=private)
    for what in ("subject", "lesion"):
        if what in images and not dataset.synthetic:
            ids = images[what]
            images[what] = ids.map({i: pseudonym(what, i) for i in ids.dropna().unique()})
    if annotations:
        images = images.join(annotations.columns(images["image_id"]))
    erasure = None
    if spec.erase:
        from curette.tasks.publish.erasure import erase_columns  # imports torch

        erasure = erase_columns(spec.erase, dataset, inputs.images.vectors)
    vectors = erasure.apply(inputs.images.vectors) if erasure else inputs.images.vectors
    images = images.drop(columns=[f"{METADATA}{column}" for column in spec.erase])
    without_card = ConceptDataset(
        facts=ConceptDatasetFacts(
            name=name,
            description=description,
            classes=dataset.classes,
            class_counts=dataset.class_counts,
            encoder=inputs.images.encoder,
            reference=inputs.reference,
            images_from=dataset.source,
            concepts_from=inputs.candidates.source,
            synthetic_images=dataset.synthetic,
            priors_from=inputs.priors.source,
            recorded_answers=inputs.candidates.recorded,
            labelled=(
                *(x for x in inputs.screened.labelled if x.concept_id in pool),
                *(annotations.labelled if annotations else ()),
            ),
            annotations=annotations.facts.published if annotations else None,
            rounds=inputs.rounds,
            erasure=erasure,
            validated=inputs.validated_ref.digest,
            test_labels=dataset.test_labels.digest,
        ),
        images=images,
        vectors=vectors,
        scores=vectors @ inputs.texts.take(concepts.texts).T,
        concepts=concepts.concepts,
        pool=kept,
        pool_vectors=inputs.texts.take([c.text for c in kept]),
        class_vectors=inputs.texts.take(inputs.class_prompts) if inputs.class_prompts else None,
        priors=inputs.priors.priors,
        dropped=inputs.screened.dropped,
        card="",
    )
    return replace(without_card, card=write_card(without_card, inputs, spec))
