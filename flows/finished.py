"""The finished studies of a store: `curette runs`."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from curette.schemas.artifact import Manifest, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.report import Report
from curette.storage.store import ArtifactMissing, ArtifactStore
from curette.tasks.methods.page.numbers import with_interval


def study_of(store: ArtifactStore, made: Ref[Report] | Ref[Evaluation]) -> str:
    """Return the name of the study that a report or an evaluation is of.

    Raises:
        ArtifactMissing: the dataset that it rests on is gone.
    """
    published = Ref[ConceptDataset].parse(store.manifest(made).recipe.inputs["published"])
    name = store.manifest(published).recipe.spec.get("name")  # a dataset is far more to read
    return str(name or store.load(ConceptDataset, published).facts.name)


def last_report(name: str, store: ArtifactStore) -> Ref[Report]:
    """Return the report of a study's last finished run.

    Raises:
        StudyError: it was never run to its end in this store.
    """
    for ref in store.latest(Report.kind):
        with suppress(ArtifactMissing):
            if study_of(store, ref) == name and store.is_whole(ref):
                return ref
    raise StudyError(
        f"{name} was never run to its end in {store.root}: `curette run` it first, or name its "
        "store with --store."
    )


def last_finished(
    store: ArtifactStore, name: str, before: Ref[Evaluation] | None = None
) -> Ref[Evaluation] | None:
    """Return the evaluation of a study that was made last; None where there is none.

    Args:
        store: the store.
        name: the study's.
        before: made before this one.
    """
    until = store.manifest(before).created_at if before else None
    for manifest in _latest_first(store):
        if until is not None and manifest.created_at >= until:
            continue
        ref: Ref[Evaluation] = Ref(Evaluation.kind, manifest.digest)
        if study_of(store, ref) == name:
            return ref
    return None


def _latest_first(store: ArtifactStore) -> list[Manifest]:
    """Return the manifests of all evaluations."""
    made = map(store.manifest, store.latest(Evaluation.kind))
    return sorted(made, key=lambda m: m.created_at, reverse=True)


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
            "balanced accuracy": with_interval(own),
        }
