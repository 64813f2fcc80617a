"""The screen stage: which candidates may be selected, and why the others may not."""

from collections import Counter

from prefect import task

from schemas.artifact import Ref
from schemas.candidates import CandidateSet
from schemas.embeddings import StudyEmbeddings, TextEmbeddings
from schemas.images import ImageDataset
from schemas.screened import ScreenedSet, ScreenSpec
from storage.store import ArtifactStore
from tasks.screen.gates import require_every_class, screen
from tasks.stage import Stage, leave_table

STAGE = Stage(name="screen")
_SHOWN = 500  # rows of a table in the UI; the artifact holds all


@task(name="screen", cache_policy=STAGE, persist_result=True, result_serializer="json")
def screen_concepts(
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    embeddings: Ref[StudyEmbeddings],
    spec: ScreenSpec,
    store: ArtifactStore,
) -> Ref[ScreenedSet]:
    """Drop candidates that leak a class, cannot be seen or repeat each other, with reasons.

    Raises:
        StudyError: a class lost all its candidates; the screened set was saved first.
    """
    classes = store.load(ImageDataset, dataset).classes
    texts = store.load(TextEmbeddings, store.load(StudyEmbeddings, embeddings).texts_ref)
    screened = screen(store.load(CandidateSet, candidates), classes, texts, spec)
    recipe = STAGE.recipe(spec, dataset=dataset, candidates=candidates, embeddings=embeddings)
    ref = store.save(screened, recipe)
    _leave_tables(screened, ref)
    require_every_class(screened, classes, ref)
    return ref


def _leave_tables(screened: ScreenedSet, ref: Ref[ScreenedSet]) -> None:
    """Show in the Prefect UI what was dropped, why, and what was kept."""
    counts = Counter(d.gate for d in screened.dropped)
    by_gate = ", ".join(f"{counts[gate]} by {gate}" for gate in screened.gates)
    leave_table(
        "screen-dropped",
        [
            {
                "concept": d.candidate.text,
                "gate": d.gate,
                "reason": d.reason,
                "classes": ", ".join(d.candidate.classes),
            }
            for d in screened.dropped[:_SHOWN]
        ],
        f"{len(screened.dropped)} concepts dropped ({by_gate}); the first {_SHOWN}, all in {ref}",
    )
    leave_table(
        "screen-kept",
        [{"concept": c.text, "classes": ", ".join(c.classes)} for c in screened.kept[:_SHOWN]],
        f"{len(screened.kept)} concepts kept; the first {_SHOWN}, all in {ref}",
    )
