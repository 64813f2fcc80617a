"""How far each head is ahead of its baselines."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import IntervalMethod, MetricName


class DeLongTest(BaseModel, frozen=True):
    """A difference of two AUROCs without resampling; methods/statistics/auroc.py."""

    low: float
    high: float
    p_value: float = Field(description="two-sided, that there is no difference")


class Difference(BaseModel, frozen=True):
    """A head against a baseline on the same resamples."""

    head: str
    baseline: str
    name: MetricName
    value: float = Field(description="head minus baseline")
    low: float
    high: float
    method: IntervalMethod
    delong: DeLongTest | None = Field(
        default=None, description="beside the bootstrap's interval, for AUROC where it is defined"
    )
