"""A study: one dataset, one way of finding concepts for it, one way of measuring them."""

import re
from typing import Self

from pydantic import BaseModel, Field, model_validator

from curette.schemas.consent import why_not_sent
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.draw import FewShotSpec, FoldSpec, ShiftSpec, SizeSpec
from curette.schemas.settings.drift import DriftSpec
from curette.schemas.settings.encoder import EncoderSpec, OpenClipEncoder
from curette.schemas.settings.encoders import MOST, FurtherEncoder, weights_named
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.external import ExternalSpec
from curette.schemas.settings.index import IndexSpec
from curette.schemas.settings.ingest import DatasetSpec
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.locate import LocateSpec
from curette.schemas.settings.priors import LinkPriors, PriorSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.propose import CaptionSource, ProposeSpec
from curette.schemas.settings.publish import PublishSpec
from curette.schemas.settings.report import ReportSpec
from curette.schemas.settings.review import ReviewSpec
from curette.schemas.settings.screen import ScreenSpec
from curette.schemas.settings.select import SelectSpec
from curette.schemas.settings.validate import ValidationSpec

_LONGEST_NAME = 63


def _in_a_name(key: str) -> str:
    """Return a finding as it stands in the name of its study."""
    return re.sub(r"[^a-z0-9]+", "-", key.casefold()).strip("-")


