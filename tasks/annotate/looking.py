"""Whether a model sees what it is shown, asked of control pictures before any image is sent."""

from collections.abc import Sequence
from typing import Final

from curette.schemas.annotations import ReportAnswer
from curette.schemas.artifact import StudyError
from curette.tasks.annotate.asking import Said
from curette.tasks.methods.llm.control_pictures import (
    ControlPicture,
    control_pictures,
    foreign_picture,
)

DRAWN: Final = ("a filled red disc on white", "a filled blue square on white")
"""Statements about the control pictures, which are asked besides the concepts."""
_RIGHT: Final[tuple[tuple[ReportAnswer, ...], ...]] = (
    ("present", "absent"),
    ("absent", "present"),
    ("absent", "absent"),
)
"""What is to be said of them, a row a picture."""


def check_sight(answered: Said, concepts: int, model: str) -> None:
    """Make sure that a model sees what it is shown.

    Args:
        answered: what it says of the pictures; answers about `DRAWN` follow those about concepts.
        concepts: how many there are.
        model: its name.

    Raises:
        StudyError: it does not.
    """
    for picture, wanted in zip(control_pictures(), _RIGHT, strict=True):
        answers = answered.get(picture.sha256, {})
        for number, (text, right) in enumerate(zip(DRAWN, wanted, strict=True), concepts):
            given = answers.get(number)
            seen = given == right or (right == "absent" and given == "not mentioned")
            if not seen:
                said = "cannot tell" if given == "not mentioned" else given
                words = f"“{said}”" if said else "nothing that can be used"
                raise StudyError(
                    f"annotate: shown {picture.name}, {model} says {words} of “{text}”, so it does "
                    "not see what it is shown. No image of the study was sent. Name a model that "
                    "takes images, served with its vision part."
                )


def shown_as_controls(modality: str) -> tuple[ControlPicture, ...]:
    """Return all pictures whose answers are known, the last of another kind than the images."""
    return (*control_pictures(), foreign_picture(modality))


def imagined(said: Said, concepts: int, modality: str) -> dict[int, str]:
    """Return the places of the concepts that are called present where none is, and where that is.

    On an empty picture nothing is to be seen, and on one of another kind nothing of the study's.
    """
    found: dict[int, str] = {}
    for picture in (control_pictures()[-1], foreign_picture(modality)):
        answers = said.get(picture.sha256, {})
        for place in range(concepts):
            if answers.get(place) == "present":
                found.setdefault(place, picture.name)
    return found


def control_statements(texts: Sequence[str]) -> list[str]:
    """Return what is asked about the control pictures."""
    return [*texts, *DRAWN]
