"""What the heads are worth on images that nothing has seen before."""

from typing import ClassVar, Literal

from pydantic import AliasChoices, BaseModel, Field

from curette.schemas.artifact import JsonArtifact
from curette.schemas.draws import Way
from curette.schemas.few_shots import FewShotCurves
from curette.schemas.folds import FoldTable
from curette.schemas.heads import HeadKind
from curette.schemas.heat_maps import LeftOutImage, View
from curette.schemas.images import TruthSource, is_column
from curette.schemas.metrics import HeadMetricName, IntervalMethod, MetricName
from curette.schemas.settings.evaluate import Answer, ThresholdoutSpec
from curette.schemas.shifts import ShiftTables


class TestReading(BaseModel, frozen=True):
    """One reading of a dataset's test labels."""

    __test__: ClassVar[bool] = False  # not a test class, whatever pytest thinks of the name

    labels: str = Field(
        pattern=r"^[0-9a-f]+$", description="digest of the test labels' content, whoever split them"
    )
    study: str = Field(description="name of the study that looked")
    at: str = Field(description="UTC, ISO 8601")
    asked: str = Field(description="what was measured, such as `9 metrics of 8 heads`")
    question: str = Field(
        default="",
        description="digest of the heads and settings; who asks the same again learns nothing new",
    )
    shared: float = Field(
        default=1.0, description="share of the images asked about whose labels it read"
    )
    finding: str = Field(
        default="",
        exclude_if=lambda finding: not finding,
        description="which of several findings the labels tell; of another one they tell nothing",
    )


class HoldoutCharge(BaseModel, frozen=True):
    """What one question to the reusable holdout has cost."""

    question: str = Field(description="digest of the heads and settings")
    study: str
    settings: ThresholdoutSpec = Field(description="the same in every charge of these labels")
    asked: int = Field(ge=0, description="how many values were asked for")
    spent: int = Field(ge=0, description="how many of them were found apart")


def describe_readings(earlier: tuple[TestReading, ...]) -> str | None:
    """Return the report's sentence from the second reading on; None for the first."""
    if not earlier:
        return None
    same = tuple(look for look in earlier if look.shared == 1)
    other = tuple(look for look in earlier if look.shared < 1)
    told = [f"These test labels have been read {_times(same)}."] if same else []
    if other:
        most = max(reading.shared for reading in other)
        share = "less than 1 %" if most < 0.01 else f"{most:.0%}".replace("%", " %")
        told.append(
            f"As part of other test splits the labels of {'up to ' if len(other) > 1 else ''}"
            f"{share} of these images{' at a time' if len(other) > 1 else ''} have been read "
            f"{_times(other)}."
        )
    told.append(
        "What was chosen after that may be fitted to them, so the numbers here are likely too good."
    )
    return " ".join(told)


def _times(readings: tuple[TestReading, ...]) -> str:
    studies = sorted({reading.study for reading in readings})
    first = min(reading.at for reading in readings)
    return (
        f"{len(readings)} {'time' if len(readings) == 1 else 'times'} before, first on "
        f"{first[:10]}, by {', '.join(studies)}"
    )


class Metric(BaseModel, frozen=True):
    """One number with its interval."""

    head: str = Field(description="the head's name; several random draws are one head, averaged")
    head_kind: HeadKind
    nec: float = Field(description="number of effective concepts, the mean over draws")
    name: HeadMetricName
    value: float
    low: float
    high: float
    method: IntervalMethod = Field(description="percentile where BCa was asked for but has none")


class GuardedAnswer(BaseModel, frozen=True):
    """What the reusable holdout tells of one head."""

    head: str
    head_kind: HeadKind
    nec: float
    value: float | None = Field(description="balanced accuracy; nothing once the budget is spent")
    source: Literal["validation", "test", "refused"]


class DeLongTest(BaseModel, frozen=True):
    """A difference of two AUROCs without resampling; methods/statistics/auroc.py."""

    low: float
    high: float
    p_value: float = Field(description="two-sided, that there is no difference")


class Difference(BaseModel, frozen=True):
    """A head against a baseline on the same resamples."""

    head: str
    baseline: str
    name: MetricName
    value: float = Field(description="head minus baseline")
    low: float
    high: float
    method: IntervalMethod
    delong: DeLongTest | None = Field(
        default=None, description="beside the bootstrap's interval, for AUROC where it is defined"
    )


class CurvePoint(BaseModel, frozen=True):
    """One bin of a reliability curve."""

    confidence: float
    accuracy: float
    images: int


