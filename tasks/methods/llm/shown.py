"""Pictures that are shown with a question: kept by name, sent as pixels and nothing else.

What is kept of a request names a picture by the sha256 of its file, so that no answer holds pixels
and whoever withdraws an image finds what was asked about it. Its pixels join the request as it is
sent: decoded, made smaller and encoded anew, so that no metadata of the file goes along.
"""

import base64
from collections.abc import Callable
from math import ceil
from typing import Any, Final

from PIL import Image

from curette.tasks.methods.encoder.pixels import bare_png

Pictures = Callable[[str], Image.Image]
"""From the sha256 of a file to its pixels, RGB."""
_SCHEME: Final = "picture:"


def picture_name(sha256: str, side: int) -> str:
    """Return what stands for a picture in a request that is kept.

    Args:
        sha256: of the file.
        side: pixels of its longer side as it is sent, at most.
    """
    return f"{_SCHEME}{sha256}:{side}"


def content_of(prompt: str, picture: str) -> str | list[dict[str, Any]]:
    """Return the content of a user message: words, and a picture under them where there is one."""
    if not picture:
        return prompt
    return [
        {"type": "text", "text": prompt},
        {"type": "image_url", "image_url": {"url": picture}},
    ]


def with_pixels(body: dict[str, Any], pictures: Pictures | None) -> dict[str, Any]:
    """Return a request's body with pixels in the place of names."""
    if pictures is None:
        return body

    def shown(part: dict[str, Any]) -> dict[str, Any]:
        if part.get("type") != "image_url":
            return part
        sha256, side = _parts(part)
        return {"type": "image_url", "image_url": {"url": as_data_url(pictures(sha256), side)}}

    messages = [
        {**message, "content": [shown(part) for part in message["content"]]}
        if isinstance(message["content"], list)
        else message
        for message in body["messages"]
    ]
    return {**body, "messages": messages}


def as_data_url(image: Image.Image, side: int) -> str:
    """Return pixels as a PNG that holds nothing else, no larger than `side` on its longer side."""
    smaller = image.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    return "data:image/png;base64," + base64.b64encode(bare_png(smaller)).decode()


def most_picture_tokens(body: dict[str, Any]) -> int:
    """Return a number of tokens that the pictures of a request are read as at most.

    Servers count differently: OpenAI 85 and 170 for each tile of 512 pixels, Qwen2-VL one for each
    patch of 28 x 28, Anthropic one for each 750 pixels. The largest of them is taken.
    """
    parts = [
        part
        for message in body.get("messages", ())
        if isinstance(message["content"], list)
        for part in message["content"]
        if part.get("type") == "image_url"
    ]
    return sum(picture_tokens(_parts(part)[1]) for part in parts)


def picture_tokens(side: int) -> int:
    """Return how many tokens a square picture is read as at most."""
    return max(85 + 170 * ceil(side / 512) ** 2, ceil(side / 28) ** 2, ceil(side * side / 750))


def _parts(part: dict[str, Any]) -> tuple[str, int]:
    sha256, side = part["image_url"]["url"].removeprefix(_SCHEME).split(":")
    return sha256, int(side)
