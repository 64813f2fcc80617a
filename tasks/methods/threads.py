"""How many threads compute; set here and nowhere else."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from curette.schemas.machine import Machine

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_VARIABLE = "OMP_NUM_THREADS"
"""Read by torch, FAISS and NumPy's BLAS, each once: when it is imported."""


@contextmanager
def cores_shared(machine: Machine) -> Iterator[int]:
    """Compute with the machine's threads as long as this lasts; yield how many those are.

    What is imported is told; what is imported meanwhile reads the variable; and what starts
    threads of its own asks `usual_threads`. Where the machine says nothing, nothing changes but
    that torch and FAISS agree.
    """
    if machine.threads is None:
        yield share_cores(machine)
        return
    from threadpoolctl import threadpool_limits  # scikit-learn's own dependency

    said = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(machine.threads)
    try:
        with threadpool_limits(machine.threads):  # NumPy's BLAS, and scikit-learn's OpenMP
            yield share_cores(machine)
    finally:
        if said is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = said


def share_cores(machine: Machine) -> int:
    """Give those of torch and FAISS that are imported the machine's threads; return how many.

    Both are told outright: each brings an OpenMP library of its own, and what is said to one
    reaches the other or not depending on which was imported first. What is not imported is not,
    which would take seconds.
    """
    count = machine.threads or usual_threads()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(count)
    return count


@contextmanager
def one_thread_of_torch() -> Iterator[None]:
    """Keep torch to one thread: many small problems wait for a second one longer than they gain."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread_of_blas() -> AbstractContextManager[object]:
    """Keep the linear algebra of NumPy and SciPy to one thread as long as this lasts."""
    return _loaded_blas(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _loaded_blas(_modules: int) -> "ThreadpoolController":
    """Return the BLAS libraries in this process; each comes with a module, so none is missed.

    To look for them among all files in memory takes longer than to resample a small test set.
    """
    from threadpoolctl import ThreadpoolController  # scikit-learn's own dependency

    return ThreadpoolController().select(user_api="blas")


def usual_threads() -> int:
    """Return OMP_NUM_THREADS where it is set, else one for each core that this process may use."""
    said = os.environ.get(_VARIABLE, "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decoding_threads(machine: Machine) -> int:
    """Return how many threads read and decode images: as the machine says, else the usual."""
    return max(usual_threads() if machine.workers is None else machine.workers, 1)
