"""Artifacts of every layout that was ever released load, and every kind has one."""

import importlib
import json
import pkgutil
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from curette import schemas
from curette.schemas.artifact import Artifact, Ref
from curette.schemas.draws import Draws
from curette.schemas.evaluation import Evaluation
from curette.schemas.probe import Heads
from curette.storage.store import ArtifactStore

for _module in pkgutil.iter_modules(schemas.__path__):
    importlib.import_module(f"curette.schemas.{_module.name}")

A = TypeVar("A", bound=Artifact)
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
    kind = place.parent.name
    cls = next(cls for cls in _kinds().values() if kind in (cls.kind, *cls.formerly))
    read = ArtifactStore(GOLDEN).load(cls, Ref(kind, place.name))
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


def test_former_kinds_say_what_they_said() -> None:
    """What was drawn, and the heads of each draw, in numbers that were looked up in the files."""
    store = ArtifactStore(GOLDEN)

    def only(cls: type[A], kind: str) -> A:
        (place,) = (GOLDEN / kind).iterdir()
        return store.load(cls, Ref(kind, place.name))

    few, shifts = only(Draws, "few-shot-draws"), only(Draws, "shift-splits")
    assert [(d.shots, d.seed, len(d.image_ids)) for d in few.draws] == [(1, 0, 3), (None, 0, 66)]
    (male,) = shifts.draws
    assert male.title == "sex, trained on male"
    stacked, of_shifts = only(Heads, "few-shot-heads"), only(Heads, "shift-heads")
    assert [d.shots for d in stacked.draws] == [1, None]
    assert stacked.stack.bias.shape[:2] == (2, len(stacked.stack.kinds))
    assert of_shifts.draws[0].plan == male.plan
    assert of_shifts.of(0).head("linear_probe").weights.shape[0] == 3
    assert only(Heads, "probe").head("concept_bottleneck").facts.candidates
