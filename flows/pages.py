"""The pages of a store, served for links in the Prefect UI: `curette pages`."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from curette.flows.look import listening, quiet_server
from curette.schemas.artifact import StudyError
from curette.tasks.look.stored import StoredPages


def serve_pages(root: Path, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve reports, Data Docs and cards of a store until somebody stops it.

    Args:
        root: the store.
        host: the address of this machine at which they are; 127.0.0.1: to this machine alone.
        port: 0: any that is free.
        say: is told the address, and that it ended.

    Raises:
        StudyError: there is no such store, or the port is not to be had.
    """
    if not root.is_dir():
        raise StudyError(f"there is no store {root}; name it with --store")
    with listening(port, host) as place:
        address = f"http://{host}:{place.getsockname()[1]}"
        say(f"pages: {address}/ (Ctrl-C ends it); links lead there where CURETTE_PAGES={address}")
        with suppress(KeyboardInterrupt):
            quiet_server(StoredPages(root).app).run(sockets=[place])
    say("pages: ended")
