import numpy as np

from curette.tasks.propose.look_alikes import nearest_classes


def test_the_nearest_means_are_paired_each_pair_once_and_nearest_first() -> None:
    means = np.array([[0.0, 0], [1, 0], [1, 0.5], [9, 9]])
    labels = np.repeat(np.arange(4), 3)
    shift = np.tile([[-0.1, 0], [0, 0], [0.1, 0]], (4, 1))
    vectors = means[labels] + shift
    assert nearest_classes(vectors, labels, 4, 1) == [(1, 2), (0, 1), (2, 3)]
    assert nearest_classes(vectors, labels, 4, 3) == [
        (1, 2),
        (0, 1),
        (0, 2),
        (2, 3),
        (1, 3),
        (0, 3),
    ]


def test_a_class_without_images_has_no_pair() -> None:
    vectors = np.array([[0.0, 0], [1, 0]])
    assert nearest_classes(vectors, np.array([0, 2]), 4, 2) == [(0, 2)]
