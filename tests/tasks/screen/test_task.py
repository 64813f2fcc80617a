"""The stage with a store: what it saves, and when it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from schemas.artifact import Recipe, Ref, StudyError
from schemas.candidates import Candidate, CandidateSet, FileOrigin
from schemas.embeddings import EncoderIdentity, ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from schemas.images import REQUIRED_COLUMNS, ClassLabel, ImageDataset, TestLabels
from schemas.screened import ScreenedSet, ScreenSpec
from storage.store import ArtifactStore
from tasks.screen.task import STAGE, screen_concepts

RECIPE = Recipe(stage="by hand", code="0")
CLASSES = (ClassLabel(key="mel", name="melanoma"), ClassLabel(key="nv", name="nevus"))
Inputs = tuple[Ref[ImageDataset], Ref[CandidateSet], Ref[StudyEmbeddings]]


def save_inputs(store: ArtifactStore, texts: dict[str, str]) -> Inputs:
    """Save a study whose candidates are `text -> class key`."""
    dataset = ImageDataset(
        images=pd.DataFrame({c: pd.Series(dtype="object") for c in REQUIRED_COLUMNS}),
        classes=CLASSES,
        rejected=(),
        root="",
        source="by hand",
        synthetic=True,
        class_counts={},
        test_labels=Ref(TestLabels.kind, "0"),
    )
    proposed = CandidateSet(
        candidates=tuple(
            Candidate(text=t, classes=(k,), origins=(FileOrigin(file="f", line=1),))
            for t, k in texts.items()
        ),
        source="by hand",
    )
    encoder = EncoderIdentity(name="by hand", digest="0", dim=len(texts), demo=False)
    vectors = np.eye(len(texts), dtype=np.float32)
    embeddings = StudyEmbeddings(
        encoder=encoder,
        images=store.save(ImageEmbeddings((), vectors[:0], encoder), RECIPE).digest,
        texts=store.save(TextEmbeddings(tuple(texts), vectors, encoder), RECIPE).digest,
    )
    return store.save(dataset, RECIPE), store.save(proposed, RECIPE), store.save(embeddings, RECIPE)


def test_the_screened_set_is_saved_with_its_recipe(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, {"red dots": "mel", "brown globules": "nv", "itching": "nv"})
    ref = screen_concepts.fn(*inputs, ScreenSpec(), store)
    screened = store.load(ScreenedSet, ref)
    assert [c.text for c in screened.kept] == ["red dots", "brown globules"]
    assert [d.candidate.text for d in screened.dropped] == ["itching"]
    recipe = store.manifest(ref).recipe
    assert recipe.stage == "screen"
    assert recipe.code == STAGE.code
    assert set(recipe.inputs) == {"dataset", "candidates", "embeddings"}


def test_a_class_that_loses_everything_stops_the_study_after_saving(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, {"red dots": "mel", "a nevus": "nv", "itching": "nv"})
    with pytest.raises(StudyError, match="nevus: 1 by class_leak, 1 by visual") as caught:
        screen_concepts.fn(*inputs, ScreenSpec(), store)
    saved: Ref[ScreenedSet] = Ref(ScreenedSet.kind, next((tmp_path / "screened").iterdir()).name)
    assert str(saved) in str(caught.value)
    assert len(store.load(ScreenedSet, saved).dropped) == 2
