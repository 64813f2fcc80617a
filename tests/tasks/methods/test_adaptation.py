"""A head is left alone at home, and put right where a site shifts it."""

import numpy as np
import pytest
from scipy.special import log_softmax

from curette.tasks.methods.adaptation import (
    MASK,
    MOST_LOST_AT_HOME,
    NOTHING,
    OFFSET,
    RUNGS,
    Home,
    Weights,
    adapt,
    offset_gains,
    offset_of,
    resampling_error,
)

CLASSES, FEATURES = 4, 6
HEAD = Weights(
    np.random.default_rng(0).normal(size=(CLASSES, FEATURES)),
    np.random.default_rng(1).normal(size=CLASSES),
)
CENTRES = 1.2 * np.linalg.pinv(HEAD.weights) @ (np.eye(CLASSES) * 3 - HEAD.bias[:, None])
SHIFT = 2.5 * np.linalg.pinv(HEAD.weights) @ np.array([2.0, -1.0, 0.0, -1.0])


def _site(each: int, seed: int, shift: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(CLASSES), each)
    noise = np.random.default_rng(seed).normal(size=(len(labels), FEATURES))
    return CENTRES.T[labels] + noise + shift, labels


HOME = Home(HEAD, *_site(100, seed=0))


def _balanced(head: Weights, features: np.ndarray, labels: np.ndarray) -> float:
    right = head.logits(features).argmax(axis=1) == labels
    return float(np.mean([right[labels == k].mean() for k in range(CLASSES)]))


def test_a_support_that_follows_home_changes_nothing_in_95_of_100_draws() -> None:
    for each in (1, 4):
        chosen = [
            adapt(HOME, *_site(each, seed=s), concepts=True, rungs=[OFFSET]).rung
            for s in range(100, 200)
        ]
        assert np.mean([rung == NOTHING for rung in chosen]) >= 0.95


def test_where_nothing_is_taken_the_head_is_the_one_that_was_given() -> None:
    choice = adapt(HOME, *_site(4, seed=7), concepts=True)
    assert choice.rung == NOTHING
    assert choice.head is HEAD
    assert not choice.offset.any()
    assert [t.rung for t in choice.tried] == [NOTHING, *RUNGS]


def test_a_shifted_site_is_put_right() -> None:
    held = _site(500, seed=9, shift=SHIFT)
    choice = adapt(HOME, *_site(4, seed=5, shift=SHIFT), concepts=True)
    assert choice.rung != NOTHING
    assert _balanced(choice.head, *held) > _balanced(HEAD, *held) + 0.1


def test_a_shift_of_all_means_is_an_offset_of_the_logits() -> None:
    """Home's own images, moved: their offset, before it is shrunk, is W times the move."""
    logits = HEAD.logits(HOME.features + SHIFT)
    moved = HEAD.weights @ SHIFT
    moved -= moved.mean()
    noise = HOME.noise(HOME.labels)
    shrinks = moved @ moved / (moved @ moved + noise)
    assert offset_of(HOME, logits, HOME.labels) == pytest.approx(moved * shrinks, abs=1e-9)


def test_the_offset_goes_to_0_as_images_grow_few_beside_their_variance() -> None:
    lengths = []
    for wider in (1, 4, 16, 64):
        means = HOME.means[HOME.labels]
        spread = HEAD.logits(HOME.features)
        spread = means + wider * (spread - spread.mean(axis=1, keepdims=True) - means)
        home = Home(Weights(np.eye(CLASSES), np.zeros(CLASSES)), spread, HOME.labels)
        logits = home.means + HEAD.weights @ SHIFT  # one image a class, at the same place always
        lengths.append(np.linalg.norm(offset_of(home, logits, np.arange(CLASSES))))
    assert (np.diff(lengths) < 0).all()
    assert lengths[-1] < 0.05 * lengths[0]