class Calibration(BaseModel, frozen=True):
    """Whether a head is as often right as it says, before and after its temperature."""

    temperature: float = Field(description="divisor of the logits that validation images prefer")
    at_bound: bool = Field(description="the fit ran away, so the temperature means nothing")
    validation_images: int
    log_loss: float = Field(description="of the test images, as the head is")
    log_loss_after: float = Field(description="of the test images, at the temperature")
    error: float | None = Field(
        description="debiased root mean square calibration error, as the head is; nothing where "
        "no bin has images of two groups"
    )
    error_after: float | None = Field(description="the same at the temperature")
    reliability: tuple[CurvePoint, ...] = Field(
        description="as the head is; every bin has as many images, but for ties"
    )


class RiskPoint(BaseModel, frozen=True):
    """What a head is worth if it leaves all images below a confidence to people."""

    threshold: float
    coverage: float = Field(description="share of the images that it answers")
    risk: float = Field(description="share of wrong answers among them")


class HeadCurves(BaseModel, frozen=True):
    """What is drawn of one head."""

    head: str
    confusion: tuple[tuple[int, ...], ...] = Field(description="true class x predicted class")
    calibration: Calibration
    risk_coverage: tuple[RiskPoint, ...] = Field(description="least coverage first")


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


class DisagreeingImage(BaseModel, frozen=True):
    """One test image on which two heads decide differently."""

    image_id: str
    label: str
    first: str = Field(description="class key that the first head says")
    first_probability: float
    second: str
    second_probability: float


class Disagreement(BaseModel, frozen=True, populate_by_name=True):
    """Where two heads part, and whether one of them is right more often there."""

    first: str
    second: str
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong_alike: int
    both_wrong_apart: int
    p_value: float = Field(description="exact McNemar test over independent groups")
    examples: tuple[DisagreeingImage, ...] = Field(
        description="images, the surest of both heads first",
        validation_alias=AliasChoices("examples", "quarrels"),  # as it was written once
    )


class Contribution(BaseModel, frozen=True):
    """What one concept said in one decision."""

    concept_id: str
    text: str
    score: float = Field(description="cosine of image and concept")
    contribution: float = Field(description="what it adds to the predicted class's logit")


class Explanation(BaseModel, frozen=True):
    """One test image taken apart: contributions + rest + baseline = logit."""

    image_id: str
    label: str
    predicted: str
    probability: float
    logit: float
    baseline: float = Field(description="logit of the average training image")
    speaking_for: tuple[Contribution, ...] = Field(description="strongest first")
    speaking_against: tuple[Contribution, ...] = Field(description="strongest first")
    rest: float = Field(description="sum of all contributions that are not listed")


class Prediction(BaseModel, frozen=True):
    """What every head said of one test image."""

    image_id: str
    label: str
    predicted: dict[str, str] = Field(description="head -> class key")


class Estimate(BaseModel, frozen=True):
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


class PredictedErrors(BaseModel, frozen=True):
    """Whether a second model, that predicts a head's mistakes, orders images better than the head.

    Orders are compared by the area under the risk-coverage curve, lower is better.
    """

    head: str
    by_confidence: Estimate = Field(description="images answered by highest probability")
    by_prediction: Estimate = Field(description="by the predicted probability of being right")
    difference: Estimate = Field(
        description="by prediction minus by confidence, on the same resamples: below 0 is better"
    )
    in_any_order: Estimate = Field(description="the share of wrong answers: the order of chance")
    weights: dict[str, float] = Field(
        description="sign of doubt -> weight, standardised; above 0: more goes with mistakes"
    )
    learned_from: int = Field(description="validation images")
    mistakes: int = Field(description="wrong decisions among them")


class ErrorPrediction(BaseModel, frozen=True):
    """Signs of doubt beside confidence, learned on validation images."""

    heads: tuple[PredictedErrors, ...] = ()
    not_computable: dict[str, str] = Field(default_factory=dict, description="head -> why not")


DoubtSign = Literal[
    "confidence",
    "encoders",
    "resamples",
    "encoders together",
    "resamples together",
]
"""What may tell of a head's mistakes: its own highest probability; how far the probabilities of
further encoders' heads, or of its own encoder's heads of resampled images, lie from its own; and
the mean probability that it and these give to its class."""


