"""The stage with a store: what it saves, what it leaves alone, and when it refuses."""

from pathlib import Path

import pytest

from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet
from curette.storage.store import ArtifactStore
from curette.tasks.review import STAGE
from curette.tasks.review.task import review_concepts
from curette.tasks.stage import Workplace
from tests.builders.images import image_dataset
from tests.builders.screened import CLASSES, SCREENED, decision, decisions

Inputs = tuple[Ref[ImageDataset], Ref[ScreenedSet], Ref[Decisions]]
BY_SCREEN = Recipe(stage="screen", code="0", spec={"max_words": 16})


def save_inputs(store: ArtifactStore, *made: Decision) -> Inputs:
    dataset = image_dataset(classes=CLASSES)
    by_hand = Recipe(stage="by hand", code="0")
    return (
        store.save(dataset, by_hand),
        store.save(SCREENED, BY_SCREEN),
        store.save(decisions(*made), by_hand),
    )


def test_the_reviewed_set_is_saved_with_its_recipe(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, decision("red dots", "drop", reason="an artefact"))
    ref = review_concepts.fn(Workplace(store), *inputs)
    reviewed = store.load(ScreenedSet, ref)
    assert "red dots" not in [c.text for c in reviewed.kept]
    assert reviewed.review is not None
    assert reviewed.review.reviewers == ("Ada",)
    recipe = store.manifest(ref).recipe
    assert (recipe.stage, recipe.code) == ("review", STAGE.code)
    assert recipe.inputs["screened"] == str(inputs[1])


def test_a_review_that_is_off_leaves_the_set_as_it_is(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, decision("red dots", "drop"))
    assert review_concepts.fn(Workplace(store), *inputs[:2], None) == inputs[1]


def test_a_class_that_loses_everything_stops_the_study_after_saving(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, decision("pink rim", "drop"))
    with pytest.raises(StudyError, match="no concept for basal cell carcinoma") as caught:
        review_concepts.fn(Workplace(store), *inputs)
    saved = [p.name for p in (tmp_path / "screened").iterdir()]
    assert any(name in str(caught.value) for name in saved if name != inputs[1].digest)
