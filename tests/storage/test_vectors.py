"""The vector shelf gives back what it was given, whatever happens to its files or writers."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32, Shaped

from curette.storage.store import StoreError
from curette.storage.vectors import VectorShelf

DIM = 5
ENCODER = "e" * 64
PROJECT = Path(__file__).parents[2]


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def keys(*names: object) -> Shaped[np.ndarray, " key"]:
    return packed(map(key, names))


def packed(digests: Iterable[str]) -> Shaped[np.ndarray, " key"]:
    return np.array([bytes.fromhex(digest) for digest in digests], dtype="S32")


def vector(name: object) -> Float32[np.ndarray, " dim"]:
    """A vector that follows from its name, so that any writer writes the same."""
    return np.frombuffer(bytes.fromhex(key(name))[:DIM], dtype=np.uint8).astype(np.float32)


def put(shelf: VectorShelf, *names: object) -> None:
    shelf.put(ENCODER, keys(*names), np.array([vector(n) for n in names]))


def shards(shelf: VectorShelf) -> list[Path]:
    return sorted((shelf.root / "vectors" / ENCODER).glob("*.npy"))


@pytest.fixture
def shelf(tmp_path: Path) -> VectorShelf:
    return VectorShelf(tmp_path)


def test_an_empty_shelf_finds_nothing(shelf: VectorShelf) -> None:
    found, vectors = shelf.get(ENCODER, keys(1, 2), DIM)
    assert not found.any()
    assert vectors.shape == (2, DIM)
    assert shelf.get(ENCODER, keys(), DIM)[1].shape == (0, DIM)


def test_vectors_come_back_exactly_and_in_the_order_asked_for(shelf: VectorShelf) -> None:
    put(shelf, *range(50))
    put(shelf, *range(50, 80))
    asked = [70, 3, "unknown", 49, 50]
    found, vectors = shelf.get(ENCODER, keys(*asked), DIM)
    assert found.tolist() == [True, True, False, True, True]
    assert np.array_equal(vectors[found], [vector(n) for n in (70, 3, 49, 50)])
    assert not vectors[~found].any()


def test_random_use_agrees_with_a_dictionary(shelf: VectorShelf) -> None:
    generator = np.random.default_rng(0)
    truth: set[int] = set()
    for _ in range(20):
        written = generator.choice(200, size=generator.integers(1, 12), replace=False).tolist()
        put(shelf, *written)
        truth.update(written)
        asked = generator.choice(200, size=generator.integers(0, 60), replace=False).tolist()
        found, vectors = shelf.get(ENCODER, keys(*asked), DIM)
        assert found.tolist() == [n in truth for n in asked]
        expected = [vector(n) if n in truth else np.zeros(DIM) for n in asked]
        assert np.array_equal(vectors, np.reshape(expected, (-1, DIM)))


def test_keys_that_end_in_zero_bytes_are_kept_apart(shelf: VectorShelf) -> None:
    close = packed(["ab" * 31 + "00", "ab" * 30 + "0000", "00" * 32])
    shelf.put(ENCODER, close, np.eye(3, DIM, dtype=np.float32))
    found, vectors = shelf.get(ENCODER, close[::-1], DIM)
    assert found.all()
    assert np.array_equal(vectors, np.eye(3, DIM)[::-1])


def test_encoders_do_not_share_vectors(shelf: VectorShelf) -> None:
    put(shelf, 1)
    found, _ = shelf.get("f" * 64, keys(1), DIM)
    assert not found.any()


def test_a_key_that_is_asked_for_twice_is_refused(shelf: VectorShelf) -> None:
    with pytest.raises(ValueError, match="a key stands twice"):
        shelf.get(ENCODER, keys(1, 2, 1), DIM)


def test_keys_that_are_no_digests_are_refused(shelf: VectorShelf) -> None:
    written_out = np.array([key(1)])
    with pytest.raises(ValueError, match="keys are 32 bytes each"):
        shelf.get(ENCODER, written_out, DIM)
    with pytest.raises(ValueError, match="keys are 32 bytes each"):
        shelf.put(ENCODER, written_out, np.array([vector(1)]))


def test_the_same_shard_is_kept_once(shelf: VectorShelf) -> None:
    put(shelf, 1, 2)
    put(shelf, 1, 2)
    assert len(shards(shelf)) == 1


@pytest.mark.parametrize("position", [0, 9, 100, -40, -1])
def test_a_shard_with_one_changed_bit_is_put_aside_and_only_its_vectors_are_missing(
    shelf: VectorShelf, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    put(shelf, 1, 2)
    put(shelf, 3)
    spoilt = max(shards(shelf), key=lambda path: path.stat().st_size)
    content = bytearray(spoilt.read_bytes())
    content[position] ^= 1
    spoilt.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found, _ = shelf.get(ENCODER, keys(1, 2, 3), DIM)
    assert found.tolist() == [False, False, True]
    assert "changed after it was written; its vectors are made again" in caplog.text
    assert spoilt.with_suffix(".corrupt").read_bytes() == content
    put(shelf, 1, 2)
    assert shelf.get(ENCODER, keys(1, 2, 3), DIM)[0].all()


def test_a_truncated_shard_is_put_aside(shelf: VectorShelf) -> None:
    put(shelf, 1, 2)
    [shard] = shards(shelf)
    for size in (shard.stat().st_size - 7, 0):
        os.truncate(shard, size)
        assert not shelf.get(ENCODER, keys(1), DIM)[0].any()
        put(shelf, 1, 2)
    assert shelf.get(ENCODER, keys(1), DIM)[0].all()


WRITER = """
import sys
from hashlib import sha256
from pathlib import Path
import numpy as np
from curette.storage.vectors import VectorShelf

