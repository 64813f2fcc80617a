"""Drawing few shots, and choosing each draw's concepts from its own images."""

import numpy as np

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraw, FewShotDraws
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw.shots import draw_shots
from curette.tasks.methods.selection.choosing import choose_concepts, read_avoided


def draw_few_shots(
    published: ConceptDataset, select: SelectSpec, spec: FewShotSpec
) -> FewShotDraws:
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
        (shots, seed, draw)
        for shots in (*spec.shots, None)
        for seed in range(1 if shots is None else spec.seeds)
        for draw in draw_shots(labels, groups, shots, [seed])
    ]
    if select.size.enough:  # that many were enough for all images; heads are compared at one size
        select = select.of(len(published.concepts))
    chosen = [
        choose_concepts(
            published.pool,
            published.pool_vectors,
            published.vectors[rows[draw]],
            labels[draw],
            published.class_keys,
            select,
            avoided=read_avoided(published.images, select.avoid or (), rows[draw]),
        ).ids
        for _, _, draw in drawn
    ]
    ids = published.images["image_id"].to_numpy()[rows]
    draws = [
        FewShotDraw(
            shots=shots,
            seed=seed,
            image_ids=tuple(ids[draw].tolist()),
            concept_ids=concepts,
        )
        for (shots, seed, draw), concepts in zip(drawn, chosen, strict=True)
    ]
    return FewShotDraws(draws=tuple(draws))
