"""The stage `locate` makes heat maps of test images with masks, or says why there are none."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import EncoderSpec, OpenClipEncoder, PrecomputedEncoder
from curette.schemas.settings.locate import LocateSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageShelf
from curette.storage.store import ArtifactStore
from curette.tasks.locate.task import locate_concepts
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.stage import Workplace
from tests.builders.embedding import dataset_of
from tests.builders.published_study import published_study
from tests.builders.small_study import unit_vectors

MACHINE = Machine(device="cpu", batch_size=2, threads=1)
Located = Callable[..., HeatMaps]


@pytest.fixture
def located(tmp_path: Path, pngs: list[bytes]) -> Located:
    """Return a function that publishes three test images and locates their concepts."""
    store = ArtifactStore(tmp_path / "store")

    def run(spec: EncoderSpec, encoder: EncoderIdentity, *, masked: bool = True) -> HeatMaps:
        dataset = dataset_of(dict(zip("abc", pngs, strict=False)), tmp_path / "images")
        places = [f"shelf:{_put_mask(store, png)}" if masked else "" for png in pngs[:3]]
        table = dataset.images.assign(split="test", label=None, mask_location=places)
        images = _kept(store, replace(dataset, images=table))
        validated = ValidatedConceptDataset(
            dataset=images.digest,
            **dict.fromkeys(
                ("candidates", "screened", "concepts", "priors", "embeddings", "index", "report"),
                "0" * 20,
            ),
        )
        published, _ = published_study()
        facts = published.facts.model_copy(
            update={"validated": _kept(store, validated).digest, "encoder": encoder}
        )
        pool = unit_vectors(np.random.default_rng(0), len(published.pool))
        made: Ref[ConceptDataset] = _kept(store, replace(published, facts=facts, pool_vectors=pool))
        ref = locate_concepts.fn(Workplace(store, MACHINE), made, spec, LocateSpec(images=2))
        assert store.manifest(ref).recipe.inputs == {"published": str(made)}
        return store.load(HeatMaps, ref)

    return run


def _kept(store: ArtifactStore, artifact: Artifact) -> Ref[Any]:
    return store.save(artifact, Recipe(stage="test", code=""))


def _put_mask(store: ArtifactStore, image: bytes) -> str:
    with Image.open(io.BytesIO(image)) as opened:
        mask = np.zeros(opened.size[::-1], dtype=np.uint8)
    mask[10:20, 10:30] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return ImageShelf(store.root).put(file.getvalue())


def test_every_selected_concept_is_located_on_as_many_images_as_wanted(
    located: Located, save_clip: Callable[..., Path]
) -> None:
    spec = OpenClipEncoder(model=save_clip())
    made = located(spec, load_encoder(spec, MACHINE).identity)
    published, _ = published_study()
    assert made.concept_ids == tuple(c.concept_id for c in published.concepts)
    assert len(made.image_ids) == 2
    assert made.heat.shape == (2, 6, 4, 4)
    assert not made.not_computable


def test_without_masks_no_encoder_is_loaded(located: Located) -> None:
    nowhere = OpenClipEncoder(model=Path("/nowhere"))
    identity = EncoderIdentity(name="x", digest="e" * 64, dim=12, demo=False)
    made = located(nowhere, identity, masked=False)
    assert made.not_computable == "no test image has a lesion mask"


def test_precomputed_vectors_have_no_places(located: Located, tmp_path: Path) -> None:
    spec = PrecomputedEncoder(kind="precomputed", path=tmp_path / "absent.npz")
    identity = EncoderIdentity(name="x", digest="e" * 64, dim=12, demo=False)
    assert "precomputed" in located(spec, identity).not_computable


def test_another_encoder_than_the_concepts_were_scored_with_locates_nothing(
    located: Located, save_clip: Callable[..., Path]
) -> None:
    spec = OpenClipEncoder(model=save_clip())
    named = load_encoder(spec, MACHINE).identity
    alike = EncoderIdentity(name=named.name, digest="e" * 64, dim=12, demo=False)
    made = located(spec, alike)
    assert made.not_computable == (
        "the concept dataset was made with small-clip (eeeeeeeeeeee), and the study names "
        f"small-clip ({named.digest[:12]}); the digest is of weights, preprocessing and "
        "precision, which is float32 here"
    )
