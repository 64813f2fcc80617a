"""The stage trains what was drawn and names all of its inputs."""

from pathlib import Path

import numpy as np
import pytest

from curette.schemas.artifact import Recipe
from curette.schemas.draws import Draws
from curette.schemas.heads import DRAWN, Protocol
from curette.schemas.probe import Heads
from curette.schemas.settings.draw import DomainShift, DrawSpec, FewShotSpec, FoldSpec, SizeSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.store import ArtifactStore
from curette.tasks.draw.protocols import PROTOCOLS
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.task import train_probe
from curette.tasks.stage import Workplace
from tests.builders.published_study import published_study, with_people

_ASKED: dict[Protocol, DrawSpec] = {
    "few shots": FewShotSpec(shots=(1,), seeds=1, heads=("nearest_mean", "prior")),
    "shifts": (DomainShift(kind="domain", column="sex", train_on=("male",)),),
    "folds": FoldSpec(count=2),
    "sizes": SizeSpec(concepts=(1, 4)),
}
_SPEC = ProbeSpec(heads=("prior",), random_draws=1, epochs=5)


@pytest.mark.parametrize("protocol", DRAWN)
def test_heads_of_saved_draws_are_saved(protocol: Protocol, tmp_path: Path) -> None:
    store, published = ArtifactStore(tmp_path), with_people(published_study()[0])
    recipe, at = Recipe(stage="made", code=""), Workplace(ArtifactStore(tmp_path))
    drawn = PROTOCOLS[protocol](published, SelectSpec(size=Size(per_class=2)), _ASKED[protocol])
    dataset, draws = store.save(published, recipe), store.save(drawn, recipe)
    trained = train_probe.fn(at, dataset, _SPEC)
    ref = train_probe.fn(at, dataset, _SPEC, draws, trained)
    saved = store.load(Heads, ref)
    expected = train_on_draws(
        published, store.load(Draws, draws), _SPEC, store.load(Heads, trained)
    )
    assert saved.protocol == protocol
    assert saved.draws == expected.draws != ()
    assert [h.facts for h in saved.heads] == [h.facts for h in expected.heads]
    np.testing.assert_array_equal(saved.stack.weights, expected.stack.weights)
    inputs = store.manifest(ref).recipe.inputs
    assert inputs == {"published": str(dataset), "draws": str(draws), "trained": str(trained)}
    assert store.manifest(trained).recipe.inputs == {"published": str(dataset)}
