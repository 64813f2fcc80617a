"""Ground truth about what is visible: which statements a column of it decides."""

from pydantic import BaseModel, Field


class AttributePhrases(BaseModel, frozen=True, extra="forbid"):
    """The statements that a column of ground truth decides: all of them, and no other column's."""

    claimed_by: tuple[str, ...] = Field(default=(), description="true where the column is")
    denied_by: tuple[str, ...] = Field(default=(), description="true where the column is not")
