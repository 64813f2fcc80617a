"""Settings of the stage `publish`: what only the dataset's owner knows."""

from pydantic import BaseModel, Field


class PublishSpec(BaseModel, frozen=True, extra="forbid"):
    """What the dataset card says that only its owner knows."""

    title: str = Field(default="", description="heading of the card; empty: the study's name")
    licence: str = Field(
        default="other", description="licence identifier of the hub, such as cc-by-nc-4.0"
    )
    citation: str = Field(default="", description="how to cite the images")
    notes: str = Field(default="", description="a paragraph for the card, in Markdown")
    erase: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda columns: not columns,
        description="columns of metadata, such as sex, that no linear probe is to find in "
        "published vectors and scores; they are not published themselves. Heads do without too",
    )
