"""Orders of all concepts, of which fewer are the first of more: the study's, LaBo's, by chance."""

import numpy as np

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Way
from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.selection.choosing import Known, choose_in_order, link_table
from curette.tasks.methods.selection.judging import Choose


def order_concepts(
    published: ConceptDataset, most: int, random_orders: int
) -> dict[Way, list[Choose]]:
    """Return each way's orders: from a number to so many rows of the pool, by training images.

    The study's own order begins with the concepts that it selected, and goes on by their objective.

    Args:
        published: its pool is ordered.
        most: the largest number that will be asked for.
        random_orders: how many orders chance makes.
    """
    vectors = published.pool_vectors
    rows = published.rows("train")
    train = Known(published.vectors[rows], published.labels("train"))
    links = link_table(published.pool, published.class_keys)
    own = published.pool_rows(c.concept_id for c in published.concepts).tolist()
    beyond = choose_in_order(vectors, links, train, SelectSpec(), most + len(own))
    order = np.array([*own, *(i for i in beyond(most + len(own)).tolist() if i not in own)])
    lots = [np.random.default_rng(draw).permutation(len(vectors)) for draw in range(random_orders)]
    return {
        "selected": [lambda size: order[:size]],
        "labo": [choose_in_order(vectors, links, train, SelectSpec(method="labo"), most)],
        "random": [lambda size, lot=lot: lot[:size] for lot in lots],  # type: ignore[misc]
    }
