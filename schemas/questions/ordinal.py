"""How far off each head is where classes have an order."""

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate


class OrdinalMetric(BaseModel, frozen=True):
    """How far off a head is where classes have an order; methods/statistics/ordinal.py."""

    head: str
    head_kind: HeadKind
    kappa: Estimate | None = Field(description="quadratic weighted; nothing where not defined")
    error: Estimate | None = Field(description="mean distance from the true class, in classes")
    kappa_lead: Estimate | None = Field(
        default=None, description="of the concept bottleneck: its own minus the linear probe's"
    )
    error_lead: Estimate | None = Field(default=None, description="the same of the error")
