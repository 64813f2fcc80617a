"""Image bytes that have no file of their own, kept by their content."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curette.schemas.images import ImageDataset
from curette.storage import files
from curette.storage.store import ArtifactCorrupt, explained

SHELF = "shelf:"


@dataclass(frozen=True)
class ImageShelf:
    """Images under `root/images/<2 digits>/<sha256>`: from archives, hubs, or drawn here."""

    root: Path

    def put(self, content: bytes) -> str:
        """Keep an image; return its sha256. A damaged copy is replaced."""
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        is_here = place.is_file()
        if not (is_here and place.read_bytes() == content):
            with explained(self.root):
                files.keep(self.root, place, content, unless_there=not is_here)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return an image's bytes.

        Raises:
            FileNotFoundError: there is no such image.
            ArtifactCorrupt: its bytes changed after they were kept.
        """
        return _unchanged(self.path(sha256), sha256)

    def path(self, sha256: str) -> Path:
        """Return where an image lies, if there is one."""
        place = self._place(sha256)
        files.has(self.root, place)
        return place

    def _place(self, sha256: str) -> Path:
        return self.root / "images" / sha256[:2] / sha256


def image_reader(dataset: ImageDataset, shelf: ImageShelf) -> Callable[[str], bytes]:
    """Return a function from a `location` of the dataset to the image's bytes.

    Raises (the function):
        FileNotFoundError: the image is gone, or there never was one.
        ValueError: the location leaves the dataset's folder, or is none of the dataset's.
        ArtifactCorrupt: the image changed after it was ingested.
    """
    images = ImageFiles(Path(dataset.root).resolve(), shelf)
    digests = dict(zip(dataset.images["location"], dataset.images["sha256"], strict=True))

    def read(location: str) -> bytes:
        if location not in digests and not location.startswith(SHELF):
            raise ValueError(f"{location} is no image of the dataset in {images.root}")
        return images.read(location, digests.get(location, ""))

    return read


@dataclass(frozen=True)
class ImageFiles:
    """Where a dataset's images are, and nothing of what they are: small enough to be sent."""

    root: Path
    """The dataset's folder, resolved."""
    shelf: ImageShelf

    def read(self, location: str, sha256: str) -> bytes:
        """Return an image's bytes; raises what the function of `image_reader` does."""
        shelved = location.startswith(SHELF)
        return _unchanged(self.path(location), location.removeprefix(SHELF) if shelved else sha256)

    def path(self, location: str) -> Path:
        """Return where an image lies, if it is still there; raises what `read` does."""
        if location.startswith(SHELF):
            return self.shelf.path(location.removeprefix(SHELF))
        if not location:
            raise FileNotFoundError("only this image's vector is known, not its pixels")
        path = (self.root / location).resolve()
        if not path.is_relative_to(self.root):
            raise ValueError(f"{location} is no image of the dataset in {self.root}")
        return path


def _unchanged(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactCorrupt(
            f"{path} changed after it was ingested. Run the study again with --refresh ingest."
        )
    return content
