"""Object storage behind a store: a folder of this machine mirrors a bucket that many share.

What never changes (artifacts, vectors, images, answers) goes to the bucket before it is renamed
into the folder, and comes from there when it is missing: what lies in the folder lies in the
bucket, so the folder may be deleted at any time. What changes (who read test labels, which
decisions count) is in the bucket alone, and is replaced there only if nobody else has replaced it
meanwhile.
"""

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from curette.schemas.artifact import CuretteError, StudyError

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore

_MARK = ".mirrors"
_ADDRESS = re.compile(r"(s3|gs|az):/{1,2}([A-Za-z0-9._-]+)(/[A-Za-z0-9._/-]*)?")
_KNOWN = re.compile(r"(s3a?|gs|az|abfss?|gcs|https?):/")


class BucketSilent(CuretteError):
    """The object storage does not do what it is asked."""


def local_folder(store: str | Path) -> Path:
    """Return the folder that stands for a store: its own, or the one that mirrors its bucket.

    Args:
        store: a folder, or `s3://bucket/prefix`, `gs://...` or `az://...`.

    Raises:
        StudyError: it is an address that cannot be a store's.
    """
    text = str(store)
    if not _KNOWN.match(text):
        return Path(text).resolve()
    found = _ADDRESS.fullmatch(text)
    if not found or ".." in text:
        raise StudyError(
            "the store is no address of a bucket: write s3://bucket/prefix (or gs://, az://), of "
            "letters, digits and . _ - alone. Keys and options stand in the environment, not in it."
        )
    scheme, bucket, prefix = found[1], found[2], (found[3] or "").strip("/")
    url = f"{scheme}://{bucket}/{prefix}".rstrip("/")
    told_apart = hashlib.sha256(f"{url} {_endpoint()}".encode()).hexdigest()[:8]
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(caches).resolve() / "curette" / f"{scheme}-{bucket}-{told_apart}"
    mark = folder / _MARK
    if not mark.is_file():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold test labels
        write_whole(mark, url.encode())
    return folder


def bucket_of(root: Path) -> "Bucket | None":
    """Return the bucket that a store's folder mirrors; None where it is a folder of its own."""
    url = bucket_address(root)
    return None if url is None else Bucket(url, _opened(url, _endpoint()))


def bucket_address(root: Path) -> str | None:
    """Return the address of the bucket that a store's folder mirrors, without asking it."""
    try:
        return (root / _MARK).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass(frozen=True)
class Bucket:
    """Objects under an address, by names like `note/0123/manifest.json`."""

    url: str
    _objects: "ObjectStore"

    def get(self, name: str) -> bytes | None:
        """Return an object's content; None where there is none."""
        return self._versioned(name)[0]

    def put(self, name: str, content: bytes | Path) -> None:
        """Write an object, or replace it; it is there whole or not at all."""
        import obstore

        with self._explained():
            obstore.put(self._objects, name, content)

    def change(self, name: str, change: Callable[[bytes | None], bytes]) -> bytes:
        """Replace an object by what `change` makes of it, unless another has replaced it first.

        Args:
            name: the object's.
            change: is given the content, None where there is none, and is asked again with the new
                content where another was faster. Where it returns what it was given, nothing is
                written.

        Returns:
            The content that it has now.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        while True:
            old, version = self._versioned(name)
            new = change(old)
            if new == old:
                return new
            try:
                with self._explained():
                    obstore.put(self._objects, name, new, mode=version)
                return new
            except (AlreadyExistsError, PreconditionError):
                continue

    def drop(self, name: str) -> None:
        """Remove an object, if there is one."""
        import obstore

        with self._explained():
            obstore.delete(self._objects, name)

    def names(self, folder: str) -> dict[str, datetime]:
        """Return the name of every object below a folder, and when it was last written."""
        import obstore

        with self._explained():
            listed = [entry for page in obstore.list(self._objects, folder) for entry in page]
        return {entry["path"]: entry["last_modified"] for entry in listed}

    def fetch(self, name: str, place: Path) -> bool:
        """Copy an object to a file, which is there whole or not at all; False where none is."""
        import obstore

        place.parent.mkdir(parents=True, exist_ok=True)
        bench = _bench(place)
        try:
            with self._explained():
                got = obstore.get(self._objects, name)
                with bench.open("wb") as file:
                    for chunk in got.stream():
                        file.write(chunk)
            bench.replace(place)
        except FileNotFoundError:
            return False
        finally:
            bench.unlink(missing_ok=True)
        return True

    def put_folder(self, name: str, folder: Path, last: str) -> None:
        """Write every file of a folder, the one that says that it is complete after the others."""
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        for file in [*(f for f in files if f != last), last]:
            self.put(f"{name}/{file}", folder / file)

    def fetch_folder(self, name: str, folder: Path, last: str) -> bool:
        """Copy every object below a name into a folder; False where it is not complete."""
        names = self.names(name)
        if f"{name}/{last}" not in names:
            return False
        for object_ in names:
            inside = PurePosixPath(object_).relative_to(name)
            if ".." in inside.parts:
                raise BucketSilent(f"{self.url} has an object {object_}, which no store has")
            self.fetch(object_, folder / inside)
        return True

    def _versioned(self, name: str) -> "tuple[bytes | None, UpdateVersion | Literal['create']]":
        """Return an object's content, and the condition of its replacement: that it is still it."""
        import obstore

        try:
            with self._explained():
                got = obstore.get(self._objects, name)
                content = bytes(got.bytes())
        except FileNotFoundError:
            return None, "create"
        version: UpdateVersion = {"e_tag": got.meta["e_tag"] or ""}
        if got.meta["version"]:
            version["version"] = got.meta["version"]
        return content, version

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what object storage says into one line; what an address may carry is cut off.

        An object that is not there, and one that another has replaced, are told as they are.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            said = str(error)
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in said:
                raise
            if isinstance(error, OSError) and not isinstance(
                error, FileNotFoundError | PermissionError
            ):
                raise  # of the disk
            code = re.search(r"<Code>(\w+)</Code>", said)
            line = re.sub(r"\?\S*", "", re.split(r"\n|: <", said)[0])[:300]
            raise BucketSilent(
                f"the store {self.url} cannot be read or written: {line}"
                f"{f' ({code[1]})' if code else ''}. Look at the bucket's name, "
                "its region or endpoint (AWS_REGION, AWS_ENDPOINT_URL) and the credentials in the "
                "environment. Finished stages are kept; the next run goes on from them."
            ) from None


def write_whole(place: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that is there whole or not at all, in a folder that may not be there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    bench = _bench(place)
    try:
        bench.touch(mode)
        bench.write_bytes(content)
        bench.replace(place)
    finally:
        bench.unlink(missing_ok=True)


def _bench(place: Path) -> Path:
    return place.with_name(f".{place.stem}-{uuid.uuid4().hex}")


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""


@cache
def _opened(url: str, endpoint: str) -> "ObjectStore":
    try:
        from obstore.store import from_url
    except ImportError:
        raise StudyError(
            f"a store at {url} needs the extra s3: `pip install 'curette[s3]'` (with uv: `uv sync "
            "--extra s3`)"
        ) from None
    from obstore.exceptions import BaseError

    plain = endpoint.startswith("http://")  # whoever names such an endpoint wants it
    try:
        return from_url(url, client_options={"allow_http": True} if plain else None)
    except (BaseError, ValueError) as error:
        line = str(error).partition("\n")[0]
        raise StudyError(
            f"the store {url} cannot be opened: {line}. Credentials and the like are read from the "
            "environment: AWS_..., GOOGLE_... or AZURE_STORAGE_..."
        ) from None
