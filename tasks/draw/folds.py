"""Dealing training and validation images into folds; each chooses once, and all others train.

Whole groups are dealt, every class as evenly as they allow. Test images stay where they are. The
pool that concepts are selected from was screened by the study's own training images, as it is for
every other protocol; which of it a fold takes, its own training images say alone.
"""

import numpy as np

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.settings.draw import FoldSpec
from curette.schemas.settings.select import SelectSpec
from curette.schemas.shifts import UnusableDraw
from curette.tasks.methods.selection.choosing import choose_concepts, read_avoided
from curette.tasks.methods.splits import deal_groups


def draw(published: ConceptDataset, select: SelectSpec, spec: FoldSpec) -> Draws:
    """Deal the images that are no test images; a fold without which a class is lost says so.

    Raises:
        StudyError: a class has no candidate.
    """
    rows = np.concatenate([published.rows("train"), published.rows("validation")])
    labels = np.concatenate([published.labels("train"), published.labels("validation")])
    groups = np.unique(published.images["group"].to_numpy()[rows], return_inverse=True)[1]
    folds = deal_groups(groups, labels, np.full(spec.count, 1 / spec.count), spec.seed)
    ids = published.images["image_id"].to_numpy()
    draws: list[Draw] = []
    unusable: list[UnusableDraw] = []
    for fold in range(spec.count):
        title, train = f"fold {fold + 1} of {spec.count}", rows[folds != fold]
        counts = np.bincount(labels[folds != fold], minlength=len(published.class_keys))
        if len(train) == len(rows) or not counts.all():
            lost = "no image chooses" if len(train) == len(rows) else "a class has none to train on"
            unusable.append(UnusableDraw(title=title, reason=f"{lost}; there are too few groups"))
            continue
        chosen = choose_concepts(
            published.pool,
            published.pool_vectors,
            published.vectors[train],
            labels[folds != fold],
            published.class_keys,
            select.of(len(published.concepts)) if select.size.enough else select,
            avoided=read_avoided(published.images, select.avoid or (), train),
        )
        draws.append(
            Draw(
                title=title,
                seed=fold,
                image_ids=tuple(ids[train].tolist()),
                validation_ids=tuple(ids[rows[folds == fold]].tolist()),
                concept_ids=chosen.ids,
            )
        )
    return Draws(protocol="folds", draws=tuple(draws), unusable=tuple(unusable))