class TellingSign(BaseModel, frozen=True):
    """How well one sign of doubt finds a head's mistakes on test images."""

    sign: DoubtSign
    auroc: Estimate = Field(description="a wrong decision is more doubtful than a right one")
    aurc: Estimate = Field(description="images answered from the least doubtful on")
    difference: Estimate | None = Field(
        description="AURC minus that by confidence, on the same resamples: below 0 is better"
    )


class EncoderAnswer(BaseModel, frozen=True):
    """What the head of one encoder reaches, or the mean of several heads' probabilities."""

    name: str = Field(description="the encoder's; or whose mean it is")
    balanced_accuracy: Estimate
    log_loss: Estimate
    difference: Estimate | None = Field(
        description="of balanced accuracy from the study's own encoder; nothing of itself"
    )
    log_loss_difference: Estimate | None


class EncoderDoubt(BaseModel, frozen=True):
    """One kind of head, of the study's own encoder and of the further ones that have it."""

    head: str
    head_kind: HeadKind
    encoders: tuple[str, ...] = Field(description="the further ones")
    resamples: int = Field(description="resampled heads that any number of them are drawn from")
    images: int
    mistakes: int
    differing: int = Field(description="images of which a further encoder's head says otherwise")
    mistakes_differing: int = Field(description="wrong decisions among these")
    wrong_differing: Estimate | None = Field(description="their share")
    wrong_elsewhere: Estimate | None
    signs: tuple[TellingSign, ...]
    beyond_resamples: Estimate = Field(
        description="AURC by further encoders minus by resampled heads: below 0, another encoder "
        "tells what another head does not"
    )
    in_any_order: Estimate = Field(description="the share of wrong answers: the order of chance")
    answers: tuple[EncoderAnswer, ...]


class EncoderFacts(BaseModel, frozen=True):
    """A further encoder."""

    name: str = Field(description="as the study calls it")
    encoder: str = Field(description="as it calls itself")
    digest: str
    dim: int
    concepts: int = Field(description="selected concepts of which it has a vector")


class DoubtedImage(BaseModel, frozen=True):
    """One test image on which heads of several encoders differ."""

    image_id: str
    label: str
    doubt: float = Field(description="Jensen-Shannon divergence of the probabilities, in nats")
    says: tuple[str, ...] = Field(description="class key that each says, the study's own first")
    probabilities: tuple[float, ...] = Field(description="that each gives to its class")


class SharedConcept(BaseModel, frozen=True):
    """How alike two encoders rank validation images by the same statement."""

    encoder: str = Field(description="the further one")
    concept_id: str
    text: str
    alike: Estimate = Field(description="Spearman's rank correlation of their scores")
    others: Estimate | None = Field(
        description="the mean of those with its scores of the other selected concepts; nothing "
        "where there is no other"
    )
    difference: Estimate | None = Field(description="of the two, on the same resamples")

    @property
    def is_doubtful(self) -> bool:
        """Whether they are not found to see the same under it, or no more than under others."""
        return self.alike.low <= 0 or (self.difference is not None and self.difference.low <= 0)


class EncoderTable(BaseModel, frozen=True):
    """Where the encoders of a study disagree, and whether that tells of mistakes."""

    encoders: tuple[EncoderFacts, ...]
    heads: tuple[EncoderDoubt, ...] = ()
    not_computable: dict[str, str] = Field(default_factory=dict, description="head -> why not")
    concepts: tuple[SharedConcept, ...] = Field(
        default=(), description="the selected ones that each encoder scores, in their order"
    )
    examples: tuple[DoubtedImage, ...] = Field(
        default=(), description="linear probes differ there most, the furthest apart first"
    )


class ProbeSetConcept(BaseModel, frozen=True):
    """How far a concept's learned direction depends on which labelled images taught it.

    Each is the mean over splits of the training images' groups in halves, with the range that
    holds 95 % of the splits.
    """

    concept_id: str
    text: str
    cosine: Estimate = Field(description="of the directions that the two halves teach")
    by_chance: Estimate = Field(description="the same with the concept's labels dealt anew")
    contributions: Estimate = Field(
        description="share of test images on which a half's direction speaks for the other side "
        "than the one that the grounded bottleneck uses"
    )
    sensitivity: Estimate = Field(
        description="share of classes whose logit in the linear probe moves the other way along it"
    )


class ProbeSets(BaseModel, frozen=True):
    """The same of all concepts that have a direction of their own."""

    splits: int = 0
    images: int = Field(default=0, description="of the training split")
    groups: int = 0
    concepts: tuple[ProbeSetConcept, ...] = ()
    not_computable: str = ""


ReadFrom = Literal["weights", "answers"]


