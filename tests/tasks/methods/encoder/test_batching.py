"""Batches keep every item in its place, whatever the threads and the memory do."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from jaxtyping import Float32

from curette.schemas.artifact import StudyError
from curette.tasks.methods.encoder.batching import AHEAD, encode_in_batches

WEIGHTS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def prepare(item: int) -> torch.Tensor:
    return torch.tensor([item, item**2 % 7, 1], dtype=torch.float64)


def encode(batch: torch.Tensor) -> Float32[np.ndarray, "item dim"]:
    return (batch @ WEIGHTS).float().numpy()


def one_by_one(count: int) -> Float32[np.ndarray, "item dim"]:
    return np.stack([(prepare(i) @ WEIGHTS).float().numpy() for i in range(count)])


def run(
    count: int,
    batch_size: int,
    encode: Callable[[torch.Tensor], Float32[np.ndarray, "item dim"]] = encode,
    prepare: Callable[[int], torch.Tensor] = prepare,
    workers: int = 3,
) -> list[Float32[np.ndarray, "item dim"]]:
    return list(encode_in_batches(range(count), prepare, torch.stack, encode, batch_size, workers))


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
@pytest.mark.parametrize("workers", [1, 4])
def test_every_item_is_encoded_in_order_and_the_last_partial_batch_is_kept(
    batch_size: int, workers: int
) -> None:
    batches = run(100, batch_size, workers=workers)
    full, rest = divmod(100, batch_size)
    assert [len(b) for b in batches] == [batch_size] * full + [rest] * (rest > 0)
    np.testing.assert_allclose(np.concatenate(batches), one_by_one(100), rtol=1e-6)


def test_nothing_in_nothing_out() -> None:
    assert run(0, 8) == []


def test_slow_items_do_not_lose_their_place() -> None:
    def slow_first(item: int) -> torch.Tensor:
        time.sleep(0.02 if item % 5 == 0 else 0)
        return prepare(item)

    vectors = np.concatenate(run(23, 4, prepare=slow_first, workers=5))
    np.testing.assert_allclose(vectors, one_by_one(23), rtol=1e-6)


def test_items_are_prepared_ahead_but_not_without_bound() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            drawn.append(i)
            yield i

    batches = encode_in_batches(items(), prepare, torch.stack, encode, 10, workers=2)
    next(batches)
    assert len(drawn) == 10 * (AHEAD + 1)
    next(batches)
    assert len(drawn) == 10 * (AHEAD + 2)


class SmallMemory:
    """An encoder with room for a few items; it remembers the sizes it was asked for."""

    def __init__(self, room: int, error: BaseException) -> None:
        self.room, self.error, self.asked = room, error, list[int]()

    def __call__(self, batch: torch.Tensor) -> Float32[np.ndarray, "item dim"]:
        self.asked.append(len(batch))
        if len(batch) > self.room:
            raise self.error
        return encode(batch)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
def test_running_out_of_memory_halves_the_batch_and_changes_nothing(error: BaseException) -> None:
    encoder = SmallMemory(5, error)
    vectors = np.concatenate(run(50, 16, encode=encoder))
    np.testing.assert_allclose(vectors, one_by_one(50), rtol=1e-6)
    assert encoder.asked[:3] == [16, 8, 4]
    assert max(encoder.asked[3:]) == 4, "a size that failed is not tried again"


def test_one_item_that_does_not_fit_says_what_to_do() -> None:
    with pytest.raises(StudyError, match=r"batch of one.*bfloat16.*`cpu`"):
        run(3, 4, encode=SmallMemory(0, OUT_OF_MEMORY[0]))


def test_other_errors_of_the_encoder_go_through() -> None:
    encoder = SmallMemory(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match=r"mat1 and mat2"):
        run(3, 4, encode=encoder)
    assert encoder.asked == [3]


def test_an_item_that_cannot_be_prepared_stops_the_run_after_the_batches_before_it() -> None:
    def spoilt(item: int) -> torch.Tensor:
        if item == 25:
            raise StudyError("item 25 is broken")
        return prepare(item)

    batches = encode_in_batches(range(1000), spoilt, torch.stack, encode, 10, workers=2)
    done = [next(batches), next(batches)]
    np.testing.assert_allclose(np.concatenate(done), one_by_one(20), rtol=1e-6)
    with pytest.raises(StudyError, match=r"item 25 is broken"):
        next(batches)


def test_a_run_that_is_given_up_prepares_nothing_more() -> None:
    prepared: list[int] = []

    def slowly(item: int) -> torch.Tensor:
        if item >= 20:  # of the first batch on; so nothing is finished by chance ahead of time
            time.sleep(0.2)
        prepared.append(item)
        return prepare(item)

    before = threading.enumerate()
    batches = encode_in_batches(range(1000), slowly, torch.stack, encode, 20, workers=1)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert {*threading.enumerate()} <= {*before}, "who could prepare more is gone"
    assert len(prepared) < 20 * (AHEAD + 1)
