"""Settings of `curette drift`: how new images are held against those that a head learned from."""

from pydantic import BaseModel, Field


class DriftSpec(BaseModel, frozen=True, extra="forbid"):
    """What is asked of new images without labels. No stage is given it."""

    statements: tuple[str, ...] = Field(
        default=(
            "ruler",
            "ink mark",
            "hair",
            "dark skin",
            "light skin",
            "bluish light",
            "yellowish light",
            "underexposed image",
            "overexposed image",
            "blurred image",
            "reflections and glare",
            "text or labels in the image",
            "dark corners around a round field of view",
            "black and white image",
        ),
        description="how a picture may have been taken, asked beside the concepts of the study; "
        "an encoder that does not know a word says nothing by it",
    )
    level: float = Field(
        default=0.05, gt=0, lt=0.5, description="share of batches without drift that are reported"
    )
    limit: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="accuracy that the head may be expected to lose before a drift that was found "
        "is an event, `curette.drift.past-limit`; 0: every drift; empty: none is",
    )
