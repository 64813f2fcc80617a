"""What every head is worth on fewer and on more concepts."""

from pydantic import BaseModel, Field

from curette.schemas.draws import Way
from curette.schemas.heads import HeadKind
from curette.schemas.metrics import Estimate


class Reached(BaseModel, frozen=True):
    """What a head is worth on test images."""

    balanced_accuracy: Estimate | None
    macro_auroc: Estimate | None = Field(description="nothing where a class has no test image")


class HeadAtSize(Reached, frozen=True):
    """A head on the first concepts of one order; the mean where orders are several."""

    head_kind: HeadKind
    way: Way
    concepts: int


class SizeTable(BaseModel, frozen=True):
    """Every head that answers by concepts, over their number."""

    points: tuple[HeadAtSize, ...]
    probe: Reached = Field(description="the linear probe, which looks at no concept")
    unusable: tuple[str, ...] = Field(default=(), description="what could not be trained, and why")
