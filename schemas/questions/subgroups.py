"""For whom it holds: metrics by what the metadata says of the images."""

from pydantic import BaseModel, Field

from curette.schemas.metadata import UnusableColumn
from curette.schemas.metrics import Estimate, IntervalMethod, MetricName


class SubgroupMetric(Estimate, frozen=True):
    """One number of one head on the test images of one subgroup."""

    head: str
    column: str
    subgroup: str
    images: int
    groups: int = Field(description="independent units")
    classes: int = Field(description="classes that the subgroup has; a mean over classes is theirs")
    name: MetricName
    method: IntervalMethod


class WorstSubgroup(Estimate, frozen=True):
    """The subgroup of a column with the worst value, and the interval of the worst value."""

    head: str
    column: str
    subgroup: str
    name: MetricName
    method: IntervalMethod


class SubgroupTables(BaseModel, frozen=True):
    """Metrics by what the metadata says of the images."""

    smallest: int = Field(description="independent groups that a subgroup needs to be shown")
    metrics: tuple[SubgroupMetric, ...] = ()
    worst: tuple[WorstSubgroup, ...] = ()
    unusable: tuple[UnusableColumn, ...] = ()
