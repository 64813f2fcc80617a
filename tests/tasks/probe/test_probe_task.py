"""The stage trains what was drawn and names all of its inputs."""

from pathlib import Path

import numpy as np
import pytest

from curette.schemas.artifact import Recipe
from curette.schemas.draws import Drawn
from curette.schemas.heads import DRAWN, HeadKind, Protocol
from curette.schemas.probe import Heads, HeadStack, SkippedHead
from curette.schemas.settings.draw import DomainShift, DrawSpec, FewShotSpec, FoldSpec, SizeSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.store import ArtifactStore
from curette.tasks.draw.protocols import PROTOCOLS
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.shards import joined, shards
from curette.tasks.probe.task import train_probe
from curette.tasks.stage import Workplace
from tests.builders.published_study import published_study, with_people

_ASKED: dict[Protocol, DrawSpec] = {
    "few shots": FewShotSpec(shots=(1, 2), seeds=2, heads=("nearest_mean", "prior")),
    "shifts": (DomainShift(kind="domain", column="sex", train_on=("male",)),),
    "folds": FoldSpec(count=2),
    "sizes": SizeSpec(concepts=(1, 4)),
}
_SPEC = ProbeSpec(heads=("prior",), random_draws=1, l2_values=(1.0, 0.01))


@pytest.mark.parametrize("protocol", DRAWN)
def test_heads_of_saved_draws_are_saved(protocol: Protocol, tmp_path: Path) -> None:
    store, published = ArtifactStore(tmp_path), with_people(published_study()[0])
    recipe, at = Recipe(stage="made", code=""), Workplace(ArtifactStore(tmp_path))
    drawn = PROTOCOLS[protocol](published, SelectSpec(size=Size(per_class=2)), _ASKED[protocol])
    dataset, draws = store.save(published, recipe), store.save(drawn, recipe)
    trained = train_probe.fn(at, dataset, _SPEC)
    ref = train_probe.fn(at, dataset, _SPEC, draws, trained)
    saved = store.load(Heads, ref)
    known = store.load(Heads, trained)
    expected = train_on_draws(published, drawn, _SPEC, known)
    assert saved.protocol == protocol
    assert saved.draws == expected.draws != ()
    assert [h.facts for h in saved.heads] == [h.facts for h in expected.heads]
    np.testing.assert_array_equal(saved.stack.weights, expected.stack.weights)
    inputs = store.manifest(ref).recipe.inputs
    assert inputs == {"published": str(dataset), "draws": str(draws), "trained": str(trained)}
    assert store.manifest(trained).recipe.inputs == {"published": str(dataset)}
    made = [train_on_draws(published, part, _SPEC, known) for part in shards(drawn)]
    assert len(made) > 1 or protocol == "shifts"
    assert store.save(joined(made), recipe) == store.save(expected, recipe), "to the byte"


def test_a_head_that_one_shard_cannot_train_is_left_out_with_the_first_reason() -> None:
    def part(kinds: tuple[HeadKind, ...], why: str = "") -> Heads:
        stack = HeadStack(
            kinds, np.ones((2, len(kinds), 3, 4), "f4"), np.ones((2, len(kinds), 3), "f4")
        )
        skipped = (SkippedHead(name="Prior", kind="prior", reason=why),) if why else ()
        drawn = (Drawn(seed=0), Drawn(seed=1))
        return Heads(("a", "b", "c"), (), skipped, protocol="few shots", draws=drawn, stack=stack)

    whole = joined(
        [
            part(("nearest_mean", "prior", "linear_probe")),
            part(("nearest_mean", "linear_probe"), "first"),
            part(("nearest_mean", "linear_probe"), "second"),
        ]
    )
    assert whole.stack.kinds == ("nearest_mean", "linear_probe")
    assert whole.stack.weights.shape == (6, 2, 3, 4)
    assert [s.reason for s in whole.skipped] == ["first"]
    assert len(whole.draws) == 6
