"""A place's vector is what the encoder's own attention gives where each place sees only itself."""

from collections.abc import Callable
from typing import Literal

import pytest
import timm
import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch.nn.functional import linear, multi_head_attention_forward, normalize

from curette.tasks.methods.encoder.dense import encode_places, why_no_places

Images = Float[torch.Tensor, "image channel height width"]


@pytest.fixture(autouse=True)
def _without_gradients() -> object:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture
def images() -> Images:
    return torch.randn(3, 3, 64, 64)


def resnet(image_size: int = 64) -> ModifiedResNet:
    """A ResNet whose last block is not the identity, as it is born to be."""
    visual = ModifiedResNet([1, 1, 1, 1], output_dim=10, heads=4, image_size=image_size, width=4)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        torch.nn.init.normal_(layer[0].bn3.weight)
    return visual.eval()


def transformer(**changed: object) -> VisionTransformer:
    settings = {"image_size": 64, "patch_size": 16, "width": 24, "layers": 2, "heads": 3}
    return VisionTransformer(**settings | {"mlp_ratio": 2, "output_dim": 10} | changed).eval()


def of_timm(pool: Literal["token", "avg"] = "token") -> TimmModel:
    """A vision transformer of timm, small, in open_clip's wrapping."""
    visual = TimmModel("test_vit", embed_dim=10, image_size=64, pool=pool)
    visual.trunk = timm.models.VisionTransformer(
        img_size=64,
        patch_size=16,
        embed_dim=24,
        depth=2,
        num_heads=3,
        num_classes=0,
        global_pool=pool,
    )
    visual.head = torch.nn.Sequential(torch.nn.Linear(24, 10, bias=False))
    return visual.eval()


def features_of(visual: ModifiedResNet, images: Images) -> Images:
    return visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))


def test_a_place_of_a_resnet_attends_to_itself_alone(images: Images) -> None:
    visual = resnet()
    pool = visual.attnpool
    tokens = features_of(visual, images).flatten(2).permute(2, 0, 1)
    alone, _ = multi_head_attention_forward(
        *(tokens, tokens, tokens, tokens.shape[-1], pool.num_heads, None),
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        *(None, None, False, 0.0, pool.c_proj.weight, pool.c_proj.bias),
        training=False,
        attn_mask=~torch.eye(len(tokens), dtype=torch.bool),
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
    )
    places = encode_places(visual, images)
    assert places.shape == (3, 2, 2, 10)
    torch.testing.assert_close(
        places.flatten(1, 2), normalize(alone, dim=-1).transpose(0, 1), rtol=1e-4, atol=1e-5
    )


def test_where_attention_is_uniform_the_pooled_vector_is_the_mean_of_the_places(
    images: Images,
) -> None:
    visual = resnet()
    pool = visual.attnpool
    for parameter in (pool.q_proj.weight, pool.q_proj.bias, pool.positional_embedding):
        parameter.zero_()
    features = features_of(visual, images).permute(0, 2, 3, 1)
    lengths = pool.c_proj(pool.v_proj(features)).norm(dim=-1, keepdim=True)
    mean = (encode_places(visual, images) * lengths).mean((1, 2))
    torch.testing.assert_close(mean, visual(images), rtol=1e-4, atol=1e-5)


def test_a_place_of_a_transformer_takes_in_its_own_value_alone(images: Images) -> None:
    for visual in (
        transformer(),
        transformer(ls_init_value=0.3, no_ln_pre=True),
        transformer(block_type="custom"),
    ):
        *first, last = visual.transformer.resblocks
        tokens = visual._embeds(images)
        for block in first:
            tokens = block(tokens)
        attention = last.attn
        weight, bias = attention.in_proj_weight[48:], attention.in_proj_bias[48:]  # 3 x width
        value = linear(last.ln_1(tokens), weight, bias)
        tokens = tokens + last.ls_1(attention.out_proj(value))
        tokens = tokens + last.ls_2(last.mlp(last.ln_2(tokens)))
        value_path = visual.ln_post(tokens)[:, 1:] @ visual.proj
        places = encode_places(visual, images)
        assert places.shape == (3, 4, 4, 10)
        torch.testing.assert_close(
            places.flatten(1, 2), normalize(value_path, dim=-1), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_a_place_of_a_transformer_of_timm_takes_in_its_own_value_alone(
    pool: Literal["token", "avg"], images: Images
) -> None:
    visual = of_timm(pool)
    trunk = visual.trunk
    *first, last = trunk.blocks
    tokens = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(images)))
    for block in first:
        tokens = block(tokens)
    value = last.attn.qkv(last.norm1(tokens)).chunk(3, dim=-1)[2]
    tokens = tokens + last.attn.proj(value)
    tokens = tokens + last.mlp(last.norm2(tokens))
    value_path = visual.head(trunk.fc_norm(trunk.norm(tokens)[:, 1:]))
    places = encode_places(visual, images)
    assert places.shape == (3, 4, 4, 10)
    torch.testing.assert_close(
        places.flatten(1, 2), normalize(value_path, dim=-1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("make", [resnet, transformer, of_timm])
def test_vectors_of_places_have_unit_length_and_leave_the_encoder_as_it_was(
    make: Callable[[], torch.nn.Module], images: Images
) -> None:
    visual = make()
    before = visual(images)
    lengths = encode_places(visual, images).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    torch.testing.assert_close(visual(images), before)
    assert not any(m._forward_pre_hooks for m in visual.modules())


def test_what_moves_in_the_image_moves_in_the_map() -> None:
    visual = resnet(image_size=256)
    image = torch.zeros(1, 3, 256, 256)
    image[..., 96:128, 64:96] = 5
    still, moved = (encode_places(visual, x)[0] for x in (image, image.roll((32, 64), (2, 3))))
    spot, elsewhere = still[3, 2], still[6, 6]
    torch.testing.assert_close(moved[4, 4], spot, rtol=1e-4, atol=1e-5)
    assert (spot - elsewhere).norm() > 0.01


def test_other_encoders_say_why_they_have_no_places(images: Images) -> None:
    pooled = transformer(attentional_pool=True, attn_pooler_heads=2)
    assert why_no_places(pooled) == "its vision transformer pools by a layer of its own"
    assert why_no_places(torch.nn.Flatten()).endswith("not known to be had from a Flatten")
    with pytest.raises(ValueError, match="pools by a layer of its own"):
        encode_places(pooled, images)
    visual = of_timm()
    visual.trunk.global_pool = "map"
    assert why_no_places(visual) == "its vision transformer pools by a layer of its own"
    visual.trunk.blocks[-1] = torch.nn.Identity()
    assert why_no_places(visual) == "the last layer of its vision transformer is a Identity"
    visual.trunk = torch.nn.Identity()
    assert why_no_places(visual).endswith("not known to be had from timm's Identity")
