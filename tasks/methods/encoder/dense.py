"""Vectors of single places, from an encoder that was trained to give one for the whole image.

A CLIP pools its last features by attention: what reaches the joint space is a weighted mean of the
values of all places, through one linear output. Without queries and keys, that is with every place
looking only at itself, the same values and the same output give each place a vector of its own in
the joint space, and nothing is trained (Zhou, Loy and Dai, Extract free dense labels from CLIP,
2022, section 3.2).
"""

from typing import Any

import timm
import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch.nn.functional import normalize

from curette.tasks.methods.encoder.hub_clip import HubTower

_Batch = Float[torch.Tensor, "image channel height width"]
_Places = Float[torch.Tensor, "image row column dim"]


def why_no_places(visual: torch.nn.Module) -> str:
    """Return why an image encoder has no vectors of places; empty where it has."""
    if isinstance(visual, ModifiedResNet):
        return ""
    if isinstance(visual, VisionTransformer):
        known = visual.attn_pool is None and visual.pool_type != "none"
        return "" if known else "its vision transformer pools by a layer of its own"
    if isinstance(visual, TimmModel):
        return _why_no_timm_places(visual.trunk)
    if isinstance(visual, HubTower):
        known = hasattr(visual.tower, "post_layernorm") and not hasattr(visual.tower, "head")
        return "" if known else "its vision transformer pools by a layer of its own"
    return f"vectors of places are not known to be had from a {type(visual).__name__}"


def encode_places(visual: torch.nn.Module, batch: _Batch) -> _Places:
    """Return one unit vector for each place of each image, in the space of the texts.

    Of a ResNet these are the attention pool's value and output projection of each place, without
    its embedding of positions, which MaskCLIP leaves out too. Of a vision transformer they are the
    patches after the last block, in which each of them attends to itself alone, so that its value
    is all that it takes in; the class token is dropped.

    Raises:
        ValueError: `why_no_places` has a reason.
    """
    if reason := why_no_places(visual):
        raise ValueError(reason)
    if isinstance(visual, ModifiedResNet):
        places = _of_resnet(visual, batch)
    elif isinstance(visual, VisionTransformer):
        places = _of_transformer(visual, batch)
    elif isinstance(visual, HubTower):
        places = _of_hub(visual, batch)
    else:
        places = _of_timm(visual, batch)
    return normalize(places.float(), dim=-1)


def _of_resnet(visual: ModifiedResNet, batch: _Batch) -> _Places:
    pool = visual.attnpool
    features = _entering(pool, visual, batch).permute(0, 2, 3, 1)
    places: torch.Tensor = pool.c_proj(pool.v_proj(features))
    return places


def _of_transformer(visual: VisionTransformer, batch: _Batch) -> _Places:
    last = visual.transformer.resblocks[-1]
    tokens = _entering(last, visual, batch)
    count = tokens.shape[1 if visual.transformer.batch_first else 0]
    tokens = last(tokens, attn_mask=_itself_alone(count, tokens))
    if not visual.transformer.batch_first:
        tokens = tokens.transpose(0, 1)
    places: torch.Tensor = visual.ln_post(tokens[:, 1:])  # without the class token
    if visual.proj is not None:
        places = places @ visual.proj
    return places.reshape(len(places), *visual.grid_size, -1)


def _of_hub(visual: HubTower, batch: _Batch) -> _Places:
    tower: Any = visual.tower
    last = tower.encoder.layers[-1]
    tokens = _entering(last, visual, batch)
    tokens = last(tokens, _itself_alone(tokens.shape[1], tokens)[None, None])
    places: torch.Tensor = visual.projection(tower.post_layernorm(tokens[:, 1:]))
    rows, columns = (side // tower.config.patch_size for side in batch.shape[-2:])
    return places.reshape(len(places), rows, columns, -1)


def _why_no_timm_places(trunk: torch.nn.Module) -> str:
    if type(trunk) is not timm.models.VisionTransformer:
        return f"vectors of places are not known to be had from timm's {type(trunk).__name__}"
    last = trunk.blocks[-1]
    if type(last) is not timm.models.vision_transformer.Block:
        return f"the last layer of its vision transformer is a {type(last).__name__}"
    known = trunk.attn_pool is None and trunk.global_pool in ("token", "avg")
    return "" if known else "its vision transformer pools by a layer of its own"


def _of_timm(visual: TimmModel, batch: _Batch) -> _Places:
    trunk = visual.trunk
    last = trunk.blocks[-1]
    tokens = _entering(last, visual, batch)
    tokens = trunk.norm(last(tokens, attn_mask=_itself_alone(tokens.shape[1], tokens)))
    tokens = tokens[:, trunk.num_prefix_tokens :]
    places: torch.Tensor = visual.head(trunk.head(trunk.fc_norm(tokens)))
    return places.reshape(len(places), *trunk.patch_embed.grid_size, -1)


def _itself_alone(
    count: int, like: Float[torch.Tensor, "..."]
) -> Float[torch.Tensor, "token token"]:
    """Return what is added to attention so that each token attends to itself alone."""
    return torch.full((count, count), -torch.inf).fill_diagonal_(0).to(like)


def _entering(
    layer: torch.nn.Module, visual: torch.nn.Module, batch: _Batch
) -> Float[torch.Tensor, "..."]:
    """Return what the encoder hands to one of its layers."""
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        visual(batch)
    finally:
        hook.remove()
    return seen[0]
