"""Training-free baselines, worked by hand."""

import pytest
import torch

from curette.tasks.methods.solvers.zero_shot import class_prompt_head, search_concept_matrix


def test_class_prompts_give_a_hundred_times_the_cosine() -> None:
    head = class_prompt_head(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    logits = head.logits(torch.tensor([[1.0, 0.0]]).double())
    torch.testing.assert_close(logits, torch.tensor([[60.0, 0.0]]).double())


def test_the_class_whose_concepts_point_the_same_way_fits_best() -> None:
    images = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    classes = torch.tensor([[2.0, 2.0, 0.0], [3.0, 0.0, 4.0]])
    fit = search_concept_matrix(images, classes)
    expected = torch.tensor([[1.0, 0.6 / 2**0.5], [0.0, 0.8]]).double()
    torch.testing.assert_close(fit, expected)


def test_neither_the_size_of_an_image_row_nor_of_a_class_row_matters() -> None:
    generator = torch.Generator().manual_seed(0)
    images, classes = torch.rand(5, 4, generator=generator), torch.rand(3, 4, generator=generator)
    torch.testing.assert_close(
        search_concept_matrix(7 * images, 3 * classes), search_concept_matrix(images, classes)
    )


def test_zero_rows_are_refused() -> None:
    row = torch.tensor([[1.0, 0.0]])
    with pytest.raises(ValueError, match="scores of an image are all zero"):
        search_concept_matrix(0 * row, row)
    with pytest.raises(ValueError, match="scores of a class are all zero"):
        search_concept_matrix(row, 0 * row)
    with pytest.raises(ValueError, match="a class prompt has a zero vector"):
        class_prompt_head(0 * row)
