"""The stage `select`: candidates in, the bottleneck's concepts out."""

import numpy as np

from curette.schemas.artifact import Ref
from curette.schemas.concepts import MOST_SHOWN, ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decision
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.select import SelectSpec
from curette.tasks.select import STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def select_concepts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    screened: Ref[ScreenedSet],
    embeddings: Ref[StudyEmbeddings],
    spec: SelectSpec,
    exchanges: tuple[Decision, ...],
) -> Ref[ConceptSet]:
    """Choose concepts from training images; how many are enough, validation images say too.

    What a person exchanged is put in the place of what was picked.
    """
    from curette.tasks.methods.selection.choosing import Known, choose_concepts, read_avoided

    images = at.store.load(ImageDataset, dataset)
    pool = at.store.load(ScreenedSet, screened).kept
    embedded = at.store.load(StudyEmbeddings, embeddings)
    vectors = at.store.load(ImageEmbeddings, embedded.images_ref).vectors
    train = images.rows("train")
    rows = np.concatenate([train, images.rows("validation")])
    chosen = choose_concepts(
        pool,
        at.store.load(TextEmbeddings, embedded.texts_ref).take([c.text for c in pool]),
        vectors[train],
        images.labels("train"),
        images.class_keys,
        spec,
        avoided=read_avoided(images.images, spec.avoid or (), train),
        exchanges=exchanges,
        known=Known(
            vectors[rows],
            np.concatenate([images.labels("train"), images.labels("validation")]),
            images.images["group"].to_numpy()[rows],
            read_avoided(images.images, spec.avoid or (), rows),
        ),
    )
    leave_table("selected-concepts", _rows(chosen), _summary(chosen))
    return at.store.save(chosen, STAGE.recipe())


def _rows(chosen: ConceptSet) -> list[dict[str, object]]:
    """Return the first picks of each class, and how many more there are."""
    concepts = {c.concept_id: c for c in chosen.concepts}
    rows: list[dict[str, object]] = []
    for selection in chosen.selections:
        for place, pick in enumerate(selection.picks[:MOST_SHOWN], start=1):
            concept = concepts[pick.concept_id]
            rows.append(
                {
                    "class": selection.class_key,
                    "pick": place,
                    "concept": concept.text,
                    "gain": round(pick.gain, 5),
                    "discriminability": f"{concept.discriminability:.3g}",
                    "proposed for": ", ".join(concept.classes),
                }
            )
        if more := len(selection.picks[MOST_SHOWN:]):
            rows.append({**dict.fromkeys(rows[-1], ""), "class": f"and {more} more"})
    return rows


def _summary(chosen: ConceptSet) -> str:
    proven = [f"{s.class_key} {s.certificate:.1%}" for s in chosen.selections]
    if chosen.scope == "jointly":
        proven = [f"all classes together {chosen.selections[0].certificate:.1%}"]
    sparse = [f"{s.class_key} {s.similarity}" for s in chosen.selections if s.neighbours]
    return (
        f"Selected concepts, best first. Certified share of the optimum: {', '.join(proven)}. "
        f"Similarity that coverage counts: {', '.join(sparse) or 'exact'}."
    )
