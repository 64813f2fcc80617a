"""A concept shows training images alone; look-alikes are told with their splits and groups."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from curette.schemas.index import ConceptIndex
from curette.schemas.machine import Machine
from curette.schemas.settings.index import IndexSpec
from curette.storage.store import ArtifactCorrupt, ArtifactStore
from curette.tasks.index import STAGE
from curette.tasks.index.faiss_index import open_serialised, search
from curette.tasks.index.image_index import open_image_index
from curette.tasks.index.retrieval import index_vectors
from curette.tasks.index.task import build_index
from curette.tasks.stage import Workplace
from tests.builders.small_study import SmallStudy, small_study


@pytest.fixture
def study() -> SmallStudy:
    return small_study()


def index_of(study: SmallStudy, **settings: float) -> ConceptIndex:
    return index_vectors(
        study.dataset,
        study.concepts,
        study.images.vectors,
        study.texts.take(study.concepts.texts),
        IndexSpec.model_validate(settings),
    )


def test_every_concept_shows_its_best_training_images(study: SmallStudy) -> None:
    index = index_of(study, top_images=5)
    table = study.dataset.images
    train = table.index[table["split"] == "train"]
    for concept in study.concepts.concepts:
        scores = study.images.vectors[train] @ study.texts.take([concept.text])[0]
        best = np.argsort(-scores)[:5]
        hits = index.top_images[concept.concept_id]
        assert [h.image_id for h in hits] == table["image_id"][train[best]].tolist()
        np.testing.assert_allclose([h.score for h in hits], scores[best], atol=2e-6)


def test_ids_are_positions_among_the_images_and_the_concepts(study: SmallStudy) -> None:
    index = index_of(study)
    assert index.image_ids == study.images.keys
    assert index.concept_ids == study.concepts.ids
    _, images = search(open_serialised(index.images), study.images.vectors, 1)
    assert images[:, 0].tolist() == list(range(60))
    texts = study.texts.take(study.concepts.texts)
    _, concepts = search(open_serialised(index.concepts), texts, 1)
    assert concepts[:, 0].tolist() == list(range(6))


def test_look_alikes_in_different_splits_are_told_with_their_groups(study: SmallStudy) -> None:
    # Rows 0 to 11 are training images, 12 to 15 validation, 16 to 19 test; groups are pairs.
    table, vectors = study.dataset.images, study.images.vectors
    table.loc[12, "group"] = "img02"  # row 3's
    vectors[12] = vectors[3]  # train and validation, one group
    vectors[17] = vectors[5]  # train and test, different groups
    vectors[7] = vectors[8]  # both in train: no matter
    index = index_of(study)
    told = [
        (c.image_id, c.split, x.image_id, x.split)
        for c in index.duplicates.clusters
        for x in c.look_alikes
    ]
    assert told == [
        ("img03", "train", "img12", "validation"),
        ("img05", "train", "img17", "test"),
    ]
    alike = [x for c in index.duplicates.clusters for x in c.look_alikes]
    assert [x.same_group for x in alike] == [True, False]
    assert [x.cosine for x in alike] == pytest.approx([1, 1])
    found = index.duplicates
    assert (found.clusters_found, found.images_found, found.pairs_found) == (2, 2, 2)


def test_the_list_of_look_alikes_is_cut_but_all_are_counted(study: SmallStudy) -> None:
    vectors, splits = study.images.vectors, study.dataset.images["split"]
    held_out = np.flatnonzero(splits != "train")[:6]
    vectors[held_out] = vectors[np.flatnonzero(splits == "train")[:6]]
    found = index_of(study, max_duplicate_clusters=4).duplicates
    assert len(found.clusters) == 4
    assert (found.clusters_found, found.images_found) == (6, 6)


def test_images_that_are_all_the_same_are_one_cluster(study: SmallStudy) -> None:
    study.images.vectors[:] = study.images.vectors[0]
    counts = Counter(study.dataset.images["split"])
    train, validation, test = counts["train"], counts["validation"], counts["test"]
    found = index_of(study).duplicates
    [cluster] = found.clusters
    assert (cluster.image_id, len(cluster.look_alikes)) == ("img00", validation + test)
    assert found.pairs_found == train * (validation + test) + validation * test


def test_the_stage_saves_an_index_that_loads_and_is_refused_once_changed(
    study: SmallStudy, tmp_path: Path
) -> None:
    store = ArtifactStore(tmp_path)
    dataset, _, _, concepts, _, embeddings, _ = study.save(store)
    ref = build_index.fn(Workplace(store), dataset, concepts, embeddings, IndexSpec())
    loaded = store.load(ConceptIndex, ref)
    expected = index_of(study)
    assert loaded.top_images == expected.top_images
    assert np.array_equal(loaded.images, expected.images)
    assert loaded.duplicates == expected.duplicates
    assert isinstance(loaded.images, np.memmap), "images are read where they lie"
    found = search(open_image_index(loaded, study.images.vectors), study.images.vectors, 1)[1]
    assert found[:, 0].tolist() == list(range(60))
    assert open_serialised(loaded.concepts).ntotal == 6
    assert store.manifest(ref).recipe.inputs["concepts"] == str(concepts)

    file = store.path(ref) / "images.faiss"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=r"images.faiss changed after it was saved"):
        store.load(ConceptIndex, ref)


def test_the_stage_has_a_key_that_knows_its_spec(study: SmallStudy, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    dataset, _, _, concepts, _, embeddings, _ = study.save(store)
    inputs = {
        "dataset": dataset,
        "concepts": concepts,
        "embeddings": embeddings,
        "spec": IndexSpec(),
        "at": Workplace(store),
    }
    assert STAGE.key(inputs) == STAGE.key(inputs | {"at": Workplace(store, Machine(threads=3))})
    assert STAGE.key(inputs) != STAGE.key(inputs | {"spec": IndexSpec(top_images=9)})