shelf = VectorShelf(Path(sys.argv[1]))
start, stop, step = map(int, sys.argv[2:])
for first in range(start, stop, step):
    digests = [sha256(str(n).encode()).digest() for n in range(first, first + step)]
    vectors = np.array([list(d[:5]) for d in digests], dtype=np.float32)
    shelf.put("e" * 64, np.array(digests, dtype="S32"), vectors)
"""


def writer(shelf: VectorShelf, *numbers: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", WRITER, str(shelf.root), *map(str, numbers)]
    return subprocess.Popen(command, cwd=PROJECT)


def test_what_a_killed_writer_leaves_is_whole(
    shelf: VectorShelf, caplog: pytest.LogCaptureFixture
) -> None:
    killed = writer(shelf, 0, 10**9, 50)
    deadline = time.monotonic() + 180
    while len(shards(shelf)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    complete = 50 * len(shards(shelf))
    found, vectors = shelf.get(ENCODER, keys(*range(complete)), DIM)
    assert complete >= 250
    assert found.all()
    assert np.array_equal(vectors, [vector(n) for n in range(complete)])
    assert not caplog.records


def test_two_processes_that_write_the_same_and_other_vectors_at_a_time_both_succeed(
    shelf: VectorShelf,
) -> None:
    both = [writer(shelf, 0, 400, 40), writer(shelf, 200, 600, 40)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    found, vectors = shelf.get(ENCODER, keys(*range(600)), DIM)
    assert found.all()
    assert np.array_equal(vectors, [vector(n) for n in range(600)])


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="choose a folder with --store"):
        put(VectorShelf(tmp_path / "file" / "store"), 1)


def test_texts_and_images_never_read_each_others_shards(tmp_path: Path) -> None:
    images, texts = VectorShelf(tmp_path), VectorShelf(tmp_path, of="texts")
    put(images, 1, 2)
    put(texts, 3)
    [of_texts] = (tmp_path / "vectors" / ENCODER / "texts").glob("*.npy")
    assert len(shards(images)) == 1, "images lie where they always lay"
    for shelf, found in ((images, [True, False]), (texts, [False, True])):
        assert shelf.get(ENCODER, keys(1, 3), DIM)[0].tolist() == found
    of_texts.write_bytes(b"broken")
    assert images.get(ENCODER, keys(3), DIM)[0].tolist() == [False]
    assert of_texts.exists(), "it was not read, or it would have been put aside"