class Study(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides what a study finds. Each stage is given its own part alone."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="lower-case letters, digits and dashes; it names runs, pages and reports",
    )
    description: str = Field(default="", description="one or two sentences for the report")
    dataset: DatasetSpec = Field(description="the labelled images")
    llm: LlmSpec | None = Field(
        default=None, description="the language model, where the study asks one"
    )
    propose: ProposeSpec = Field(description="where candidate concepts come from")
    encoder: EncoderSpec = Field(
        default_factory=OpenClipEncoder, description="what turns images and texts into vectors"
    )
    encoders: tuple[FurtherEncoder, ...] = Field(
        default=(),
        max_length=MOST,
        description="further encoders, which see the same images; where they disagree with "
        "`encoder` is told as a sign of doubt",
    )
    screen: ScreenSpec = Field(
        default_factory=ScreenSpec, description="which candidates are let through"
    )
    review: ReviewSpec = Field(
        default_factory=ReviewSpec, description="whether a person decides about concepts"
    )
    priors: PriorSpec = Field(
        default_factory=LinkPriors,
        description="which concept speaks for which class, before any image is seen",
    )
    select: SelectSpec = Field(default_factory=SelectSpec, description="which are chosen")
    index: IndexSpec = Field(default_factory=IndexSpec, description="what is looked up")
    validation: ValidationSpec = Field(
        default_factory=ValidationSpec, description="what must hold before anything is published"
    )
    annotate: AnnotateSpec | None = Field(
        default=None,
        description="what a language model may read in the reports of `dataset.report_column`; "
        "empty: nothing",
    )
    publish: PublishSpec = Field(default_factory=PublishSpec, description="the dataset card")
    few_shots: FewShotSpec | None = Field(
        default_factory=FewShotSpec,
        description="what heads are worth with few images a class; null: is not measured",
    )
    shifts: tuple[ShiftSpec, ...] = Field(
        default=(), description="what heads are worth on other images than they were trained on"
    )
    folds: FoldSpec | None = Field(
        default=None,
        description="how far heads differ by which of the training and validation images train "
        "them; null: is not measured",
    )
    sizes: SizeSpec | None = Field(
        default=None,
        description="what heads are worth on other numbers of concepts; null: is not measured",
    )
    external: tuple[ExternalSpec, ...] = Field(
        default=(),
        description="other datasets, on all of whose images the heads are measured as they are",
    )
    probe: ProbeSpec = Field(default_factory=ProbeSpec, description="how heads are trained")
    locate: LocateSpec | None = Field(
        default_factory=LocateSpec,
        description="where in images with a lesion mask concepts are seen; null: is not measured",
    )
    evaluate: EvaluateSpec = Field(
        default_factory=EvaluateSpec, description="how heads are measured"
    )
    report: ReportSpec = Field(default_factory=ReportSpec, description="what the report shows")
    drift: DriftSpec = Field(
        default_factory=DriftSpec, description="how new images are held against these"
    )

    @property
    def kept_dataset(self) -> DatasetSpec:
        """Return the dataset's settings, with every column of metadata named in them or elsewhere.

        What the study names nowhere is not even taken in; of drawn images all is kept.
        """
        # Neither an order nor a tree of the classes changes an image.
        dataset = self.dataset.model_copy(update={"ordered": False, "taxonomy": {}})
        if dataset.source.kind == "synthetic":
            return dataset
        named = [
            *self.dataset.metadata,
            *(shift.column for shift in self.shifts),
            *(self.select.avoid or ()),
            *(self.evaluate.subgroup_columns or ()),
            *self.evaluate.subgroup_edges,
            *self.evaluate.inferred_shares,
            *self.publish.erase,
        ]
        return dataset.model_copy(update={"metadata": tuple(dict.fromkeys(named))})

    @property
    def evaluation(self) -> EvaluateSpec:
        """Return how heads are measured, by the order or tree of the classes where they have it."""
        ordered = self.dataset.ordered or self.evaluate.ordered
        taxonomy = self.dataset.taxonomy or self.evaluate.taxonomy
        return self.evaluate.model_copy(update={"ordered": ordered, "taxonomy": taxonomy})

    @property
    def selection(self) -> SelectSpec:
        """Return how concepts are chosen; what confounds in `shifts` is avoided if nothing is said.

        Whoever names a nuisance to be tested under need not say twice that it is one. The column of
        a domain shift is none: it tells who was looked at, not what goes with the label by chance.
        """
        if self.select.avoid is not None:
            return self.select
        confounded = (shift.column for shift in self.shifts if shift.kind == "confounded")
        columns = tuple(dict.fromkeys(confounded))
        return self.select.model_copy(update={"avoid": columns})

    @property
    def by_finding(self) -> "dict[str, Study]":
        """Return the study of each finding, where the dataset has several; else nothing.

        They differ in their names and in what counts as the label, and in nothing else.
        """
        if self.dataset.finding is not None:
            return {}
        return {key: self._of_finding(key) for key in self.dataset.findings}

    def _of_finding(self, key: str) -> "Study":
        one = {"finding": key}
        return self.model_copy(
            update={
                "name": f"{self.name}-{_in_a_name(key)}",
                "dataset": self.dataset.model_copy(update=one),
                "external": tuple(
                    x.model_copy(update={"dataset": x.dataset.model_copy(update=one)})
                    for x in self.external
                ),
            }
        )

    @model_validator(mode="after")
    def _has_a_name_for_each_finding(self) -> Self:
        names: dict[str, str] = {}
        for key in self.dataset.findings if self.dataset.finding is None else ():
            name = _in_a_name(key)
            if not name or name in names:
                other = f", as {names[name]!r} is" if name in names else ""
                raise ValueError(
                    f"dataset.findings: {key!r} becomes {name!r} in the name of its study{other}; "
                    "each needs one of its own, of letters and digits"
                )
            if len(self.name) + 1 + len(name) > _LONGEST_NAME:
                raise ValueError(
                    f"dataset.findings: {self.name}-{name} is too long for a name; at most "
                    f"{_LONGEST_NAME} characters are. Shorten `name`"
                )
            names[name] = key
        return self

    @model_validator(mode="after")
    def _has_findings_everywhere(self) -> Self:
        wanted = {*self.dataset.findings}
        for x in self.external:
            found = {*x.dataset.findings}
            if lost := sorted(wanted - found):
                raise ValueError(
                    f"the external dataset {x.name} does not say how {', '.join(lost)} is told "
                    "there; name the study's findings in its `findings` too"
                )
            if found and not wanted:
                raise ValueError(
                    f"the external dataset {x.name} has `findings`, and the study's own has none"
                )
        return self

    @model_validator(mode="after")
    def _encoder_knows_the_images(self) -> Self:
        if self.dataset.source.kind == "vectors" and self.encoder.kind != "precomputed":
            raise ValueError(
                "dataset.source is `vectors`, so encoder must be `precomputed` with the same file"
            )
        for external in self.external:
            if external.dataset.source.kind == "vectors" and self.encoder.kind != "precomputed":
                raise ValueError(
                    f"the external dataset {external.name} is of `vectors`, so encoder must be "
                    "`precomputed`, of one file with the vectors of both datasets"
                )
        return self

    @model_validator(mode="after")
    def _asks_no_text_of_an_encoder_of_images(self) -> Self:
        if self.encoder.kind != "image_only":
            return self
        others = sorted({s.kind for s in self.propose.sources} - {"columns", "discovered"})
        if others:
            raise ValueError(
                f"the encoder knows images alone, so concepts from {', '.join(others)} cannot be "
                "compared with images. Let propose.sources be [{kind: columns}], whose concepts "
                "are the true/false columns under `dataset.attributes`, or [{kind: discovered}], "
                "whose concepts are found among the images; or take one that reads "
                "text, such as `open_clip` or `transformers`"
            )
        wants_columns = any(s.kind == "columns" for s in self.propose.sources)
        drawn = self.dataset.source.kind == "synthetic"
        if wants_columns and not self.dataset.attributes and not drawn:
            raise ValueError(
                "the encoder knows images alone, and `dataset.attributes` names no true/false "
                "column that a concept could be learned from. Name some; or let propose.sources be "
                "[{kind: discovered}]; or take an encoder that reads text, such as `open_clip` or "
                "`transformers`"
            )
        return self

    @model_validator(mode="after")
    def _sees_the_places_that_it_looks_at(self) -> Self:
        if self.propose.looks_at_places and self.encoder.kind == "precomputed":
            raise ValueError(
                "propose.sources: `discovered` is to look at places, and precomputed vectors are "
                "of whole images. Let it look `among: images`, or name the encoder itself"
            )
        return self

    @model_validator(mode="after")
    def _names_each_shift_once(self) -> Self:
        titles = [shift.title for shift in self.shifts]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(
                f"shifts: the same shift stands there twice: {'; '.join(twice)}. Its numbers would "
                "be the same; usually a line was copied and not changed. Remove one."
            )
        return self

    @model_validator(mode="after")
    def _names_each_external_dataset_once(self) -> Self:
        names = [external.name for external in self.external]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"external: {', '.join(twice)} stands there twice; rename one")
        return self

    @model_validator(mode="after")
    def _names_each_encoder_once(self) -> Self:
        seen = {weights_named(self.encoder): "the study's own, `encoder`"}
        taken = {external.name: "an external dataset" for external in self.external}
        for further in self.encoders:
            if further.name in taken:
                raise ValueError(
                    f"encoders: {further.name} is the name of {taken[further.name]} too; rename one"
                )
            taken[further.name] = "another of them"
            weights = weights_named(further.encoder)
            if weights in seen:
                raise ValueError(
                    f"encoders: {further.name} is the same encoder as {seen[weights]}, with which "
                    "it can only agree; name other weights, or leave it out"
                )
            seen[weights] = further.name
            if self.dataset.source.kind == "vectors" and further.encoder.kind != "precomputed":
                raise ValueError(
                    f"encoders: dataset.source is `vectors`, so there are no images for "
                    f"{further.name} to see; let it be `precomputed`"
                )
        if self.encoders and self.publish.erase:
            raise ValueError(
                "encoders: publish.erase takes columns out of the vectors of `encoder` alone, and "
                "heads of further encoders would still know them; take one of the two out"
            )
        return self

    @model_validator(mode="after")
    def _names_a_model_where_it_asks_one(self) -> Self:
        asking: list[str] = [s.kind for s in self.propose.sources if s.asks]
        asking += ["propose.rounds"] if self.propose.asks_again else []
        asking += ["priors"] if self.priors.kind == "llm" else []
        asking += [f"screen.{gate.kind}" for gate in self.screen.gates if gate.asks]
        asking += ["annotate"] if self.annotate else []
        if asking and self.llm is None:
            raise ValueError(
                f"{', '.join(asking)}: a language model is asked, and the study names none; add "
                "`llm: {model: ..., base_url: ...}`"
            )
        return self

    @model_validator(mode="after")
    def _asks_nothing_of_what_it_erases(self) -> Self:
        asked = {
            "shifts": [shift.column for shift in self.shifts],
            "select.avoid": self.selection.avoid or (),
            "evaluate.subgroup_columns": self.evaluate.subgroup_columns or (),
            "evaluate.subgroup_edges": self.evaluate.subgroup_edges,
            "evaluate.inferred_shares": self.evaluate.inferred_shares,
        }
        for column in self.publish.erase:
            if needing := [name for name, columns in asked.items() if column in columns]:
                raise ValueError(
                    f"publish.erase: {column} is erased and not published, and "
                    f"{', '.join(needing)} needs it; take it off one of them"
                )
        return self

    @model_validator(mode="after")
    def _allows_what_it_shows(self) -> Self:
        for source in self.propose.sources:
            if self.llm and isinstance(source, CaptionSource):
                allowed = source.images_may_be_sent_to
                if why := why_not_sent("images", allowed, "propose.sources", self.llm):
                    raise ValueError(f"propose.sources: {why}")
        return self

    @model_validator(mode="after")
    def _allows_what_it_sends(self) -> Self:
        if self.annotate is None:
            return self
        if self.annotate.reads == "reports" and self.dataset.report_column is None:
            raise ValueError(
                "annotate: there are no reports to read; name the column that holds them in "
                "`dataset.report_column`, let images be read (`annotate.images_may_be_sent_to`), "
                "or leave `annotate` out"
            )
        if self.llm and (why := self.annotate.why_not_sent(self.llm)):
            raise ValueError(f"annotate: {why}")
        return self
