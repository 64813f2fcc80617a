"""What a run is given and what it answers."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from curette.flows.beforehand import check_study
from curette.flows.stages import RunOptions, StageRecord, Stages, only_remembered
from curette.flows.study_file import one_study, settings_of
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.report import Report
from curette.schemas.study import Study
from curette.storage.studies import StudyShelf
from curette.tasks.stage import is_round, stage_names, why_skipped


class MetricValue(BaseModel, frozen=True):
    """One number with its interval, where it may have one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def told(self) -> str:
        """Return it with its interval, if it has one."""
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class RunResult(BaseModel, frozen=True):
    """What a run did and where its results are; `curette run --json` prints it."""

    study: str
    stages: tuple[StageRecord, ...]
    given: dict[str, str] = Field(
        default_factory=dict,
        exclude_if=lambda given: not given,
        description="input -> `kind/digest`, of the stage before which the run was to end",
    )
    metrics: dict[str, dict[str, MetricValue]] = Field(
        default_factory=dict, description="head -> metric -> number; empty before the evaluation"
    )
    report: str | None = Field(default=None, description="path of the HTML report")
    since: str = Field(
        default="",
        exclude_if=lambda since: not since,
        description="what differs from the study's run that was finished before, in a sentence",
    )
    concept_dataset: str | None = Field(
        default=None, description="folder of the published concept dataset"
    )

    @property
    def made(self) -> dict[str, Ref[Any]]:
        """Return kind -> the last of that kind that the run made or found of the study's own."""
        return _made(self.stages)


def start(study: Study, options: RunOptions) -> Stages:
    """Return the stages of a run that is about to begin.

    Raises:
        StudyError: the study has several findings, of which a run takes one; or the run is to end
            with a stage that the study skips, so it never would; or something is known already
            that a later stage would end with.
    """
    one_study(study)
    if options.until and (why := why_skipped(options.until, study)):
        raise StudyError(
            f"the run is to end with the stage {options.until}, which {study.name} skips, since "
            f"{why}. Name another stage, or change the study."
        )
    check_study(study, options)
    whole = options.until in (None, stage_names()[-1]) and not options.before
    if whole and not only_remembered.get():
        StudyShelf(options.store.resolve()).keep(study.name, settings_of(study))
    return Stages(study, options)


def finish(study: Study, stages: Stages, published: Ref[ConceptDataset] | None = None) -> RunResult:
    """Return what the stages made, as far as they went; from now on it counts as used today."""
    made, store = _made(stages.records), stages.store
    published = published or made.get(ConceptDataset.kind)
    for record in stages.records:
        store.mark_used(Ref.parse(record.ref))
    metrics: dict[str, dict[str, MetricValue]] = {}
    if Evaluation.kind in made:
        evaluation = store.load(Evaluation, made[Evaluation.kind])
        for m in evaluation.metrics:
            metrics.setdefault(m.head, {})[m.name] = MetricValue(
                value=m.value, low=m.low, high=m.high
            )
    if GuardedEvaluation.kind in made:
        for a in store.load(GuardedEvaluation, made[GuardedEvaluation.kind]).answers:
            if a.value is not None:
                metrics[a.head] = {"balanced_accuracy": MetricValue(value=a.value)}
    report, since = None, ""
    if Report.kind in made:
        since = str(store.manifest(made[Report.kind]).recipe.spec.get("since", ""))
        report = str(store.path(made[Report.kind]) / "report.html")
    return RunResult(
        study=study.name,
        stages=tuple(stages.records),
        given={name: str(ref) for name, ref in stages.given.items()},
        metrics=metrics,
        report=report,
        since=since,
        concept_dataset=str(store.path(published)) if published else None,
    )


def _made(stages: Iterable[StageRecord]) -> dict[str, Ref[Any]]:
    refs = [Ref.parse(r.ref) for r in stages if not r.external and is_round(r.run)]
    return {ref.kind: ref for ref in refs}
