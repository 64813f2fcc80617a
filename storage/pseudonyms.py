"""What patients are called outside: names that only who has the store's key can tell from ids."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from curette.storage import files
from curette.storage.store import explained

_KEY_BYTES, _SHOWN = 32, 16


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms under a key in `root/keys`, which is made once and is no part of any artifact.

    One id has one pseudonym in all studies of a store, and others in other stores. An id cannot be
    found by trying all of them, as it could if its plain digest were published.
    """

    root: Path

    def of(self, what: str, id_: str) -> str:
        """Return what an id is called outside.

        Args:
            what: what it is an id of, such as `subject`.
            id_: as it stands in the data.
        """
        said = f"{what}\0{id_}".encode("utf-8", "surrogatepass")
        return f"{what}-{hmac.new(self._key, said, hashlib.sha256).hexdigest()[:_SHOWN]}"

    @cached_property
    def _key(self) -> bytes:
        place = self.root / "keys" / "pseudonyms"
        with explained(self.root):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return files.change(
                self.root, place, lambda key: key or secrets.token_bytes(_KEY_BYTES), mode=0o600
            )
