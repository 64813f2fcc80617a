"""Feed an encoder: items are prepared in threads ahead of it and encoded in batches that fit."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Shaped

from curette.schemas.artifact import StudyError

Item = TypeVar("Item")
AHEAD = 2
"""Batches prepared while one is encoded; more would only cost memory."""


def encode_in_batches(
    items: Iterable[Item],
    prepare: Callable[[Item], Shaped[torch.Tensor, "..."]],
    stack: Callable[[list[torch.Tensor]], Shaped[torch.Tensor, "item ..."]],
    encode: Callable[[torch.Tensor], Float32[np.ndarray, "item dim"]],
    batch_size: int,
    workers: int,
) -> Iterator[Float32[np.ndarray, "item dim"]]:
    """Encode items in their order; the last batch may be smaller.

    Where a batch does not fit into memory, it and all later ones are encoded in parts of half
    the size, and so on down to one item. The numbers do not depend on the batch size beyond the
    rounding of the encoder's own sums.

    Args:
        items: drawn lazily, at most `AHEAD + 1` batches before they are encoded.
        prepare: item -> tensor; runs in `workers` threads, so it must be thread-safe.
        stack: tensors of one batch -> one tensor with a leading axis; runs in a thread too.
        encode: batch -> one vector an item; runs in the calling thread.
        batch_size: items encoded at once, at most.
        workers: threads that prepare.

    Yields:
        The vectors of one batch after another.

    Raises:
        StudyError: a single item does not fit into memory.
        Exception: whatever `prepare` raised, at the batch of its item.
    """
    encode_parts = _in_parts_that_fit(encode)
    threads = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        for batch in _prepared(iter(items), prepare, stack, batch_size, threads):
            yield encode_parts(batch)
    finally:
        threads.shutdown(cancel_futures=True)


def _prepared(
    items: Iterator[Item],
    prepare: Callable[[Item], torch.Tensor],
    stack: Callable[[list[torch.Tensor]], torch.Tensor],
    batch_size: int,
    threads: ThreadPoolExecutor,
) -> Iterator[torch.Tensor]:
    """Yield stacked batches, with `AHEAD` more under way."""

    def stack_results(rows: list[Future[torch.Tensor]]) -> torch.Tensor:
        # Waits inside the pool without a deadlock: threads take jobs first come, first served,
        # so every row's job was taken by a thread before this one was.
        return stack([row.result() for row in rows])

    under_way: deque[Future[torch.Tensor]] = deque()
    while batch := list(islice(items, batch_size)):
        rows = [threads.submit(prepare, item) for item in batch]
        under_way.append(threads.submit(stack_results, rows))
        if len(under_way) > AHEAD:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _in_parts_that_fit(
    encode: Callable[[torch.Tensor], Float32[np.ndarray, "item dim"]],
) -> Callable[[torch.Tensor], Float32[np.ndarray, "item dim"]]:
    """Return `encode`, in parts whose size is halved whenever one does not fit into memory."""
    limit = sys.maxsize

    def encode_parts(batch: torch.Tensor) -> Float32[np.ndarray, "item dim"]:
        nonlocal limit
        parts: list[Float32[np.ndarray, "item dim"]] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + limit]
            vectors = _encoded_if_it_fits(encode, part)
            if vectors is not None:
                parts.append(vectors)
                start += len(part)
            elif len(part) > 1:
                limit = len(part) // 2
            else:
                raise StudyError(
                    "the encoder does not fit into memory even with a batch of one. Something "
                    "else may be using the device; otherwise choose a smaller encoder, its "
                    "precision `bfloat16`, or the machine's device `cpu`."
                )
        return np.concatenate(parts)

    return encode_parts


def _encoded_if_it_fits(
    encode: Callable[[torch.Tensor], Float32[np.ndarray, "item dim"]], part: torch.Tensor
) -> Float32[np.ndarray, "item dim"] | None:
    """Return the vectors, or None where memory ran out."""
    try:
        return encode(part)
    except (torch.OutOfMemoryError, MemoryError):
        pass
    except RuntimeError as error:  # torch's allocator on the CPU has no class of its own
        if "DefaultCPUAllocator" not in str(error):
            raise
    # Only here, after the handlers, has the traceback let go of the batch's activations.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
