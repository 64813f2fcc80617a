"""What the report is written from, and how it names things."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from curette.schemas.artifact import Manifest
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.priors import Priors
from curette.schemas.probe import Heads
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.report import ReportSpec
from curette.schemas.validation import ValidationReport
from curette.tasks.methods.explanation import centred_weights
from curette.tasks.methods.page.pictures import PictureBook


@dataclass(frozen=True)
class Material:
    """Everything a study made that its report speaks of."""

    dataset: ImageDataset
    candidates: CandidateSet
    screened: ScreenedSet
    priors: Priors
    concepts: ConceptSet
    index: ConceptIndex
    validation: ValidationReport
    published: ConceptDataset
    probe: Heads
    evaluation: Evaluation | GuardedEvaluation
    lineage: tuple[Manifest, ...]
    """Of every artifact the report rests on, first made first."""
    withdrawn: int = 0
    """Images that were withdrawn from the study; which ones is kept nowhere."""
    since: str = ""
    """What differs from the run that was finished before, in a sentence; empty for the first."""


@dataclass(frozen=True)
class Draft:
    """What every section of the report is written from."""

    material: Material
    spec: ReportSpec
    book: PictureBook
    """Collects the thumbnails that sections ask for."""

    @property
    def evaluation(self) -> Evaluation | None:
        """What was measured; None where a reusable holdout tells little of it."""
        e = self.material.evaluation
        return e if isinstance(e, Evaluation) else None

    @cached_property
    def class_names(self) -> dict[str, str]:
        """Class key -> the name that a reader knows."""
        return {c.key: c.name for c in self.material.published.facts.classes}

    @cached_property
    def weights(self) -> Float64[np.ndarray, "class concept"]:
        """What the bottleneck weighs each concept for each class, minus the mean over classes."""
        return centred_weights(self.material.published, self.material.probe.head(EXPLAINED))

    @cached_property
    def _image_names(self) -> dict[str, str]:
        images = self.material.dataset.images
        if "location" not in images:
            return {}
        files = {
            str(image_id): PurePosixPath(str(location)).stem
            for image_id, location in zip(images["image_id"], images["location"], strict=True)
            if location and "shelf:" not in str(location)
        }
        often = Counter(files.values())
        ids = [str(image_id) for image_id in images["image_id"]]
        telling = self.material.dataset.tell_patients([files.get(i, "") for i in ids])
        private = {i for i, tells in zip(ids, telling, strict=True) if tells}
        return {i: stem for i, stem in files.items() if often[stem] == 1 and i not in private}

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Image id -> its class's name; of test images as the evaluation tells."""
        images = self.material.published.images
        known = dict(zip(images["image_id"], images["label"], strict=True))
        if self.evaluation:
            known |= {p.image_id: p.label for p in self.evaluation.predictions}
        return {i: self.class_names[key] for i, key in known.items() if key in self.class_names}

    def image_name(self, image_id: str) -> str:
        """Return its file's stem, else its id where others have that or it holds a patient's."""
        return self._image_names.get(image_id, image_id)

    def picture(self, image_id: str, reason: str) -> dict[str, Any]:
        """Return a thumbnail whose text says its class and why it is shown."""
        label = self._labels.get(image_id, "")
        return {
            "css": self.book.css(image_id),
            "alt": f"{label or 'image'}: {reason} ({self.image_name(image_id)})",
            "label": label,
            "name": self.image_name(image_id),
        }
