"""How good each head is, by every metric."""

from pydantic import Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate, HeadMetricName, IntervalMethod


class Metric(Estimate, frozen=True):
    """One number of one head."""

    head: str = Field(description="the head's name; several random draws are one head, averaged")
    head_kind: HeadKind
    nec: float = Field(description="number of effective concepts, the mean over draws")
    name: HeadMetricName
    method: IntervalMethod = Field(description="percentile where BCa was asked for but has none")
