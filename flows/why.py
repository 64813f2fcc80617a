"""Why a study would be run, and from which stage on: what changed since its last answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curette.flows.sequence import whole_study
from curette.flows.stages import NotRemembered, RunOptions, only_remembered
from curette.schemas.artifact import Manifest, Recipe, Ref
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.tasks.stage import declared_stages

_MOST_SHOWN = 60  # characters of a value


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
        changes = tuple(_changes(ArtifactStore(options.store.resolve()), missing))
        return Reason(missing.title, changes)
    finally:
        only_remembered.reset(token)
    return None


def _changes(store: ArtifactStore, missing: NotRemembered) -> Iterator[str]:
    if missing.asked:
        yield "it is to be repeated (--refresh)"
        return
    now = missing.recipe
    before = min(
        _made_by(store, now.stage),
        key=lambda made: len([*_differences(made.recipe, now)]),
        default=None,
    )
    if before is None:
        yield "this store has no answer of it yet"
        return
    found = [*_differences(before.recipe, now)]
    yield from found
    if not found:
        yield (
            "what it made is not whole or not there any more, or a file or folder that its "
            "settings name is in another state"
        )


def _made_by(store: ArtifactStore, stage: str) -> list[Manifest]:
    """Return the histories of all that a stage made, the last used first."""
    made = map(store.manifest, store.latest(declared_stages()[stage].makes))
    return [manifest for manifest in made if manifest.recipe.stage == stage]


def _differences(before: Recipe, now: Recipe) -> Iterator[str]:
    if before.code != now.code:
        yield "its code, or code that it imports, is another"
    old, new = dict(_flat(before.spec)), dict(_flat(now.spec))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key}: {_shown(old, key)} -> {_shown(new, key)}"
    for name in sorted(before.inputs.keys() | now.inputs.keys()):
        if before.inputs.get(name) != now.inputs.get(name):
            ref = now.inputs.get(name) or before.inputs[name]
            yield f"{name}: another {Ref.parse(ref).kind}" if name in now.inputs else f"no {name}"


def _flat(spec: dict[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    for key, value in spec.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _shown(values: dict[str, object], key: str) -> str:
    if key not in values:
        return "(nothing)"
    text = str(values[key])
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
