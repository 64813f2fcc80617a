"""Find the patterns of a lexicon in a list of words: the longest pattern wins.

At every word the longest matching pattern is taken, and reading goes on behind it, so no word is
read twice. Among patterns of equal length the one that spells out more letters wins.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from curette.tasks.methods.wording.words import fold

T = TypeVar("T")


@dataclass(frozen=True)
class Hit(Generic[T]):
    """A pattern that was found, with the words it was found in."""

    meaning: T
    words: str


class Phrases(Generic[T]):
    """Patterns with what each one means; see `tasks.methods.wording.lexicon` for their notation."""

    def __init__(self, patterns: Mapping[str, T]) -> None:
        """Index the patterns by their first word.

        Raises:
            ValueError: a pattern starts with `*` alone, which would match anywhere.
        """
        self._starts: dict[str, list[tuple[tuple[str, ...], T]]] = defaultdict(list)
        for pattern, meaning in patterns.items():
            parts = tuple(fold(pattern).split())
            if parts[0] == "*":
                raise ValueError(f"the pattern '{pattern}' starts with any word")
            self._starts[parts[0]].append((parts, meaning))

    def find(self, words: Sequence[str]) -> Iterator[Hit[T]]:
        """Yield what is found in folded words, from left to right."""
        at = 0
        while at < len(words):
            found = self._longest(words[at:])
            length = len(found[0]) if found else 1
            if found:
                yield Hit(found[1], " ".join(words[at : at + length]))
            at += length

    def _longest(self, words: Sequence[str]) -> tuple[tuple[str, ...], T] | None:
        candidates = (c for key in _keys(words[0]) for c in self._starts.get(key, ()))
        fitting = (c for c in candidates if _fits(c[0], words))
        return max(fitting, key=lambda c: (len(c[0]), _letters(c[0])), default=None)


def _letters(parts: Sequence[str]) -> int:
    return sum(letter.isalnum() for part in parts for letter in part)


def _keys(word: str) -> Iterator[str]:
    """Yield every way in which the first word of a pattern can be written to match this word."""
    yield word
    if word.isdigit():
        yield "#"
    for cut in range(1, len(word) + 1):
        yield f"{word[:cut]}*"
        yield f"*{word[cut - 1 :]}"


def _fits(parts: Sequence[str], words: Sequence[str]) -> bool:
    return len(parts) <= len(words) and all(
        _matches(part, word) for part, word in zip(parts, words, strict=False)
    )


def _matches(part: str, word: str) -> bool:
    if part == "#":
        return word.isdigit()
    if part.endswith("*"):
        return word.startswith(part[:-1])
    if part.startswith("*"):
        return word.endswith(part[1:])
    return part == word
