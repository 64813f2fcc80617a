"""Every image and text gets its own vector, in its row, and none is encoded a second time."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float32, Shaped

from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.embeddings import Embeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.vectors import VectorShelf
from curette.tasks.embed.embedding import embed_images, image_keys
from curette.tasks.methods.encoder.encoder import ClipEncoder, load_encoder
from curette.tasks.methods.encoder.recall import Shelf
from curette.tasks.methods.encoder.text_vectors import embed_texts
from tests.builders.embedding import dataset_of


def nobody(count: int) -> None:
    """Watch nothing."""


@pytest.fixture
def encoder(save_clip: Any) -> ClipEncoder:
    return load_encoder(OpenClipEncoder(model=save_clip()), Machine(device="cpu"))


@pytest.fixture
def shelf(tmp_path: Path) -> VectorShelf:
    return VectorShelf(tmp_path / "store")


@pytest.fixture
def dataset(pngs: list[bytes], tmp_path: Path) -> ImageDataset:
    """Images whose order is not that of their digests."""
    return dataset_of({f"image{i:02d}": png for i, png in enumerate(pngs)}, tmp_path / "images")


class CountingShelf:
    """A shelf that remembers how many vectors it was given at a time."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.added: list[int] = []

    def get(
        self, encoder_digest: str, keys: Shaped[np.ndarray, " key"], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        return self.shelf.get(encoder_digest, keys, dim)

    def put(
        self,
        encoder_digest: str,
        keys: Shaped[np.ndarray, " key"],
        vectors: Float32[np.ndarray, "key dim"],
    ) -> None:
        self.added.append(len(keys))
        self.shelf.put(encoder_digest, keys, vectors)


class CountingReader:
    """A reader of a dataset's images that remembers which it read."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.files = ImageFiles(Path(dataset.root).resolve(), ImageShelf(Path("nowhere")))
        self.locations: list[str] = []

    def __call__(self, location: str, sha256: str) -> bytes:
        self.locations.append(location)
        return self.files.read(location, sha256)


def embed(
    dataset: ImageDataset,
    encoder: ClipEncoder,
    shelf: Shelf,
    advance: Callable[[int], None] = nobody,
    **machine: Any,
) -> tuple[Embeddings, list[str]]:
    """Return the embeddings, and what was read for them."""
    reader = CountingReader(dataset)
    made = embed_images(dataset, reader, encoder, shelf, Machine(**machine), advance)
    return made, sorted(reader.locations)


def alone(png: bytes, encoder: ClipEncoder) -> Float32[np.ndarray, " dim"]:
    return encoder.encode_images(encoder.prepare_image(png)[None])[0]


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_every_row_has_its_images_unit_vector_whatever_the_batch(
    dataset: ImageDataset,
    encoder: ClipEncoder,
    shelf: Shelf,
    pngs: list[bytes],
    batch_size: int,
) -> None:
    made, _ = embed(dataset, encoder, shelf, batch_size=batch_size, workers=3)
    assert made.keys == tuple(dataset.images["image_id"])
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-6)
    expected = np.stack([alone(png, encoder) for png in pngs])
    np.testing.assert_allclose(made.vectors, expected, atol=1e-5)
    apart = np.abs(expected[:, None] - expected[None]).max(axis=2) + np.eye(len(pngs))
    assert apart.min() > 1e-4, "rows in a wrong order would not be seen"


def test_a_second_study_reads_and_encodes_only_what_is_new(
    dataset: ImageDataset, encoder: ClipEncoder, shelf: Shelf, pngs: list[bytes], tmp_path: Path
) -> None:
    first, read = embed(dataset, encoder, shelf)
    assert len(read) == len(pngs)
    again, read = embed(dataset, encoder, shelf, batch_size=3)
    assert read == []
    assert np.array_equal(first.vectors, again.vectors)

    same_pixels = pngs[0] + b"\0"
    other = dataset_of({"new": same_pixels, "x": pngs[41], "y": pngs[3]}, tmp_path / "other")
    mixed, read = embed(other, encoder, shelf)
    assert read == ["new.png"]
    assert np.array_equal(mixed.vectors[1:], first.vectors[[41, 3]])
    np.testing.assert_allclose(mixed.vectors[0], first.vectors[0], atol=1e-6)


def test_images_of_equal_bytes_are_encoded_once(
    encoder: ClipEncoder, shelf: Shelf, pngs: list[bytes], tmp_path: Path
) -> None:
    a, b = pngs[:2]
    twins = dataset_of({"1": a, "2": b, "3": a, "4": a}, tmp_path / "twins")
    made, read = embed(twins, encoder, shelf)
    assert len(read) == 2
    assert np.array_equal(made.vectors, made.vectors[[0, 1, 0, 0]])
    assert not np.array_equal(made.vectors[0], made.vectors[1])


def test_progress_reaches_the_number_of_images_with_and_without_the_shelf(
    encoder: ClipEncoder, shelf: Shelf, pngs: list[bytes], tmp_path: Path
) -> None:
    contents = {"a": pngs[0], "b": pngs[1], "c": pngs[0], "d": pngs[2]}
    small = dataset_of(contents, tmp_path / "small")
    for _ in range(2):
        told: list[int] = []
        embed(small, encoder, shelf, told.append, batch_size=1)
        assert sum(told) == 4


def test_finished_vectors_are_kept_when_a_later_image_fails(
    dataset: ImageDataset, encoder: ClipEncoder, shelf: Shelf, tmp_path: Path
) -> None:
    (tmp_path / "images" / "image50.png").unlink()
    with pytest.raises(StudyError, match=r"image50"):
        embed(dataset, encoder, shelf, batch_size=10)
    found, _ = shelf.get(encoder.identity.digest, image_keys(dataset), 16)
    assert found.tolist() == [True] * 50 + [False] * 30


def test_shards_are_kept_while_the_encoder_works(
    dataset: ImageDataset, encoder: ClipEncoder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curette.tasks.methods.encoder.recall.SHARD", 30)
    counting = CountingShelf(shelf)
    embed(dataset, encoder, counting, batch_size=20)
    assert counting.added == [40, 40]


@pytest.mark.parametrize("batches", [4, 9])
def test_a_run_that_is_killed_loses_at_most_one_shard(
    dataset: ImageDataset,
    encoder: ClipEncoder,
    shelf: VectorShelf,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
) -> None:
    monkeypatch.setattr("curette.tasks.methods.encoder.recall.SHARD", 20)
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        torch.set_num_threads(1)  # those of the process that was forked are not there
        told: list[int] = []

        def advance(count: int) -> None:
            told.append(count)
            if len(told) > batches:
                theirs.send(sum(told))
                os.kill(os.getpid(), signal.SIGKILL)

        embed(dataset, encoder, shelf, advance, batch_size=5)

    # Forked, so that torch and the encoder need not be loaded a second time.
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    encoded = ours.recv()
    found, _ = shelf.get(encoder.identity.digest, image_keys(dataset), encoder.identity.dim)
    assert encoded == 5 * batches
    assert 0 <= encoded - found.sum() <= 20
    _, read = embed(dataset, encoder, shelf)
    assert len(read) == 80 - found.sum()


def test_a_broken_shard_is_reported_and_only_its_images_are_encoded_again(
    dataset: ImageDataset,
    encoder: ClipEncoder,
    shelf: VectorShelf,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("curette.tasks.methods.encoder.recall.SHARD", 20)
    first, _ = embed(dataset, encoder, shelf, batch_size=20)
    spoilt = min(shelf.root.rglob("*.npy"))
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"?")
    again, read = embed(dataset, encoder, shelf, batch_size=20)
    assert len(read) == 20
    assert np.array_equal(again.vectors, first.vectors)
    assert f"{spoilt} changed after it was written; its vectors are made again" in caplog.text
    assert embed(dataset, encoder, shelf)[1] == []


# --- images that are not what they were -----------------------------------------------------------


def spoil(dataset: ImageDataset, content: bytes) -> ImageDataset:
    (Path(dataset.root) / "image07.png").write_bytes(content)
    return dataset


def test_an_image_that_changed_since_ingest_is_named(
    dataset: ImageDataset, encoder: ClipEncoder, shelf: Shelf, pngs: list[bytes]
) -> None:
    with pytest.raises(CuretteError, match=r"image07.png changed after .*--refresh ingest"):
        embed(spoil(dataset, pngs[8]), encoder, shelf)


def test_an_image_that_is_gone_is_named(
    dataset: ImageDataset, encoder: ClipEncoder, shelf: Shelf
) -> None:
    (Path(dataset.root) / "image07.png").unlink()
    with pytest.raises(StudyError, match=r"image07 .* cannot be read: .*Put it back"):
        embed(dataset, encoder, shelf)


def test_an_image_of_which_only_a_vector_is_known_says_so(
    dataset: ImageDataset, encoder: ClipEncoder, shelf: Shelf
) -> None:
    dataset.images["location"] = ""
    with pytest.raises(StudyError, match=r"only this image's vector is known"):
        embed(dataset, encoder, shelf)


def test_an_image_that_cannot_be_decoded_is_named(
    encoder: ClipEncoder, shelf: Shelf, tmp_path: Path
) -> None:
    broken = dataset_of({"broken": b"no image"}, tmp_path / "broken")
    with pytest.raises(StudyError, match=r"broken .broken.png. cannot be decoded: cannot identify"):
        embed(broken, encoder, shelf)


def test_vectors_that_are_not_finite_are_refused_and_never_kept(
    dataset: ImageDataset, save_clip: Any, shelf: VectorShelf
) -> None:
    nan = {"visual.proj": torch.full((32, 16), torch.nan)}
    encoder = load_encoder(
        OpenClipEncoder(model=save_clip("nan", changed_weights=nan)), Machine(device="cpu")
    )
    with pytest.raises(StudyError, match=r"nan gives vectors that are zero or not finite"):
        embed(dataset, encoder, shelf)
    assert not list(shelf.root.rglob("*.npy"))


# --- texts ----------------------------------------------------------------------------------------

TEXTS = ("pigment network", "blue-white veil", "pink background", "dark brown")


def embed_all(texts: tuple[str, ...], encoder: ClipEncoder, shelf: Shelf, template: str) -> Any:
    machine = Machine(batch_size=3)
    return embed_texts(texts, template, encoder, shelf, machine, nobody)


def test_texts_are_encoded_in_their_template_and_known_by_their_bare_text(
    encoder: ClipEncoder, shelf: Shelf
) -> None:
    made = embed_all(TEXTS, encoder, shelf, "a photo of {concept}.")
    expected = encoder.encode_texts(encoder.tokenize([f"a photo of {t}." for t in TEXTS]))
    assert made.keys == TEXTS
    np.testing.assert_allclose(made.vectors, expected, atol=1e-6)


def test_texts_are_encoded_again_only_where_they_or_the_template_are_new(
    encoder: ClipEncoder, shelf: Shelf
) -> None:
    counting = CountingShelf(shelf)

    plain = embed_all(TEXTS, encoder, counting, "{concept}")
    again = embed_all(TEXTS, encoder, counting, "{concept}")
    assert counting.added == [4]
    assert np.array_equal(plain.vectors, again.vectors)
    photo = embed_all(TEXTS, encoder, counting, "a photo of {concept}")
    assert counting.added == [4, 4]
    assert np.abs(photo.vectors - plain.vectors).max() > 1e-3
    embed_all((*TEXTS, "streaks"), encoder, counting, "{concept}")
    assert counting.added == [4, 4, 1]


def test_texts_are_encoded_from_the_shortest_to_the_longest(
    encoder: ClipEncoder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one long text does not make a batch of short ones long."""
    lengths: list[list[int]] = []
    encode = ClipEncoder.encode_texts

    def watched(self: ClipEncoder, tokens: torch.Tensor) -> Float32[np.ndarray, "text dim"]:
        lengths.append(self.text_lengths(tokens).tolist())
        return encode(self, tokens)

    monkeypatch.setattr(ClipEncoder, "encode_texts", watched)
    embed_all(("a b c d e f", "a", "a b c d", "a b", "a b c", "b"), encoder, shelf, "{concept}")
    assert lengths == [[3, 3, 4], [5, 6, 8]]


def test_no_texts_give_no_vectors(encoder: ClipEncoder, shelf: Shelf) -> None:
    made = embed_all((), encoder, shelf, "{concept}")
    assert made.vectors.shape == (0, 16)