def test_the_order_of_the_support_changes_not_a_bit() -> None:
    features, labels = _site(4, seed=5, shift=SHIFT)
    order = np.random.default_rng(0).permutation(len(labels))
    one = adapt(HOME, features, labels, concepts=True)
    other = adapt(HOME, features[order], labels[order], concepts=True)
    assert one.rung == other.rung
    assert (one.head.weights == other.head.weights).all()
    assert (one.head.bias == other.head.bias).all()
    assert one.p_value == other.p_value


@pytest.mark.parametrize("each", [1, 3])
def test_left_out_gains_are_those_of_refitting_without_each_image(each: int) -> None:
    features, labels = _site(each, seed=3, shift=SHIFT)
    logits = HEAD.logits(features)
    gains = offset_gains(HOME, logits[None], labels)[0]
    for i in range(len(labels)):
        others = np.arange(len(labels)) != i
        offset = offset_of(HOME, logits[others], labels[others])
        pair = logits[i], logits[i] - offset
        before, after = (log_softmax(z)[labels[i]] for z in pair)
        assert gains[i] == pytest.approx(after - before, abs=1e-12)


def test_the_standard_error_is_that_of_resampling_each_class() -> None:
    values = np.random.default_rng(4).normal(size=24)
    labels = np.repeat([0, 1, 2], 8)
    generator = np.random.default_rng(5)
    resampled = np.mean(
        [generator.choice(values[labels == k], (20000, 8)).mean(axis=1) for k in range(3)], axis=0
    )
    # a resample varies by n - 1 over n of what another support would
    expected = np.std(resampled) * np.sqrt(8 / 7)
    assert resampling_error(values, labels) == pytest.approx(expected, rel=0.03)


def test_shuffled_labels_of_a_site_like_home_do_no_harm() -> None:
    held = _site(500, seed=12)
    lost = []
    for seed in range(8):
        features, labels = _site(8, seed=seed)
        shuffled = np.random.default_rng(seed).permutation(labels)
        choice = adapt(HOME, features, shuffled, concepts=True)
        lost.append(_balanced(HEAD, *held) - _balanced(choice.head, *held))
    assert np.mean(np.array(lost) > 0.01) <= 0.1


def test_a_rung_above_the_offset_is_taken_only_if_home_would_not_lose_by_its_weights() -> None:
    for seed in range(8):
        choice = adapt(HOME, *_site(4, seed=seed, shift=SHIFT), concepts=True)
        assert all(t.lost_at_home <= MOST_LOST_AT_HOME for t in choice.tried if t.taken)


def test_with_one_image_a_class_only_the_offset_is_tried() -> None:
    choice = adapt(HOME, *_site(1, seed=5, shift=SHIFT), concepts=True)
    assert [t.rung for t in choice.tried] == [NOTHING, OFFSET]
    assert all(np.isfinite(t.loss) for t in choice.tried)


def test_features_that_are_no_concepts_are_not_masked() -> None:
    choice = adapt(HOME, *_site(2, seed=5), concepts=False)
    assert MASK not in [t.rung for t in choice.tried]


def test_a_site_that_lacks_a_class_has_an_offset_by_the_others() -> None:
    features, labels = _site(4, seed=5, shift=SHIFT)
    choice = adapt(HOME, features[labels < 3], labels[labels < 3], concepts=True)
    assert [t.rung for t in choice.tried] == [NOTHING, OFFSET]
    assert choice.rung == OFFSET


def test_one_class_alone_or_a_class_without_spread_at_home_is_refused() -> None:
    features, labels = _site(2, seed=5)
    with pytest.raises(ValueError, match="fewer than two classes"):
        adapt(HOME, features[labels < 1], labels[labels < 1], concepts=True)
    with pytest.raises(ValueError, match="class 3 has 1 held-out images"):
        Home(HEAD, np.zeros((7, FEATURES)), np.array([0, 0, 1, 1, 2, 2, 3]))
