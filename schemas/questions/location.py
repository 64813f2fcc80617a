"""Whether the concepts that speak for a decision are seen in the lesion."""

from pydantic import BaseModel, Field

from curette.schemas.heads import HeadKind
from curette.schemas.heat_maps import LeftOutImage, View
from curette.schemas.metrics import Estimate


class Located(BaseModel, frozen=True):
    """Whether heat lies in the lesion: of concepts that speak for decisions, on these images."""

    images: int
    clm: Estimate = Field(
        description="CLM: share of the lesion that lies in the hottest part of the image"
    )
    ahead_of_others: Estimate | None = Field(
        description="how much of it is about the very image: of the images on which the same "
        "concept counts, and with the hottest part r and the mask m of sum one of each, the mean "
        "of (r - r') . (m - m'), where r' is the mean r of other groups and m' the mean m; nothing "
        "where these images are of too few groups"
    )
    peak: Estimate = Field(description="share of the hottest place that is lesion")


class LocatedReasons(Located, frozen=True):
    """Of the concepts that speak most for a head's decisions."""

    head: str
    head_kind: HeadKind
    reasons: int = Field(description="concepts looked at for each decision")
    ahead_of_any: Estimate = Field(
        description="CLM minus that of all selected concepts on the same images"
    )


class LocatedConcept(Located, frozen=True):
    """Of one concept, where it speaks for a decision of the concept bottleneck."""

    concept_id: str
    text: str
    denied: bool = Field(
        description="whether ground truth says that it is true where its attribute is not: then "
        "nothing is there to be seen"
    )


class LocatedTruth(Located, frozen=True):
    """Of all concepts that ground truth claims, on the images that show them or on the others."""

    shown: bool
    concepts: int


class HeatExample(BaseModel, frozen=True):
    """The strongest reason of the concept bottleneck on one test image, and where it is seen."""

    image_id: str
    text: str
    clm: float
    heat: tuple[tuple[float, ...], ...] = Field(description="rows of cosines")


class ConceptLocation(BaseModel, frozen=True):
    """Where the concepts are seen that speak for decisions, beside where the lesions are."""

    not_computable: str = ""
    images: int = Field(default=0, description="test images with a usable mask")
    left_out: tuple[LeftOutImage, ...] = ()
    grid: tuple[int, int] = Field(default=(0, 0), description="rows and columns of places")
    view: View = "shortest"
    region: float = Field(
        default=0.0,
        description="hottest share of the image; what CLM is of heat that knows nothing",
    )
    most: float = Field(
        default=0.0, description="what CLM is of heat that is the mask itself, on this grid"
    )
    lesion: float = Field(
        default=0.0, description="mean share of lesion; what `peak` is of heat that knows nothing"
    )
    heads: tuple[LocatedReasons, ...] = ()
    concepts: tuple[LocatedConcept, ...] = ()
    by_truth: tuple[LocatedTruth, ...] = Field(
        default=(), description="whatever speaks for decisions; nothing where no truth is known"
    )
    examples: tuple[HeatExample, ...] = ()
