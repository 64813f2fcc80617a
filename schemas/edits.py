"""What a person changed in a trained head: one concept at a time, with a reason."""

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.artifact import JsonArtifact

Operation = Literal["neutralise", "forget", "scale", "cap", "at least 0", "at most 0", "forbid"]
OF_ONE_CLASS: frozenset[Operation] = frozenset({"forget", "at least 0", "at most 0"})
WITH_AMOUNT: frozenset[Operation] = frozenset({"scale", "cap"})


class Edit(BaseModel, frozen=True, extra="forbid"):
    """What a concept may say from now on, in every head that weighs it."""

    concept_id: str
    text: str = Field(description="the concept's, as it was when it was edited")
    operation: Operation = Field(
        description="neutralise: it says nothing; forget: nothing about one class; scale: all that "
        "it says, times `amount`; cap: no class's weight beyond `amount`; at least 0, at most 0: "
        "it may speak only for one class, or only against it; forbid: no head may look at it, "
        "so that they are trained anew without it. Weights are told minus their mean over the "
        "classes, on which alone decisions depend"
    )
    class_key: str = Field(default="", description="of `forget` and of the signs")
    amount: float | None = Field(default=None, ge=0, description="of `scale` and `cap`")
    editor: str = Field(min_length=1, max_length=200, description="who")
    reason: str = Field(default="", max_length=2000, description="why")
    edited_on: str = Field(default="", max_length=40, description="date, as the editor gives it")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.operation in OF_ONE_CLASS) != bool(self.class_key):
            which = ", ".join(sorted(OF_ONE_CLASS))
            raise ValueError(f"{which} need a class, and no other operation has one")
        if (self.operation in WITH_AMOUNT) != (self.amount is not None):
            which = ", ".join(sorted(WITH_AMOUNT))
            raise ValueError(f"{which} need an amount, and no other operation has one")
        return self

    @property
    def told(self) -> str:
        """What it does, in a few words."""
        of = f" for {self.class_key}" if self.class_key else ""
        by = f" {self.amount:g}" if self.amount is not None else ""
        return f"{self.operation}{by}{of}: {self.text}"


class Edits(JsonArtifact, frozen=True):
    """All edits of one study's heads, done in their order."""

    kind: ClassVar[str] = "edits"

    study: str
    edits: tuple[Edit, ...]

    @property
    def forbidden(self) -> tuple[str, ...]:
        """The concepts that no head may look at."""
        ids = (edit.concept_id for edit in self.edits if edit.operation == "forbid")
        return tuple(sorted(set(ids)))
