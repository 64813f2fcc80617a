"""Peak memory of embedding ten times the images: it should not grow with them.

Run `python -m tests.benchmarks.bench_memory [FEW MANY]`, by default with 10,000 and 100,000 small
drawn JPEGs and the demo's encoder, each in a process of its own that only embeds. What grows by
nature is the table of images and the vectors themselves, about a kilobyte an image.
"""

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.benchmarks.measuring import Target, print_rows

PROJECT = Path(__file__).parents[2]
FEW, MANY = 10_000, 100_000
GROWTH = Target("<=", 1.1)


class Row(NamedTuple):
    """Peak resident memory of one size, beside that of the smaller one."""

    images: int
    peak_mib: float
    ratio: float
    seconds: float
    target: str
    met: bool | None


def main(few: int = FEW, many: int = MANY) -> list[Row]:
    """Return one row a size."""
    measured = {count: _measure(count) for count in (few, many)}
    smaller = measured[few][0]
    return [
        Row(count, peak, peak / smaller, seconds, str(GROWTH), GROWTH.is_met_by(peak / smaller))
        for count, (peak, seconds) in measured.items()
    ]


def _measure(count: int) -> tuple[float, float]:
    """Return the peak in MiB and the seconds of a process that embeds this many images."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), count)
        command = [sys.executable, "-m", "tests.benchmarks.bench_memory", "--embed", folder]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        return float(json.loads(done.stdout)), time.perf_counter() - start


def write_dataset(folder: Path, count: int) -> None:
    """Write small JPEGs of which no two are equal, and the table that an ingest makes of them."""
    from tests.benchmarks.bench_embedding import dataset_of

    images = folder / "images"
    images.mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths = [images / f"{i:06d}.jpg" for i in range(count)]
    for path in paths:
        pixels = generator.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.BILINEAR).save(file, "JPEG")
        path.write_bytes(file.getvalue() + path.name.encode())
    dataset_of(paths).write(folder)


def embed(folder: Path) -> None:
    """Embed a dataset's images and print the peak of this process in MiB."""
    # Only what the stage itself imports: all else would count.
    import resource

    from curette.schemas.images import ImageDataset
    from curette.schemas.machine import Machine
    from curette.schemas.settings.encoder import OpenClipEncoder
    from curette.storage.images import ImageFiles, ImageShelf
    from curette.storage.vectors import VectorShelf
    from curette.tasks.embed.embedding import embed_images
    from curette.tasks.methods.encoder.encoder import load_encoder

    dataset, machine = ImageDataset.read(folder), Machine(device="cpu")
    encoder = load_encoder(OpenClipEncoder(), machine)
    files = ImageFiles(Path(dataset.root).resolve(), ImageShelf(folder))
    embed_images(dataset, files.read, encoder, VectorShelf(folder), machine, lambda count: None)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--embed"]:
        embed(Path(sys.argv[2]))
    else:
        print_rows("memory", main(*map(int, sys.argv[1:])))
