"""What is not as it was when a stage was run before: of its code, its settings and its inputs."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from curette.schemas.artifact import CuretteError, Manifest, Recipe, Ref
from curette.storage.store import ArtifactStore
from curette.tasks.stage import declared_stages

_MOST_SHOWN = 60  # characters of a value


def changes(store: ArtifactStore, now: Recipe, asked: bool) -> Iterator[str]:
    """Yield why a stage has no answer, from what of the same stage in the store differs least.

    Args:
        store: where its answers are.
        now: what it would be run with.
        asked: it is to be repeated, whatever there is.
    """
    if asked:
        yield "it is to be repeated (--refresh)"
        return
    known = [_as_given(store, manifest.recipe) for manifest in _made_by(store, now.stage)]
    before = min(known, key=lambda recipe: len([*_differences(recipe, now)]), default=None)
    if before is None:
        yield "this store has no answer of it yet"
        return
    found = [*_differences(before, now)]
    yield from found
    if not found:
        yield (
            "what it made is not whole or not there any more, or a file or folder that its "
            "settings name is in another state"
        )


def _as_given(store: ArtifactStore, recipe: Recipe) -> Recipe:
    """Return a recipe without what the stage itself saved and set apart, such as test labels."""

    def is_own(ref: str) -> bool:
        with suppress(CuretteError):  # it is not there any more
            return store.manifest(Ref.parse(ref)).recipe.stage == recipe.stage
        return False

    given = {name: ref for name, ref in recipe.inputs.items() if not is_own(ref)}
    return recipe.model_copy(update={"inputs": given})


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
