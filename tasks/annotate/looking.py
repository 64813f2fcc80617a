"""Pictures drawn here whose answers are known: whether a model sees what it is shown.

Before any patient's image is sent, a model is shown a red disc, a blue square and an empty picture.
A server that takes no images answers all the same, from what is usual; here that shows.
"""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from PIL import Image, ImageDraw

from curette.schemas.annotations import ReportAnswer
from curette.schemas.artifact import StudyError
from curette.tasks.annotate.asking import Said
from curette.tasks.methods.encoder.pixels import read_rgb
from curette.tasks.methods.llm.shown import Pictures

DRAWN: Final = ("a filled red disc on white", "a filled blue square on white")
"""Statements about the drawn pictures, which are asked besides the concepts."""
_SIDE: Final = 224
_INSET: Final = 56


@dataclass(frozen=True)
class Card:
    """A drawn picture, and what is to be said of `DRAWN`."""

    name: str
    content: bytes
    right: tuple[ReportAnswer, ...]

    @property
    def sha256(self) -> str:
        """Of its file."""
        return hashlib.sha256(self.content).hexdigest()


@cache
def cards() -> tuple[Card, ...]:
    """Return the drawn pictures; the last is empty."""
    box = (_INSET, _INSET, _SIDE - _INSET, _SIDE - _INSET)
    disc, square, empty = (Image.new("RGB", (_SIDE, _SIDE), c) for c in ("white", "white", "grey"))
    ImageDraw.Draw(disc).ellipse(box, fill="red")
    ImageDraw.Draw(square).rectangle(box, fill="blue")
    return (
        Card("a red disc", _png(disc), ("present", "absent")),
        Card("a blue square", _png(square), ("absent", "present")),
        Card("an empty grey picture", _png(empty), ("absent", "absent")),
    )


def with_cards(read: Callable[[str], bytes], place: Mapping[str, str]) -> Pictures:
    """Return where pixels come from: the drawn pictures, and images of the study.

    Args:
        read: from an image's place to its bytes.
        place: by the sha256 of its file; nothing else is ever sent.
    """
    drawn = {card.sha256: card.content for card in cards()}
    return lambda sha256: read_rgb(drawn[sha256] if sha256 in drawn else read(place[sha256]))


def check_sight(answered: Said, concepts: int, model: str) -> None:
    """Make sure that a model sees what it is shown.

    Args:
        answered: what it says of the cards; answers about `DRAWN` follow those about the concepts.
        concepts: how many there are.
        model: its name.

    Raises:
        StudyError: it does not.
    """
    for card in cards():
        answers = answered.get(card.sha256, {})
        for number, (text, right) in enumerate(zip(DRAWN, card.right, strict=True), concepts):
            given = answers.get(number)
            seen = given == right or (right == "absent" and given == "not mentioned")
            if not seen:
                said = "cannot tell" if given == "not mentioned" else given
                words = f"“{said}”" if said else "nothing that can be used"
                raise StudyError(
                    f"annotate: shown {card.name}, {model} says {words} of “{text}”, so it does "
                    "not see what it is shown. No image of the study was sent. Name a model that "
                    "takes images, served with its vision part."
                )


def seen_in_nothing(said: Said, concepts: int) -> frozenset[int]:
    """Return the places of the concepts that are called present on an empty picture."""
    answers = said.get(cards()[-1].sha256, {})
    return frozenset(place for place in range(concepts) if answers.get(place) == "present")


def card_statements(texts: Sequence[str]) -> list[str]:
    """Return what is asked about the cards."""
    return [*texts, *DRAWN]


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
