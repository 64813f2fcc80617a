"""The visible files of a folder, without hidden ones, litter and links that lead out of it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from filecmp import cmp
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from curette.schemas.artifact import StudyError
from curette.tasks.ingest.listing import quoted
from curette.tasks.ingest.masks import is_called_masks

_LITTER_FOLDERS = (
    *("@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "lost+found"),
    *("system volume information", "@recently-snapshot", "_gsdata_", "network trash folder"),
    *("temporary items", *(f"found.{i:03}" for i in range(10))),
)
"""What file systems and the like leave in folders, in lower case; and what starts with . or __."""


def walk(
    root: Path, links_to: Path | None = None, *, skip: Callable[[str], bool] | None = None
) -> Iterator[str]:
    """Yield the files below a folder, as paths from it, and links to folders that are not followed.

    Args:
        root: the folder, resolved.
        links_to: a further folder that links may lead to.
        skip: whether a folder of this name is passed over, besides litter.

    Raises:
        StudyError: a folder cannot be read.
    """
    allowed = _allowed(root, links_to)
    for place, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        folders[:] = [f for f in folders if not _is_litter(f) and not (skip and skip(f))]
        links = [f for f in folders if not _may_enter(Path(place, f), allowed)]
        folders[:] = [f for f in folders if f not in links]
        below = Path(place).relative_to(root).as_posix()
        start = "" if below == "." else f"{below}/"
        yield from (start + f for f in names if not f.startswith((".", "~$")))
        yield from (start + f for f in links)


class FilesBelow:
    """The files below a folder by their names alone, found by one walk when first asked for.

    Folders called `masks` and the like are passed over: their files are named like images.
    """

    def __init__(self, root: Path, links_to: Path | None = None) -> None:
        self._root = root.resolve()
        self._links_to = links_to

    def called(self, name: str) -> tuple[str, str] | None:
        """Return the file of this name, as a path from the folder, and how it was found; or None.

        Raises:
            StudyError: several files are called so, and differ.
        """
        files = [file for file in self._files.get(name, ()) if self._is_inside(file)]
        if not files:
            return None
        for other in files[1:]:
            if not cmp(self._root / files[0], self._root / other, shallow=False):
                raise StudyError(
                    f"nobody can tell which image {quoted(name)} is: {quoted(files[0])} and "
                    f"{quoted(other)} in {self._root} are called so and differ. Name the folder "
                    "that is meant as `image_folder`, or write its name into the column."
                )
        if len(files) > 1:
            return files[0], "in the first of the folders that hold a file of that name, all equal"
        return files[0], "in whichever folder further down has a file of that name"

    @cached_property
    def _files(self) -> dict[str, Sequence[str]]:
        found = defaultdict(list)
        for file in walk(self._root, self._links_to, skip=is_called_masks):
            folder, _, name = file.rpartition("/")
            if folder:
                found[name].append(file)
        return {name: sorted(files) for name, files in found.items()}

    def _is_inside(self, file: str) -> bool:
        place = self._root / file
        if not place.is_symlink():
            return place.is_file()
        target = _target(place, _allowed(self._root, self._links_to))
        return target is not None and target.is_file()


def _allowed(root: Path, links_to: Path | None) -> list[Path]:
    """Return the folders that a link below a resolved one may lead to."""
    return [root, *([links_to.resolve()] if links_to else [])]


def _target(link: Path, allowed: Sequence[Path]) -> Path | None:
    """Return where a link leads; None where that is nowhere, or in none of the folders allowed."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return target if any(target.is_relative_to(place) for place in allowed) else None


def _may_enter(folder: Path, allowed: Sequence[Path]) -> bool:
    """Return whether a folder is none behind a link, or one that a link may lead to."""
    if not folder.is_symlink():
        return True
    target = _target(folder, allowed)
    return target is not None and not folder.parent.resolve().is_relative_to(target)


def _refuse(error: OSError) -> NoReturn:
    """Say which folder cannot be read: passed over, its images would be missing unnoticed.

    Raises:
        StudyError: always.
    """
    raise StudyError(
        f"the folder {error.filename} cannot be read: {error.strerror}. Let the user who runs this "
        "read it, or move it out of the dataset's folder."
    ) from error


def _is_litter(folder: str) -> bool:
    return folder.startswith((".", "__")) or folder.lower() in _LITTER_FOLDERS
