"""How many cores torch and FAISS take; set here and nowhere else."""

import os
import sys

from schemas.machine import Machine


def share_cores(machine: Machine) -> int:
    """Give those of torch and FAISS that are imported the machine's threads; return how many.

    Both are told outright: each brings an OpenMP library of its own, and what is said to one
    reaches the other or not depending on which was imported first. A stage calls this once it has
    imported what it uses; what is not imported is not, which would take seconds.
    """
    count = machine.threads or usual_threads()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(count)
    return count


def usual_threads() -> int:
    """Return OMP_NUM_THREADS where it is set, else one for each core that this process may use."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
