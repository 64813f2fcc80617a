"""A small CLIP with random weights in a local folder, and images to show it."""

import io
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}
SafeClip = Callable[..., Path]


@pytest.fixture(scope="session")
def weights() -> dict[str, torch.Tensor]:
    """The state dict of a CLIP as it was born."""
    import open_clip

    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG["model_cfg"])
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


@pytest.fixture
def save_clip(tmp_path: Path, weights: dict[str, torch.Tensor]) -> SafeClip:
    """Return a function that writes a CLIP into a folder of that name, changed as asked."""

    def save(
        name: str = "small-clip",
        changed_weights: dict[str, torch.Tensor] | None = None,
        changed_config: Callable[[dict[str, Any]], None] = lambda config: None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = deepcopy(CONFIG)
        changed_config(config)
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        save_file(weights | (changed_weights or {}), folder / "open_clip_model.safetensors")
        return folder

    return save


@pytest.fixture(scope="session")
def pngs() -> list[bytes]:
    """Eighty images of different sizes, all different."""
    generator = np.random.default_rng(1)
    images = []
    for i in range(80):
        coarse = generator.integers(0, 256, (3 + i % 3, 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((40 + i, 36), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "PNG")
        images.append(file.getvalue())
    return images
