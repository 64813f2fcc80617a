"""What an encoder sees of an image that is not square."""

from PIL import Image, ImageOps

from schemas.heat_maps import View


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
