"""Small datasets and candidate sets to embed."""

import hashlib
from pathlib import Path

import pandas as pd

from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin
from curette.schemas.images import ImageDataset
from tests.builders.images import image_dataset


def dataset_of(contents: dict[str, bytes], folder: Path) -> ImageDataset:
    """Write images into a folder, and return the dataset that an ingest of it would give."""
    folder.mkdir(exist_ok=True)
    for image_id, content in contents.items():
        (folder / f"{image_id}.png").write_bytes(content)
    table = pd.DataFrame(
        {
            "image_id": list(contents),
            "sha256": [hashlib.sha256(c).hexdigest() for c in contents.values()],
            "location": [f"{image_id}.png" for image_id in contents],
            "split": "train",
            "label": "a",
            "subject": None,
            "lesion": None,
            "group": list(contents),
            "mask_location": "",
        }
    )
    return image_dataset(table, root=str(folder))


def candidates_of(*texts: str) -> CandidateSet:
    """Return candidates as a file would give them."""
    origin = FileOrigin(file="concepts.txt", line=1)
    found = tuple(Candidate(text=text, classes=("a",), origins=(origin,)) for text in texts)
    return CandidateSet(candidates=found, source="a test")
