"""What differs between finished studies: `compare` and `diff`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from curette.flows.finished import last_finished
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import Heads
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.tasks.compare.comparing import FinishedStudy
from curette.tasks.compare.page import comparison_page, since_then, tell_difference

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
    return comparison_page(finished_studies(named, options, load, run))


def difference(
    named: Sequence[str],
    options: RunOptions,
    load: Callable[[Path], Study],
    run: Callable[[Study, RunOptions], RunResult],
) -> list[str]:
    """Return what differs between two studies, or two runs of one, in lines for a terminal.

    Args:
        named: two, as `compare` takes them; or one study file, of which the last finished run is
            held against the one before.
        options: as of `compare`.
        load: reads a study file.
        run: runs a study.

    Raises:
        StudyError: as of `compare`; or a study alone has not been finished twice.
    """
    if len(named) == 1:
        store, name = ArtifactStore(options.store.resolve()), load(Path(named[0])).name
        last = last_finished(store, name)
        before = last and last_finished(store, name, before=last)
        if not (last and before):
            raise StudyError(
                f"{name} was not finished twice in {store.root}, so no two runs of it can differ; "
                "name two studies or evaluations. `curette runs` lists them."
            )
        named = (str(before), str(last))
    if len(named) != 2:
        raise StudyError("a difference is one of two studies; `curette compare` takes more")
    return tell_difference(*finished_studies(named, options, load, run))


def since_last_run(store: ArtifactStore, name: str, evaluation: Ref[Evaluation]) -> str:
    """Return what differs from the study's run that was finished before; empty where none was."""
    before = last_finished(store, name, before=evaluation)
    return since_then(*(_finished(store, ref) for ref in (before, evaluation))) if before else ""


def finished_studies(
    named: Sequence[str],
    options: RunOptions,
    load: Callable[[Path], Study],
    run: Callable[[Study, RunOptions], RunResult],
) -> list[FinishedStudy]:
    """Return studies that are to be held against each other; arguments are those of `compare`.

    Raises:
        StudyError: as of `compare`.
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
    return [s if often[s.name] == 1 else replace(s, name=_told_apart(s)) for s in studies]


def _whole(store: ArtifactStore, name: str) -> Ref[Evaluation]:
    """Return the evaluation whose digest begins as the name's does."""
    digest = name.partition("/")[2]
    known = sorted(ref.digest for ref in store.latest(Evaluation.kind))
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
