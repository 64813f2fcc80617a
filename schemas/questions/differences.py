"""How far each head is ahead of its baselines."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import Estimate, IntervalMethod, MetricName


class DeLongTest(BaseModel, frozen=True):
    """A difference of two AUROCs without resampling; methods/statistics/auroc.py."""

    low: float
    high: float
    p_value: float = Field(description="two-sided, that there is no difference")


class Difference(Estimate, frozen=True):
    """A head minus a baseline on the same resamples."""

    head: str
    baseline: str
    name: MetricName
    method: IntervalMethod
    delong: DeLongTest | None = Field(
        default=None, description="beside the bootstrap's interval, for AUROC where it is defined"
    )
