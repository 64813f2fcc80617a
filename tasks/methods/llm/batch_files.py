"""The files of OpenAI's Batch API, and how it describes a batch."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from curette.tasks.methods.llm.completion import ABOUT_THE_FORMAT, Completion
from curette.tasks.methods.llm.faults import Fault, fault_of

LARGEST_BATCH: Final = 50_000
"""Questions; OpenAI takes no more in one batch."""
LARGEST_FILE_BYTES: Final = 190_000_000
"""OpenAI takes 200 MB."""


def in_shares(
    bodies: Mapping[str, dict[str, Any]],
    most: int = LARGEST_BATCH,
    most_bytes: int = LARGEST_FILE_BYTES,
) -> Iterator[list[str]]:
    """Return the names of the bodies in shares that one batch takes each, in order."""
    share: list[str] = []
    size = 0
    for name, body in bodies.items():
        length = len(line_of(name, body))
        if share and (len(share) == most or size + length > most_bytes):
            yield share
            share, size = [], 0
        share.append(name)
        size += length
    if share:
        yield share


class _Problem(BaseModel):
    code: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return ": ".join(said for said in (self.code, self.message) if said)


class _Problems(BaseModel):
    data: tuple[_Problem, ...] | None = None


class Batch(BaseModel):
    """The parts of a batch's description that we use."""

    id: str
    status: str
    input_file_id: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Problems | None = None

    @property
    def why(self) -> str:
        """What the server says went wrong."""
        return "; ".join(map(str, (self.errors and self.errors.data) or ())) or "no reason given"


class Listing(BaseModel):
    """The newest batches."""

    data: tuple[Batch, ...]


class UploadedFile(BaseModel):
    """The server's name for a file."""

    id: str


class _Delivered(BaseModel):
    status_code: int
    body: dict[str, Any]


class Line(BaseModel):
    """One line of a file of answers or errors."""

    custom_id: str
    response: _Delivered | None = None
    error: _Problem | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status of this line's own answer; None where it was not asked."""
        return self.response.status_code if self.response else None

    @property
    def completion(self) -> Completion | None:
        """The answer; None where there is none."""
        if self.response is None or self.response.status_code != 200:
            return None
        try:
            return Completion.of(self.response.body)
        except (Fault, ValueError):
            return None

    @property
    def said(self) -> str:
        """An error in the server's own words; empty where there is none."""
        if self.response is None or self.response.status_code == 200:
            return ""
        fault = fault_of(self.response.status_code, json.dumps(self.response.body))
        return f"{fault.code} {fault.message}"

    @property
    def why(self) -> str:
        """Why there is no answer."""
        if self.error:
            return str(self.error)
        return f"HTTP {self.status}" if self.status != 200 else "no chat completion"


def line_of(sha256: str, body: dict[str, Any]) -> bytes:
    """Return the line of a file of questions that asks for one completion."""
    line = {"custom_id": sha256, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line).encode() + b"\n"


def refuse_the_format(lines: Collection[Line]) -> bool:
    """Whether there are lines, and all say what servers say that do not know the format."""
    statuses = [line.status for line in lines]
    return bool(statuses) and all(status in ABOUT_THE_FORMAT for status in statuses)
