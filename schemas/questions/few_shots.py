"""How good heads of few images a class are."""

from pydantic import BaseModel, Field

from curette.schemas.heads import FewShotBaseline, HeadKind
from curette.schemas.metrics import Estimate


class FewShotPoint(Estimate, frozen=True):
    """Balanced accuracy of one head at one number of shots, the mean over seeds."""

    shots: int | None = Field(description="nothing: all training images")
    head: HeadKind
    seeds: int


class FewShotLead(Estimate, frozen=True):
    """How far a head is ahead of another on the same draws and resamples."""

    shots: int | None
    head: HeadKind
    baseline: FewShotBaseline = Field(
        description="best_probe: whichever tuned probe is best on the resample itself"
    )
    seeds: int


class FewShotCurves(BaseModel, frozen=True):
    """Points and leads, by shots."""

    points: tuple[FewShotPoint, ...]
    leads: tuple[FewShotLead, ...]
    confidence: float
    resamples: int = Field(description="of test groups and of seeds at once")
    images: int = Field(description="of the test split")
    groups: int = Field(description="independent units among them")
    skipped: tuple[str, ...] = ()
