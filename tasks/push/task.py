"""The stage `push`: a published concept dataset in, a commit on the hub out."""

from pathlib import Path
from tempfile import TemporaryDirectory

from curette.schemas.artifact import Ref, write_json
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.pushed import Pushed
from curette.schemas.settings.publish import PushSpec
from curette.tasks.methods.croissant import CROISSANT, Told, croissant, schemas_of
from curette.tasks.push import STAGE
from curette.tasks.stage import Workplace, leave_markdown


@STAGE.task
def push_concept_dataset(
    at: Workplace, published: Ref[ConceptDataset], spec: PushSpec
) -> Ref[Pushed]:
    """Lay the concept dataset into a repository of the hub, with its card and Croissant metadata.

    Raises:
        StudyError: there is no token, the hub refuses it, or the repository is public where a
            private one is wanted.
    """
    from curette.tasks.push.hub import page_of, push_files

    facts = at.store.load(ConceptDataset, published).facts  # which checks the bytes of all files
    folder, manifest = at.store.path(published), at.store.manifest(published)
    tables = schemas_of(folder, manifest.files)
    described = croissant(facts, manifest.files, tables, Told.of(manifest, page_of(spec)))
    with TemporaryDirectory() as bench:
        write_json(metadata := Path(bench) / CROISSANT, described)
        files = {name: folder / name for name in sorted(manifest.files)} | {CROISSANT: metadata}
        pushed = push_files(files, spec, f"{published}")
    leave_markdown("pushed", f"[{pushed.repo}]({pushed.url})", "Where the concept dataset lies.")
    return at.store.save(pushed, STAGE.recipe())
