"""A study to look at, by hand: the published one, screened, with what a person can decide about."""

import io
from dataclasses import replace

from PIL import Image

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ClassSelection, ConceptSet, Exchange, Pick, Substitute
from curette.schemas.embeddings import TextEmbeddings
from curette.schemas.images import ClassLabel
from curette.schemas.probe import Head, HeadFacts
from curette.schemas.screened import Drop, ScreenedSet
from curette.tasks.look.view import StudyView, Told
from tests.builders.published_study import KEYS, published_study

PUBLISHED, TEST = published_study(noise=1.5)


def zero_shot_head(published: ConceptDataset) -> Head:
    """Return a head that decides for the class whose selected concepts score highest."""
    rows = published.pool_rows(c.concept_id for c in published.concepts)
    facts = HeadFacts(
        name="concept bottleneck",
        kind="concept_bottleneck",
        family="concept bottleneck",
        inputs="scores",
        candidates=tuple(published.pool[row] for row in rows),
        nec=1,
        chosen={},
        validation_loss=0,
        validation_balanced_accuracy=0,
    )
    weights = published.links.astype(float)
    center = published.scores[published.rows("train")].mean(axis=0).astype(float)
    return Head(facts, weights=weights, bias=-(weights @ center), center=center)


def study_view(published: ConceptDataset = PUBLISHED, *, told: bool = False) -> StudyView:
    """Return the study, of which the last statement of each class was dropped.

    Args:
        published: what was published.
        told: whether the evaluation has told the labels of test images.
    """
    dropped = [c for i, c in enumerate(published.pool) if i % 6 == 5]
    screened = ScreenedSet(
        kept=tuple(c for c in published.pool if c not in dropped),
        dropped=tuple(
            Drop(candidate=c, gate="visual", reason=f"{c.text} is felt") for c in dropped
        ),
        gates=("visual",),
    )
    first, other = published.concepts[0], screened.kept[2]
    chosen = ConceptSet(
        method="top",
        concepts=published.concepts,
        selections=(
            ClassSelection(
                class_key=KEYS[0],
                pool=len(screened.kept),
                picks=tuple(Pick(concept_id=c.concept_id, gain=1) for c in published.concepts),
                value=1,
                upper_bound=1,
            ),
        ),
        exchanges=(
            Exchange(
                concept_id=first.concept_id,
                substitutes=(
                    Substitute(
                        concept_id=other.concept_id,
                        text=other.text,
                        excess=0.001,
                        standard_error=0.002,
                    ),
                ),
            ),
        ),
    )
    texts = TextEmbeddings(
        tuple(c.text for c in published.pool), published.pool_vectors, published.facts.encoder
    )
    ids = dict(zip(PUBLISHED.images["image_id"], published.images["image_id"], strict=True))
    by_evaluation = {ids[i]: Told(label, KEYS[0]) for i, label in TEST.labels.items()}
    head = zero_shot_head(published)
    return StudyView(published, screened, chosen, texts, head, by_evaluation if told else {})


def spoilt(hostile: str) -> ConceptDataset:
    """Return the published study, every text of which wants to be code."""
    facts = PUBLISHED.facts.model_copy(
        update={
            "name": f"by hand {hostile}",
            "description": hostile,
            "classes": tuple(ClassLabel(key=k, name=f"class {k} {hostile}") for k in KEYS),
        }
    )
    pool = tuple(c.model_copy(update={"text": f"{c.text} {hostile}"}) for c in PUBLISHED.pool)
    by_old = {old.concept_id: new for old, new in zip(PUBLISHED.pool, pool, strict=True)}
    concepts = tuple(
        c.model_copy(
            update={
                "text": by_old[c.concept_id].text,
                "concept_id": by_old[c.concept_id].concept_id,
            }
        )
        for c in PUBLISHED.concepts
    )
    ids = [f"{i} {hostile}" for i in PUBLISHED.images["image_id"]]
    images = PUBLISHED.images.assign(image_id=ids)
    return replace(PUBLISHED, facts=facts, pool=pool, concepts=concepts, images=images)


def a_png(red: int) -> bytes:
    """Return a picture of 300 x 200 pixels."""
    content = io.BytesIO()
    Image.new("RGB", (300, 200), (red, 30, 60)).save(content, "PNG")
    return content.getvalue()
