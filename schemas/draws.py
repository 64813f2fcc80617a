"""Draws: which images train heads where these are not all, and the concepts that they select."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from curette.schemas.artifact import JsonArtifact
from curette.schemas.heads import HeadKind, Protocol
from curette.schemas.shifts import ShiftPlan, UnusableDraw

Way = Literal["selected", "labo", "random"]
"""How concepts are put in order: the study's own, LaBo's, by chance."""


class Drawn(BaseModel, frozen=True):
    """What is said of a draw besides its images and concepts."""

    title: str = Field(default="", description="what it is called among those of its protocol")
    shots: int | None = Field(
        default=None,
        description="images a class, or as many as it has; nothing: all",
    )
    seed: int = 0
    plan: ShiftPlan | None = Field(default=None, description="of a shift")
    way: Way | None = Field(
        default=None,
        exclude_if=lambda way: way is None,
        description="of sizes: whose order the concepts are the first of",
    )
    size: int | None = Field(
        default=None, exclude_if=lambda size: size is None, description="how many they are"
    )


class Draw(Drawn, frozen=True):
    """Images that heads are trained and chosen on, and the concepts that they alone select."""

    image_ids: tuple[str, ...] = Field(
        min_length=1, description="trained on; of few shots class by class"
    )
    validation_ids: tuple[str, ...] = Field(
        default=(), description="chosen on; empty: all validation images"
    )
    concept_ids: tuple[str, ...] = Field(min_length=1, description="selected by the trained on")
    seeds: int = Field(
        default=1, description="how often chance deals to it what it deals: by `seed`, then others"
    )


class Draws(JsonArtifact, frozen=True):
    """All draws of one protocol, made before any test label is read.

    Of few shots those of as many images stand together; of one seed, fewer are among more.
    """

    kind: ClassVar[str] = "draws"
    formerly: ClassVar[tuple[str, ...]] = ("few-shot-draws", "shift-splits")

    protocol: Protocol
    draws: tuple[Draw, ...]
    heads: tuple[HeadKind, ...] | None = Field(
        default=None, description="asked for; nothing: those that are with all images"
    )
    unusable: tuple[UnusableDraw, ...] = Field(
        default=(), description="draws that these images cannot give"
    )

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """What is said of each draw."""
        return tuple(
            Drawn(title=d.title, shots=d.shots, seed=d.seed, plan=d.plan, way=d.way, size=d.size)
            for d in self.draws
        )

    @model_validator(mode="before")
    @classmethod
    def _of_former_kinds(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "protocol" in content:
            return content
        if "splits" not in content:
            return content | {"protocol": "few shots"}
        draws = [
            {
                "title": ShiftPlan.model_validate(split["plan"]).spec.title,
                "plan": split["plan"],
                "image_ids": split["train_ids"],
                "validation_ids": split["validation_ids"],
                "concept_ids": [concept["concept_id"] for concept in split["concepts"]],
            }
            for split in content["splits"]
        ]
        return {"protocol": "shifts", "draws": draws, "unusable": content["unusable"]}
