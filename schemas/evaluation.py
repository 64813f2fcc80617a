"""What the heads are worth on images that nothing has seen before."""

from typing import ClassVar, Literal

from pydantic import AliasChoices, BaseModel, Field

from curette.schemas.artifact import JsonArtifact
from curette.schemas.heads import HeadKind
from curette.schemas.metrics import IntervalMethod
from curette.schemas.questions.concept_budget import ConceptBudget
from curette.schemas.questions.concept_truth import ConceptQuality
from curette.schemas.questions.curves import HeadCurves
from curette.schemas.questions.differences import Difference
from curette.schemas.questions.disagreement import Disagreement
from curette.schemas.questions.encoders import EncoderTable
from curette.schemas.questions.error_prediction import ErrorPrediction
from curette.schemas.questions.explanations import Explanation
from curette.schemas.questions.few_shots import FewShotCurves
from curette.schemas.questions.folds import FoldTable
from curette.schemas.questions.inferred_shares import InferredShares
from curette.schemas.questions.interventions import Interventions
from curette.schemas.questions.location import ConceptLocation
from curette.schemas.questions.metrics import Metric
from curette.schemas.questions.ordinal import OrdinalMetric
from curette.schemas.questions.predictions import Prediction
from curette.schemas.questions.probe_sets import ProbeSets
from curette.schemas.questions.rounds import RoundOnTest
from curette.schemas.questions.shifts import ShiftTables
from curette.schemas.questions.sizes import SizeTable
from curette.schemas.questions.strategies import Strategies
from curette.schemas.questions.subgroups import SubgroupTables
from curette.schemas.questions.taxonomy import TaxonomyResults
from curette.schemas.readings import TestReading
from curette.schemas.settings.evaluate import Answer, ThresholdoutSpec


class _OfTestImages(JsonArtifact, frozen=True, populate_by_name=True):
    """What stands beside every number of test images."""

    class_keys: tuple[str, ...]
    images: int
    groups: int = Field(description="independent units")
    earlier_readings: tuple[TestReading, ...] = Field(
        description="of the same test labels, in the same store; oldest first",
        validation_alias=AliasChoices("earlier_readings", "earlier_looks"),  # as it was once
    )
    pretraining: str
    pretraining_covers_test: Answer


class Evaluation(_OfTestImages, frozen=True):
    """Everything that was measured on the test images."""

    kind: ClassVar[str] = "evaluation"

    resamples: int = Field(description="of all groups")
    confidence: float
    interval: IntervalMethod
    metrics: tuple[Metric, ...]
    differences: tuple[Difference, ...]
    ordinal: tuple[OrdinalMetric, ...] = Field(
        default=(),
        exclude_if=lambda metrics: not metrics,
        description="nothing where classes have no order",
    )
    taxonomy: TaxonomyResults | None = Field(
        default=None,
        exclude_if=lambda results: results is None,
        description="nothing where classes stand in no tree",
    )
    concept_budget: ConceptBudget | None = Field(
        default=None, description="nothing where there is no choice of concepts"
    )
    rounds: tuple[RoundOnTest, ...] = Field(
        default=(),
        exclude_if=lambda rounds: not rounds,
        description="nothing where there was but one, or a later screen dropped its concepts",
    )
    curves: tuple[HeadCurves, ...]
    error_prediction: ErrorPrediction = Field(default=ErrorPrediction())
    encoders: EncoderTable | None = Field(
        default=None,
        exclude_if=lambda table: table is None,
        description="nothing where the study has but one",
    )
    subgroups: SubgroupTables
    few_shots: FewShotCurves | None = Field(
        default=None, description="nothing where few shots were not measured"
    )
    shifts: ShiftTables | None = Field(
        default=None, description="nothing where the study has no shift"
    )
    folds: FoldTable | None = Field(
        default=None, description="nothing where folds were not asked for"
    )
    sizes: SizeTable | None = Field(
        default=None,
        exclude_if=lambda table: table is None,
        description="nothing where sizes were not asked for",
    )
    concept_truth: ConceptQuality = Field(
        default=ConceptQuality(labelled=0, unlabelled=0, not_computable="it was not measured yet"),
        description="against ground truth about what is visible",
        validation_alias=AliasChoices("concept_truth", "concepts"),  # as it was written once
    )
    probe_sets: ProbeSets = Field(default=ProbeSets(not_computable="it was not measured yet"))
    interventions: Interventions = Field(
        default=Interventions(concepts=0, not_computable="it was not measured yet")
    )
    inferred_shares: InferredShares | None = Field(
        default=None,
        exclude_if=lambda shares: shares is None,
        description="nothing where the study names no property of its images",
    )
    location: ConceptLocation = Field(
        default=ConceptLocation(not_computable="it was not measured yet")
    )
    disagreement: Disagreement
    strategies: Strategies = Field(default=Strategies(not_computable="it was not measured yet"))
    explanations: tuple[Explanation, ...]
    predictions: tuple[Prediction, ...]


class GuardedAnswer(BaseModel, frozen=True):
    """What the reusable holdout tells of one head."""

    head: str
    head_kind: HeadKind
    nec: float
    value: float | None = Field(description="balanced accuracy; nothing once the budget is spent")
    source: Literal["validation", "test", "refused"]


class GuardedEvaluation(_OfTestImages, frozen=True):
    """All that the reusable holdout tells of the test images."""

    kind: ClassVar[str] = "guarded-evaluation"

    settings: ThresholdoutSpec
    one_image: float = Field(
        description="how far one test image can move a balanced accuracy: 1 / (classes x images of "
        "the rarest one); what is told protects little where that is more than the noise"
    )
    remaining: int = Field(description="of the budget, when these answers were given")
    answers: tuple[GuardedAnswer, ...]
