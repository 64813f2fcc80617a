"""What differs between finished studies, and the list of them: `compare` and `runs`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Manifest, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import Heads
from curette.schemas.report import Report
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.tasks.compare.comparing import FinishedStudy
from curette.tasks.compare.page import comparison_page

_TELLING = 6  # characters of a digest that tell studies of one name apart


def compare(
    named: Sequence[str],
    options: RunOptions,
    load: Callable[[Path], Study],
    run: Callable[[Study, RunOptions], RunResult],
) -> str:
    """Return one HTML page about what differs between studies.

    Args:
        named: study files, which are run as far as they have not been, or evaluations in the
            store, as `evaluation/<digest>` or the beginning of it; the first is what the others
            are held against.
        options: where things are kept, and on what machine what is missing is made.
        load: reads a study file.
        run: runs a study.

    Raises:
        StudyError: fewer than two are named, one is not there, or one was guarded by a reusable
            holdout, which tells too little of the test images.
    """
    if len(named) < 2:
        raise StudyError("a comparison needs at least two studies: curette compare A.yaml B.yaml")
    store = ArtifactStore(options.store.resolve())
    until = options.model_copy(update={"until": "evaluate"})

    def found(name: str) -> FinishedStudy:
        if name.startswith(f"{Evaluation.kind}/"):
            return _finished(store, _whole(store, name))
        made = run(load(Path(name)), until).made
        if Evaluation.kind not in made:
            kind = GuardedEvaluation.kind
            raise StudyError(
                f"{name} has a {kind}: a reusable holdout reveals too little of the test images to "
                "compare them. Leave evaluate.thresholdout out, or compare by validation images."
            )
        return _finished(store, made[Evaluation.kind])

    studies = [found(name) for name in named]
    often = Counter(s.name for s in studies)
    return comparison_page(
        [s if often[s.name] == 1 else replace(s, name=_told_apart(s)) for s in studies]
    )


def _whole(store: ArtifactStore, name: str) -> Ref[Evaluation]:
    """Return the evaluation whose digest begins as the name's does."""
    digest = name.partition("/")[2]
    folder = store.root / Evaluation.kind
    known = sorted(p.name for p in folder.glob("*") if not p.name.startswith("."))
    fits = [d for d in known if digest and d.startswith(digest)]
    if len(fits) != 1:
        raise StudyError(
            f"{len(fits) or 'no'} evaluation{'s' * (len(fits) > 1)} of {store.root} "
            f"{'begin' if fits else 'begins'} with {digest!r}. `curette runs` lists them."
        )
    return Ref(Evaluation.kind, fits[0])


def _finished(store: ArtifactStore, ref: Ref[Evaluation]) -> FinishedStudy:
    inputs = store.manifest(ref).recipe.inputs
    published = store.load(ConceptDataset, Ref.parse(inputs["published"]))
    return FinishedStudy(
        name=published.facts.name,
        published=published,
        head=store.load(Heads, Ref.parse(inputs["probe"])).head(EXPLAINED),
        evaluation=store.load(Evaluation, ref),
        lineage=tuple(store.lineage(ref)),
    )


def _told_apart(study: FinishedStudy) -> str:
    return f"{study.name} ({study.lineage[-1].digest[:_TELLING]})"


def study_of(store: ArtifactStore, report: Ref[Report]) -> str:
    """Return the name of the study that a report is of.

    Raises:
        ArtifactMissing: the dataset that it rests on is gone.
    """
    published = store.manifest(report).recipe.inputs["published"]
    return store.load(ConceptDataset, Ref.parse(published)).facts.name


def last_finished(store: ArtifactStore, name: str) -> Ref[Evaluation] | None:
    """Return the evaluation of a study that was made last; None where there is none."""
    for manifest in _latest_first(store):
        published = Ref[ConceptDataset].parse(manifest.recipe.inputs["published"])
        if store.load(ConceptDataset, published).facts.name == name:
            return Ref(Evaluation.kind, manifest.digest)
    return None


def _latest_first(store: ArtifactStore) -> list[Manifest]:
    """Return the manifests of all evaluations."""
    refs = [
        Ref[Evaluation](Evaluation.kind, folder.name)
        for folder in (store.root / Evaluation.kind).glob("[0-9a-f]*")
        if (folder / "manifest.json").is_file()
    ]
    return sorted(map(store.manifest, refs), key=lambda m: m.created_at, reverse=True)


def finished_runs(root: Path) -> Iterator[dict[str, str]]:
    """Yield what the store has of finished studies, the latest first: a row of texts each.

    Args:
        root: the store's folder.
    """
    store = ArtifactStore(root)
    for manifest in _latest_first(store):
        ref: Ref[Evaluation] = Ref(Evaluation.kind, manifest.digest)
        published = store.load(ConceptDataset, Ref.parse(manifest.recipe.inputs["published"]))
        metrics = store.load(Evaluation, ref).metrics
        own = next(
            (m for m in metrics if m.head_kind == EXPLAINED and m.name == "balanced_accuracy"), None
        )
        yield {
            "evaluation": f"{Evaluation.kind}/{manifest.digest[:10]}",
            "finished": manifest.created_at[:16].replace("T", " "),
            "study": published.facts.name,
            "concepts": str(len(published.concepts)),
            "balanced accuracy": f"{own.value:.3f} [{own.low:.3f}, {own.high:.3f}]" if own else "–",
        }
