"""Artifacts under `root/<kind>/<digest>/`: immutable, content-addressed, never half-written."""

import errno
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from curette.schemas.artifact import (
    Artifact,
    CuretteError,
    Manifest,
    PayloadFile,
    Recipe,
    Ref,
    write_json,
)
from curette.storage.bucket import bucket_of
from curette.storage.files import alone

A = TypeVar("A", bound=Artifact)
MANIFEST = "manifest.json"
_LOCK = "lock"
_ASIDE = "corrupt-"
_PROJECT = Path(__file__).resolve().parent.parent


class StoreError(CuretteError):
    """The store's disk refuses."""


class ArtifactMissing(CuretteError):
    """Nothing is stored under this reference."""


class ArtifactCorrupt(CuretteError):
    """A file changed after it was saved."""


@dataclass(frozen=True)
class ArtifactStore:
    """Artifacts under `root/<kind>/<digest>/`, each with a `manifest.json`.

    The manifest is written last and the folder is renamed into place, so a folder that exists
    is complete. Saving equal content twice is a no-op, and two processes that save the same
    artifact at a time both end well: the later rename finds it there. Where the folder mirrors a
    bucket an artifact is complete there once its manifest is, which is written last too.
    """

    root: Path

    def path(self, ref: Ref[A]) -> Path:
        """Return the artifact's folder, whether or not it exists."""
        return self.root / ref.kind / ref.digest

    def save(self, artifact: A, recipe: Recipe) -> Ref[A]:
        """Write an artifact and its history; return its address.

        Raises:
            StoreError: the disk is full or read-only; nothing half-written is left behind.
        """
        with explained(self.root), workshop(self.root, artifact.kind) as bench:
            return self._save(artifact, recipe, bench)

    def _save(self, artifact: A, recipe: Recipe, bench: Path) -> Ref[A]:
        artifact.write(bench)
        files = {
            p.relative_to(bench).as_posix(): PayloadFile(
                sha256=_sha256(p), size_bytes=p.stat().st_size
            )
            for p in sorted(bench.rglob("*"))
            if p.is_file()
        }
        ref: Ref[A] = Ref(artifact.kind, _digest(artifact, files, recipe))
        if self.is_whole(ref):
            return ref
        manifest = Manifest(
            kind=artifact.kind,
            layout=artifact.layout,
            digest=ref.digest,
            files=files,
            parts=tuple(str(part) for part in artifact.parts()),
            recipe=recipe,
            code_commit=_code_commit(),
            lock_sha256=_lock_sha256(),
            python=platform.python_version(),
            platform=f"{sys.platform} {platform.machine()}",
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json(bench / MANIFEST, manifest.model_dump(mode="json"))
        place = self.path(ref)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():  # there, but not whole: put it aside rather than trust or delete it
            place.rename(self.root / ".workshop" / f"{_ASIDE}{ref.digest}-{uuid.uuid4().hex}")
        if bucket := bucket_of(self.root):  # first, so that what lies here lies there
            bucket.put_folder(str(ref), bench, last=MANIFEST)
        _into_place(bench, place)
        return ref

    def load(self, cls: type[A], ref: Ref[A]) -> A:
        """Read an artifact back, after checking its bytes.

        Raises:
            TypeError: `ref` points at another kind of artifact.
            ArtifactMissing: nothing is stored there.
            ArtifactCorrupt: a file changed after it was saved.
        """
        if ref.kind not in (cls.kind, *cls.formerly):
            raise TypeError(f"{ref} is not a {cls.kind}: a stage was given the wrong input")
        self._fetch(ref)
        manifest = self.manifest(ref)
        if manifest.layout != cls.layout:
            raise ArtifactCorrupt(
                f"{ref} has layout {manifest.layout}, this version of curette reads layout "
                f"{cls.layout}. Run the study again with --refresh {manifest.recipe.stage}."
            )
        place = self.path(ref)
        for name, expected in manifest.files.items():
            file = place / name
            if not file.is_file() or _sha256(file) != expected.sha256:
                raise ArtifactCorrupt(
                    f"{file} changed after it was saved. Run the study again: the stage "
                    f"`{manifest.recipe.stage}` will be repeated."
                )
        return cls.read(place)

    def manifest(self, ref: Ref[A]) -> Manifest:
        """Return an artifact's history.

        Raises:
            ArtifactMissing: nothing is stored there.
            ArtifactCorrupt: the manifest cannot be read.
        """
        file, bucket = self.path(ref) / MANIFEST, bucket_of(self.root)
        content = file.read_bytes() if file.is_file() else None
        if content is None and bucket:  # which is asked for no more than that
            content = bucket.get(f"{ref}/{MANIFEST}")
        if content is None:
            raise ArtifactMissing(
                f"{ref} is not in the store {self.root}: it was pruned, or it was made in another "
                "store. Run the study again: the stage that makes it will be repeated."
            )
        try:
            return Manifest.model_validate_json(content)
        except ValidationError as error:
            raise ArtifactCorrupt(f"{file} is not a manifest: {error}") from None

    def latest(self, kind: str) -> list[Ref[Any]]:
        """Return all artifacts of a kind, the last used first."""
        if bucket := bucket_of(self.root):
            at = {k: v for k, v in bucket.names(kind).items() if k.endswith(f"/{MANIFEST}")}
            return [
                Ref(kind, name.split("/")[1])
                for name in sorted(at, key=lambda name: at[name].at, reverse=True)
            ]
        places = list((self.root / kind).glob(f"[!.]*/{MANIFEST}"))
        places.sort(key=lambda file: file.parent.stat().st_mtime_ns, reverse=True)
        return [Ref(kind, file.parent.name) for file in places]

    def mark_used(self, ref: Ref[A]) -> None:
        """Let an artifact count as used now."""
        with suppress(OSError):  # a store may be read and not written
            os.utime(self.path(ref))
        if bucket := bucket_of(self.root):
            content, version = bucket.versioned(f"{ref}/{MANIFEST}")
            if content is not None:  # or it was removed, and does not come back without its files
                bucket.swap(f"{ref}/{MANIFEST}", content, version)

    def _fetch(self, ref: Ref[A]) -> None:
        """Have an artifact here that only the bucket has; its bytes are checked as it is loaded."""
        place, bucket = self.path(ref), bucket_of(self.root)
        if bucket is None or place.exists():
            return
        with explained(self.root), workshop(self.root, ref.kind) as bench:
            if bucket.fetch_folder(str(ref), bench, last=MANIFEST):
                place.parent.mkdir(parents=True, exist_ok=True)
                _into_place(bench, place)

    def lineage(self, last: Ref[A]) -> Iterator[Manifest]:
        """Yield the manifests of an artifact and of everything it rests on, first made first."""
        seen: set[str] = set()

        def visit(ref: Ref[Artifact]) -> Iterator[Manifest]:
            if str(ref) in seen:
                return
            seen.add(str(ref))
            manifest = self.manifest(ref)
            for text in manifest.recipe.inputs.values():
                yield from visit(Ref.parse(text))
            yield manifest

        yield from visit(last)

    def is_whole(self, ref: Ref[A]) -> bool:
        """Return whether the artifact and its parts are there, every byte as it was saved."""
        self._fetch(ref)
        try:
            manifest = self.manifest(ref)
        except (ArtifactMissing, ArtifactCorrupt):
            return False
        place = self.path(ref)
        return all(
            (place / name).is_file() and _sha256(place / name) == expected.sha256
            for name, expected in manifest.files.items()
        ) and all(self.is_whole(Ref.parse(part)) for part in manifest.parts)


DISK_REMEDIES = {
    errno.ENOSPC: "the disk is full: make room, or choose another one with --store",
    errno.EDQUOT: "the disk quota is used up: make room, or choose another --store",
    errno.EROFS: "the disk is read-only: choose a folder you may write to with --store",
}
"""What only writing can meet, wherever in a stage it happened."""

_REMEDIES = DISK_REMEDIES | {
    errno.EACCES: "you may not write there: choose another folder with --store",
    errno.EPERM: "you may not write there: choose another folder with --store",
    errno.ENOTDIR: "a part of the path is a file: choose a folder with --store",
}


@contextmanager
def explained(root: Path, remedies: Mapping[int, str] = _REMEDIES) -> Iterator[None]:
    """Turn what a disk says into what a person can do about it."""
    try:
        yield
    except OSError as error:
        remedy = remedies.get(error.errno or 0)
        if remedy is None:
            raise
        raise StoreError(
            f"cannot write to the store {root}: {remedy}. Finished stages are kept; the next run "
            "goes on from them."
        ) from error


def made_private(root: Path) -> None:
    """Make the store's folder, unless it is there, so that its owner alone may look inside.

    What is in it may tell of patients. Whoever shares a store says so by the rights of a folder
    that was there before.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def workshop(root: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder below the store for what is needed meanwhile, and remove it.

    What killed processes have left there is removed first: they hold no lock.
    """
    place = root / ".workshop"
    with explained(root):
        made_private(root)
        # One process at a time, so that no folder is seen between its making and its lock.
        with alone(place / ".lock"):
            _remove_left_behind(place)
            folder = place / f"{name}-{uuid.uuid4().hex}"
            folder.mkdir()
            lock = (folder / _LOCK).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        bench = folder / "bench"
        bench.mkdir()
    try:
        yield bench
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _into_place(bench: Path, place: Path) -> None:
    try:
        bench.rename(place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Another process has just saved the same content: that is the same artifact.


def _remove_left_behind(place: Path) -> None:
    """Remove every folder that no living process holds, but those of artifacts put aside."""
    for folder in place.iterdir():
        if folder.is_dir() and not folder.name.startswith(_ASIDE):
            with suppress(OSError), (folder / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError: its owner lives
                shutil.rmtree(folder, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(artifact: Artifact, files: dict[str, PayloadFile], recipe: Recipe) -> str:
    """Return 20 hex digits over kind, layout, every payload file's digest, and the recipe.

    With the recipe an artifact's history is its own: an equal result of other settings or inputs
    is another artifact, and no report tells the settings of the run that came first. The code is
    left out, so that a stage rewritten to the same effect leaves what follows it remembered.
    """
    origin = recipe.model_dump_json(exclude={"code"})
    content = [f"{name} {file.sha256}" for name, file in files.items()]
    text = "\n".join([f"{artifact.kind} {artifact.layout}", origin, *content])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@cache
def _code_commit() -> str | None:
    """Return the checkout's commit, or None where curette is installed.

    An installed curette may lie inside somebody else's checkout, whose commit would say nothing.
    """
    if not (_PROJECT / ".git").exists():
        return None
    command = ["git", "-C", str(_PROJECT), "describe", "--always", "--dirty=+dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def _lock_sha256() -> str | None:
    lock = _PROJECT / "uv.lock"
    return _sha256(lock) if lock.is_file() else None
