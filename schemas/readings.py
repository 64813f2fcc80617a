"""Readings of test labels: who read them, what that cost, and the sentence about earlier ones."""

from typing import ClassVar

from pydantic import BaseModel, Field

from curette.schemas.settings.evaluate import ThresholdoutSpec


class TestReading(BaseModel, frozen=True):
    """One reading of a dataset's test labels."""

    __test__: ClassVar[bool] = False  # not a test class, whatever pytest thinks of the name

    labels: str = Field(
        pattern=r"^[0-9a-f]+$", description="digest of the test labels' content, whoever split them"
    )
    study: str = Field(description="name of the study that looked")
    at: str = Field(description="UTC, ISO 8601")
    asked: str = Field(description="what was measured, such as `9 metrics of 8 heads`")
    question: str = Field(
        default="",
        description="digest of the heads and settings; who asks the same again learns nothing new",
    )
    shared: float = Field(
        default=1.0, description="share of the images asked about whose labels it read"
    )
    finding: str = Field(
        default="",
        exclude_if=lambda finding: not finding,
        description="which of several findings the labels tell; of another one they tell nothing",
    )


class HoldoutCharge(BaseModel, frozen=True):
    """What one question to the reusable holdout has cost."""

    question: str = Field(description="digest of the heads and settings")
    study: str
    settings: ThresholdoutSpec = Field(description="the same in every charge of these labels")
    asked: int = Field(ge=0, description="how many values were asked for")
    spent: int = Field(ge=0, description="how many of them were found apart")


def describe_readings(earlier: tuple[TestReading, ...]) -> str | None:
    """Return the report's sentence from the second reading on; None for the first."""
    if not earlier:
        return None
    same = tuple(look for look in earlier if look.shared == 1)
    other = tuple(look for look in earlier if look.shared < 1)
    told = [f"These test labels have been read {_times(same)}."] if same else []
    if other:
        most = max(reading.shared for reading in other)
        share = "less than 1 %" if most < 0.01 else f"{most:.0%}".replace("%", " %")
        told.append(
            f"As part of other test splits the labels of {'up to ' if len(other) > 1 else ''}"
            f"{share} of these images{' at a time' if len(other) > 1 else ''} have been read "
            f"{_times(other)}."
        )
    told.append(
        "What was chosen after that may be fitted to them, so the numbers here are likely too good."
    )
    return " ".join(told)


def _times(readings: tuple[TestReading, ...]) -> str:
    studies = sorted({reading.study for reading in readings})
    first = min(reading.at for reading in readings)
    return (
        f"{len(readings)} {'time' if len(readings) == 1 else 'times'} before, first on "
        f"{first[:10]}, by {', '.join(studies)}"
    )
