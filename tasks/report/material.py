"""What the report is written from, and how it names things."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from curette.schemas.adaptation import Adaptation, AdaptationResult
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
from curette.schemas.report import BESIDE
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.report import ReportSpec
from curette.schemas.validation import ValidationReport
from curette.tasks.methods.explanation import Explainer, centred_weights
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.methods.page.sprites import Sprites, squares

WALL_PX = 72
"""Of the wall's thumbnails."""


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
    adaptations: tuple[tuple[Adaptation, AdaptationResult], ...] = ()
    """Of heads of this probe to other sites."""
    since: str = ""
    """What differs from the run that was finished before, in a sentence; empty for the first."""
    places: Float64[np.ndarray, "image 2"] | None = None
    """Where each image of the published dataset lies on the map, from 0 to 1; None: no map."""


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
    def explainer(self) -> Explainer:
        """What takes decisions of the explained head apart."""
        return Explainer(self.material.published, self.material.probe.head(EXPLAINED))

    @cached_property
    def labels(self) -> dict[str, str]:
        """Image id -> class key, of the images that may be shown with it.

        Of training and validation images, and of the test images that the evaluation tells of.
        """
        images = self.material.published.images
        known = dict(zip(images["image_id"], images["label"], strict=True))
        if self.evaluation:
            known |= {p.image_id: p.label for p in self.evaluation.predictions}
        return {str(i): str(key) for i, key in known.items() if key in self.class_names}

    @cached_property
    def sprites(self) -> Sprites:
        """A thumbnail of every image that may be shown with its class; none if none is wanted."""
        if not self.spec.wall:
            return Sprites({}, WALL_PX)
        found = squares(self.labels, self.book.read, WALL_PX, self.book.threads)
        return Sprites(found, WALL_PX, BESIDE if len(found) > self.spec.in_one_file else "")

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

    def image_name(self, image_id: str) -> str:
        """Return its file's stem, else its id where others have that or it holds a patient's."""
        return self._image_names.get(image_id, image_id)

    def picture(self, image_id: str, reason: str) -> dict[str, Any]:
        """Return a thumbnail whose text says its class and why it is shown."""
        label = self.class_names.get(self.labels.get(image_id, ""), "")
        return {
            "css": self.book.css(image_id),
            "alt": f"{label or 'image'}: {reason} ({self.image_name(image_id)})",
            "label": label,
            "name": self.image_name(image_id),
        }
