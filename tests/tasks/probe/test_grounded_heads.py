"""Grounding takes the place of text scores, on training images alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import Head, Heads, head_inputs
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe.draws import Images
from curette.tasks.probe.grounding import deal_folds
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study

SPEC = ProbeSpec(heads=("grounded",), epochs=80, random_draws=2)


@pytest.fixture(scope="module")
def published() -> ConceptDataset:
    return published_study()[0]


@pytest.fixture(scope="module")
def probe(published: ConceptDataset) -> Heads:
    return train_heads(published, SPEC)


def _train_features(published: ConceptDataset, head: Head) -> np.ndarray:
    if head.train_features is not None:
        return head.train_features
    assert head.directions is not None
    return head_inputs("scores", published.vectors[published.rows("train")], head.directions)


def test_only_labelled_concepts_are_grounded_and_the_others_keep_their_text(
    published: ConceptDataset, probe: Heads
) -> None:
    labelled = {x.concept_id for x in published.facts.labelled}
    assert {g.concept_id for g in probe.grounding} == labelled
    head = probe.head("grounded")
    assert head.directions is not None
    place = {c.concept_id: i for i, c in enumerate(published.pool)}
    for i, candidate in enumerate(head.facts.candidates):
        text = published.pool_vectors[place[candidate.concept_id]]
        assert np.allclose(head.directions[i], text) != (candidate.concept_id in labelled)


def test_grounded_scores_vary_as_the_scores_of_text_do(
    published: ConceptDataset, probe: Heads
) -> None:
    text = published.scores[published.rows("train")].std(axis=0)
    for head in probe.heads:
        if head.directions is not None:
            np.testing.assert_allclose(
                _train_features(published, head).std(axis=0), text, rtol=1e-4
            )


def test_functions_find_what_the_vectors_show_better_than_most_random_directions(
    probe: Heads,
) -> None:
    for grounded in probe.grounding:
        assert grounded.auroc is not None
        assert grounded.p_value is not None
        assert grounded.auroc > 0.7
        assert grounded.p_value < 0.25  # of 12 dimensions one in four leans towards the class


def test_counts_are_of_training_images_whose_truth_is_known(
    published: ConceptDataset, probe: Heads
) -> None:
    attributes = published.images.iloc[published.rows("train")]
    for grounded, key in zip(probe.grounding, KEYS, strict=True):
        shown = attributes[f"attribute.{key}"].dropna() != (key == "c")
        assert (grounded.present, grounded.absent) == (int(shown.sum()), int((~shown).sum()))


def test_no_other_split_trains_a_function(published: ConceptDataset, probe: Heads) -> None:
    images = published.images.copy()
    unseen = images["split"] != "train"
    for key in KEYS:
        images[f"attribute.{key}"] = images[f"attribute.{key}"].where(~unseen)
    blind = train_heads(replace(published, images=images), SPEC)
    assert {g.auroc for g in blind.grounding} == {None}
    np.testing.assert_array_equal(blind.head("grounded").weights, probe.head("grounded").weights)


def test_what_trains_the_head_knows_nothing_of_labels_that_are_luck(
    published: ConceptDataset,
) -> None:
    images = published.images.copy()
    subjects = images["subject"].str[1:].astype(int)
    images["attribute.a"] = (np.random.default_rng(1).random(90) < 0.5)[subjects]
    lucky = replace(published, images=images)
    head = train_heads(lucky, SPEC).head("grounded")
    rows = lucky.rows("train")
    shown = images["attribute.a"].to_numpy()[rows]
    column = [c.text for c in head.facts.candidates].index("sign 0 of a")
    assert head.directions is not None
    own = head_inputs("scores", lucky.vectors[rows], head.directions)
    assert roc_auc_score(shown, own[:, column]) > 0.6
    assert head.train_features is not None
    assert roc_auc_score(shown, head.train_features[:, column]) < 0.6
    np.testing.assert_allclose(head.center, head.train_features.mean(axis=0))


def test_what_trained_the_head_is_kept_with_it(probe: Heads, tmp_path: Path) -> None:
    probe.write(tmp_path)
    again = Heads.read(tmp_path)
    for before, after in zip(probe.heads, again.heads, strict=True):
        if before.facts.kind == "grounded":
            assert after.train_features is not None
            np.testing.assert_array_equal(after.train_features, before.train_features)
        else:
            assert before.train_features is after.train_features is None


def test_images_of_one_subject_are_held_out_together(published: ConceptDataset) -> None:
    folds = deal_folds(Images.of(published, SPEC).groups, SPEC.seed)
    groups = published.images["group"].to_numpy()[published.rows("train")]
    assert len(np.unique(folds)) == 3
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1


def test_without_labels_the_head_is_skipped_with_its_reason(published: ConceptDataset) -> None:
    facts = published.facts.model_copy(update={"labelled": ()})
    probe = train_heads(replace(published, facts=facts), SPEC)
    assert probe.grounding == ()
    assert not any(h.facts.kind in ("grounded", "random_directions") for h in probe.heads)
    assert [s.kind for s in probe.skipped] == ["grounded", "random_directions"]
    assert {s.reason for s in probe.skipped} == {
        "no selected concept has labels of both kinds on enough training images. Name true/false "
        "columns, and the statements that claim them, under `dataset.attributes`."
    }
