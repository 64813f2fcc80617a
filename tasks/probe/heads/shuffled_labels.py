"""The bottleneck on labels dealt at random, and by such: near chance, or labels leak."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from curette.tasks.probe.chance import shuffle_labels
from curette.tasks.probe.draws import Draws, Fitted, Images
from curette.tasks.probe.heads import concept_bottleneck


def fit(draws: Draws) -> Fitted:
    """Train it as the bottleneck is, on other labels."""
    pairs = zip(draws.rows, draws.seeds, strict=True)
    dealt = [_deal_labels(draws.images, rows, seed) for rows, seed in pairs]
    return concept_bottleneck.fit_to(
        draws,
        torch.stack([labels for labels, _ in dealt]),
        torch.stack([validation_labels for _, validation_labels in dealt]),
    )


def _deal_labels(
    images: Images, rows: Int[Tensor, " shot"], seed: int
) -> tuple[Int[Tensor, " shot"], Int[Tensor, " validation"]]:
    """Deal the labels out again, the drawn ones and the validation images'."""
    generator = np.random.default_rng(images.spec.seed + 1 + seed)
    order = rows.argsort()
    at = rows[order].numpy()
    dealt = shuffle_labels(images.labels[at].numpy(), images.groups[at], generator)
    held = shuffle_labels(images.validation_labels.numpy(), images.validation_groups, generator)
    return torch.from_numpy(dealt)[order.argsort()], torch.from_numpy(held)
