"""The classes' names compared with images, as CLIP does; nothing is trained."""

from curette.tasks.methods.solvers.bottleneck import CLIP_SCALE
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.zero_shot import class_prompt_head
from curette.tasks.probe.draws import Draws, Fitted


def fit(draws: Draws) -> Fitted:
    """Return the same head for every draw."""
    head, count = class_prompt_head(draws.images.class_vectors, scale=CLIP_SCALE), len(draws.rows)
    heads = HeadBatch(head.weights.expand(count, -1, -1), head.bias.expand(count, -1))
    return Fitted(draws, heads)
