"""A head is left alone at home, and put right where a site shifts it."""

import numpy as np
import pytest
from jaxtyping import Float64, Int

from curette.tasks.methods.adaptation import Home, adapt

CLASSES = 4


def _site(
    images: int, seed: int, shift: Float64[np.ndarray, " class"] | None = None
) -> tuple[Float64[np.ndarray, "image class"], Int[np.ndarray, " image"]]:
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % CLASSES
    logits = 2.0 * np.eye(CLASSES)[labels] + generator.normal(size=(images, CLASSES))
    return logits + (0 if shift is None else shift), labels


HOME = Home.of(*_site(400, seed=0))
SHIFT = np.array([3.0, -1.0, 0.0, -2.0])


def test_at_home_it_is_left_alone_in_95_of_100_draws() -> None:
    changed = [adapt(HOME, *_site(4 * CLASSES, seed=s)).changes for s in range(100, 300)]
    assert np.mean(changed) <= 0.05


def test_a_shifted_site_is_put_right() -> None:
    held, truth = _site(2000, seed=9, shift=SHIFT)
    found = adapt(HOME, *_site(4 * CLASSES, seed=5, shift=SHIFT))
    before = (held.argmax(axis=1) == truth).mean()
    assert found.changes
    assert ((held - found.offset).argmax(axis=1) == truth).mean() > before + 0.1


def test_the_offset_of_many_images_is_the_mean_shift() -> None:
    found = adapt(HOME, *_site(4000, seed=6, shift=SHIFT))
    assert found.offset == pytest.approx(SHIFT - SHIFT.mean(), abs=0.2)


def test_shuffled_labels_of_a_site_like_home_change_nothing_for_the_better() -> None:
    logits, labels = _site(8 * CLASSES, seed=11)
    shuffled = np.random.default_rng(1).permutation(labels)
    held, truth = _site(2000, seed=12)
    offset = adapt(HOME, logits, shuffled).offset
    after = ((held - offset).argmax(axis=1) == truth).mean()
    assert after == pytest.approx((held.argmax(axis=1) == truth).mean(), abs=0.01)


def test_a_number_added_to_all_logits_of_an_image_changes_nothing() -> None:
    logits, labels = _site(16, seed=5, shift=SHIFT)
    moved = logits + np.arange(16)[:, None]
    assert adapt(HOME, moved, labels).offset == pytest.approx(adapt(HOME, logits, labels).offset)


def test_one_image_alone_is_too_little_and_none_is_refused() -> None:
    logits, labels = _site(16, seed=5, shift=SHIFT)
    assert not adapt(HOME, logits[:1], labels[:1]).changes
    with pytest.raises(ValueError, match="no support image"):
        adapt(HOME, logits[:0], labels[:0])


def test_a_class_without_spread_at_home_is_refused() -> None:
    with pytest.raises(ValueError, match="class 3 has 1 held-out images"):
        Home.of(np.zeros((7, 4)), np.array([0, 0, 1, 1, 2, 2, 3]))
