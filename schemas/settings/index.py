"""Settings of the stage `index`: what is looked up."""

from pydantic import BaseModel, Field


class IndexSpec(BaseModel, frozen=True, extra="forbid"):
    """What is looked up once the index stands."""

    top_images: int = Field(default=8, gt=0, le=100, description="training images a concept")
    near_duplicate_cosine: float = Field(
        default=0.995, gt=0, le=1, description="image pairs at least this alike are near-duplicates"
    )
    max_duplicate_clusters: int = Field(
        default=1000, gt=0, description="most alike clusters kept, so that the list stays readable"
    )
