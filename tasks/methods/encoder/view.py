"""What an encoder sees of an image that is not square, and of the mask that goes with it."""

import numpy as np
from PIL import Image, ImageOps

from curette.schemas.heat_maps import View


def square_view(image: Image.Image, view: View) -> Image.Image:
    """Return the square part or padding of an image that becomes an encoder's input.

    "shortest" cuts the middle out, "longest" pads with black around the middle, "squash" squeezes
    the longer side; open_clip's preprocessing does the same at the encoder's size.
    """
    short, long = sorted(image.size)
    if view == "squash":
        return image.resize((long, long))
    if view == "longest":
        return ImageOps.pad(image, (long, long), color=0)
    return ImageOps.fit(image, (short, short))


def inside_of(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a mask at an image's size (width, height): 255 inside, 0 outside.

    Inside is what is brighter than half of the mask's brightest pixel, so that masks of 0 and 1
    count as those of 0 and 255 do.
    """
    grey = np.asarray(mask.convert("L").resize(size, Image.Resampling.NEAREST))
    return Image.fromarray(np.where(grey > grey.max() / 2, np.uint8(255), np.uint8(0)))
