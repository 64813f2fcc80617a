"""The stage trains what was drawn and names both of its inputs."""

from pathlib import Path

import numpy as np

from curette.schemas.artifact import Recipe
from curette.schemas.few_shots import FewShotDraw, FewShotDraws, FewShotHeads
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.store import ArtifactStore
from curette.tasks.probe.few_shot_task import train_few_shot_heads as stage
from curette.tasks.probe.few_shots import train_few_shot_heads
from curette.tasks.probe.training import train_heads
from curette.tasks.stage import Workplace
from tests.builders.published_study import KEYS, published_study


def test_heads_of_saved_draws_are_saved(tmp_path: Path) -> None:
    store, (published, _) = ArtifactStore(tmp_path), published_study()
    train = published.images.iloc[published.rows("train")]
    draw = FewShotDraw(
        shots=1,
        seed=0,
        image_ids=tuple(train.groupby("label")["image_id"].first()[list(KEYS)]),
        concept_ids=tuple(c.concept_id for c in published.concepts),
    )
    spec, recipe = FewShotSpec(heads=("nearest_mean", "prior")), Recipe(stage="made", code="")
    draws = FewShotDraws(draws=(draw,))
    settings = ProbeSpec(heads=("prior",), random_draws=1)
    probe = train_heads(published, settings)
    refs = store.save(published, recipe), store.save(draws, recipe), store.save(probe, recipe)
    saved = stage.fn(Workplace(store), *refs, spec, settings)
    loaded = store.load(FewShotHeads, saved)
    np.testing.assert_array_equal(
        loaded.weights, train_few_shot_heads(published, draws, spec, settings).weights
    )
    inputs = store.manifest(saved).recipe.inputs
    assert inputs == {"published": str(refs[0]), "draws": str(refs[1]), "probe": str(refs[2])}
