"""Artifacts of every layout that was ever released load, and every kind has one."""

import importlib
import json
import pkgutil
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from curette import schemas
from curette.schemas.artifact import Artifact, Ref
from curette.schemas.evaluation import Evaluation
from curette.storage.store import ArtifactStore

for _module in pkgutil.iter_modules(schemas.__path__):
    importlib.import_module(f"curette.schemas.{_module.name}")

GOLDEN = Path(__file__).parents[1] / "golden"


def _kinds(cls: type[Artifact] = Artifact) -> dict[str, type[Artifact]]:
    """Return every concrete artifact of the project by its kind."""
    found = {}
    for below in cls.__subclasses__():
        if below.__module__.startswith("curette.schemas.") and hasattr(below, "kind"):
            found[below.kind] = below
        found |= _kinds(below)
    return found


PLACES = sorted(p for p in GOLDEN.glob("*/*") if (p / "manifest.json").is_file())


@pytest.mark.parametrize("place", PLACES, ids=lambda p: p.parent.name)
def test_what_was_once_written_can_be_read(place: Path) -> None:
    cls = _kinds()[place.parent.name]
    read = ArtifactStore(GOLDEN).load(cls, Ref(cls.kind, place.name))
    assert isinstance(read, cls)
    if is_dataclass(read):
        for field in fields(read):  # some are read only when they are asked for
            getattr(read, field.name)


@pytest.mark.parametrize(("kind", "cls"), sorted(_kinds().items()))
def test_every_kind_has_one_of_its_current_layout(kind: str, cls: type[Artifact]) -> None:
    store = ArtifactStore(GOLDEN)
    layouts = {store.manifest(Ref(kind, p.name)).layout for p in (GOLDEN / kind).glob("*")}
    assert cls.layout in layouts, "run `python -m tests.golden` and commit what it adds"


def test_what_fields_held_before_they_were_renamed_is_still_read() -> None:
    for place in (GOLDEN / "evaluation").glob("*"):
        written = json.loads((place / "evaluation.json").read_text(encoding="utf-8"))
        read = ArtifactStore(GOLDEN).load(Evaluation, Ref(Evaluation.kind, place.name))
        if "concepts" in written:
            found = [f.concept_id for f in read.concept_truth.findings]
            assert found == [f["concept_id"] for f in written["concepts"]["findings"]] != []
        if "quarrels" in written["disagreement"]:
            shown = [x.image_id for x in read.disagreement.examples]
            assert shown == [x["image_id"] for x in written["disagreement"]["quarrels"]]
