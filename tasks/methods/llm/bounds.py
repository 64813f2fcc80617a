"""An HTTP answer is read no further than we are ready to: in bytes, packed and unpacked."""

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

from httpx2 import AsyncByteStream, Response

MOST_BYTES: Final = 16 * 2**20
"""Of an answer, unpacked, unless more is expected."""
most_bytes: ContextVar[int] = ContextVar("most_bytes", default=MOST_BYTES)
"""How many bytes the next answer may have."""

_CHUNK: Final = 2**16


class TooLarge(Exception):
    """An answer is larger than any that was asked for, or packed in a way we did not ask for."""


async def bound(response: Response) -> None:
    """Put bounds on the body of a response whose headers have come: an event hook of the client."""
    packed = response.headers.pop("content-encoding", "identity").strip().lower()
    response.stream = _Bounded(response.stream, packed, most_bytes.get())


class _Bounded(AsyncByteStream):
    def __init__(self, stream: Any, packed: str, most: int) -> None:
        self._stream, self._packed, self._most = stream, packed, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpack = _unpacker(self._packed)
        came = unpacked = 0
        async for packed in self._stream:
            came += len(packed)
            self._check(came)
            for chunk in unpack(packed):
                unpacked += len(chunk)
                self._check(unpacked)
                yield chunk

    def _check(self, size: int) -> None:
        if size > self._most:
            raise TooLarge(f"its answer is longer than {self._most / 2**20:,.0f} MiB")

    async def aclose(self) -> None:
        await self._stream.aclose()


def _unpacker(packed: str) -> Callable[[bytes], Iterator[bytes]]:
    """Return what unpacks piece by piece, no piece larger than a chunk: a bomb fills no memory."""
    if packed in ("identity", ""):
        return lambda data: iter((data,))
    if packed not in ("gzip", "x-gzip", "deflate"):
        raise TooLarge(f"its answer is packed as {packed[:40]!r}, which was not asked for")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its header says

    def unpack(data: bytes) -> Iterator[bytes]:
        while data:
            try:
                chunk = inflater.decompress(data, _CHUNK)
            except zlib.error:
                raise TooLarge("its answer is packed, and damaged") from None
            if not chunk and not inflater.unconsumed_tail:
                return
            yield chunk
            data = inflater.unconsumed_tail

    return unpack
