"""Heat maps refuse what nobody could hold against a mask."""

from pathlib import Path

import numpy as np
import pytest

from curette.schemas.heat_maps import HeatMaps, LeftOutImage


def maps(*, images: int = 2, concepts: int = 3, heat: float = 0.5, lesion: float = 0.5) -> HeatMaps:
    return HeatMaps(
        image_ids=("a", "b"),
        concept_ids=("x", "y", "z"),
        heat=np.full((images, concepts, 4, 5), heat, dtype=np.float16),
        lesion=np.full((2, 4, 5), lesion, dtype=np.float16),
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"images": 3}, "2 images and 3 concepts, but heat of shape"),
        ({"concepts": 1}, "2 images and 3 concepts, but heat of shape"),
        ({"heat": np.nan}, "not finite"),
        ({"lesion": 0.0}, "an image without lesion"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, float], why: str) -> None:
    maps()
    with pytest.raises(ValueError, match=why):
        maps(**changed)  # type: ignore[arg-type]


def test_no_maps_and_their_reason_can_be_kept(tmp_path: Path) -> None:
    left_out = (LeftOutImage(image_id="a", reason="its mask is empty"),)
    HeatMaps.none("nobody drew a mask", left_out).write(tmp_path)
    read = HeatMaps.read(tmp_path)
    assert read.not_computable == "nobody drew a mask"
    assert read.left_out == left_out
    assert read.heat.shape == (0, 0, 0, 0)
