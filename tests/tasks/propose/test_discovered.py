"""What is found among training images: its names, its pictures, and what it may not look at."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import DiscoveredOrigin
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.schemas.settings.propose import DiscoveredSource, ProposeSpec
from curette.schemas.study import Study
from curette.storage.images import ImageFiles, ImageShelf
from curette.tasks.methods.dictionaries.dictionary import unit
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.propose.discovered import (
    Discovered,
    Images,
    Parts,
    Seen,
    Vocabulary,
    discover,
    see,
)
from curette.tasks.propose.places import see_places
from tests.builders.embedding import dataset_of

DIM, SIGNS = 96, 6
GENERATOR = np.random.default_rng(5)
SHOWN = np.linalg.qr(GENERATOR.normal(size=(DIM, SIGNS)))[0].T
GAP = 3 * unit(GENERATOR.normal(size=(1, DIM)))
NOUNS = tuple(f"sign {letter}" for letter in "abcdefghij")
SAID = unit(np.concatenate([4 * SHOWN, GENERATOR.normal(size=(4, DIM))]) + GAP).astype(np.float32)
VOCABULARY = Vocabulary(NOUNS, SAID, ("",) * len(NOUNS))
SOURCE = DiscoveredSource(kind="discovered", size=SIGNS, seeds=2)


def split(name: str, count: int, seed: int) -> tuple[Images, np.ndarray]:
    generator = np.random.default_rng(seed)
    sign = generator.integers(SIGNS, size=count)
    vectors = unit(SHOWN[sign] + 0.06 * generator.normal(size=(count, DIM))).astype(np.float32)
    ids = tuple(f"{name}{i:03}" for i in range(count))
    return Images(ids, vectors, sign % 2, np.array(ids)), sign


def seen() -> Seen:
    train, _ = split("t", 240, seed=0)
    validation, sign = split("v", 120, seed=1)
    present = sign[:, None] == np.arange(2)
    return Seen(train, validation, present, np.ones_like(present), ("even", "odd"))


def origins(found: Discovered) -> list[DiscoveredOrigin]:
    given = [p.origin for p in found.found.proposals]
    assert all(isinstance(o, DiscoveredOrigin) for o in given)
    return [o for o in given if isinstance(o, DiscoveredOrigin)]


def test_planted_signs_get_their_names_and_pictures_that_show_them() -> None:
    found = discover(SOURCE, seen(), VOCABULARY)
    assert {o.name for o in origins(found)} == set(NOUNS[:SIGNS])
    assert found.facts[0].proved == SIGNS
    sign = dict(zip(seen().train.ids, split("t", 240, seed=0)[1], strict=True))
    for origin in origins(found):
        assert {NOUNS[sign[i]] for i in origin.images} == {origin.name}
    assert {p.classes for p in found.found.proposals} == {("even", "odd")}
    assert found.found.proposals[0].text == f"{origins(found)[0].name} (found 1)"


def test_the_best_direction_finds_what_is_true_of_images_and_five_tell_classes_apart() -> None:
    facts = discover(SOURCE, seen(), VOCABULARY).facts[0]
    assert facts.finds is not None
    assert facts.finds > 0.95
    assert facts.low <= facts.with_five <= facts.high
    assert facts.stable_seeds is not None
    assert facts.stable_seeds > 0.9


def test_without_text_all_is_unnamed_and_has_pictures() -> None:
    found = discover(SOURCE, seen(), None)
    assert [p.text for p in found.found.proposals] == [f"unnamed {i}" for i in range(1, 7)]
    assert all(len(o.images) == 9 and o.cosine is None for o in origins(found))


def test_the_order_of_images_changes_nothing() -> None:
    given = seen()
    order = np.random.default_rng(2).permutation(len(given.train.ids))
    train = given.train
    permuted = Images(
        tuple(train.ids[i] for i in order),
        train.vectors[order],
        train.labels[order],
        train.groups[order],
    )
    one, other = (discover(SOURCE, s, VOCABULARY) for s in (given, replace(given, train=permuted)))
    assert one.found == other.found
    np.testing.assert_array_equal(one.vectors, other.vectors)


def test_what_is_found_among_shuffled_vectors_is_called_nothing() -> None:
    given = seen()

    def shuffled(images: Images) -> Images:
        columns = [np.random.default_rng(n).permutation(c) for n, c in enumerate(images.vectors.T)]
        return replace(images, vectors=unit(np.stack(columns, axis=1).astype(float)))

    noise = replace(given, train=shuffled(given.train), validation=shuffled(given.validation))
    assert discover(SOURCE, noise, VOCABULARY).facts[0].proved == 0


def test_vectors_of_test_images_are_not_looked_at(tmp_path: Path) -> None:
    dataset = dataset_of({key: key.encode() for key in "abcd"}, tmp_path)
    table = dataset.images.assign(split=["train", "validation", "test", "train"])
    table.loc[table["split"] == "test", "label"] = None
    dataset = replace(dataset, images=table)
    encoder = EncoderIdentity(name="by hand", digest="0" * 64, dim=4, demo=False)
    vectors = np.eye(4, dtype=np.float32)
    known = see(dataset, ImageEmbeddings(tuple("abcd"), vectors, encoder))
    other = np.eye(4, dtype=np.float32)
    other[2] = [1, 0, 0, 0]
    again = see(dataset, ImageEmbeddings(tuple("abcd"), other, encoder))
    assert known.train.ids == ("a", "d")
    assert known.validation.ids == ("b",)
    np.testing.assert_array_equal(known.train.vectors, again.train.vectors)
    np.testing.assert_array_equal(known.validation.vectors, again.validation.vectors)


@pytest.mark.parametrize("size", [121, None])
def test_more_directions_than_half_the_images_are_refused(size: int | None) -> None:
    given = seen()
    few = replace(given, train=split("t", 240 if size else 40, seed=0)[0])
    asked = DiscoveredSource(kind="discovered", size=size)
    with pytest.raises(StudyError, match="half as many as images"):
        discover(asked, few, None)


def test_two_sources_that_discover_are_refused() -> None:
    with pytest.raises(ValueError, match="stands among the sources twice"):
        ProposeSpec(sources=(SOURCE, SOURCE))


def test_signs_that_only_places_have_alone_are_found_among_places() -> None:
    def with_places(images: Images, seed: int) -> Images:
        signs = np.random.default_rng(seed).integers(SIGNS, size=(len(images.ids), 4))
        places = SHOWN[signs] + 0.03 * np.random.default_rng(seed + 1).normal(
            size=(*signs.shape, DIM)
        )
        parts = Parts(unit(places.reshape(-1, DIM)), np.repeat(np.arange(len(images.ids)), 4))
        return replace(images, vectors=unit(places.sum(axis=1)).astype(np.float32), places=parts)

    given = seen()
    mixed = replace(
        given, train=with_places(given.train, 3), validation=with_places(given.validation, 5)
    )
    source = SOURCE.model_copy(update={"among": "places"})
    found = discover(source, mixed, VOCABULARY)
    assert {o.best for o in origins(found)} == set(NOUNS[:SIGNS])
    assert found.facts[0].explained > 0.8
    assert "960 places of training images" in found.found.said


def test_other_methods_have_k_means_beside_them() -> None:
    facts = discover(DiscoveredSource(kind="discovered", size=6, method="ica"), seen(), None).facts
    assert [(f.method, f.beside) for f in facts] == [("ica", False), ("kmeans", True)]


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="kmeans has none"):
        DiscoveredSource(kind="discovered", sparsity=3)
    with pytest.raises(ValueError, match="cannot use more directions than there are"):
        DiscoveredSource(kind="discovered", method="topk_sae", sparsity=9, size=8)
    with pytest.raises(StudyError, match="at most 96"):
        discover(DiscoveredSource(kind="discovered", method="ica", size=100), seen(), None)


def test_places_are_of_the_images_of_their_split_in_whatever_order_these_stand(
    save_clip: Any, pngs: list[bytes], tmp_path: Path
) -> None:
    encoder = load_encoder(OpenClipEncoder(model=save_clip()), Machine(device="cpu", threads=1))
    contents = dict(zip("abcd", pngs[:4], strict=True))

    def places(order: str) -> Parts:
        dataset = dataset_of({key: contents[key] for key in order}, tmp_path / order)
        table = dataset.images.assign(split=["test" if key == "c" else "train" for key in order])
        table.loc[table["split"] == "test", "label"] = None
        files = ImageFiles(Path(dataset.root), ImageShelf(tmp_path / "store"))
        machine = Machine(device="cpu", batch_size=1, threads=1)
        read, known = files.read, replace(dataset, images=table)
        return see_places(known, "train", read, encoder, machine, lambda _: None)

    one, other = places("abcd"), places("dcba")
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-6)
    assert len(one.vectors) % 3 == 0
    assert sorted(set(one.of_image.tolist())) == [0, 1, 2]
    np.testing.assert_array_equal(one.of_image, 2 - other.of_image)


def test_a_study_of_precomputed_vectors_looks_at_no_places() -> None:
    given = {
        "name": "s",
        "dataset": {"source": {"kind": "vectors", "path": "v.npz"}},
        "encoder": {"kind": "precomputed", "path": "v.npz"},
        "propose": {"sources": [{"kind": "discovered", "among": "places"}]},
    }
    with pytest.raises(ValueError, match="precomputed vectors are of whole images"):
        Study.model_validate(given)


def test_a_phrase_of_a_document_names_like_a_statement_and_says_where_it_stands() -> None:
    known = ("",) * 3 + ("notes.md",) * (len(NOUNS) - 3)
    found = discover(SOURCE, seen(), Vocabulary(NOUNS, SAID, known))
    assert {(o.name, o.document) for o in origins(found)} == set(
        zip(NOUNS[:SIGNS], known[:SIGNS], strict=True)
    )
    said = discover(SOURCE, seen(), Vocabulary(NOUNS[:3], SAID[:3], ("",) * 3)).facts[0]
    assert found.facts[0].statements_five == said.statements_five
