"""Heat maps: how much each place of an image looks like each concept, and what of it is lesion."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float16
from pydantic import BaseModel

from curette.schemas.artifact import Artifact, write_json

View = Literal["shortest", "longest", "squash"]
"""How an encoder makes an image square: cut to the shorter side, padded to the longer one, or
squeezed; open_clip's names."""


class LeftOutImage(BaseModel, frozen=True):
    """A test image whose mask says nothing."""

    image_id: str
    reason: str


@dataclass(frozen=True, eq=False)
class HeatMaps(Artifact):
    """Cosines of places and concepts on test images that have a lesion mask.

    Raises:
        ValueError: counts differ, a number is not finite, or an image has no lesion.
    """

    kind: ClassVar[str] = "heat-maps"

    image_ids: tuple[str, ...]
    concept_ids: tuple[str, ...]
    heat: Float16[np.ndarray, "image concept row column"]
    """Cosine of the encoder's vector of each place and the concept's text vector."""
    lesion: Float16[np.ndarray, "image row column"]
    """Share of each place that the mask calls lesion."""
    view: View = "shortest"
    """What of an image its places divide."""
    left_out: tuple[LeftOutImage, ...] = ()
    not_computable: str = ""
    """Why there are none; empty where there are."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit, and masks that would be divided by."""
        images, places = len(self.image_ids), self.lesion.shape[1:]
        if self.lesion.shape[0] != images or self.heat.shape != (
            images,
            len(self.concept_ids),
            *places,
        ):
            raise ValueError(
                f"{images} images and {len(self.concept_ids)} concepts, but heat of shape "
                f"{self.heat.shape} and lesions of shape {self.lesion.shape}"
            )
        if not np.isfinite(self.heat).all():
            raise ValueError("a cosine of a place and a concept is not finite")
        if images and not (self.lesion.sum((1, 2), dtype=np.float64) > 0).all():
            raise ValueError("an image without lesion is among those with heat maps")

    @classmethod
    def none(cls, reason: str, left_out: tuple[LeftOutImage, ...] = ()) -> Self:
        """Return no heat maps, and why."""
        heat, lesion = np.zeros((0, 0, 0, 0), np.float16), np.zeros((0, 0, 0), np.float16)
        return cls((), (), heat, lesion, left_out=left_out, not_computable=reason)

    def write(self, folder: Path) -> None:
        """Write `heat.npy`, `lesion.npy` and `heat.json`."""
        np.save(folder / "heat.npy", self.heat, allow_pickle=False)
        np.save(folder / "lesion.npy", self.lesion, allow_pickle=False)
        about = _HeatFile(
            image_ids=self.image_ids,
            concept_ids=self.concept_ids,
            view=self.view,
            left_out=self.left_out,
            not_computable=self.not_computable,
        )
        write_json(folder / "heat.json", about.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the arrays back; every promise is checked again."""
        about = _HeatFile.model_validate_json((folder / "heat.json").read_bytes())
        return cls(
            image_ids=about.image_ids,
            concept_ids=about.concept_ids,
            heat=np.load(folder / "heat.npy", allow_pickle=False),
            lesion=np.load(folder / "lesion.npy", allow_pickle=False),
            view=about.view,
            left_out=about.left_out,
            not_computable=about.not_computable,
        )


class _HeatFile(BaseModel, frozen=True):
    image_ids: tuple[str, ...]
    concept_ids: tuple[str, ...]
    view: View
    left_out: tuple[LeftOutImage, ...]
    not_computable: str
