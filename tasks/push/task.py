"""The stage `push`: a published concept dataset in, a commit on the hub out."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.pushed import Pushed
from curette.schemas.settings.publish import PushSpec
from curette.storage.store import ArtifactStore
from curette.tasks.push import STAGE
from curette.tasks.stage import Workplace, leave_markdown


@STAGE.task
def push_concept_dataset(
    at: Workplace, published: Ref[ConceptDataset], spec: PushSpec
) -> Ref[Pushed]:
    """Lay the concept dataset into a repository of the hub, with its card.

    Raises:
        StudyError: there is no token, the hub refuses it, or the repository is public where a
            private one is wanted.
    """
    from curette.tasks.push.hub import push_folder

    files = _whole_files(at.store, published)
    pushed = push_folder(at.store.path(published), files, spec, f"{published}")
    leave_markdown("pushed", f"[{pushed.repo}]({pushed.url})", "Where the concept dataset lies.")
    return at.store.save(pushed, STAGE.recipe())


def _whole_files(store: ArtifactStore, published: Ref[ConceptDataset]) -> list[str]:
    """Return the names of the dataset's files, once their bytes were checked."""
    store.load(ConceptDataset, published)
    return sorted(store.manifest(published).files)
