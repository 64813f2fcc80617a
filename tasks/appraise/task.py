"""The stage `appraise`: a round's concepts in, what they are worth and confuse out."""

import numpy as np

from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.screened import ScreenedSet
from curette.tasks.appraise import STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def appraise_round(
    at: Workplace,
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    screened: Ref[ScreenedSet],
    concepts: Ref[ConceptSet],
    embeddings: Ref[StudyEmbeddings],
    earlier: Ref[Appraisal] | None,
) -> Ref[Appraisal]:
    """Ask the selected concepts about validation images, and hold them against the last round's."""
    from curette.tasks.appraise.appraisal import KnownImages, Proposed, appraise

    images = at.store.load(ImageDataset, dataset)
    embedded = at.store.load(StudyEmbeddings, embeddings)
    train, validation = images.rows("train"), images.rows("validation")
    rows = np.concatenate([train, validation])
    chosen = at.store.load(ConceptSet, concepts)
    made = appraise(
        KnownImages(
            vectors=at.store.load(ImageEmbeddings, embedded.images_ref).vectors[rows],
            labels=np.concatenate([images.labels("train"), images.labels("validation")]),
            groups=images.images["group"].to_numpy()[rows],
            training=len(train),
            class_keys=images.class_keys,
        ),
        Proposed(
            candidates=at.store.load(CandidateSet, candidates),
            screened=at.store.load(ScreenedSet, screened),
            concepts=chosen,
            concept_vectors=at.store.load(TextEmbeddings, embedded.texts_ref).take(
                list(chosen.texts)
            ),
        ),
        at.store.load(Appraisal, earlier) if earlier else None,
    )
    leave_table("confused-classes", _rows(made), _summary(made))
    return at.store.save(made, STAGE.recipe())


def _rows(made: Appraisal) -> list[dict[str, object]]:
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "first taken for second": pair.first_as_second,
            "second taken for first": pair.second_as_first,
            "of groups": pair.groups,
        }
        for pair in made.pairs
    ]


def _summary(made: Appraisal) -> str:
    last = made.last
    said = (
        f"Round {last.number}: {len(last.concepts)} concepts lose {last.loss:.3f} on "
        f"{made.images} validation images of {made.groups} groups"
    )
    if last.gain is None or last.standard_error is None:
        return f"{said}."
    return (
        f"{said}, {last.gain:+.3f} less than before (standard error {last.standard_error:.3f}); "
        f"the round is {'kept' if last.kept else 'not kept'}."
    )
