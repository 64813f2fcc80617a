"""The concepts of images compared with those of the classes' names (Sparse-CBM's search).

The cosine of two rows of scores is linear in the image's row once that has unit length. It is
multiplied by CLIP's scale, so that it can be read as a logit.
"""

import torch
from torch.nn.functional import pad

from curette.tasks.methods.solvers.bottleneck import CLIP_SCALE
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.zero_shot import concept_matrix_head
from curette.tasks.probe.draws import Draws, Fitted


def fit(draws: Draws) -> Fitted:
    """Search by each draw's concepts."""
    most, named = draws.scores.vectors.shape[1], draws.images.class_vectors
    heads = [concept_matrix_head(c.vectors, named, scale=CLIP_SCALE) for c in draws.concepts]
    weights = torch.stack([pad(h.weights, (0, most - h.weights.shape[1])) for h in heads])
    return Fitted(draws, HeadBatch(weights, torch.stack([h.bias for h in heads])))
