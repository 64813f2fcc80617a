"""The stage `propose`: candidate concepts from a language model, a record or a file."""

from prefect import task

from schemas.artifact import Ref
from schemas.candidates import CandidateSet, ProposeSpec
from schemas.images import ImageDataset
from storage.responses import ResponseShelf
from storage.store import ArtifactStore
from tasks.propose.candidates import count_questions, propose, texts_by_class
from tasks.stage import Stage, leave_table, progress

STAGE = Stage(name="propose")


@task(name="propose", cache_policy=STAGE, persist_result=True, result_serializer="json")
def propose_concepts(
    dataset: Ref[ImageDataset], spec: ProposeSpec, store: ArtifactStore
) -> Ref[CandidateSet]:
    """Collect candidate concepts for every class; nothing that was answered is asked again."""
    classes = store.load(ImageDataset, dataset).classes
    with progress("collecting candidates", count_questions(classes, spec)) as advance:
        found = propose(classes, spec, ResponseShelf(store.root), advance)
    leave_table(
        "candidates-by-class",
        [
            {"class": key, "candidates": len(texts), "such as": "; ".join(texts[:3])}
            for key, texts in texts_by_class(found.candidates, classes).items()
        ],
        f"{len(found.candidates)} candidates; {found.source}; "
        f"{len(found.failures)} answers or texts could not be used.",
    )
    return store.save(found, STAGE.recipe(spec, dataset=dataset))
