"""The stage draws from what is published, and its recipe says by which settings."""

from pathlib import Path

from curette.schemas.artifact import Recipe
from curette.schemas.few_shots import FewShotDraws
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.store import ArtifactStore
from curette.tasks.draw import FEW_SHOTS as FEW_SHOTS_STAGE
from curette.tasks.draw import SHIFTS as STAGE
from curette.tasks.draw.few_shot_task import draw_few_shots as stage
from curette.tasks.draw.few_shots import draw_few_shots
from curette.tasks.stage import Workplace
from tests.builders.published_study import published_study


def test_draws_are_saved_with_both_settings(tmp_path: Path) -> None:
    store, (published, _) = ArtifactStore(tmp_path), published_study()
    select, spec = SelectSpec(size=Size(per_class=2)), FewShotSpec(shots=(1, 2), seeds=2)
    dataset = store.save(published, Recipe(stage="publish", code=""))
    ref = stage.fn(Workplace(store), dataset, select, spec)
    assert store.load(FewShotDraws, ref) == draw_few_shots(published, select, spec)
    recipe = store.manifest(ref).recipe
    assert recipe.spec["seeds"] == 2
    assert recipe.spec["select"]["size"]["per_class"] == 2
    assert recipe.inputs == {"published": str(dataset)}


def test_the_two_stages_of_the_folder_have_keys_of_their_own() -> None:
    inputs = {"spec": FewShotSpec()}
    assert STAGE.key(inputs) != FEW_SHOTS_STAGE.key(inputs)
    assert STAGE.code == FEW_SHOTS_STAGE.code
    more = {"spec": FewShotSpec(seeds=20)}
    assert FEW_SHOTS_STAGE.key(more) != FEW_SHOTS_STAGE.key(inputs)
