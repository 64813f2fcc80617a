"""Where on the hub a concept dataset lies."""

from typing import ClassVar

from pydantic import Field

from curette.schemas.artifact import JsonArtifact


class Pushed(JsonArtifact, frozen=True):
    """A concept dataset that was laid into a repository."""

    kind: ClassVar[str] = "pushed"

    repo: str
    private: bool = Field(description="what was wanted; the owner may have changed it since")
    commit: str = Field(description="digest of the commit that has it")
    url: str
