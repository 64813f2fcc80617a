"""How many tokens a text has, without asking anyone.

`tiktoken` knows how OpenAI's models split text, but fetches its tables from the web when they are
not on the disk. Here a table is used only if it is there already, whole, where `tiktoken` keeps
it (`TIKTOKEN_CACHE_DIR`); otherwise four characters count as a token, which OpenAI names as the
rule of thumb for English text, and `how_counted` says so.
"""

import hashlib
import math
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tiktoken import Encoding

CHARACTERS_PER_TOKEN: Final = 4

_URL: Final = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
# sha256 of the tables; with another content tiktoken would fetch them anew.
_TABLES: Final = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}


def count_tokens(text: str, model: str) -> int:
    """Return how many tokens a model makes of a text: exact with its table, else an estimate."""
    encoding = _encoding(model)
    if encoding is None:
        return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
    return len(encoding.encode(text, disallowed_special=()))


def most_tokens(text: str, model: str) -> int:
    """Return a number of tokens that a text has at most: exact with the model's table.

    Without it the text's bytes: a token of a byte-level vocabulary stands for one at least.
    """
    encoding = _encoding(model)
    return len(text.encode()) if encoding is None else count_tokens(text, model)


def how_counted(model: str) -> str:
    """Return how `count_tokens` counts, in words for people."""
    encoding = _encoding(model)
    if encoding is not None:
        return f"tokens counted by tiktoken ({encoding.name})"
    return (
        f"tokens estimated as characters / {CHARACTERS_PER_TOKEN}: there is no table for {model} "
        "on this machine"
    )


def _encoding(model: str) -> "Encoding | None":
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(model)
    except KeyError:
        return None
    place = _cache_folder()
    return _load(name, place) if place else None


@cache
def _load(name: str, folder: Path) -> "Encoding | None":
    """Return an encoding whose table is on the disk, whole; nothing is fetched."""
    table = folder / hashlib.sha1(_URL.format(name).encode(), usedforsecurity=False).hexdigest()
    if name not in _TABLES or not table.is_file():
        return None
    if hashlib.sha256(table.read_bytes()).hexdigest() != _TABLES[name]:
        return None
    from tiktoken import get_encoding

    return get_encoding(name)


def _cache_folder() -> Path | None:
    """Return where tiktoken keeps its tables; none where it is told to keep nothing."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if (named := os.environ.get(variable)) is not None:
            return Path(named) if named else None
    return Path(tempfile.gettempdir()) / "data-gym-cache"
