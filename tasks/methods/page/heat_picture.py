"""A heat map over its image, as squares, with the outline of the lesion where a mask knows it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from curette.schemas.heat_maps import View
from curette.tasks.methods.encoder.view import inside_of, square_view

_HOT = (220, 38, 38)
_COLOUR_LEFT = 0.3  # of the image, so that red skin is not taken for heat
_STRONGEST = 0.6  # share of the colour at the hottest place


def draw_heat(
    image: Image.Image,
    heat: Sequence[Sequence[float]],
    view: View,
    mask: Image.Image | None,
    size_px: int,
) -> Image.Image:
    """Return what the encoder sees of an image, the redder the hotter, from coolest to hottest.

    Places are drawn as the squares that they are: smoothed edges would promise more than is known.

    Args:
        image: as a viewer shows it.
        heat: rows of places.
        view: how the encoder makes images square.
        mask: of the lesion, its inside bright.
        size_px: of the picture's sides.
    """
    size = (size_px, size_px)
    seen = square_view(image.convert("RGB"), view).resize(size)
    seen = ImageEnhance.Color(seen).enhance(_COLOUR_LEFT)
    values = np.array(heat)
    spread = values.max() - values.min() or 1.0
    strength = np.rint(255 * _STRONGEST * (values - values.min()) / spread).astype(np.uint8)
    alpha = Image.fromarray(strength).resize(size, Image.Resampling.NEAREST)
    drawn = Image.composite(Image.new("RGB", size, _HOT), seen, alpha)
    if mask is not None:
        inside = square_view(inside_of(mask, image.size), view)
        inside = inside.resize(size, Image.Resampling.NEAREST)
        for line, wide in (("black", 5), ("white", 3)):
            rim = ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(wide)))
            drawn.paste(line, mask=rim)
    return drawn
