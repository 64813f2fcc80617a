"""A person's decisions about screened concepts."""

from collections import Counter
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.candidates import concept_id

Verdict = Literal["keep", "drop", "reword", "reassign", "exchange"]
_WITH_TEXT = {"reword", "exchange"}


class Decision(BaseModel, frozen=True):
    """What a person decided about one concept."""

    concept_id: str
    text: str = Field(description="as it was when it was decided about")
    verdict: Verdict
    new_text: str = Field(
        default="",
        max_length=300,
        validate_default=True,
        description="of `reword`, and of `exchange`",
    )
    new_classes: tuple[str, ...] = Field(
        default=(), validate_default=True, description="class keys, of `reassign`"
    )
    reviewer: str = Field(min_length=1, max_length=200)
    reason: str = Field(default="", max_length=2000)
    decided_on: str = Field(default="", max_length=40, description="date, as the reviewer gives it")

    @field_validator("new_text")
    @classmethod
    def _of_reword(cls, new_text: str, info: ValidationInfo) -> str:
        if "verdict" in info.data and (info.data["verdict"] in _WITH_TEXT) != bool(new_text):
            raise ValueError(
                "`reword` needs a new text, `exchange` that of a statement, and no other verdict "
                "has one"
            )
        if not new_text.isprintable():
            raise ValueError("a text is one line without control characters")
        if new_text and concept_id(new_text) == info.data.get("concept_id"):
            raise ValueError("the new text is the old one: capitals and punctuation do not count")
        return new_text

    @field_validator("new_classes")
    @classmethod
    def _of_reassign(cls, new_classes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "verdict" in info.data and (info.data["verdict"] == "reassign") != bool(new_classes):
            raise ValueError("`reassign` needs classes, and no other verdict has them")
        return new_classes


class Decisions(JsonArtifact, frozen=True):
    """All decisions about one study's concepts, each concept once."""

    kind: ClassVar[str] = "decisions"

    study: str
    decisions: tuple[Decision, ...]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        by_id = {d.concept_id: d for d in self.decisions}
        if len(by_id) != len(self.decisions):
            raise ValueError("a concept is decided about twice")
        for d in self.decisions:
            other = by_id.get(concept_id(d.new_text)) if d.new_text else None
            if other and other.verdict in {"drop", "reword"}:
                changed = "reworded to" if d.verdict == "reword" else "exchanged for"
                raise ValueError(
                    f"'{d.text}' is {changed} '{d.new_text}', about which {other.reviewer} "
                    f"decided `{other.verdict}`: keep that one, or choose other words"
                )
        return self

    @property
    def exchanges(self) -> tuple[Decision, ...]:
        """The decisions about what was selected; nobody but selection can apply them."""
        return tuple(d for d in self.decisions if d.verdict == "exchange")

    def about_statements(self) -> "Decisions":
        """Return the other decisions, which are about what may be selected at all."""
        others = tuple(d for d in self.decisions if d.verdict != "exchange")
        return self.model_copy(update={"decisions": others})


class AppliedDecision(Decision, frozen=True):
    """A decision about a concept of the screened set, and what it overruled."""

    gate: str = Field(default="", description="the gate that had dropped it; empty: it was kept")
    gate_reason: str = Field(default="", description="why the gate had dropped it")


class ReviewFacts(BaseModel, frozen=True):
    """What a person decided about a screened set, for the card and the report."""

    applied: tuple[AppliedDecision, ...]
    not_found: tuple[Decision, ...] = Field(
        description="about concepts that are not in the set; they wait until they are"
    )
    undecided: tuple[str, ...] = Field(
        description="ids of concepts that gates were unsure of and nobody decided about"
    )

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many decisions of each verdict were applied, in alphabetical order."""
        return dict(sorted(Counter(d.verdict for d in self.applied).items()))

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who decided, each once, in alphabetical order."""
        return tuple(sorted({d.reviewer for d in self.applied}))
