"""Several findings on the same images: each a study of its own, and one page about them all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from curette.flows.outcome import Told, page_link
from curette.flows.runs import MetricValue, RunResult
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.findings import Findings
from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.readings import describe_readings
from curette.schemas.report import Report
from curette.schemas.study import Study
from curette.storage.lease import in_use
from curette.storage.ledger import TestLedger, digest_of_question, reading_of
from curette.storage.store import ArtifactStore
from curette.tasks.findings.measuring import StudiedFinding, measure_findings
from curette.tasks.findings.page import findings_page
from curette.tasks.methods.markdown import escape
from curette.tasks.stage import code_digest


class FamilyResult(BaseModel, frozen=True):
    """What a run of several findings did; `curette run --json` prints it."""

    study: str
    findings: dict[str, RunResult] = Field(description="key of the finding -> what its run did")
    page: str | None = Field(default=None, description="path of the page about all of them")


def auroc_by_finding(result: FamilyResult) -> dict[str, dict[str, MetricValue | None]]:
    """Return key of the finding -> title of a head -> its AUROC, of the heads that are compared."""
    titles = [card_of(kind).title for kind in (EXPLAINED, REFERENCE, "random_concepts")]
    told = {}
    for key, run in result.findings.items():
        by_head = {
            head.partition(" (mean of")[0]: values["macro_auroc"]
            for head, values in run.metrics.items()
            if "macro_auroc" in values
        }
        found = {title: by_head.get(title) for title in titles}
        if any(found.values()):
            told[key] = found
    return told


def tell_family(result: FamilyResult) -> Told[FamilyResult]:
    """Return what the page of the run says: every finding in a row, and where the pages are."""
    aurocs = auroc_by_finding(result)
    own = card_of(EXPLAINED).title
    first = [f"{key} {m.told}" for key, by_head in aurocs.items() if (m := by_head[own])]
    ran = f"{len(result.findings)} findings were studied"
    headline = f"AUROC of the {own}: {'; '.join(first)}" if first else ran
    lines = [f"# {escape(result.study)}", "", escape(headline), ""]
    if result.page:
        lines += [f"- {page_link('The page about all findings', Path(result.page))}", ""]
    titles = next(iter(aurocs.values()), {})
    lines += [f"| {' | '.join(['finding', *(f'AUROC, {t}' for t in titles), 'report'])} |"]
    lines += [f"|{' --- |' * (len(titles) + 2)}"]
    for key, run in result.findings.items():
        found = aurocs.get(key, dict.fromkeys(titles))
        cells = [m.told if m else "–" for m in found.values()]
        report = page_link("report", Path(run.report)) if run.report else "–"
        lines.append(f"| {' | '.join([escape(key), *map(escape, cells), report])} |")
    return Told(headline, "\n".join(lines), result)


def run_findings(
    study: Study,
    options: RunOptions,
    run_each: Callable[[Mapping[str, Study], RunOptions], Mapping[str, RunResult]],
) -> FamilyResult:
    """Run the study of every finding, and write the page where all have their reports.

    Args:
        study: with `dataset.findings`.
        options: how each is run.
        run_each: runs studies, in their order.

    Raises:
        StudyError: there are none, or a study of one of them cannot be run.
    """
    if not study.by_finding:
        raise StudyError(f"{study.name} has one label an image; `dataset.findings` names none")
    results = dict(run_each(study.by_finding, options))
    wanted = (Evaluation.kind, Report.kind)
    page = None
    if all(kind in result.made for result in results.values() for kind in wanted):
        store = ArtifactStore(options.store.resolve())
        with in_use(store.root):
            page = str(store.path(_together(study, results, store)) / "findings.html")
    return FamilyResult(study=study.name, findings=results, page=page)


@dataclass(frozen=True)
class _Made:
    """What the page takes of one finding's study."""

    evaluation: Ref[Evaluation]
    report: Ref[Report]
    dataset: Ref[ImageDataset]
    published: Ref[ConceptDataset]
    heads: Ref[Heads]


def _together(
    study: Study, results: Mapping[str, RunResult], store: ArtifactStore
) -> Ref[Findings]:
    """Return the page about all findings: the one in the store, or a new one."""
    made = {key: _made(result, store) for key, result in results.items()}
    inputs = {f"evaluation ({key})": str(m.evaluation) for key, m in made.items()}
    inputs |= {f"report ({key})": str(m.report) for key, m in made.items()}
    recipe = Recipe(
        stage="findings",
        code=code_digest("findings"),
        spec=study.evaluate.model_dump(mode="json"),
        inputs=inputs,
    )
    known = _remembered(recipe, store)
    return known or _measure(study, made, recipe, store)


def _remembered(recipe: Recipe, store: ArtifactStore) -> Ref[Findings] | None:
    known: list[Ref[Findings]] = store.latest(Findings.kind)
    same = (ref for ref in known if store.manifest(ref).recipe == recipe and store.is_whole(ref))
    return next(same, None)


def _made(result: RunResult, store: ArtifactStore) -> _Made:
    evaluation: Ref[Evaluation] = result.made[Evaluation.kind]
    inputs = store.manifest(evaluation).recipe.inputs
    return _Made(
        evaluation=evaluation,
        report=result.made[Report.kind],
        dataset=result.made[ImageDataset.kind],
        published=Ref.parse(inputs["published"]),
        heads=Ref.parse(inputs["probe"]),
    )


def _measure(
    study: Study, made: Mapping[str, _Made], recipe: Recipe, store: ArtifactStore
) -> Ref[Findings]:
    findings = [_studied(key, m, store) for key, m in made.items()]
    question = digest_of_question((*recipe.inputs.values(), study.evaluate.model_dump_json()))
    labels = []
    for finding in findings:
        test = finding.dataset.test_labels
        told = f"3 metrics of 3 heads, and their mean over {len(findings)} findings"
        name = finding.published.facts.name
        images = finding.dataset.images
        TestLedger(store.root).record(
            reading_of(test, store, name, told, question),
            images["sha256"][images["split"] == "test"],
        )
        labels.append(store.load(TestLabels, test))
    facts = measure_findings(study.name, findings, labels, study.evaluate)
    synthetic = any(f.published.facts.synthetic_images for f in findings)
    return store.save(Findings(facts, findings_page(facts, synthetic=synthetic)), recipe)


def _studied(key: str, made: _Made, store: ArtifactStore) -> StudiedFinding:
    earlier = store.load(Evaluation, made.evaluation).earlier_readings
    return StudiedFinding(
        key=key,
        dataset=store.load(ImageDataset, made.dataset),
        published=store.load(ConceptDataset, made.published),
        heads=store.load(Heads, made.heads),
        evaluation=str(made.evaluation),
        report=str(made.report),
        readings=describe_readings(earlier) or "",
    )
