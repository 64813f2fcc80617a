"""Image bytes that have no file of their own, kept by their content."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schemas.images import ImageDataset
from storage.store import explained

SHELF = "shelf:"


@dataclass(frozen=True)
class ImageShelf:
    """Images under `root/images/<2 digits>/<sha256>`: from archives, hubs, or drawn here."""

    root: Path

    def put(self, content: bytes) -> str:
        """Keep an image; return its sha256. An image that is there already is left alone."""
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        if not (place.is_file() and place.stat().st_size == len(content)):
            with explained(self.root):
                place.parent.mkdir(parents=True, exist_ok=True)
                bench = place.with_name(f".{sha256}-{uuid.uuid4().hex}")
                try:
                    bench.write_bytes(content)
                    bench.replace(place)
                finally:
                    bench.unlink(missing_ok=True)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return an image's bytes.

        Raises:
            FileNotFoundError: there is no such image.
        """
        return self._place(sha256).read_bytes()

    def _place(self, sha256: str) -> Path:
        return self.root / "images" / sha256[:2] / sha256


def image_reader(dataset: ImageDataset, shelf: ImageShelf) -> Callable[[str], bytes]:
    """Return a function from a `location` of the dataset to the image's bytes.

    Raises (the function):
        FileNotFoundError: the image is gone, or there never was one.
        ValueError: the location leaves the dataset's folder.
    """
    root = Path(dataset.root).resolve()

    def read(location: str) -> bytes:
        if location.startswith(SHELF):
            return shelf.get(location.removeprefix(SHELF))
        if not location:
            raise FileNotFoundError("only this image's vector is known, not its pixels")
        path = (root / location).resolve()
        if not path.is_relative_to(root):
            raise ValueError(f"{location} leaves the dataset's folder {root}")
        return path.read_bytes()

    return read
