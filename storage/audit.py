"""Who did what, and when: a line each for what a person decides, forgets, or looks at."""

import getpass
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from curette.storage import files
from curette.storage.bucket import bucket_of
from curette.storage.store import explained, made_private


def audit(root: Path, what: str, about: str, by: Iterable[str] = ()) -> None:
    """Add a line to `root/audit.jsonl`, which its owner alone may read; lines are never changed.

    Args:
        root: the store.
        what: what was done, in a few words; no image, patient or statement is named.
        about: the study, or what else it was done to.
        by: the names that people gave; the account that the process runs under is added.

    Raises:
        StoreError: the disk is full or read-only.
    """
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "account": account(),
        "by": sorted({name for name in by if name}),
        "what": what,
        "about": about,
    }
    line = f"{json.dumps(entry, ensure_ascii=False)}\n".encode()
    with explained(root):
        made_private(root)
        if bucket_of(root):  # where nothing can be added to: replaced by one line more
            files.change(root, root / "audit.jsonl", lambda content: (content or b"") + line)
            return
        file = os.open(root / "audit.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)


def account() -> str:
    """Return the name of the account that the process runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid {os.getuid()}"
