"""How fast images are embedded, beside the encoder alone and the loop that others write.

Run `python -m tests.benchmarks.bench_embedding`. A ViT-B/32 with random weights, since arithmetic
does not care what it computes; HAM10000's JPEGs from ../shared/data where they are, else drawn
noise of 600 x 450 pixels. Contestants take turns, several times; a ratio is that of the best times,
which a busy machine disturbs least. The plain loop is that of LaBo (Yang et al. 2023) and KnoBo
(Yang et al. 2024): PIL opens, open_clip preprocesses, a list is stacked, `encode_image` in float32.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save_file

from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.vectors import VectorShelf
from curette.tasks.embed.embedding import embed_images
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder, load_encoder
from curette.tasks.methods.threads import usual_threads
from tests.benchmarks.measuring import Target, print_rows, timed
from tests.builders.images import image_dataset

REAL = Path(__file__).parents[3] / "shared" / "data" / "ham10000" / "images"
IMAGES, KNOWN, TURNS = 128, 1000, 2
MACHINE = Machine(device="cpu")
OF_ALONE, OF_LOOP, OF_PADDED = Target(">=", 0.9), Target(">=", 5), Target(">=", 1)
SHARE_OF_COLD = Target("<=", 0.03)


class Row(NamedTuple):
    """One comparison; `target` is what the ratio should reach, or not exceed."""

    name: str
    ours_per_s: float
    peer_per_s: float
    ratio: float
    target: str
    met: bool | None


def main() -> list[Row]:
    """Return one row for each comparison."""
    with tempfile.TemporaryDirectory() as folder:
        model, images = save_model(Path(folder) / "ViT-B-32"), find_images(Path(folder) / "images")
        rows = [*compare_loops(model, images), *compare_new_images(model, images)]
        rows += [compare_texts(model)]
    return rows


def _row(name: str, ours_per_s: float, peer_per_s: float, ratio: float, target: Target) -> Row:
    return Row(name, ours_per_s, peer_per_s, ratio, str(target), target.is_met_by(ratio))


def save_model(folder: Path) -> Path:
    """Write a ViT-B/32 with random weights as open_clip reads it from a folder."""
    folder.mkdir(parents=True)
    config = open_clip.get_model_config("ViT-B-32")
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    about = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def find_images(folder: Path, count: int = IMAGES) -> list[Path]:
    """Return real dermatoscopic JPEGs, or noise of the same kind."""
    if REAL.is_dir():
        return sorted(REAL.glob("*.jpg"))[:count]
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths = [folder / f"{i:04d}.jpg" for i in range(count)]
    for path in paths:
        coarse = generator.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((600, 450), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def dataset_of(paths: list[Path]) -> ImageDataset:
    """Return the dataset that an ingest of these files would give."""
    names = [path.name for path in paths]
    columns: dict[str, Any] = {
        "image_id": [path.stem for path in paths],
        "sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        "location": names,
        "split": "train",
        "label": "a",
        "subject": None,
        "lesion": None,
        "group": names,
        "mask_location": "",
    }
    return image_dataset(pd.DataFrame(columns), root=str(paths[0].parent))


def compare_loops(model: Path, paths: list[Path]) -> list[Row]:
    """Embed the same images by ours, by the encoder on ready tensors, and by the plain loop."""
    dataset = dataset_of(paths)
    plain = load_encoder(OpenClipEncoder(model=model), MACHINE)
    seconds: dict[str, list[float]] = {}
    encoders = {"float32": plain}
    # Only the last encoder is remembered, so this is another one beside it.
    encoders["bfloat16"] = load_encoder(OpenClipEncoder(model=model, precision="bfloat16"), MACHINE)
    batch = DEFAULT_BATCH["cpu"]
    ready = [plain.prepare_image(path.read_bytes()) for path in paths]
    tensors = [torch.stack(ready[i : i + batch]) for i in range(0, len(ready), batch)]
    for turn in range(TURNS + 1):  # the first warms up
        contestants: dict[str, Callable[[], object]] = {"loop": lambda: _plain_loop(plain, paths)}
        for name, encoder in encoders.items():
            contestants[f"ours {name}"] = lambda encoder=encoder: _embed(dataset, encoder)  # type: ignore[misc]
            contestants[f"alone {name}"] = lambda encoder=encoder: [  # type: ignore[misc]
                encoder.encode_images(tensor) for tensor in tensors
            ]
        for name, work in contestants.items():
            took, _ = timed(work)
            if turn:
                seconds.setdefault(name, []).append(took)
    rate = {name: len(paths) / min(times) for name, times in seconds.items()}
    pairs = [
        *((f"ours {p}", f"alone {p}", OF_ALONE) for p in encoders),
        ("ours float32", "loop", OF_LOOP),
        ("ours bfloat16", "loop", OF_LOOP),
    ]
    threads = f"{len(paths)} images, {usual_threads()} threads"
    return [
        _row(f"{ours} / {peer}, {threads}", rate[ours], rate[peer], rate[ours] / rate[peer], target)
        for ours, peer, target in pairs
    ]


def _plain_loop(encoder: ClipEncoder, paths: list[Path]) -> None:
    batch = DEFAULT_BATCH["cpu"]
    model: Any = encoder.model
    with torch.no_grad():
        for start in range(0, len(paths), batch):
            opened = [Image.open(path).convert("RGB") for path in paths[start : start + batch]]
            model.encode_image(torch.stack([encoder.preprocess(image) for image in opened]))


def _embed(dataset: ImageDataset, encoder: ClipEncoder) -> None:
    """Embed into a shelf that is new, as a first run does."""
    with tempfile.TemporaryDirectory() as store:
        read = ImageFiles(Path(dataset.root).resolve(), ImageShelf(Path(store))).read
        embed_images(dataset, read, encoder, VectorShelf(Path(store)), MACHINE, lambda count: None)


def compare_new_images(model: Path, paths: list[Path]) -> list[Row]:
    """Embed a dataset of which one image in a hundred is new, and one that was only renamed."""
    encoder = load_encoder(OpenClipEncoder(model=model, precision="bfloat16"), MACHINE)
    known = [_small_jpeg(i) for i in range(KNOWN)]
    new = [_small_jpeg(i) for i in range(KNOWN, KNOWN + KNOWN // 100)]
    with tempfile.TemporaryDirectory() as scratch:
        root, shelf = Path(scratch), VectorShelf(Path(scratch))
        cold, encoded = _embed_counting(known, root / "cold", encoder, shelf)
        grown, encoded_grown = _embed_counting(known + new, root / "grown", encoder, shelf)
        renamed, encoded_renamed = _embed_counting(known[::-1], root / "moved", encoder, shelf)
    return [
        _row(
            f"1 % new images: {encoded_grown} of {len(known + new)} encoded; share of cold",
            len(known + new) / grown,
            encoded / cold,
            grown / cold,
            SHARE_OF_COLD,
        ),
        _row(
            f"all renamed and reordered: {encoded_renamed} encoded; share of cold",
            len(known) / renamed,
            encoded / cold,
            renamed / cold,
            SHARE_OF_COLD,
        ),
    ]


def _small_jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((200, 150), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def _embed_counting(
    contents: list[bytes], folder: Path, encoder: ClipEncoder, shelf: VectorShelf
) -> tuple[float, int]:
    """Return the seconds that embedding these images took, and how many were read for it."""
    folder.mkdir()
    paths = [folder / f"{folder.name}-{i:05d}.jpg" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    dataset = dataset_of(paths)
    files = ImageFiles(folder.resolve(), ImageShelf(shelf.root))
    opened: list[str] = []

    def counting(location: str, sha256: str) -> bytes:
        opened.append(location)
        return files.read(location, sha256)

    took, _ = timed(
        lambda: embed_images(dataset, counting, encoder, shelf, MACHINE, lambda count: None)
    )
    return took, len(opened)


def compare_texts(model: Path) -> Row:
    """Encode short texts without their padding and with it."""
    encoder = load_encoder(OpenClipEncoder(model=model), MACHINE)
    tokens = encoder.tokenize([f"irregular brown globules at the border {i}" for i in range(32)])
    whole: Any = encoder.model

    def padded() -> None:
        with torch.inference_mode():
            whole.encode_text(tokens)

    ours, peer = [], []
    for _ in range(TURNS):
        ours.append(timed(lambda: encoder.encode_texts(tokens))[0])
        peer.append(timed(padded)[0])
    name = "texts of ten tokens, without padding / with it"
    return _row(name, 32 / min(ours), 32 / min(peer), min(peer) / min(ours), OF_PADDED)


if __name__ == "__main__":
    print_rows("embedding", main())
