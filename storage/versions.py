"""Earlier versions of a bucket's objects, which stay where an object is removed or replaced.

`obstore` neither lists nor removes versions, so S3 is asked by boto3.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from curette.schemas.artifact import CuretteError
from curette.storage.bucket import AT_A_TIME, parted, s3_endpoint

_REMOVED_AT_ONCE = 1000


class VersionsRefused(CuretteError):
    """The object storage does not let versions be listed or removed; the text is its code."""


@dataclass(frozen=True)
class Version:
    """One version of an object."""

    name: str
    id: str
    is_current: bool
    is_marker: bool
    """It only says that the object was removed."""


@dataclass(frozen=True)
class Versions:
    """The versions of every object below the address of a store."""

    _bucket: str
    _prefix: str
    _client: Any

    @classmethod
    def of(cls, url: str) -> Self | None:
        """Return those of a store in S3; None elsewhere, and where boto3 is not installed."""
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            return None
        address = urlsplit(url)
        if address.scheme != "s3":
            return None
        endpoint = s3_endpoint()
        prefix = address.path.strip("/")
        client = boto3.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
            config=Config(
                s3={"addressing_style": "path" if endpoint else "auto"},
                max_pool_connections=AT_A_TIME,
            ),
        )
        return cls(address.netloc, f"{prefix}/" if prefix else "", client)

    def listed(self, name: str = "") -> list[Version]:
        """Return every version of the objects whose names begin so, the newest of each first.

        Raises:
            VersionsRefused: the server does not tell.
        """
        with _explained():
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=self._prefix + name
            )
            return [version for page in pages for version in self._of_page(page)]

    def _of_page(self, page: dict[str, Any]) -> Iterator[Version]:
        for kind in ("Versions", "DeleteMarkers"):
            for entry in page.get(kind, ()):
                yield Version(
                    name=entry["Key"].removeprefix(self._prefix),
                    id=entry["VersionId"],
                    is_current=entry["IsLatest"],
                    is_marker=kind == "DeleteMarkers",
                )

    def contents(self, versions: Sequence[Version]) -> Iterator[tuple[Version, bytes]]:
        """Yield versions with what is in them.

        Raises:
            VersionsRefused: the server does not hand one out.
        """

        def read(version: Version) -> bytes:
            with _explained():
                got = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + version.name, VersionId=version.id
                )
                return bytes(got["Body"].read())

        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for some in parted(versions, AT_A_TIME):
                yield from zip(some, pool.map(read, some), strict=True)

    def remove(self, versions: Iterable[Version], before: Callable[[], None]) -> None:
        """Remove versions, in their order; `before` is called ahead of each request.

        Raises:
            VersionsRefused: the server keeps one of them.
        """
        for some in parted(versions, _REMOVED_AT_ONCE):
            named = [{"Key": self._prefix + v.name, "VersionId": v.id} for v in some]
            before()
            with _explained():
                said = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": named, "Quiet": True}
                )
            if errors := said.get("Errors"):
                raise VersionsRefused(str(errors[0].get("Code", "refused")))

    def erase(self, name: str, before: Callable[[], None]) -> None:
        """Remove an object with all its versions, the current one last.

        Raises:
            VersionsRefused: the server keeps one of them.
        """
        every = [version for version in self.listed(name) if version.name == name]
        earlier = [version for version in every if not version.is_current]
        self.remove(earlier, before)
        self.remove((version for version in every if version.is_current), before)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what boto3 says into the code of it, since its words may carry an address or a key."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise VersionsRefused(str(error.response["Error"].get("Code", "refused"))) from None
    except BotoCoreError as error:
        raise VersionsRefused(type(error).__name__) from None
