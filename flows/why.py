"""Why a study would be run, and from which stage on: what changed since its last answer."""

from dataclasses import dataclass

from curette.flows.changes import changes
from curette.flows.sequence import whole_study
from curette.flows.stages import NotRemembered, RunOptions, only_remembered
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore


@dataclass(frozen=True)
class Reason:
    """The first stage that a run would not find, and what is not as it was."""

    title: str
    changes: tuple[str, ...]


def why(study: Study, options: RunOptions) -> Reason | None:
    """Return what a run would begin with and why; None where it would run nothing.

    What changed is told from what of the same stage in the store differs least. Later stages are
    not asked about: what they would be given is not known before this one has run.

    Raises:
        StudyError: a run would end before its first stage.
    """
    token = only_remembered.set(True)
    try:
        whole_study(study, options)
    except NotRemembered as missing:
        store = ArtifactStore(options.store.resolve())
        return Reason(missing.title, tuple(changes(store, missing.recipe, missing.asked)))
    finally:
        only_remembered.reset(token)
    return None
