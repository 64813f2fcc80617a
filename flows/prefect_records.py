"""What Prefect keeps of runs, searched for what was withdrawn and rid of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from curette.storage.scan import Search, holds

_PAGE = 200


def forget_records(search: Search, about_to: Callable[[Iterable[UUID]], None]) -> None:
    """Delete the artifacts and runs that Prefect's server has and that hold a trace.

    A run goes with its logs where its parameters, its name or a line of its log does. The server is
    looked through until nothing is found that was not found before: what others delete meanwhile
    moves later records to pages that were read already, and running flows write further ones.

    Args:
        search: for what.
        about_to: is told what will be deleted.
    """
    if search.traces.is_empty:
        return
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    seen: set[UUID] = set()
    with get_client(sync_client=True) as client:
        while True:
            artifacts = {a.id for a in _all(client.read_artifacts) if _holds(a, search)} - seen
            runs = {r.id for r in _all(client.read_flow_runs) if _holds(r, search)}
            runs = (runs | _runs_of_logs(client.read_logs, search)) - seen
            if not artifacts | runs:
                return
            about_to([*artifacts, *runs])
            seen |= artifacts | runs
            # Gone already is what was wanted: another purge may be at the same server, and a
            # request that is sent again after a busy database's answer was lost finds nothing.
            for artifact in artifacts:
                with suppress(ObjectNotFound):
                    client.delete_artifact(artifact)
            for run in runs:
                with suppress(ObjectNotFound):
                    client.delete_flow_run(run)


def _runs_of_logs(read: Callable[..., Sequence[Any]], search: Search) -> set[UUID]:
    return {log.flow_run_id for log in _all(read) if log.flow_run_id and _holds(log, search)}


def _all(read: Callable[..., Sequence[Any]]) -> Iterator[Any]:
    """Yield what a list of Prefect's holds, page by page."""
    offset = 0
    while page := read(limit=_PAGE, offset=offset):
        yield from page
        offset += len(page)


def _holds(record: BaseModel, search: Search) -> bool:
    return holds(record.model_dump_json().encode(), search)
