"""What a source has found, before equal texts of all sources are merged."""

from dataclasses import dataclass, field

from curette.schemas.candidates import AskFailure, Origin, Saturation
from curette.schemas.llm import Usage


@dataclass(frozen=True)
class Proposal:
    """One text as it was proposed."""

    text: str
    classes: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True)
class Found:
    """Everything that one source has found."""

    proposals: tuple[Proposal, ...]
    said: str
    """One line about the source, for cards and reports."""
    failures: tuple[AskFailure, ...] = ()
    saturation: tuple[Saturation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    recorded: bool = False
