"""Which mistakes stay within a branch where classes stand in a tree."""

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate


class TaxonomyLevel(BaseModel, frozen=True):
    """One level of the tree of classes."""

    nodes: tuple[str, ...] = Field(description="branches and classes that it tells apart")
    is_classes: bool = Field(description="the last level: the classes themselves")


class TaxonomyMetric(BaseModel, frozen=True):
    """How far apart in the tree a head's mistakes are; methods/statistics/taxonomy.py."""

    head: str
    head_kind: HeadKind
    levels: tuple[Estimate | None, ...] = Field(description="balanced accuracy at each level")
    across: Estimate | None = Field(
        description="share of mistakes that take an image to another branch at the top; nothing "
        "where there is no mistake"
    )
    across_chance: Estimate | None = Field(description="the same of chance with equal totals")
    distance: Estimate | None = Field(
        description="levels at which the decided class is not the true one's, mean over mistakes"
    )
    distance_chance: Estimate | None = Field(description="the same of chance with equal totals")
    distance_lead: Estimate | None = Field(description="distance minus that of chance")


class TaxonomyResults(BaseModel, frozen=True):
    """Every head at every level of the tree of classes."""

    levels: tuple[TaxonomyLevel, ...] = Field(description="the top first, the classes last")
    heads: tuple[TaxonomyMetric, ...]
    level_leads: tuple[Estimate | None, ...] = Field(
        description="concept bottleneck minus linear probe: balanced accuracy at each level"
    )
    distance_lead: Estimate | None = Field(description="the same of the distance of mistakes")
