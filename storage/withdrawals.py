"""The list of what was withdrawn, and the splits that the other images keep."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from curette.schemas.images import SPLITS, Split
from curette.schemas.withdrawals import WithdrawalList
from curette.storage import files
from curette.storage.audit import audit
from curette.storage.store import ArtifactCorrupt, explained


@dataclass(frozen=True)
class WithdrawalShelf:
    """`root/withdrawn/list.json`, and beside it a file of splits for each study that needs one."""

    root: Path

    def current(self) -> WithdrawalList:
        """Return all that was withdrawn.

        Raises:
            ArtifactCorrupt: the list is damaged. What was withdrawn must not come back unnoticed.
        """
        place = self._folder / "list.json"
        content = files.read(self.root, place)
        if content is None:
            return WithdrawalList()
        try:
            return WithdrawalList.model_validate_json(content)
        except ValidationError:
            raise ArtifactCorrupt(
                f"{place} does not say what was withdrawn. Put it back from a copy of the store: "
                "without it images that were withdrawn would be taken in again."
            ) from None

    def replace(self, listed: WithdrawalList) -> None:
        """Write the whole list anew, and drop splits that it no longer names.

        Raises:
            StoreError: the disk is full or read-only.
        """
        with explained(self.root):
            content = listed.model_dump_json(indent=1).encode()
            files.replace(self.root, self._folder / "list.json", content)
        audit(self.root, "changed what is withdrawn", "every study")
        for file in files.listed(self.root, self._folder):
            named = file.stem.startswith("splits-") and file.suffix == ".json"
            if named and file.stem.removeprefix("splits-") not in listed.splits.values():
                files.drop(self.root, file)

    def keep_splits(self, splits: Mapping[str, Split]) -> str:
        """Keep which split each image (its sha256) is in; return the digest by which to ask.

        Raises:
            StoreError: the disk is full or read-only.
        """
        parted = {s: sorted(i for i, split in splits.items() if split == s) for s in SPLITS}
        content = json.dumps(parted).encode()
        digest = hashlib.sha256(content).hexdigest()
        with explained(self.root):
            files.keep(self.root, self._folder / f"splits-{digest}.json", content)
        return digest

    def splits(self, digest: str) -> dict[str, Split]:
        """Return what `keep_splits` was given; nothing where there is no digest.

        Raises:
            ArtifactCorrupt: the file is gone or damaged.
        """
        if not digest:
            return {}
        place = self._folder / f"splits-{digest}.json"
        content = place.read_bytes() if files.has(self.root, place) else b""
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactCorrupt(
                f"{place} is not what was written. It says which split each image was in when "
                "others were withdrawn: put it back from a copy of the store."
            )
        parted = json.loads(content)
        return {image: split for split in SPLITS for image in parted[split]}

    @property
    def _folder(self) -> Path:
        return self.root / "withdrawn"
