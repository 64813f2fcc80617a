"""Which failures of a stage may be gone when it is tried again a little later."""

import errno
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a run with nothing to do needs no Prefect
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

WAITS_S = (10.0, 60.0)
"""Before the second and the third try."""

_PASSING = {
    *(errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ENOLCK, errno.ETXTBSY),
    *(errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH),
}
"""What a busy or briefly absent disk or network says; a full disk is not among them."""


def heals(error: BaseException) -> bool:
    """Return whether what failed was the network or a busy disk.

    A wrong study, a rejected dataset and a full disk fail again in the same way. Language models
    are asked again by their client, which knows better how long to wait: what it gives up on is not
    tried here once more.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionError | TimeoutError):
            return True
        if isinstance(seen, OSError) and seen.errno in _PASSING:
            return True
        # httpx, which Prefect speaks, and httpx2, which the hub's client and openai's speak.
        if any(cls.__name__ == "TransportError" for cls in type(seen).__mro__):
            return True
        seen = seen.__cause__
    return False


def is_tried_again(_: "Task[..., Any]", __: "TaskRun", state: "State[Any]") -> bool:
    """Tell Prefect whether to try a stage again."""
    error = state.data
    return isinstance(error, BaseException) and heals(error)
