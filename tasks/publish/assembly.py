"""Putting a concept dataset together from what was validated together."""

from dataclasses import replace

from curette.schemas.concept_dataset import ConceptDataset, ConceptDatasetFacts
from curette.schemas.settings.publish import PublishSpec
from curette.tasks.publish.dataset_card import write_card
from curette.tasks.publish.parts import Parts


def assemble_concept_dataset(
    name: str, description: str, parts: Parts, spec: PublishSpec
) -> ConceptDataset:
    """Return the concept dataset with its card.

    The score of an image and a concept is the cosine of their vectors. Where the pixels lie on
    this machine is not published, what makes them findable here (the digests) is.
    """
    dataset, concepts, kept = parts.dataset, parts.concepts, parts.screened.kept
    pool = {c.concept_id for c in kept}
    annotations = parts.annotations
    locations = [c for c in ("location", "mask_location") if c in dataset.images]
    images = dataset.images.drop(columns=locations)
    if annotations:
        images = images.join(annotations.columns(images["image_id"]))
    without_card = ConceptDataset(
        facts=ConceptDatasetFacts(
            name=name,
            description=description,
            classes=dataset.classes,
            class_counts=dataset.class_counts,
            encoder=parts.images.encoder,
            images_from=dataset.source,
            concepts_from=parts.candidates.source,
            synthetic_images=dataset.synthetic,
            priors_from=parts.priors.source,
            recorded_answers=parts.candidates.recorded,
            labelled=(
                *(x for x in parts.screened.labelled if x.concept_id in pool),
                *(annotations.labelled if annotations else ()),
            ),
            annotations=annotations.facts.published if annotations else None,
            validated=parts.validated_ref.digest,
            test_labels=dataset.test_labels.digest,
        ),
        images=images,
        vectors=parts.images.vectors,
        scores=parts.images.vectors @ parts.texts.take(concepts.texts).T,
        concepts=concepts.concepts,
        pool=kept,
        pool_vectors=parts.texts.take([c.text for c in kept]),
        class_vectors=parts.texts.take(parts.class_prompts) if parts.class_prompts else None,
        priors=parts.priors.priors,
        dropped=parts.screened.dropped,
        card="",
    )
    return replace(without_card, card=write_card(without_card, parts, spec))
