"""An adapted head stands beside the probe, is measured on other groups, and is taken back whole."""

from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.adaptation import Adaptation, SupportImage
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.store import ArtifactStore
from curette.tasks.adapt.heads import Asked, SiteImages, adapt_head, head_of, measure_adaptation
from curette.tasks.adapt.page import adaptation_page, tell
from tests.builders.published_study import KEYS, published_study
from tests.pages import check_asks_nobody

ASKED = Asked("by-hand", "<lamp>", EXPLAINED, "Dr. A", "a new <lamp>", "2026-01-01")


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    return published_study()


@pytest.fixture(scope="module")
def probe(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    from curette.tasks.probe.training import train_heads

    return train_heads(study[0], ProbeSpec(epochs=60, random_draws=1, nec=(1,)))


def _site(
    published: ConceptDataset, labels: TestLabels, moved: float
) -> tuple[SiteImages, tuple[SupportImage, ...]]:
    """Return the test images, moved along the first class, and two of each class."""
    rows = published.rows("test")
    ids = tuple(published.images["image_id"].iloc[rows])
    groups = tuple(published.images["group"].iloc[rows])
    vectors = published.vectors[rows] + np.float32(moved) * published.pool_vectors[0]
    support = [
        SupportImage(image_id=i, group=groups[ids.index(i)], class_key=key)
        for key in KEYS
        for i in [i for i in ids if labels.labels[i] == key][::3][:4]
    ]
    return SiteImages(ids, groups, vectors.astype(np.float32)), tuple(support)


def test_a_moved_site_is_put_right_and_measured_on_other_groups(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    published, labels = study
    site, support = _site(published, labels, 0.8)
    made = adapt_head(published, probe, Ref("heads", "0" * 20), site, support, ASKED)
    assert made.facts.rung != "nothing"
    ref: Ref[Adaptation] = Ref("adaptation", "1" * 20)
    spec = EvaluateSpec(resamples=100)
    result = measure_adaptation(published, probe, made, ref, site, labels.labels, spec, "")
    assert result.gain.value == pytest.approx(result.after.value - result.before.value)
    assert result.gain.value > 0.1
    seen = {x.group for x in support}
    assert result.images == sum(group not in seen for group in site.groups)
    html = adaptation_page(published, made, result, ref)
    check_asks_nobody(html)
    assert "<lamp>" not in html
    assert made.facts.rung in tell(made, result)


def test_a_site_like_home_keeps_the_probes_own_bits(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    site, support = _site(*study, 0.0)
    made = adapt_head(study[0], probe, Ref("heads", "0" * 20), site, support, ASKED)
    head = probe.head(EXPLAINED)
    assert made.facts.rung == "nothing"
    assert made.weights.tobytes() == head.weights.tobytes()
    assert made.bias.tobytes() == head.bias.tobytes()


def test_the_order_of_the_support_changes_no_bit_of_the_artifact(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    site, support = _site(*study, 0.8)
    ref: Ref[Heads] = Ref("heads", "0" * 20)
    one, other = (
        adapt_head(study[0], probe, ref, site, images, ASKED) for images in (support, support[::-1])
    )
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.bias.tobytes() == other.bias.tobytes()


def test_undoing_it_is_the_probe_bit_for_bit(
    study: tuple[ConceptDataset, TestLabels],
    probe: Heads,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store = ArtifactStore(tmp_path_factory.mktemp("store"))
    recipe = Recipe(stage="by hand", code="")
    ref = store.save(probe, recipe)
    before = {f: (store.path(ref) / f).read_bytes() for f in store.manifest(ref).files}
    site, support = _site(*study, 0.8)
    kept = store.save(adapt_head(study[0], probe, ref, site, support, ASKED), recipe)
    back = store.load(Adaptation, kept)
    assert back.facts.editor == "Dr. A"
    assert (back.applied_to(probe.head(EXPLAINED)).weights == back.weights).all()
    undone = store.load(Heads, back.probe)
    assert {f: (store.path(ref) / f).read_bytes() for f in before} == before
    assert (undone.head(EXPLAINED).weights == probe.head(EXPLAINED).weights).all()


def test_a_head_that_was_not_trained_is_refused(probe: Heads) -> None:
    with pytest.raises(StudyError, match=r"no head 'majority' was trained .* concept_bottleneck"):
        head_of(probe, "majority")


def test_where_support_leaves_no_other_group_nothing_is_measured(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    published, labels = study
    site, support = _site(published, labels, 0.0)
    one = replace(site, groups=("s",) * len(site.ids))
    images = tuple(x.model_copy(update={"group": "s"}) for x in support)
    made = adapt_head(published, probe, Ref("heads", "0" * 20), one, images, ASKED)
    with pytest.raises(StudyError, match="nothing is left to measure on"):
        measure_adaptation(
            *(published, probe, made, Ref("adaptation", "1" * 20), one, labels.labels),
            *(EvaluateSpec(resamples=100), ""),
        )
