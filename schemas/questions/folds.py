"""How far the heads that other training images gave differ on the same test images."""

from statistics import stdev

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind


class FoldSpread(BaseModel, frozen=True):
    """Balanced accuracy on the test split of one head, trained once a fold."""

    head: str
    head_kind: HeadKind
    value: float = Field(description="of the head that the study's own training images gave")
    folds: tuple[float, ...] = Field(min_length=1, description="of those of each fold, in turn")

    @property
    def deviation(self) -> float:
        """Standard deviation over folds; 0 where there is one."""
        return stdev(self.folds) if len(self.folds) > 1 else 0.0


class FoldTable(BaseModel, frozen=True):
    """All heads that folds trained."""

    spreads: tuple[FoldSpread, ...]
    unusable: tuple[str, ...] = Field(default=(), description="folds that gave no heads, and why")
