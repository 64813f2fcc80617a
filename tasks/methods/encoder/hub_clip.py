"""A CLIP or SigLIP of the package transformers, asked as open_clip's are; it is not imported."""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int

Kind = Literal["clip", "siglip"]
_OLD_END = 2
"""An `eos_token_id` that early configurations of CLIPs name wrongly: the end is the greatest id."""


class HubTower(torch.nn.Module):
    """One of both towers, and its way into the space of the other."""

    def __init__(self, tower: torch.nn.Module, projection: torch.nn.Module) -> None:
        super().__init__()
        self.tower, self.projection = tower, projection

    def forward(self, batch: torch.Tensor) -> Float[torch.Tensor, "row dim"]:
        """Return the vectors of images or texts, not scaled."""
        pooled: torch.Tensor = self.tower(batch).pooler_output
        return self.projection(pooled)


class HubClip(torch.nn.Module):
    """The model of such a folder."""

    def __init__(self, model: Any, kind: Kind, preprocess_cfg: dict[str, Any]) -> None:
        super().__init__()
        plain = torch.nn.Identity()  # a SigLIP's towers end in the common space
        clip = kind == "clip"
        self.visual = HubTower(model.vision_model, model.visual_projection if clip else plain)
        self.text = HubTower(model.text_model, model.text_projection if clip else plain)
        self.visual.preprocess_cfg = preprocess_cfg  # type: ignore[assignment]  # as open_clip's
        self._kind, self._end = kind, model.config.text_config.eos_token_id

    def encode_image(
        self, batch: Float[torch.Tensor, "image channel height width"]
    ) -> Float[torch.Tensor, "image dim"]:
        """Return the vectors of images, not scaled."""
        return self.visual(batch)

    def encode_text(
        self, tokens: Int[torch.Tensor, "text context"]
    ) -> Float[torch.Tensor, "text dim"]:
        """Return the vectors of texts, not scaled."""
        return self.text(tokens)

    def text_lengths(self, tokens: Int[torch.Tensor, "text context"]) -> Int[torch.Tensor, " text"]:
        """Return how many tokens decide a vector: of a CLIP up to the end, of a SigLIP all.

        A CLIP's attention only looks back, and its vector is read off at the first token that ends
        the text. A SigLIP's looks both ways and is read off at the last position.
        """
        if self._kind == "siglip":
            return torch.full(tokens.shape[:1], tokens.shape[1])
        if self._end == _OLD_END:
            return tokens.argmax(dim=-1) + 1
        return tokens.eq(self._end).int().argmax(dim=-1) + 1
