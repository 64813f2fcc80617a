"""How near bfloat16, autocast and other batch sizes stay to float32, and what they gain.

Run `python -m tests.benchmarks.bench_precision`. The encoders are the demo's and a ViT-B/32 with
random weights, which hardly tells images apart: its cosines flatter. The images are
`bench_embedding`'s. What is timed is the encoder alone on tensors that are ready, in batches of 32.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32

from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder, load_encoder
from tests.benchmarks.bench_embedding import find_images, save_model
from tests.benchmarks.measuring import Target, print_rows, timed

IMAGES, TURNS = 64, 2
BATCHES = (1, 7, 64)
MACHINE = Machine(device="cpu")
COSINE, SAME = Target(">=", 0.999), Target("<=", 1e-5)

Vectors = Float32[np.ndarray, "image dim"]


class Row(NamedTuple):
    """One way to encode the same images."""

    name: str
    cosine_short_of_1: float  # the least cosine: to float32, or to the first of the batch sizes
    largest_difference: float  # of two numbers of these vectors
    images_per_s: float
    times_float32: float
    target: str
    met: bool | None


def main() -> list[Row]:
    """Return the rows of both encoders."""
    with tempfile.TemporaryDirectory() as folder:
        images = [path.read_bytes() for path in find_images(Path(folder) / "images")[:IMAGES]]
        vit = save_model(Path(folder) / "ViT-B-32")
        return [
            row
            for name, model in (("demo encoder", "demo"), ("ViT-B/32", vit))
            for row in compare_precisions(name, model, images)
        ]


def compare_precisions(name: str, model: Path | str, images: list[bytes]) -> list[Row]:
    """Encode the images in every precision, in turn, and in batches of several sizes."""
    plain = load_encoder(OpenClipEncoder(model=model), MACHINE)
    rounded = load_encoder(OpenClipEncoder(model=model, precision="bfloat16"), MACHINE)
    ready = torch.stack([plain.prepare_image(image) for image in images])
    ways: dict[str, Callable[[], Vectors]] = {
        "float32": partial(encode, plain, ready),
        "bfloat16": partial(encode, rounded, ready),
        "autocast to bfloat16": partial(_autocast, plain, ready),
    }
    vectors = {way: work() for way, work in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(TURNS):
        for way, work in ways.items():
            seconds[way].append(timed(work)[0])
    rate = {way: len(ready) / min(took) for way, took in seconds.items()}
    rows = [
        Row(
            name=f"{name}, {way} beside float32",
            cosine_short_of_1=1 - _least_cosine(vectors[way], vectors["float32"]),
            largest_difference=_largest_difference(vectors[way], vectors["float32"]),
            images_per_s=rate[way],
            times_float32=rate[way] / rate["float32"],
            target=f"cosine {COSINE}",
            met=COSINE.is_met_by(_least_cosine(vectors[way], vectors["float32"])),
        )
        for way in ("bfloat16", "autocast to bfloat16")
    ]
    return [*rows, *(_compare_batches(name, encoder, ready) for encoder in (plain, rounded))]


def encode(encoder: ClipEncoder, ready: torch.Tensor, batch: int = DEFAULT_BATCH["cpu"]) -> Vectors:
    """Return the vectors of images that are ready, encoded in batches."""
    starts = range(0, len(ready), batch)
    return np.concatenate([encoder.encode_images(ready[i : i + batch]) for i in starts])


def _autocast(encoder: ClipEncoder, ready: torch.Tensor) -> Vectors:
    with torch.autocast("cpu", torch.bfloat16):
        return encode(encoder, ready)


def _compare_batches(name: str, encoder: ClipEncoder, ready: torch.Tensor) -> Row:
    first, *others = (encode(encoder, ready, batch) for batch in BATCHES)
    cosine = min(_least_cosine(other, first) for other in others)
    difference = max(_largest_difference(other, first) for other in others)
    exact = encoder.rounding == "float32"
    return Row(
        name=f"{name}, {encoder.rounding}, batches of {', '.join(map(str, BATCHES))}",
        cosine_short_of_1=1 - cosine,
        largest_difference=difference,
        images_per_s=np.nan,
        times_float32=np.nan,
        target=f"difference {SAME}" if exact else f"cosine {COSINE}",
        met=SAME.is_met_by(difference) if exact else COSINE.is_met_by(cosine),
    )


def _least_cosine(a: Vectors, b: Vectors) -> float:
    a, b = (
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a.astype(float), b.astype(float))
    )
    return float(np.einsum("id,id->i", a, b).min())


def _largest_difference(a: Vectors, b: Vectors) -> float:
    return float(np.abs(a - b).max())


if __name__ == "__main__":
    print_rows("precision", main())
