"""Settings of what is drawn before heads are trained: few shots, shifts, folds, sizes."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.heads import ChosenFewShotHead, choosable
from curette.schemas.metadata import ValueName


class FewShotSpec(BaseModel, frozen=True, extra="forbid"):
    """How few images are drawn, how often, and which heads are trained on them.

    How they are trained is the probe's: `ProbeSpec`.
    """

    shots: tuple[int, ...] = Field(
        default=(1, 2, 4, 8, 16), description="images a class; all of them are always the last"
    )
    seeds: int = Field(
        default=5, ge=1, le=1000, description="draws of each size; papers want 20 or more"
    )
    heads: tuple[ChosenFewShotHead, ...] = Field(
        default_factory=lambda: choosable("few shots"),
        description="trained beside the tuned linear probe, which always is",
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_rising("shots", self.shots)
        return self


def _check_rising(name: str, numbers: tuple[int, ...]) -> None:
    if list(numbers) != sorted(set(numbers)) or min(numbers, default=1) < 1:
        raise ValueError(f"{name} must be some rising numbers from 1 on")


class DomainShift(BaseModel, frozen=True, extra="forbid"):
    """Train on images of some values of a metadata column, test on the others.

    A table of two sources with a column that tells them apart makes this a shift between datasets.
    """

    kind: Literal["domain"]
    column: str = Field(description="a metadata column")
    train_on: tuple[ValueName, ...] = Field(default=(), description="the values trained on")
    below: float | None = Field(
        default=None, description="trained on are numbers below this one, instead of `train_on`"
    )

    @model_validator(mode="after")
    def _parts_the_column(self) -> Self:
        if bool(self.train_on) == (self.below is not None):
            raise ValueError("say either the values to `train_on` or the number to be `below`")
        return self

    @property
    def title(self) -> str:
        """What the shift is called."""
        trained = ", ".join(self.train_on) if self.below is None else f"under {self.below:g}"
        return f"{self.column}, trained on {trained}"


class ConfoundedShift(BaseModel, frozen=True, extra="forbid"):
    """Train where label and attribute go together, test where they go the other way round."""

    kind: Literal["confounded"]
    column: str = Field(description="a metadata column, the attribute")
    below: float | None = Field(
        default=None, description="where the column is of numbers: parts them into two values"
    )
    correlation: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Cramer's V of label and attribute; see methods/confounding.py",
    )
    pairing: dict[str, ValueName] = Field(
        default_factory=dict,
        description="class key -> the value it goes with in training; the other classes go with "
        "the value that is left. Empty: each goes with the one it has more often than others do",
    )
    seed: int = Field(default=0, ge=0, description="of drawing what is trained on")

    @property
    def title(self) -> str:
        """What the shift is called: by all of its settings, so that no other is called so."""
        parted = "" if self.below is None else f" under {self.below:g}"
        pairs = ", ".join(f"{key}: {value}" for key, value in self.pairing.items())
        paired = f" ({pairs})" if pairs else ""
        drawn = f", seed {self.seed}" if self.seed else ""
        return f"{self.column}{parted}, confounded at {self.correlation:g}{paired}{drawn}"


ShiftSpec = Annotated[DomainShift | ConfoundedShift, Field(discriminator="kind")]


class FoldSpec(BaseModel, frozen=True, extra="forbid"):
    """Deal training and validation images anew, to see how far heads depend on which train them."""

    count: int = Field(
        default=5,
        ge=2,
        le=100,
        description="folds; each chooses once, while all others train every head anew",
    )
    seed: int = Field(default=0, ge=0, description="of dealing them")


class SizeSpec(BaseModel, frozen=True, extra="forbid"):
    """Train every head on fewer and on more concepts than the study selects."""

    concepts: tuple[int, ...] = Field(
        default=(1, 2, 3, 5, 8, 12, 20, 40),
        min_length=1,
        description="how many: the first of the study's own order, of LaBo's, and of random ones",
    )
    random_draws: int = Field(default=1, ge=1, le=100, description="random orders")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_rising("concepts", self.concepts)
        return self


DrawSpec = FewShotSpec | tuple[ShiftSpec, ...] | FoldSpec | SizeSpec
"""What a protocol is asked with."""
