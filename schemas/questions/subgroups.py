"""For whom it holds: metrics by what the metadata says of the images."""

from pydantic import BaseModel, Field

from curette.schemas.metrics import IntervalMethod, MetricName


class SubgroupMetric(BaseModel, frozen=True):
    """One number of one head on the test images of one subgroup."""

    head: str
    column: str
    subgroup: str
    images: int
    groups: int = Field(description="independent units")
    classes: int = Field(description="classes that the subgroup has; a mean over classes is theirs")
    name: MetricName
    value: float
    low: float
    high: float
    method: IntervalMethod


class WorstSubgroup(BaseModel, frozen=True):
    """The subgroup of a column with the worst value, and the interval of the worst value."""

    head: str
    column: str
    subgroup: str
    name: MetricName
    value: float
    low: float
    high: float
    method: IntervalMethod


class UnusableColumn(BaseModel, frozen=True):
    """A metadata column without subgroups, and why."""

    column: str
    reason: str


class SubgroupTables(BaseModel, frozen=True):
    """Metrics by what the metadata says of the images."""

    smallest: int = Field(description="independent groups that a subgroup needs to be shown")
    metrics: tuple[SubgroupMetric, ...] = ()
    worst: tuple[WorstSubgroup, ...] = ()
    unusable: tuple[UnusableColumn, ...] = ()
