"""Annotations by hand, of the selected concepts of the small study."""

import pandas as pd

from curette.schemas.annotations import (
    AnnotatedConcept,
    AnnotationFacts,
    AnnotationFailure,
    Annotations,
)
from curette.schemas.concepts import Concept
from curette.schemas.images import ImageDataset


def annotations(dataset: ImageDataset, concepts: tuple[Concept, ...]) -> Annotations:
    """Return what a model might have read: each concept on every third image, denied on the next.

    Nobody has a report of the last image, and the last concept's second answers were others.
    """
    ids = dataset.images["image_id"].tolist()[:-1]
    said = ("present", "absent", "not mentioned")
    table = pd.DataFrame({"image_id": ids}, dtype=object)
    for place, concept in enumerate(concepts):
        told = [said[(place + i) % 3] if i != 5 else None for i in range(len(ids))]
        table[concept.concept_id] = pd.Series(told, dtype=object)
    counts = {c.concept_id: table[c.concept_id].value_counts() for c in concepts}
    return Annotations(
        AnnotationFacts(
            model="reader-1",
            server="http://127.0.0.1:1/v1",
            not_mentioned="unknown",
            min_kappa=0.4,
            images=len(ids),
            images_without=1,
            reports=len(ids) - 1,
            cut=1,
            checked_reports=30,
            questions=len(ids) + 30,
            contradicted=2,
            failures=(
                AnnotationFailure(
                    image_id=ids[5], turn="first", concepts=(1, 6), reason="the answer is empty"
                ),
            ),
            concepts=tuple(
                AnnotatedConcept(
                    concept_id=c.concept_id,
                    text=c.text,
                    present=int(counts[c.concept_id]["present"]),
                    absent=int(counts[c.concept_id]["absent"]),
                    not_mentioned=int(counts[c.concept_id]["not mentioned"]),
                    unanswered=1,
                    checked=30,
                    decided=20,
                    agreement=0.9 if c is not concepts[-1] else 0.4,
                    kappa=0.8 if c is not concepts[-1] else 0.1,
                    luck=0.001 if c is not concepts[-1] else 0.5,
                    why_unused="" if c is not concepts[-1] else "kappa 0.10, less than 0.4",
                )
                for c in concepts
            ),
        ),
        table,
    )