class GuessedShare(BaseModel, frozen=True):
    """How well somebody guesses what share of the training images had a property.

    Each is the mean over deals of the groups to owner and adversary, with the range that holds
    95 % of them.
    """

    auroc: Estimate = Field(description="of telling heads of the largest share from the smallest")
    accuracy: Estimate = Field(description="of the same, by the nearer of the two")
    error: Estimate = Field(description="mean distance of the guessed share from the true one")


class InferredShare(BaseModel, frozen=True):
    """What one kind of head gives away of one property."""

    column: str
    value: str = Field(description="of the column: the property")
    head: str
    head_kind: HeadKind
    read_from: ReadFrom
    images: int = Field(description="that each head was trained on, in the last deal")
    published: GuessedShare = Field(description="from heads on vectors as they are published")
    erased: GuessedShare = Field(description="the same once `publish.erase` took the column out")
    dealt: GuessedShare = Field(description="the same of a property dealt to images at random")

    @property
    def is_told(self) -> bool:
        """Whether more than chance is guessed in nearly every deal."""
        return self.published.auroc.low > 0.5


class InferredShares(BaseModel, frozen=True):
    """What heads like the study's own give away of the images that they were trained on."""

    deals: int = Field(description="of the groups to owner, adversary and questions")
    shares: tuple[float, ...] = Field(description="of the property, drawn for as many heads each")
    heads: int = Field(description="of each party and deal")
    error_of_prior: float = Field(description="of whoever always guesses the mean share")
    found: tuple[InferredShare, ...] = ()
    not_computable: dict[str, str] = Field(default_factory=dict, description="column -> why not")


class ConceptFinding(BaseModel, frozen=True):
    """Whether a score finds its concept on the test images where its truth is known."""

    concept_id: str
    text: str
    attribute: str
    denied: bool = Field(description="whether it is true where the attribute is not")
    labels_from: TruthSource = Field(
        default="column", exclude_if=is_column, description="who says which images show it"
    )
    score: Literal["text", "grounded", "borrowed"] = Field(
        description="cosine with the concept's text vector, or its grounding function, or that "
        "which another study's images taught"
    )
    present: int = Field(description="images that show it")
    absent: int
    auroc: Estimate | None = Field(description="nothing where all images show it, or none")
    within_class_auroc: Estimate | None = Field(
        description="over pairs of one class: whether it finds the concept or only the class"
    )
    normalised_ap: Estimate | None = Field(description="methods/statistics/average_precision.py")
    chance_95: float | None = Field(description="AUROC that 1 in 20 permutations exceeds")
    p_value: float | None = Field(description="by permutation of groups, of this concept alone")
    family_p_value: float | None = Field(description="corrected for the number of concepts")
    importance: float = Field(
        description="share of what the concept bottleneck's logits move by when a score does"
    )

    @property
    def is_found(self) -> bool:
        """Whether the score finds the concept beyond what is left to chance: corrected p < .05."""
        return self.family_p_value is not None and self.family_p_value < 0.05


class ConceptPair(BaseModel, frozen=True):
    """Two concepts that the test images could not tell apart."""

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int


class ImportanceMatch(BaseModel, frozen=True):
    """CGIM: a mean cosine over concepts between truth and a head, and with other concepts' truth.

    Shares and scores are positive, so any two agree to a degree: what counts is the excess.
    """

    of: Literal["weights", "predicted", "product"]
    value: float
    of_others: float


class Existence(BaseModel, frozen=True):
    """CEM: of the concepts that speak most for each decision, the share that is there."""

    reasons: int = Field(description="concepts looked at for each decision")
    share: Estimate
    chance: float = Field(description="what labelled concepts drawn at random would reach")


class HeadConcepts(BaseModel, frozen=True):
    """Whether a head weighs concepts as the truth would have it."""

    head: str
    head_kind: HeadKind
    importance: tuple[ImportanceMatch, ...] = ()
    existence: tuple[Existence, ...] = ()


class ConceptQuality(BaseModel, frozen=True):
    """What ground truth about the concepts says of their scores and of the heads on them."""

    labelled: int = Field(description="selected concepts that ground truth decides")
    unlabelled: int
    not_computable: str = Field(default="", description="why nothing here could be computed")
    findings: tuple[ConceptFinding, ...] = ()
    pairs: tuple[ConceptPair, ...] = ()
    pairs_found: int = 0
    heads: tuple[HeadConcepts, ...] = ()


