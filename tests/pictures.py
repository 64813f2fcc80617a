"""Images of a study that a scripted model can tell apart, and what a request shows it."""

import base64
import io
import re
from functools import cache
from typing import Any

from PIL import Image, PngImagePlugin

SECRET = "Quillfeather"


@cache
def picture(number: int) -> bytes:
    """Return an image whose colour is its number, with words beside the pixels."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Patient", SECRET)
    content = io.BytesIO()
    Image.new("RGB", (300, 200), (number, 77, 99)).save(content, "PNG", pnginfo=words)
    return content.getvalue()


def shown(body: dict[str, Any]) -> tuple[Image.Image, list[str]]:
    """Return what a request shows, and the numbered statements that it asks about."""
    _, image = body["messages"][0]["content"]
    kind, _, data = image["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(data)))
    opened.load()
    return opened, re.findall(r"^\d+\. (.+)$", told_words(body), re.MULTILINE)


def told_words(body: dict[str, Any]) -> str:
    """Return the words of a request."""
    words: str = body["messages"][0]["content"][0]["text"]
    return words


def number_of(image: Image.Image) -> int | None:
    """Return which image of the study it is; None of one that is a control."""
    red, green, blue = image.getpixel((image.width // 2, image.height // 2))  # type: ignore[misc]
    return red if (green, blue) == (77, 99) else None
