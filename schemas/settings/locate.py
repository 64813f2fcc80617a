"""Settings of the stage `locate`: of which images heat maps are made."""

from pydantic import BaseModel, Field


class LocateSpec(BaseModel, frozen=True, extra="forbid"):
    """Of which images heat maps are made."""

    images: int = Field(
        default=400, ge=1, description="test images with a lesion mask, at most; drawn where more"
    )
    seed: int = Field(default=0, ge=0, description="of the draw")
