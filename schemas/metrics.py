"""What heads are measured by, and how the intervals of that are drawn."""

from typing import Literal

from pydantic import BaseModel

MetricName = Literal[
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auroc",
    "expected_calibration_error",
    "log_loss",
]
"""What is measured of every head, and within every subgroup."""

ConfidenceMetricName = Literal[
    "debiased_calibration_error",
    "area_under_risk_coverage",
    "excess_area_under_risk_coverage",
]
"""What is measured of every head's confidence: `methods.statistics.calibration`, `selective`."""

HeadMetricName = MetricName | ConfidenceMetricName

IntervalMethod = Literal["percentile", "bca"]
"""Of the bootstrap; see `methods/statistics/bootstrap.py`."""


class Estimate(BaseModel, frozen=True):
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float
