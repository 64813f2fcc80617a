"""Settings of the stage `validate`: what must hold before anything is published."""

from typing import Annotated

from pydantic import BaseModel, Field


class ValidationSpec(BaseModel, frozen=True, extra="forbid"):
    """Thresholds of the gate. Integrity checks (leaks, ids, labels) have none: they must hold."""

    min_images_per_class: int = Field(
        default=10, ge=1, description="training images a class needs; fewer rejects"
    )
    max_class_imbalance: float = Field(
        default=20,
        ge=1,
        description="training images of the largest class over those of the smallest; "
        "more is a warning",
    )
    min_concepts_per_class: int = Field(
        default=1, ge=1, description="a class for which fewer concepts were picked rejects"
    )
    max_concept_characters: int = Field(
        default=300, ge=3, description="a concept with a longer text rejects"
    )
    near_duplicate_cosine: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="selected concepts at least this alike are warned of: this encoder hardly "
        "tells them apart",
    )
    cleared: dict[str, Annotated[str, Field(min_length=10)]] = Field(
        default_factory=dict,
        exclude_if=lambda cleared: not cleared,
        description="column of metadata -> why it identifies nobody, where the gate "
        "takes it for one that does; the reason goes out with the dataset",
    )
    min_score_std: float = Field(
        default=1e-4, ge=0, description="a concept whose score varies less is constant"
    )