InterventionOrder = Literal["most uncertain first", "most weighted first", "random", "propagated"]
"""The last is the first, with what each correction tells of other concepts and of the class."""


class InterventionCurve(BaseModel, frozen=True):
    """A head's accuracy after 0, 1, .. labelled concepts of each image were looked at."""

    head: str
    head_kind: HeadKind
    order: InterventionOrder
    accuracy: tuple[Estimate, ...]


class Propagation(BaseModel, frozen=True):
    """What it brings that corrections tell of other concepts, over 1, 2, .. looks at an image.

    Positive is better. It stands beside corrections that count by themselves, and beside a model
    in which concepts depend on each other by the class alone, so that what is left is owed to
    dependence within classes.
    """

    head: str
    head_kind: HeadKind
    model: Literal["pairwise", "normal"] = Field(description="normal where concepts are many")
    accuracy: Estimate | None = Field(description="of the head, more than with corrections alone")
    accuracy_within: Estimate | None = Field(description="more than by the class alone")
    concepts: Estimate | None = Field(
        description="accuracy of concepts not looked at, more than as they are read; nothing where "
        "there is but one"
    )
    log_loss: Estimate | None = Field(description="of the same, how much lower than as read")
    log_loss_within: Estimate | None = Field(description="how much lower than by the class alone")


class ConceptShare(BaseModel, frozen=True):
    """How often images of a class show a concept, or those of them that show another one do."""

    class_key: str
    concept: str
    given: str = Field(default="", description="the other concept; empty: all images of the class")
    images: int = Field(description="test images of the class, that show the other one")
    groups: int
    observed: Estimate | None = Field(
        description="half an image more with either answer; nothing below 10 groups"
    )
    predicted: float | None = Field(
        description="mean of what the model of corrections expects of these images by their scores"
    )


class Interventions(BaseModel, frozen=True):
    """What correcting concepts that were read wrong would bring."""

    concepts: int = Field(description="labelled ones; no other can be corrected")
    not_computable: str = ""
    read_wrong: float = Field(
        default=0.0, description="share of known concepts of test images that scores get wrong"
    )
    curves: tuple[InterventionCurve, ...] = ()
    propagated: tuple[Propagation, ...] = Field(
        default=(), description="one a head; nothing where it was not measured yet"
    )
    shares: tuple[ConceptShare, ...] = Field(
        default=(), description="of each class and concept, then the pairs that depend most"
    )


class HeadStrategy(BaseModel, frozen=True):
    """One concept that decides images for one class."""

    class_key: str
    concept_id: str
    text: str
    images: int = Field(description="validation images that it decides")
    prevalence: Estimate = Field(description="share of the images that are called this class")
    reliability: Estimate | None = Field(
        description="share of the images that it decides whose class it is; nothing where the "
        "images are of too few groups for an interval"
    )
    examples: tuple[str, ...] = Field(description="ids of images, those it decides most clearly")


class BudgetPoint(BaseModel, frozen=True):
    """So many concepts, the mean over draws where chance has a part."""

    concepts: int
    balanced_accuracy: Estimate
    macro_auroc: float | None = Field(description="nothing where a class has no test image")
    lowest: float = Field(description="balanced accuracy that 5 % of the draws stay below")
    highest: float = Field(description="balanced accuracy that 5 % of the draws exceed")


class BudgetLine(BaseModel, frozen=True):
    """One way of choosing, from few to many."""

    name: Literal["selected", "labo", "random", "random directions", "all"]
    draws: int
    points: tuple[BudgetPoint, ...]


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
    """Every head that answers by concepts, over their number; tasks/evaluate/questions/sizes.py."""

    points: tuple[HeadAtSize, ...]
    probe: Reached = Field(description="the linear probe, which looks at no concept")
    unusable: tuple[str, ...] = Field(default=(), description="what could not be trained, and why")


class RoundOnTest(BaseModel, frozen=True):
    """What the concepts of one round of proposing are worth on test images."""

    number: int
    balanced_accuracy: Estimate | None = Field(description="of the small head on their scores")
    gain: Estimate | None = Field(description="over the round before; nothing in the first")


AS_WELL = 0.05
"""How far below in balanced accuracy the interval of a difference may reach in "as well as"."""


