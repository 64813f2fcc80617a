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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeVar

from curette.schemas.artifact import CuretteError, StudyError

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutResult, UpdateVersion
    from obstore.store import ObjectStore

    Version = UpdateVersion | Literal["create"]

T = TypeVar("T")
_MARK = ".mirrors"
_ADDRESS = re.compile(r"(s3|gs|az):/{1,2}([A-Za-z0-9._-]+)(/[A-Za-z0-9._/-]*)?")
_KNOWN = re.compile(r"(s3a?|gs|az|abfss?|gcs|https?):/")

_SERVERS = {
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_USE_EMULATOR"),
}
"""Where a bucket of each scheme is looked for, which an address does not say."""
_SETTINGS = {
    "s3": "its region or endpoint (AWS_REGION, AWS_ENDPOINT_URL)",
    "gs": "its account (GOOGLE_SERVICE_ACCOUNT)",
    "az": "its account (AZURE_STORAGE_ACCOUNT_NAME)",
}
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|The specified bucket does not exist")

AT_A_TIME = 16
"""Objects that are asked for side by side, since most of the time of each is waiting."""
_DROPPED_AT_ONCE = 500


class BucketSilent(CuretteError):
    """The object storage does not do what it is asked."""


@dataclass(frozen=True)
class Kept:
    """What a bucket says of an object without handing it out."""

    at: datetime
    """When it was last written, by the bucket's own clock."""
    size_bytes: int


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
    told_apart = hashlib.sha256(f"{url} {_server(scheme)}".encode()).hexdigest()[:8]
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
    return None if url is None else Bucket(url, _opened(url, _server(_scheme(url))))


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
        return self.versioned(name)[0]

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield names with their contents, in the order asked for; one that is gone is left out."""
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for some in parted(names, AT_A_TIME):
                for name, content in zip(some, pool.map(self.get, some), strict=True):
                    if content is not None:
                        yield name, content

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
        while True:
            old, version = self.versioned(name)
            new = change(old)
            if new == old or self.swap(name, new, version):
                return new

    def versioned(self, name: str) -> "tuple[bytes | None, Version]":
        """Return an object's content, and the condition of its replacement: that it is still it."""
        import obstore

        try:
            with self._explained():
                got = obstore.get(self._objects, name)
                content = bytes(got.bytes())
        except FileNotFoundError:
            return None, "create"
        return content, _version(got.meta)

    def swap(self, name: str, content: bytes, version: "Version") -> "Version | None":
        """Replace an object if it is still what it was; None where it is not, or is gone."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._explained():
                return _version(obstore.put(self._objects, name, content, mode=version))
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return None

    def drop(self, *names: str, before: Callable[[], None] = lambda: None) -> None:
        """Remove the objects that there are of these; `before` is called ahead of each request."""
        import obstore

        for some in parted(names, _DROPPED_AT_ONCE):
            before()
            with self._explained(), suppress(FileNotFoundError):
                obstore.delete(self._objects, some)

    def names(self, folder: str = "") -> dict[str, Kept]:
        """Return the name of every object below a folder, with what the bucket says of it."""
        import obstore

        with self._explained():
            pages = obstore.list(self._objects, folder or None)
            listed = [entry for page in pages for entry in page]
        return {e["path"]: Kept(e["last_modified"], e["size"]) for e in listed}

    def keeps_versions(self, name: str) -> bool | None:
        """Return whether removed objects stay as earlier versions; None where that is not told.

        Args:
            name: of an object that was written just now.
        """
        if self.url.startswith("gs:"):  # which numbers versions whether or not it keeps them
            return None
        _, version = self.versioned(name)
        return version != "create" and bool(version.get("version"))

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
            if not self.fetch(object_, folder / inside):
                return False  # removed meanwhile
        return True

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
            if isinstance(error, FileNotFoundError) and not _NO_BUCKET.search(said):
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
                f"{_SETTINGS[_scheme(self.url)]} and the credentials in the environment. Finished "
                "stages are kept; the next run goes on from them."
            ) from None


def _version(said: "ObjectMeta | PutResult") -> "UpdateVersion":
    version: UpdateVersion = {"e_tag": said["e_tag"] or ""}
    if said["version"]:
        version["version"] = said["version"]
    return version


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


def parted(names: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield so many at a time, in their order."""
    every = list(names)
    return (every[start : start + size] for start in range(0, len(every), size))


def _bench(place: Path) -> Path:
    return place.with_name(f".{place.stem}-{uuid.uuid4().hex}")


def _scheme(url: str) -> str:
    return url.partition(":")[0]


def _server(scheme: str) -> str:
    """Return what the environment says of where buckets of a scheme are."""
    if scheme == "s3":
        return s3_endpoint()
    return " ".join(filter(None, map(os.environ.get, _SERVERS[scheme])))


def s3_endpoint() -> str:
    """Return the address of a server of the S3 protocol, if it is another than Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""


@cache
def _opened(url: str, server: str) -> "ObjectStore":
    try:
        from obstore.store import from_url
    except ImportError:
        raise StudyError(
            f"a store at {url} needs the extra s3: `pip install 'curette[s3]'` (with uv: `uv sync "
            "--extra s3`)"
        ) from None
    from obstore.exceptions import BaseError

    plain = server.startswith("http://")  # whoever names such an endpoint wants it
    try:
        return from_url(url, client_options={"allow_http": True} if plain else None)
    except (BaseError, ValueError) as error:
        line = str(error).partition("\n")[0]
        raise StudyError(
            f"the store {url} cannot be opened: {line}. Credentials and the like are read from the "
            "environment: AWS_..., GOOGLE_... or AZURE_STORAGE_..."
        ) from None
