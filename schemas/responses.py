"""One question to a language model, and its answer, as they are kept."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, Field

AnswerFormat = Literal["json_schema", "json_object_with_schema", "json_object", "text"]
Delivery = Literal["live", "batch"]


class LlmRequest(BaseModel, frozen=True):
    """One question to a language model. Equal requests are never asked twice."""

    base_url: str = Field(description="the server; empty where a record answers")
    body: dict[str, Any] = Field(
        description="model, messages, response_format and the rest, as first sent; never a key"
    )
    sample: int = Field(ge=0, description="the same question may be asked several times")
    draw: int = Field(default=0, ge=0, description="another number asks for fresh answers")

    @property
    def sha256(self) -> str:
        """Digest of the request as sorted JSON; the address of its answer."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


class LlmResponse(BaseModel, frozen=True):
    """The last answer to one request, usable or not, as the server gave it."""

    text: str
    finish_reason: str = Field(default="stop", description="`length` where it was cut off")
    refusal: str = ""
    thoughts: str = Field(
        default="", description="what the model thought, where the server sent nothing else"
    )
    error: str = Field(
        default="", description="why no answer came at all; not kept, so that it is asked again"
    )
    model: str = Field(description="the model that the server says has answered")
    format: AnswerFormat = Field(description="the response format that the server took")
    attempts: int = Field(default=1, ge=1, description="times asked until this answer was kept")
    requests: int = Field(
        default=1, ge=0, description="sent for it, those included that brought no answer"
    )
    delivery: Delivery = Field(default="live", description="batches cost less")
    prompt_tokens: int = Field(default=0, ge=0, description="over all attempts")
    completion_tokens: int = Field(default=0, ge=0, description="over all attempts")
    token_limit: int = Field(default=0, ge=0, description="of the last attempt; 0: none was set")
    thought_tokens: int = Field(
        default=0, ge=0, description="of the last attempt's, as far as the server says"
    )


class StoredResponse(BaseModel, frozen=True):
    """What one file of the response shelf holds."""

    request: LlmRequest
    response: LlmResponse


class SubmittedBatch(BaseModel, frozen=True):
    """A batch that a server works on, so that another run can go on waiting for it."""

    base_url: str
    input_file_id: str = Field(description="the server's name for the file of questions")
    batch_id: str = Field(default="", description="empty until the server has said it")
    format: AnswerFormat = Field(description="the response format asked for")
    requests: tuple[str, ...] = Field(description="sha256 of each request not yet collected")
    earlier: dict[str, LlmResponse] = Field(
        default_factory=dict, description="by request: the unusable answer it asks to repair"
    )

    @property
    def sha256(self) -> str:
        """Digest of the server and its name for the file; the address of this record."""
        return hashlib.sha256(f"{self.base_url}\n{self.input_file_id}".encode()).hexdigest()
