"""The stage restricts what is published, and its recipe says by which settings."""

from pathlib import Path

from curette.schemas.artifact import Recipe
from curette.schemas.settings.draw import DomainShift
from curette.schemas.settings.select import SelectSpec, Size
from curette.schemas.shifts import ShiftSplits
from curette.storage.store import ArtifactStore
from curette.tasks.draw import SHIFTS as STAGE
from curette.tasks.draw.shift_task import restrict_to_shifts as stage
from curette.tasks.draw.shifts import restrict_to_shifts
from curette.tasks.stage import Workplace
from tests.builders.published_study import published_study, with_people

_SHIFT = DomainShift(kind="domain", column="sex", train_on=("male",))


def test_splits_are_saved_with_both_settings(tmp_path: Path) -> None:
    store, published = ArtifactStore(tmp_path), with_people(published_study()[0])
    select = SelectSpec(size=Size(per_class=2))
    dataset = store.save(published, Recipe(stage="publish", code=""))
    ref = stage.fn(Workplace(store), dataset, select, (_SHIFT,))
    assert store.load(ShiftSplits, ref) == restrict_to_shifts(published, select, (_SHIFT,))
    recipe = store.manifest(ref).recipe
    assert recipe.spec["shifts"][0]["train_on"] == ["male"]
    assert recipe.spec["select"]["size"]["per_class"] == 2
    assert recipe.inputs == {"published": str(dataset)}


def test_every_setting_of_a_shift_counts() -> None:
    other = _SHIFT.model_copy(update={"column": "site"})
    keys = {STAGE.key({"shifts": shifts}) for shifts in ((_SHIFT,), (other,), (_SHIFT, other))}
    assert len(keys) == 3
