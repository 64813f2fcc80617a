"""Vectors of single places, from an encoder that was trained to give one for the whole image.

A CLIP pools its last features by attention: what reaches the joint space is a weighted mean of the
values of all places, through one linear output. Without queries and keys, that is with every place
looking only at itself, the same values and the same output give each place a vector of its own in
the joint space, and nothing is trained (Zhou, Loy and Dai, Extract free dense labels from CLIP,
2022, section 3.2).
"""

import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch.nn.functional import linear, normalize

_Batch = Float[torch.Tensor, "image channel height width"]
_Places = Float[torch.Tensor, "image row column dim"]


def why_no_places(visual: torch.nn.Module) -> str:
    """Return why an image encoder has no vectors of places; empty where it has."""
    if isinstance(visual, ModifiedResNet):
        return ""
    if not isinstance(visual, VisionTransformer):
        return f"vectors of places are not known to be had from a {type(visual).__name__}"
    if visual.attn_pool is not None or visual.pool_type == "none":
        return "its vision transformer pools by a layer of its own"
    last = visual.transformer.resblocks[-1]
    if type(last) is not ResidualAttentionBlock:
        return f"the last layer of its vision transformer is a {type(last).__name__}"
    return ""


def encode_places(visual: torch.nn.Module, batch: _Batch) -> _Places:
    """Return one unit vector for each place of each image, in the space of the texts.

    Of a ResNet these are the attention pool's value and output projection of each place, without
    its embedding of positions, which MaskCLIP leaves out too. Of a vision transformer they are the
    patches after the last block, whose attention is replaced by its value path; the class token is
    dropped.

    Raises:
        ValueError: `why_no_places` has a reason.
    """
    if reason := why_no_places(visual):
        raise ValueError(reason)
    if isinstance(visual, ModifiedResNet):
        return normalize(_of_resnet(visual, batch).float(), dim=-1)
    return normalize(_of_transformer(visual, batch).float(), dim=-1)


def _of_resnet(visual: ModifiedResNet, batch: _Batch) -> _Places:
    pool = visual.attnpool
    features = _entering(pool, visual, batch).permute(0, 2, 3, 1)
    places: torch.Tensor = pool.c_proj(pool.v_proj(features))
    return places


def _of_transformer(visual: VisionTransformer, batch: _Batch) -> _Places:
    last = visual.transformer.resblocks[-1]
    tokens = _entering(last, visual, batch)
    if not visual.transformer.batch_first:
        tokens = tokens.transpose(0, 1)
    tokens = tokens[:, 1:]  # without the class token
    attention = last.attn
    value_weight = attention.in_proj_weight.chunk(3)[2]
    value_bias = attention.in_proj_bias.chunk(3)[2]
    value = attention.out_proj(linear(last.ln_1(tokens), value_weight, value_bias))
    tokens = tokens + last.ls_1(value)
    tokens = tokens + last.ls_2(last.mlp(last.ln_2(tokens)))
    places = visual.ln_post(tokens)
    if visual.proj is not None:
        places = places @ visual.proj
    return places.unflatten(1, visual.grid_size)


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
