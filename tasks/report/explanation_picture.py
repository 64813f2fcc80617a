"""An explanation as one picture: the image, bars for and against, training images beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from curette.tasks.methods.explanation import Example, Examples, ImageExplanation, printable

Pixels = Callable[[str], Image.Image | None]
"""From a training image's id to its pixels, where they are to be had."""

_WIDTH, _MARGIN = 1200, 32
_IMAGE, _THUMBNAIL = 300, 120
_ROW, _GAP = 26, 36
_BARS_LEFT, _BAR_HALF = 560, 240  # where the bars' field starts, and how long the longest bar is
_INK, _FAINT, _PAPER, _EMPTY = "#1a202c", "#5a6676", "#ffffff", "#e6eaef"
_FOR, _AGAINST = "#2b6cb0", "#c05621"


@dataclass(frozen=True)
class SeenConcept:
    """A concept, and a picture of where it is seen."""

    text: str
    picture: Image.Image


def draw_explanation(
    explained: ImageExplanation,
    title: str,
    about: str,
    image: Image.Image | None,
    pixels: Pixels,
    seen: Sequence[SeenConcept] = (),
) -> Image.Image:
    """Return the picture.

    Args:
        explained: what is drawn.
        title: which image it is.
        about: one line on what is known of it.
        image: its pixels, where they are to be had.
        pixels: finds those of training images.
        seen: where concepts are seen on the image, at most five.
    """
    top = _MARGIN + _IMAGE + _GAP
    height = top + _ROW * (len(explained.parts) + 4) + _GAP
    height += len(explained.examples) * (_THUMBNAIL + 3 * _ROW) + _ROW
    height += (_THUMBNAIL + 3 * _ROW + 8) if seen else 0
    canvas = Image.new("RGB", (_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    _head(canvas, draw, explained, title, about, image)
    y = _bars(draw, explained, top) + _GAP
    if seen:
        y = _seen(canvas, draw, seen, y)
    draw.text((_MARGIN, y), "Nearest training images, with score and label", _INK, _font(20))
    y += _ROW + 8
    for examples in explained.examples:
        y = _examples(canvas, draw, examples, pixels, y)
    return canvas


def _head(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    explained: ImageExplanation,
    title: str,
    about: str,
    image: Image.Image | None,
) -> None:
    _paste(canvas, draw, image, (_MARGIN, _MARGIN), _IMAGE)
    left, room = _MARGIN + _IMAGE + _MARGIN, _WIDTH - _IMAGE - 3 * _MARGIN
    y = _MARGIN
    for text, size, ink in (
        (explained.decision.name, 34, _INK),
        (f"decided by the concept bottleneck about {printable(title)}", 17, _INK),
        (printable(about), 15, _FAINT),
    ):
        draw.text((left, y), _fitted(text, _font(size), room), ink, _font(size))
        y += size + 14
    y += 8
    for answer in explained.answers[:6]:
        draw.text((left, y), _fitted(answer.name, _font(15), 260), _INK, _font(15))
        bar = left + 280
        draw.rectangle((bar, y + 3, bar + 300, y + 17), _EMPTY)
        draw.rectangle((bar, y + 3, bar + round(300 * answer.probability), y + 17), _FOR)
        draw.text(
            (bar + 312, y),
            f"{answer.probability:.3f}  (logit {answer.logit:+.2f})",
            _INK,
            _font(15),
        )
        y += _ROW
    if len(explained.answers) > 6:
        draw.text((left, y), f"and {len(explained.answers) - 6} more classes", _FAINT, _font(15))


def _bars(draw: ImageDraw.ImageDraw, explained: ImageExplanation, top: int) -> int:
    """Draw the parts from `top` downwards; return where they end."""
    font, name, y = _font(15), explained.decision.name, top
    right = _WIDTH - _MARGIN
    heading = _fitted(f"What speaks for {name} and against it", _font(20), _BARS_LEFT)
    draw.text((_MARGIN, y), heading, _INK, _font(20))
    ahead_of = _fitted(f"ahead of {explained.runner_up.name}", font, 2 * _BAR_HALF)
    draw.text((right, y + 5), ahead_of, _FAINT, font, anchor="ra")
    y += _ROW + 10
    rows = [(p.text, p.added, p.ahead) for p in explained.parts]
    if explained.rest_count:
        others = f"{explained.rest_count} other concepts together"
        rows.append((others, explained.rest, explained.rest_ahead))
    largest = max((abs(added) for _, added, _ in rows), default=0) or 1
    zero = _BARS_LEFT + _BAR_HALF + 30
    draw.line((zero, y, zero, y + _ROW * len(rows)), _FAINT)
    for text, added, ahead in rows:
        fitted = _fitted(text, font, _BARS_LEFT - _MARGIN - 90)
        draw.text((_BARS_LEFT - 85, y + 3), fitted, _INK, font, anchor="ra")
        draw.text((_BARS_LEFT, y + 3), f"{added:+.3f}", _FAINT, font, anchor="ra")
        draw.text((right, y + 3), f"{ahead:+.3f}", _FAINT, font, anchor="ra")
        end = zero + round(_BAR_HALF * added / largest)
        box = (min(zero, end), y + 4, max(zero, end), y + _ROW - 4)
        draw.rectangle(box, _FOR if added > 0 else _AGAINST)
        y += _ROW
    total = sum(added for _, added, _ in rows)
    said = (
        f"logit of the average training image {explained.baseline:+.3f}, all of the above "
        f"{total:+.3f}: logit {explained.decision.logit:+.3f}"
    )
    lead = explained.decision.logit - explained.runner_up.logit
    reached = f"with the average image's {explained.baseline_ahead:+.3f}: {lead:+.3f}"
    draw.text((right, y + 10), reached, _INK, font, anchor="ra")
    draw.text((_MARGIN, y + 10), said, _INK, font)
    return y + _ROW + 10


def _seen(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, seen: Sequence[SeenConcept], y: int
) -> int:
    """Draw where concepts are seen at `y`; return where that ends."""
    heading = "Where the strongest concepts for it are seen, the redder the more"
    draw.text((_MARGIN, y), heading, _INK, _font(20))
    y += _ROW + 8
    step = (_WIDTH - 2 * _MARGIN) // 5
    for i, concept in enumerate(seen):
        x = _MARGIN + i * step
        _paste(canvas, draw, concept.picture, (x, y), _THUMBNAIL)
        text = _fitted(concept.text, _font(13), step - 8)
        draw.text((x, y + _THUMBNAIL + 4), text, _FAINT, _font(13))
    return y + _THUMBNAIL + 2 * _ROW


def _examples(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, examples: Examples, pixels: Pixels, y: int
) -> int:
    """Draw one row of training images at `y`; return where it ends."""
    draw.text((_MARGIN, y), _fitted(examples.of, _font(15), _WIDTH - 2 * _MARGIN), _INK, _font(15))
    y += _ROW
    step = (_WIDTH - 2 * _MARGIN) // 5
    for i, example in enumerate(examples.images):
        x = _MARGIN + i * step
        _paste(canvas, draw, pixels(example.image_id), (x, y), _THUMBNAIL)
        label = _fitted(_label(example), _font(13), step - 8)
        draw.text((x, y + _THUMBNAIL + 4), label, _FAINT, _font(13))
    return y + _THUMBNAIL + 2 * _ROW


def _label(example: Example) -> str:
    return f"{example.score:.3f}  {example.class_name}"


def _paste(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    image: Image.Image | None,
    corner: tuple[int, int],
    size: int,
) -> None:
    x, y = corner
    draw.rectangle((x, y, x + size - 1, y + size - 1), _EMPTY)
    if image is None:
        middle = (x + size // 2, y + size // 2)
        draw.text(middle, "no pixels", _FAINT, _font(13), anchor="mm")
        return
    scale = size / max(image.size)
    fitted = image.resize([max(1, round(side * scale)) for side in image.size])
    canvas.paste(fitted, (x + (size - fitted.width) // 2, y + (size - fitted.height) // 2))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """Return a text that fits, its end cut off where it must be."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text.rstrip()}..."
