"""Texts without their padding: what stands behind a text's end cannot change its vector.

open_clip fills every text up to the model's context. Where attention only looks back and the vector
is read off at the end of the text, as in CLIP (Radford et al. 2021, section 2.4), the positions
behind it are computed for nothing: with a context of 77 and a text of 9 tokens, seven eighths of
all positions.
"""

from typing import Any

import open_clip
import torch
from jaxtyping import Float, Int
from open_clip.hf_model import HFTextEncoder

from curette.tasks.methods.encoder.hub_clip import HubClip


def text_lengths(
    model: Any, tokens: Int[torch.Tensor, "text context"]
) -> Int[torch.Tensor, " text"]:
    """Return how many tokens of each text decide its vector: up to its end, or all.

    All of them count where attention looks ahead or another position than the end is read, and in
    models that may do either. A BERT looks ahead, but at no padding.
    """
    if isinstance(model, HubClip):
        return model.text_lengths(tokens)
    if isinstance(text := getattr(model, "text", None), HFTextEncoder):
        return _unmasked_lengths(text, tokens)
    causal = type(model) is open_clip.CLIP and model.attn_mask is not None
    if causal and model.text_pool_type == "argmax":
        return tokens.argmax(dim=-1) + 1
    if causal and model.text_pool_type == "eos":
        ends = tokens.eq(model.text_eos_id).int()
        context = torch.full(ends.shape[:1], tokens.shape[1])
        return torch.where(ends.any(dim=-1), ends.argmax(dim=-1) + 1, context)
    return torch.full(tokens.shape[:1], tokens.shape[1])


def _unmasked_lengths(
    tower: HFTextEncoder, tokens: Int[torch.Tensor, "text context"]
) -> Int[torch.Tensor, " text"]:
    """Return up to where a BERT of the hub is not masked; the rest has no weight in any layer."""
    real = tokens.ne(tower.config.pad_token_id).int()
    return tokens.shape[1] - real.flip(1).argmax(dim=1)


def encode_without_padding(
    model: Any, tokens: Int[torch.Tensor, "text context"], length: int
) -> Float[torch.Tensor, "text dim"]:
    """Return the model's vectors of texts, computing only their first `length` positions.

    Args:
        model: on the tokens' device.
        tokens: padded to the model's context.
        length: the greatest of these texts' `text_lengths`.
    """
    if length == tokens.shape[1] or type(model) is not open_clip.CLIP:
        return model.encode_text(tokens[:, :length])
    # The model adds its table of positions and its mask whole, so it is lent shorter ones.
    shorter = {
        "model.positional_embedding": model.positional_embedding[:length],
        "model.attn_mask": model.attn_mask[:length, :length],
    }
    return torch.func.functional_call(_TextEncoder(model), shorter, (tokens[:, :length],))


class _TextEncoder(torch.nn.Module):
    """A model whose `forward` is another's `encode_text`, which is what `torch.func` can call."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the vectors of texts, not scaled."""
        return self.model.encode_text(tokens)
