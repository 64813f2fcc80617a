"""What is to be removed from a store, and what was: the plan of a purge, and its certificate."""

from typing import Literal

from pydantic import BaseModel, Field

from curette.schemas.withdrawals import WithdrawalList

What = Literal["subject", "image", "class"]
KeptVersions = Literal["none", "removed", "kept", "not told"]


class Traces(BaseModel, frozen=True, hide_input_in_errors=True):
    """By what something that was withdrawn would be found again."""

    digests: tuple[str, ...] = Field(default=(), repr=False, description="sha256 of its bytes")
    ids: tuple[str, ...] = Field(default=(), repr=False, description="what it is called")
    passages: tuple[str, ...] = Field(
        default=(), repr=False, description="what reports say of it, and of nothing else"
    )

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to look for."""
        return not (self.digests or self.ids or self.passages)


class PurgePlan(BaseModel, frozen=True, hide_input_in_errors=True):
    """What a purge removes; kept until it has ended, so that one that is killed goes on.

    It names who is forgotten and is the last thing to go.
    """

    number: str = Field(description="of the certificate")
    study: str
    what: What
    receipt: str = Field(repr=False, description="what the certificate says instead of the id")
    code: str = Field(repr=False, description="with which the receipt can be checked")
    listed: WithdrawalList
    images: tuple[str, ...] = Field(repr=False, description="sha256 of images, as datasets have it")
    masks: tuple[str, ...] = Field(default=(), repr=False, description="sha256 of their masks")
    traces: Traces = Field(repr=False)
    too_short: int = Field(default=0, description="ids that cannot be searched for")
    artifacts: tuple[str, ...] = Field(description="`kind/digest` of what rests on the images")
    before: dict[str, str] = Field(
        default_factory=dict, description="stage -> `kind/digest` of what the study last made"
    )


class Found(BaseModel, frozen=True):
    """A trace that is still there; what it is, is not said."""

    place: str = Field(description="file in the store")
    trace: Literal["digest", "id", "passage"]


class Certificate(BaseModel, frozen=True):
    """What was removed from a store, and how it was looked for afterwards. It names nobody."""

    number: str
    study: str
    what: What
    receipt: str = Field(description="HMAC-SHA256 of the id under the code that was told once")
    at: str = Field(description="UTC, ISO 8601")
    images: int = Field(description="images that are left out from now on")
    removed: dict[str, int] = Field(description="shelf -> how many were removed, by all tries")
    resumed: bool = Field(default=False, description="an earlier try was killed")
    before: dict[str, str] = Field(description="stage -> `kind/digest` of what the study last made")
    after: dict[str, str] = Field(description="the same of what it made without the images")
    rebuilt: str = Field(default="", description="why it was not made anew; empty: it was")
    searched_files: int
    searched_bytes: int = Field(description="as they lie there, before they are decoded")
    unreadable: tuple[str, ...] = Field(
        default=(), description="files that could not be decoded; their bytes were searched"
    )
    searched_for: dict[str, int] = Field(description="kind of trace -> how many of them")
    too_short: int = Field(description="ids too short to be searched for")
    found: tuple[Found, ...]
    bucket: str = Field(
        default="",
        exclude_if=lambda bucket: not bucket,
        description="address of the store in object storage; empty: it is a folder",
    )
    versions: KeptVersions = Field(
        default="none",
        exclude_if=lambda versions: versions == "none",
        description="whether the bucket keeps what is removed from it as earlier versions",
    )
    versions_refused: str = Field(
        default="",
        exclude_if=lambda refused: not refused,
        description="why it still does, in the server's code",
    )
