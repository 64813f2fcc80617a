"""Drawing few shots, and choosing each draw's concepts from its own images."""

import numpy as np
from jaxtyping import Int

from schemas.concept_dataset import ConceptDataset
from schemas.concepts import SelectSpec
from schemas.few_shots import FewShotDraw, FewShotDraws, FewShotSpec
from tasks.select.selection import Pool, gather_pools, score_candidates, select_from
from tasks.select.shots import draw_shots


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
    pools = gather_pools(published.pool, published.pool_vectors, published.class_keys, select)
    draws = [
        _choose(published, pools, select, shots, seed, rows[drawn], labels[drawn])
        for shots in (*spec.shots, None)
        for seed in range(1 if shots is None else spec.seeds)
        for drawn in draw_shots(labels, groups, shots, [seed])
    ]
    return FewShotDraws(draws=tuple(draws))


def _choose(
    published: ConceptDataset,
    pools: tuple[Pool, ...],
    select: SelectSpec,
    shots: int | None,
    seed: int,
    rows: Int[np.ndarray, " shot"],
    labels: Int[np.ndarray, " shot"],
) -> FewShotDraw:
    """Return the draw of these rows with the concepts that they select."""
    discriminability = score_candidates(
        published.pool_vectors, published.vectors[rows], labels, len(published.class_keys)
    )
    chosen = [
        published.pool[i].concept_id
        for pool in pools
        for i in pool.rows[select_from(pool.given(discriminability), select).indices]
    ]
    ids = published.images["image_id"].to_numpy()[rows]
    return FewShotDraw(
        shots=shots,
        seed=seed,
        image_ids=tuple(ids.tolist()),
        concept_ids=tuple(dict.fromkeys(chosen)),
    )
