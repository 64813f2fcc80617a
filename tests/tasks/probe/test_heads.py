"""Heads learn from training images, choose by validation images, and know no others."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from schemas.artifact import StudyError
from schemas.concept_dataset import ConceptDataset
from schemas.probe import Probe, ProbeSpec
from storage.store import ArtifactStore
from tasks.probe.heads import train_heads
from tasks.probe.task import STAGE
from tests.tasks.published_study import published_study

SPEC = ProbeSpec(epochs=80, random_draws=2)


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return published_study()[0]


@pytest.fixture(scope="module")
def probe(published: ConceptDataset) -> Probe:
    return train_heads(published, SPEC)


def test_every_head_is_there_once(probe: Probe) -> None:
    assert [h.facts.name for h in probe.heads] == [
        "linear probe",
        "concept bottleneck",
        "random concepts 1",
        "random concepts 2",
        "majority class",
    ]


def test_the_linear_probe_is_scikit_learns_at_the_chosen_strength(
    published: ConceptDataset, probe: Probe
) -> None:
    head = probe.head("linear_probe")
    train = published.vectors[published.rows("train")].astype(np.float64)
    scale = train.std(axis=0)
    features = (train - train.mean(axis=0)) / np.sqrt(np.mean(scale**2))
    peer = LogisticRegression(
        C=1 / (len(train) * head.facts.chosen["l2"]),
        class_weight="balanced",
        tol=1e-10,
        max_iter=10_000,
    ).fit(features, published.labels("train"))
    ours = _probabilities(head.logits(train))
    assert np.allclose(ours, peer.predict_proba(features), atol=2e-3)


def test_random_concepts_are_as_many_as_were_selected_from_all_classes(
    published: ConceptDataset, probe: Probe
) -> None:
    shared = tuple(
        c.model_copy(update={"classes": ("a", "b", "c")}) if i % 6 > 2 else c
        for i, c in enumerate(published.pool)
    )
    mixed = train_heads(replace(published, pool=shared), SPEC)
    for head in (*probe.heads, *mixed.heads):
        if head.facts.kind == "random_concepts":
            assert len(head.facts.candidates) == len(published.concepts)
            assert {k for c in head.facts.candidates for k in c.classes} == {"a", "b", "c"}


def test_the_majority_class_says_how_frequent_each_class_is(
    published: ConceptDataset, probe: Probe
) -> None:
    said = _probabilities(probe.head("majority").logits(np.zeros((1, 0))))[0]
    counts = np.bincount(published.labels("train"), minlength=3)
    assert np.allclose(said, counts / counts.sum())


def test_contributions_and_baseline_sum_to_the_logits(
    published: ConceptDataset, probe: Probe
) -> None:
    head = probe.head("concept_bottleneck")
    scores = published.scores[5].astype(np.float64)
    rebuilt = head.contributions(scores).sum(axis=1) + head.baseline
    assert np.allclose(rebuilt, head.logits(scores[None])[0])


def test_test_images_change_nothing(published: ConceptDataset, probe: Probe) -> None:
    vectors, scores = published.vectors.copy(), published.scores.copy()
    vectors[published.rows("test")] = vectors[0]
    scores[published.rows("test")] = 0.123
    again = train_heads(replace(published, vectors=vectors, scores=scores), SPEC)
    for head, other in zip(probe.heads, again.heads, strict=True):
        assert np.array_equal(head.weights, other.weights)


def test_equal_seeds_give_equal_artifacts(
    published: ConceptDataset, probe: Probe, tmp_path: pytest.TempPathFactory
) -> None:
    store = ArtifactStore(tmp_path)  # type: ignore[arg-type]
    first = store.save(probe, STAGE.recipe(SPEC))
    assert store.save(train_heads(published, SPEC), STAGE.recipe(SPEC)) == first
    loaded = store.load(Probe, first)
    assert loaded.heads[0].facts == probe.heads[0].facts
    assert np.array_equal(loaded.heads[1].weights, probe.heads[1].weights)


def test_an_empty_split_says_what_to_change(published: ConceptDataset) -> None:
    images = published.images[published.images["split"] != "validation"].reset_index(drop=True)
    rows = np.flatnonzero((published.images["split"] != "validation").to_numpy())
    without = replace(
        published, images=images, vectors=published.vectors[rows], scores=published.scores[rows]
    )
    with pytest.raises(StudyError, match=r"validation split of by-hand has no image.*splits"):
        train_heads(without, SPEC)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
