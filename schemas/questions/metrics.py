"""How good each head is, by every metric."""

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import HeadMetricName, IntervalMethod


class Metric(BaseModel, frozen=True):
    """One number with its interval."""

    head: str = Field(description="the head's name; several random draws are one head, averaged")
    head_kind: HeadKind
    nec: float = Field(description="number of effective concepts, the mean over draws")
    name: HeadMetricName
    value: float
    low: float
    high: float
    method: IntervalMethod = Field(description="percentile where BCa was asked for but has none")
