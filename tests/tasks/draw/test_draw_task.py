"""The stage draws from what is published, and its recipe says by which settings."""

from pathlib import Path

import pytest

from curette.schemas.artifact import Recipe
from curette.schemas.draws import Draws
from curette.schemas.heads import DRAWN, Protocol
from curette.schemas.settings.draw import DomainShift, DrawSpec, FewShotSpec, FoldSpec, SizeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.store import ArtifactStore
from curette.tasks.draw import STAGE
from curette.tasks.draw.protocols import PROTOCOLS
from curette.tasks.draw.task import draw_images
from curette.tasks.stage import Workplace
from tests.builders.published_study import published_study, with_people

_SHIFT = DomainShift(kind="domain", column="sex", train_on=("male",))
_ASKED: dict[Protocol, DrawSpec] = {
    "few shots": FewShotSpec(shots=(1, 2), seeds=2),
    "shifts": (_SHIFT,),
    "folds": FoldSpec(count=2),
    "sizes": SizeSpec(concepts=(1, 4)),
}


def test_every_protocol_draws() -> None:
    assert {*PROTOCOLS} == {*DRAWN} == {*_ASKED}


@pytest.mark.parametrize("protocol", DRAWN)
def test_draws_are_saved_with_all_settings(protocol: Protocol, tmp_path: Path) -> None:
    store, published = ArtifactStore(tmp_path), with_people(published_study()[0])
    select, spec = SelectSpec(size=Size(per_class=2)), _ASKED[protocol]
    dataset = store.save(published, Recipe(stage="publish", code=""))
    ref = draw_images.fn(Workplace(store), dataset, protocol, select, spec)
    drawn = store.load(Draws, ref)
    assert drawn.protocol == protocol
    assert drawn == PROTOCOLS[protocol](published, select, spec)
    recipe = store.manifest(ref).recipe
    assert recipe.spec["protocol"] == protocol
    assert recipe.spec["select"]["size"]["per_class"] == 2
    assert recipe.inputs == {"published": str(dataset)}
    plain = [s.model_dump(mode="json") for s in spec] if isinstance(spec, tuple) else None
    own = {"spec": plain} if plain else spec.model_dump(mode="json")  # type: ignore[union-attr]
    assert recipe.spec.items() >= own.items()


def test_every_setting_of_a_shift_counts() -> None:
    other = _SHIFT.model_copy(update={"column": "site"})
    keys = {STAGE.key({"spec": shifts}) for shifts in ((_SHIFT,), (other,), (_SHIFT, other))}
    assert len(keys) == 3
