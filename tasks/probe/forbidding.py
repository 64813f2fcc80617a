"""Heads that may not look at some of the selected concepts, trained with all else equal."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import card_of
from curette.schemas.probe import Head, Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe.bank import Bank
from curette.tasks.probe.training import train_heads


def train_without(
    published: ConceptDataset,
    spec: ProbeSpec,
    concept_ids: Collection[str],
    bank: Bank | None = None,
) -> Heads:
    """Return heads trained without these concepts; each weighs all selected ones, these by 0.

    Raises:
        StudyError: no selected concept is left.
    """
    kept = np.array(
        [i for i, c in enumerate(published.concepts) if c.concept_id not in concept_ids],
        dtype=np.int64,
    )
    if not len(kept):
        raise StudyError("edit: every selected concept is forbidden, so no head is left; allow one")
    fewer = replace(
        published,
        concepts=tuple(published.concepts[i] for i in kept),
        scores=np.ascontiguousarray(published.scores[:, kept]),
    )
    made = train_heads(fewer, spec, bank=bank)
    heads = tuple(_widened(published, head, kept) for head in made.heads)
    return replace(made, heads=heads)


def _widened(published: ConceptDataset, head: Head, kept: Int[np.ndarray, " kept"]) -> Head:
    """Return a head on the kept concepts as one on all selected; any other as it is."""
    own = tuple(c.concept_id for c in head.facts.candidates)
    if (
        own != tuple(published.concepts[i].concept_id for i in kept)
        or card_of(head.facts.kind).role != "concepts"
        or head.facts.inputs == "unit scores"  # a column of scores changes their length
    ):
        return head
    count = len(published.concepts)
    rows = published.pool_rows(c.concept_id for c in published.concepts)
    vectors = published.pool_vectors[rows].astype(np.float64)
    directions = head.directions
    if directions is not None:
        directions = vectors.copy()
        directions[kept] = head.directions
    train = published.vectors[published.rows("train")].astype(np.float64) @ vectors.T

    def among_all(
        columns: Float64[np.ndarray, "row feature"], others: Float64[np.ndarray, "row concept"]
    ) -> Float64[np.ndarray, "row wide"]:
        wide = others.copy()
        wide[:, kept] = columns[:, : len(kept)]
        return np.hstack([wide, columns[:, len(kept) :]])

    return replace(
        head,
        facts=head.facts.model_copy(
            update={"candidates": tuple(published.pool[row] for row in rows)}
        ),
        weights=among_all(head.weights, np.zeros((len(head.weights), count))),
        center=among_all(head.center[None], train.mean(0)[None])[0],
        directions=directions,
        train_features=None
        if head.train_features is None
        else among_all(head.train_features, train),
    )
