"""From an image's bytes to its pixels, the same way for every encoder."""

import io

import numpy as np
from PIL import Image, ImageOps

READING = "first frame; EXIF orientation applied; 16-bit grey / 257; transparency over white"
"""How bytes become pixels. Part of every identity: change it whenever `read_rgb` changes."""


def read_rgb(content: bytes) -> Image.Image:
    """Return an image as a viewer shows it: the first frame, upright, opaque, 8 bits a channel.

    Grey values of 16 bits are divided by 257, so that 65,535 is white in every image; Pillow
    alone would cut them off at 255. What is transparent shows white.

    Raises:
        ValueError: an image of 32 bits a pixel, in which no number stands for white.
        OSError: the bytes are no image that Pillow can read.
    """
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image)
        if image.mode == "F" or grey.min() < 0 or grey.max() > 65_535:
            raise ValueError(
                f"its pixels are 32-bit numbers (mode {image.mode}) and nothing says which one is "
                "white; convert it to 8 or 16 bits"
            )
        image = Image.fromarray(np.rint(grey / 257).astype(np.uint8))
    elif image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return image.convert("RGB")
