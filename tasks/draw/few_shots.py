"""Drawing few shots, and choosing each draw's concepts from its own images."""

import numpy as np

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw.shots import draw_shots
from curette.tasks.methods.selection.choosing import choose_concepts, read_avoided


def draw(published: ConceptDataset, select: SelectSpec, spec: FewShotSpec) -> Draws:
    """Draw training images, `spec.seeds` times of each size and once all of them.

    Concepts chosen from all training images would bring to a draw of one image a class what
    hundreds of labels know. So each draw chooses again, from the same pool and by the same
    settings, and sees vectors and labels of its own images alone.

    Raises:
        ValueError: a class has no training image.
        StudyError: a class has no candidate.
    """
    rows, labels = published.rows("train"), published.labels("train")
    groups = np.unique(published.images["group"].to_numpy()[rows], return_inverse=True)[1]
    drawn = [
        (shots, seed, images)
        for shots in (*spec.shots, None)
        for seed in range(1 if shots is None else spec.seeds)
        for images in draw_shots(labels, groups, shots, [seed])
    ]
    if select.size.enough:  # that many were enough for all images; heads are compared at one size
        select = select.of(len(published.concepts))
    chosen = [
        choose_concepts(
            published.pool,
            published.pool_vectors,
            published.vectors[rows[images]],
            labels[images],
            published.class_keys,
            select,
            avoided=read_avoided(published.images, select.avoid or (), rows[images]),
        ).ids
        for _, _, images in drawn
    ]
    ids = published.images["image_id"].to_numpy()[rows]
    draws = [
        Draw(
            title="all images" if shots is None else f"{shots} a class, seed {seed}",
            shots=shots,
            seed=seed,
            seeds=spec.seeds if shots is None else 1,
            image_ids=tuple(ids[images].tolist()),
            concept_ids=concepts,
        )
        for (shots, seed, images), concepts in zip(drawn, chosen, strict=True)
    ]
    return Draws(protocol="few shots", draws=tuple(draws), heads=spec.heads)
