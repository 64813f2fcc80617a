"""Settings of the stage `report`: what it shows."""

from pydantic import BaseModel, Field

from curette.schemas.concepts import MOST_SHOWN


class ReportSpec(BaseModel, frozen=True, extra="forbid"):
    """How much the report shows."""

    concepts_per_class: int = Field(
        default=12, gt=0, le=MOST_SHOWN, description="shown, best first"
    )
    images_per_concept: int = Field(default=4, ge=0, le=20, description="shown, best first")
    thumbnail_px: int = Field(
        default=96, ge=16, le=512, description="longer side of a small picture"
    )
    wall: bool = Field(
        default=True,
        exclude_if=lambda wall: wall,
        description="whether every image that may be shown is, small, with the decision about it",
    )
    in_one_file: int = Field(
        default=2000,
        ge=0,
        exclude_if=lambda count: count == 2000,
        description="images of the wall whose thumbnails the report holds itself, at about 2.5 kB "
        "each; those of more lie in a folder beside it",
    )
