"""Heads learn from training images, choose by validation images, and know no others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import CARDS, ChosenHead, card_of
from curette.schemas.probe import Head, Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.store import ArtifactStore
from curette.tasks.methods.features import head_features
from curette.tasks.methods.solvers.zero_shot import search_concept_matrix
from curette.tasks.probe import STAGE, heads
from curette.tasks.probe.chance import shuffle_labels
from curette.tasks.probe.draws import Images
from curette.tasks.probe.heads import AT_NEC, TRAINERS, sparse
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study

_ASKED = ("sparse", "hybrid", "prior", "grounded", "zero_shot", "concept_matrix", "shuffled_labels")
SPEC = ProbeSpec(heads=_ASKED, epochs=80, random_draws=2, nec=(1, 2, 30))


def _only(*heads: ChosenHead, nec: tuple[int, ...] = (), **settings: Any) -> ProbeSpec:
    """Return settings by which these heads alone are trained beside those of every table."""
    return SPEC.model_copy(update={"heads": heads, "nec": nec} | settings)


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return published_study()[0]


@pytest.fixture(scope="module")
def probe(published: ConceptDataset) -> Heads:
    return train_heads(published, SPEC)


@pytest.fixture(scope="module")
def again(published: ConceptDataset) -> Heads:
    """Trained once more, where test images show something else."""
    vectors, scores = published.vectors.copy(), published.scores.copy()
    vectors[published.rows("test")] = vectors[0]
    scores[published.rows("test")] = 0.123
    return train_heads(replace(published, vectors=vectors, scores=scores), SPEC)


def test_every_card_has_its_training_and_none_is_without_a_card() -> None:
    files = {file.stem for file in Path(heads.__file__).parent.glob("*.py")} - {"__init__"}
    assert {*TRAINERS, *AT_NEC} == files
    assert files == {kind for kind, card in CARDS.items() if card.protocols}
    assert set(AT_NEC) == {card.kind for card in CARDS.values() if card.along_nec}


def test_a_head_is_called_and_looks_as_its_card_says(probe: Heads) -> None:
    for head in probe.heads:
        card = card_of(head.facts.kind)
        assert head.facts.family.split(", NEC")[0] == card.title
        assert (head.facts.draw > 0) == card.drawn
        assert bool(head.facts.candidates) == card.looks_at_concepts


def test_every_head_is_there_once(probe: Heads) -> None:
    assert [h.facts.name for h in probe.heads] == [
        "linear probe",
        "concept bottleneck",
        "sparse",
        "sparse, NEC 1",
        "sparse, NEC 2",
        "hybrid",
        "prior",
        "concept bottleneck, grounded",
        "zero-shot",
        "concept matrix search",
        "random concepts 1",
        "random concepts 2",
        "random sparse 1, NEC 1",
        "random sparse 2, NEC 1",
        "random sparse 1, NEC 2",
        "random sparse 2, NEC 2",
        "random directions 1",
        "random directions 2",
        "shuffled labels 1",
        "shuffled labels 2",
        "majority class",
    ]


def test_draws_share_a_family_and_nothing_else_does(probe: Heads) -> None:
    draws: dict[str, list[int]] = {}
    for head in probe.heads:
        draws.setdefault(head.facts.family, []).append(head.facts.draw)
    assert {family for family, of in draws.items() if of == [1, 2]} == {
        "random concepts",
        "random sparse, NEC 1",
        "random sparse, NEC 2",
        "random directions",
        "shuffled labels",
    }
    assert all(of in ([0], [1, 2]) for of in draws.values())


def test_only_the_heads_asked_for_and_those_of_every_table_are_trained(
    published: ConceptDataset,
) -> None:
    few = train_heads(published, _only())
    assert {h.facts.kind for h in few.heads} == {
        "linear_probe",
        "concept_bottleneck",
        "random_concepts",
        "majority",
    }


def test_a_nec_that_the_concepts_do_not_allow_is_skipped_and_told(probe: Heads) -> None:
    assert [(s.name, s.kind) for s in probe.skipped] == [
        ("sparse, NEC 30", "sparse"),
        ("random sparse, NEC 30", "random_sparse"),
    ]
    assert probe.skipped[0].reason == (
        "30 effective concepts a class were asked for, and there are 6."
    )


def test_a_nec_that_no_strength_leaves_is_skipped_and_told(published: ConceptDataset) -> None:
    vectors = published.pool_vectors.copy()
    vectors[published.pool_rows(c.concept_id for c in published.concepts)[1:]] = 0
    blank = replace(published, pool_vectors=vectors)
    told = train_heads(blank, _only("sparse", nec=(3,))).skipped
    assert "no strength leaves 3 effective concepts a class" in told[0].reason


def test_without_class_vectors_what_needs_them_is_skipped_and_told(
    published: ConceptDataset,
) -> None:
    spec = _only("zero_shot", "concept_matrix")
    nameless = train_heads(replace(published, class_vectors=None), spec)
    told = {s.kind: s.reason for s in nameless.skipped}
    for kind in ("zero_shot", "concept_matrix"):
        assert "Name an encoder that reads text." in told[kind]
        assert kind not in {h.facts.kind for h in nameless.heads}


def test_priors_that_say_the_same_of_every_class_are_skipped_and_told(
    published: ConceptDataset,
) -> None:
    silent = tuple(p.model_copy(update={"answer": "neutral"}) for p in published.priors)
    told = train_heads(replace(published, priors=silent), _only("prior")).skipped
    assert "the priors say the same of every class" in {s.kind: s.reason for s in told}["prior"]


@pytest.mark.parametrize(
    ("settings", "wording"),
    [
        ({"nec": (0, 5)}, "every value of nec must be at least 1"),
        ({"residual_l2_values": (0.0,)}, "l2_values and residual_l2_values must be above 0"),
        ({"heads": ("boosting",)}, "sparse"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, object], wording: str) -> None:
    with pytest.raises(ValueError, match=wording):
        ProbeSpec.model_validate(settings)


def test_nec_counts_the_weights_that_are_not_zero(probe: Heads) -> None:
    for head in probe.heads:
        assert head.facts.nec == np.count_nonzero(head.weights) / 3
    asked = {h.facts.name: h.facts.nec for h in probe.heads if "NEC" in h.facts.name}
    assert asked == {name: float(name.rsplit(" ", 1)[1]) for name in asked}


def test_fewer_concepts_are_left_the_stronger_the_penalty(published: ConceptDataset) -> None:
    """Along a path NEC may step back by a weight or two; from end to end it does not."""
    paths = Images.of(published, SPEC).whole().once(sparse.solve).paths
    assert paths.nec[0, 0] == 0
    assert np.corrcoef(np.log(paths.strengths), paths.nec[0])[0, 1] < -0.8


@pytest.mark.parametrize("head", range(18))
def test_the_logits_are_told_apart_and_add_up(
    published: ConceptDataset, probe: Heads, head: int
) -> None:
    trained = probe.heads[head]
    features = head_features(published, trained, np.arange(5))
    for row in features:
        rebuilt = trained.contributions(row).sum(axis=1) + trained.baseline
        assert np.allclose(rebuilt, trained.logits(row[None])[0], rtol=1e-9, atol=1e-9)


def test_a_hybrid_without_a_residual_is_its_concept_head(published: ConceptDataset) -> None:
    probe = train_heads(published, _only("hybrid", residual_l2_values=(1e9,)))
    hybrid, sparse = probe.head("hybrid"), probe.head("sparse")
    rows = published.rows("test")
    said = [h.logits(head_features(published, h, rows)) for h in (hybrid, sparse)]
    assert np.allclose(said[0], said[1], atol=1e-6)
    assert hybrid.facts.chosen["flipped"] == 0


def test_a_hybrid_tells_the_share_of_validation_decisions_that_it_flips(
    published: ConceptDataset, probe: Heads
) -> None:
    rows = published.rows("validation")
    hybrid, sparse = (
        h.logits(head_features(published, h, rows)).argmax(axis=1)
        for h in (probe.head("hybrid"), probe.head("sparse"))
    )
    assert probe.head("hybrid").facts.chosen["flipped"] == pytest.approx(np.mean(hybrid != sparse))


def test_zero_shot_is_a_hundred_times_the_cosine_of_image_and_name(
    published: ConceptDataset, probe: Heads
) -> None:
    assert published.class_vectors is not None
    names = published.class_vectors / np.linalg.norm(published.class_vectors, axis=1, keepdims=True)
    said = probe.head("zero_shot").logits(published.vectors.astype(np.float64))
    assert np.allclose(said, 100 * published.vectors @ names.T, atol=1e-4)


def test_the_concept_matrix_head_is_sparse_cbms_search(
    published: ConceptDataset, probe: Heads
) -> None:
    assert published.class_vectors is not None
    head = probe.head("concept_matrix")
    concepts = published.pool_vectors[
        published.pool_rows(c.concept_id for c in published.concepts)
    ].astype(np.float64)
    rows = np.arange(len(published.images))
    searched = search_concept_matrix(
        torch.from_numpy(published.vectors @ concepts.T),
        torch.from_numpy(published.class_vectors @ concepts.T),
    )
    said = head.logits(head_features(published, head, rows))
    assert np.allclose(said, 100 * searched.numpy())


def test_the_prior_decides_where_images_are_silent(published: ConceptDataset) -> None:
    """Shuffled training labels teach nothing; a head with true links still finds the classes."""
    rows = published.rows("train")
    images = published.images.copy()
    images.loc[rows, "label"] = np.random.default_rng(0).permutation(images.loc[rows, "label"])
    taught_nothing = train_heads(replace(published, images=images), _only("prior"))
    facts = taught_nothing.head("prior").facts
    assert facts.validation_balanced_accuracy > 0.8
    assert taught_nothing.head("linear_probe").facts.validation_balanced_accuracy < 0.8


def test_shuffled_labels_are_near_chance_where_true_labels_are_learned() -> None:
    published, truth = published_study(noise=0.3)
    spec = _only("shuffled_labels", random_draws=30)
    rows = published.rows("test")
    names = published.images["image_id"].to_numpy()[rows]
    labels = np.array([published.class_keys.index(truth.labels[i]) for i in names])

    def reached(head: Head) -> float:
        right = head.logits(head_features(published, head, rows)).argmax(axis=1) == labels
        return float(np.mean([right[labels == k].mean() for k in range(3)]))

    probe = train_heads(published, spec)
    assert reached(probe.head("concept_bottleneck")) > 0.9
    shuffled = [reached(head) for head in probe.families["shuffled labels"]]
    assert len(shuffled) == 30
    assert np.mean(shuffled) == pytest.approx(1 / 3, abs=0.1)


def test_shuffling_keeps_the_classes_sizes_and_the_likeness_within_groups() -> None:
    labels = np.repeat(np.arange(60) % 3, 4)
    groups = np.repeat([f"g{i:02d}" for i in range(60)], 4)
    shuffled = shuffle_labels(labels, groups, np.random.default_rng(0))
    assert (np.bincount(shuffled) == np.bincount(labels)).all()
    assert (shuffled.reshape(60, 4) == shuffled[::4, None]).all()
    assert 0.2 < np.mean(shuffled == labels) < 0.5


def test_validation_figures_are_those_of_the_validation_images(
    published: ConceptDataset, probe: Heads
) -> None:
    rows, labels = published.rows("validation"), published.labels("validation")
    for head in probe.heads:
        said = _probabilities(head.logits(head_features(published, head, rows)))
        losses = -np.log(said[np.arange(len(rows)), labels])
        mean = np.mean([losses[labels == k].mean() for k in range(3)])
        right = said.argmax(axis=1) == labels
        assert head.facts.validation_loss == pytest.approx(mean, rel=1e-5)
        assert head.facts.validation_balanced_accuracy == pytest.approx(
            np.mean([right[labels == k].mean() for k in range(3)])
        )


def test_the_linear_probe_is_scikit_learns_at_the_chosen_strength(
    published: ConceptDataset, probe: Heads
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
    published: ConceptDataset, probe: Heads
) -> None:
    shared = tuple(
        c.model_copy(update={"classes": ("a", "b", "c")}) if i % 6 > 2 else c
        for i, c in enumerate(published.pool)
    )
    mixed = train_heads(replace(published, pool=shared), _only())
    for head in (*probe.heads, *mixed.heads):
        if head.facts.kind == "random_concepts":
            assert len(head.facts.candidates) == len(published.concepts)
            assert {k for c in head.facts.candidates for k in c.classes} == {"a", "b", "c"}


def test_the_majority_class_says_how_frequent_each_class_is(
    published: ConceptDataset, probe: Heads
) -> None:
    said = _probabilities(probe.head("majority").logits(np.zeros((1, 0))))[0]
    counts = np.bincount(published.labels("train"), minlength=3)
    assert np.allclose(said, counts / counts.sum())


def test_test_images_change_nothing(probe: Heads, again: Heads) -> None:
    for head, other in zip(probe.heads, again.heads, strict=True):
        assert np.array_equal(head.weights, other.weights)


def test_equal_seeds_give_equal_artifacts(probe: Heads, again: Heads, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    first = store.save(probe, STAGE.recipe_of({"spec": SPEC}))
    assert store.save(again, STAGE.recipe_of({"spec": SPEC})) == first
    loaded = store.load(Heads, first)
    assert [h.facts for h in loaded.heads] == [h.facts for h in probe.heads]
    assert loaded.skipped == probe.skipped
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
