"""A Ray cluster: reached, or started as long as it is needed; and what it says where it fails."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.machine import Machine
from curette.tasks.methods.threads import usual_threads

_PROJECT = Path(__file__).parents[3]
_PATIENCE_S = 10


NOT_INSTALLED = (
    "the machine's engine is `ray`, but Ray is not installed. Install curette with its extra: "
    "curette[ray]; or use the engine `local`."
)


_LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "torch", "torchvision", "open_clip_torch", "timm"),
    *("transformers", "pillow", "pydicom"),
)


class Node(NamedTuple):
    """What a machine of the cluster offers."""

    cpus: int
    gpus: int


def living_nodes(ray: Any) -> list[Node]:
    """Return what each living machine of the cluster offers."""
    offered = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in offered]


@contextmanager
def cluster(machine: Machine) -> Iterator[Any]:
    """Yield `ray`, connected to the machine's cluster or to one that lives as long as this.

    Raises:
        StudyError: Ray is not installed, there is no cluster at the address, or it fails.
        CuretteError: whatever a worker says of the work that it was given.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if machine.ray_address is None:
        # Ray would write one into the home directory, and for every later cluster there.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise StudyError(NOT_INSTALLED) from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if machine.ray_address is None:
            ray.init(
                num_cpus=usual_threads(),
                include_dashboard=False,
                runtime_env={"env_vars": {"PYTHONPATH": str(_PROJECT)}},
                **quiet,
            )
        else:
            _knock(machine.ray_address)
            ray.init(address=machine.ray_address, **quiet)
    except Exception as error:  # Ray has many ways to say so
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise StudyError(
            f"the Ray cluster {machine.ray_address or 'of this machine'} cannot be reached: {said} "
            "Check the machine's ray_address, or leave it out to start one here."
        ) from error
    try:
        yield ray
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, CuretteError):
            raise cause from error
        said = (str(error).strip().splitlines()[-1:] or [type(error).__name__])[0]
        raise StudyError(
            f"the Ray cluster failed: {said[:300]} All its machines need the same versions of "
            "Python, Ray and curette; what was done is kept."
        ) from error
    finally:
        ray.shutdown()


def libraries() -> dict[str, str]:
    """Return the versions of what decides a worker's numbers; what is not installed is left out."""
    found = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def require_same(wanted: dict[str, str], found: dict[str, str]) -> None:
    """Compare a worker's libraries with those of the machine that sent it work.

    Raises:
        StudyError: one is missing, or has another version.
    """
    for name in sorted(wanted | found):
        here, there = found.get(name, "not installed"), wanted.get(name, "not installed")
        if here != there:
            raise StudyError(
                f"{name} is {here} on the Ray worker {socket.gethostname()}, and {there} on the "
                "machine that runs the study, so that their numbers may differ. Install the same "
                "versions on all machines."
            )


def _knock(address: str) -> None:
    """Connect to `host:port` once; Ray itself would try for minutes where nobody answers.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
