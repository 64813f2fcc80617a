"""Drawing few shots, and choosing each draw's concepts from its own images."""

import numpy as np

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraw, FewShotDraws
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw.shots import draw_shots
from curette.tasks.methods.selection.labo import gather_pools, score_candidates, select_from


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
    keys, texts = published.class_keys, published.pool_vectors
    scores = [
        score_candidates(texts, published.vectors[rows[draw]], labels[draw], len(keys))
        for _, _, draw in drawn
    ]
    chosen: list[list[str]] = [[] for _ in drawn]
    for pool in gather_pools(published.pool, texts, keys, select):
        for concepts, discriminability in zip(chosen, scores, strict=True):
            picks = pool.rows[select_from(pool.given(discriminability), select).indices]
            concepts += [published.pool[i].concept_id for i in picks]
    ids = published.images["image_id"].to_numpy()[rows]
    draws = [
        FewShotDraw(
            shots=shots,
            seed=seed,
            image_ids=tuple(ids[draw].tolist()),
            concept_ids=tuple(dict.fromkeys(concepts)),
        )
        for (shots, seed, draw), concepts in zip(drawn, chosen, strict=True)
    ]
    return FewShotDraws(draws=tuple(draws))