class ConceptBudget(BaseModel, frozen=True):
    """How good few statements are, by the same small head at every number of them."""

    chosen: int = Field(description="as many as the study selected, without a look at these images")
    lines: tuple[BudgetLine, ...]
    black_box: Estimate | None = Field(description="balanced accuracy of the linear probe")
    lead_over_black_box: Estimate | None = Field(description="of the chosen number")
    lead_over_random: Estimate | None = Field(description="of as many drawn at random")
    area_over_random: Estimate | None = Field(
        description="mean lead in balanced accuracy over all sizes, on a logarithmic scale"
    )
    area_over_labo: Estimate | None

    def line(self, name: str) -> BudgetLine:
        """Return the line of a way of choosing."""
        return next(line for line in self.lines if line.name == name)

    @property
    def reached(self) -> Estimate | None:
        """Balanced accuracy of the chosen number."""
        points = [p for p in self.line("selected").points if p.concepts == self.chosen]
        return points[0].balanced_accuracy if points else None

    @property
    def random_needs(self) -> int | None:
        """The smallest number of random statements that does as well on average; None: none."""
        if self.reached is None:
            return None
        least = self.reached.value
        enough = (
            point.concepts
            for name in ("random", "all")
            for line in self.lines
            if line.name == name
            for point in line.points
            if point.balanced_accuracy.value >= least
        )
        return next(enough, None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the curve comes to: against the black box first, then against random statements.

        That no difference was found is not equality: "as well as" needs an interval that leaves
        less than `AS_WELL` below.
        """
        lead, reached, box = self.lead_over_black_box, self.reached, self.black_box
        if lead is None or reached is None or box is None:
            return ("These images cannot tell how many statements are needed.",)
        verdict = _first(
            ("decide better than {}", lead.low > 0),
            ("decide less well than {}", lead.high < 0),
            ("decide as well as {}", lead.low > -AS_WELL),
            ("may decide as well as {}; there are too few images to be sure", True),
        )
        count = f"{self.chosen} statement{'s' * (self.chosen > 1)}"
        against = (
            f"{count} {verdict.format('a linear probe on whole images')}: balanced accuracy "
            f"{_told(reached)} against {_told(box)}, a difference of {_told(lead, '+.3f')}."
        )
        return (against, *self._against_random())

    def _against_random(self) -> tuple[str, ...]:
        lead, reached = self.lead_over_random, self.reached
        if lead is None or reached is None:
            return ()
        verdict = _first(
            ("so choosing them helps", lead.low > 0),
            ("so choosing them does harm", lead.high < 0),
            ("so nothing shows that choosing them helps", True),
        )
        needs = self.random_needs
        need = _first(
            ("; no number of random ones does as well", needs is None),
            ("", (needs or 0) <= self.chosen),
            (f"; it takes {needs} random ones to do as well", True),
        )
        return (
            f"As many drawn at random reach {reached.value - lead.value:.3f} "
            f"(a difference of {_told(lead, '+.3f')}), {verdict}{need}.",
        )


def _first(*cases: tuple[str, bool]) -> str:
    return next(words for words, holds in cases if holds)


def _told(e: Estimate, form: str = ".3f") -> str:
    return f"{e.value:{form}} [{e.low:{form}}, {e.high:{form}}]"


class StrategiesForetell(BaseModel, frozen=True):
    """Whether how reliable an image's strategy was tells if the image is decided rightly.

    AUROCs of rightly decided test images against the others, by what is known of validation images.
    """

    images: int = Field(description="test images decided as some validation image is")
    others: int = Field(description="test images left out, decided as no validation image is")
    strategy: Estimate = Field(description="by the reliability of class and deciding concept")
    class_alone: Estimate = Field(description="by the reliability of the class it is called")
    confidence: Estimate = Field(description="by the highest probability, which is the baseline")
    over_class: Estimate
    over_confidence: Estimate


class Strategies(BaseModel, frozen=True):
    """Which concepts decide, for how many validation images, and how often that is right."""

    head: str = ""
    not_computable: str = ""
    strategies: tuple[HeadStrategy, ...] = ()
    foretold: StrategiesForetell | None = Field(
        default=None,
        description="nothing where no image, or every image, is decided rightly, or it was not "
        "measured yet",
    )


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


class OrdinalMetric(BaseModel, frozen=True):
    """How far off a head is where classes have an order; methods/statistics/ordinal.py."""

    head: str
    head_kind: HeadKind
    kappa: Estimate | None = Field(description="quadratic weighted; nothing where not defined")
    error: Estimate | None = Field(description="mean distance from the true class, in classes")
    kappa_lead: Estimate | None = Field(
        default=None, description="of the concept bottleneck: its own minus the linear probe's"
    )
    error_lead: Estimate | None = Field(default=None, description="the same of the error")


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
