"""Settings of the stage `publish`: what only the dataset's owner knows."""

from typing import Self

from pydantic import BaseModel, Field


class PushSpec(BaseModel, frozen=True, extra="forbid"):
    """Where on the Hugging Face hub the dataset goes once the gate let it through."""

    repo: str = Field(
        pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$", description="user/name"
    )
    private: bool = Field(
        default=True, description="only who may see the repository; a public one is refused then"
    )


class PublishSpec(BaseModel, frozen=True, extra="forbid"):
    """What the dataset card says that only its owner knows."""

    title: str = Field(default="", description="heading of the card; empty: the study's name")
    licence: str = Field(
        default="other", description="licence identifier of the hub, such as cc-by-nc-4.0"
    )
    citation: str = Field(default="", description="how to cite the images")
    organisation: str = Field(
        default="",
        exclude_if=lambda name: not name,
        description="who answers for the dataset, such as a clinic: the creator in its metadata",
    )
    notes: str = Field(default="", description="a paragraph for the card, in Markdown")
    erase: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda columns: not columns,
        description="columns of metadata, such as sex, that no linear probe is to find in "
        "published vectors and scores; they are not published themselves. Heads do without too",
    )
    push: PushSpec | None = Field(
        default=None,
        exclude_if=lambda push: push is None,
        description="lay the dataset into a repository of the hub; null: it stays here",
    )

    @property
    def card(self) -> Self:
        """What the published dataset depends on: not where it goes."""
        return self.model_copy(update={"push": None})
