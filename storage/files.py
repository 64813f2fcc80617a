"""Single files of a store, in its folder or in the bucket that the folder mirrors."""

import fcntl
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from curette.storage.bucket import bucket_of, write_whole


def keep(root: Path, place: Path, content: bytes, unless_there: bool = False) -> None:
    """Write a file whose content follows from its name; it is there whole or not at all.

    Args:
        root: the store's folder.
        place: the file.
        content: what is in it.
        unless_there: leave what the bucket has of that name, of which one that keeps versions would
            otherwise keep another.
    """
    if bucket := bucket_of(root):
        name = name_of(root, place)
        if unless_there:
            bucket.swap(name, content, "create")
        else:
            bucket.put(name, content)
    write_whole(place, content)


def has(root: Path, place: Path) -> bool:
    """Return whether there is a file whose content follows from its name; it is read from `place`.

    Where only the bucket has it, it is fetched.
    """
    if place.is_file():
        return True
    bucket = bucket_of(root)
    return bucket is not None and bucket.fetch(name_of(root, place), place)


def read(root: Path, place: Path) -> bytes | None:
    """Return what is now in a file that changes; None where there is none."""
    if bucket := bucket_of(root):
        return bucket.get(name_of(root, place))
    try:
        return place.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def replace(root: Path, place: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that changes, whatever is there."""
    if bucket := bucket_of(root):
        bucket.put(name_of(root, place), content)
    else:
        write_whole(place, content, mode)


def change(
    root: Path, place: Path, change: Callable[[bytes | None], bytes], mode: int = 0o666
) -> bytes:
    """Replace a file's content by what `change` makes of it; of two who do so none is lost.

    Args:
        root: the store's folder.
        place: the file.
        change: is given what is there, None where nothing is; it may be asked again. Where it
            returns what it was given, nothing is written.
        mode: of a new file, in a folder.

    Returns:
        What is there now.
    """
    if bucket := bucket_of(root):
        return bucket.change(name_of(root, place), change)
    with alone(place.with_suffix(".lock")):
        old = read(root, place)
        new = change(old)
        if new != old:
            write_whole(place, new, mode)
            with place.open("rb") as file:
                os.fsync(file)  # what was told is not forgotten when the power goes
    return new


def drop(root: Path, place: Path) -> None:
    """Remove a file that changes, if there is one."""
    if bucket := bucket_of(root):
        bucket.drop(name_of(root, place))
    place.unlink(missing_ok=True)


def listed(root: Path, folder: Path) -> list[Path]:
    """Return the files of a folder, those of its own folders not; hidden ones are none."""
    if bucket := bucket_of(root):
        files = [root / name for name in bucket.names(name_of(root, folder))]
        return sorted(file for file in files if file.parent == folder)
    return sorted(file for file in folder.glob("[!.]*") if file.is_file())


def below(root: Path, folder: Path) -> list[Path]:
    """Return the files of a folder and of all folders in it; hidden ones are none."""
    if bucket := bucket_of(root):
        return sorted(root / name for name in bucket.names(name_of(root, folder)))
    return sorted(file for file in folder.rglob("[!.]*") if file.is_file())


def contents(root: Path, places: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield files with what is in them, as the bucket has it; one that is gone is left out."""
    if bucket := bucket_of(root):
        names = (name_of(root, place) for place in places)
        yield from ((root / name, content) for name, content in bucket.contents(names))
        return
    for place in places:
        if (content := read(root, place)) is not None:
            yield place, content


def everything(root: Path, passed_over: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file of a store, hidden ones too.

    Those of a bucket, and then those of this machine's copy, whose names begin with the copy's.
    """
    bucket = bucket_of(root)
    if bucket:
        yield from bucket.contents(name for name in bucket.names() if name not in passed_over)
    for file in sorted(root.rglob("*")):
        if file.is_file() and (name := name_of(root, file)) not in passed_over:
            yield f"{root.name}/{name}" if bucket else name, file.read_bytes()


def elsewhere(root: Path, folder: Path) -> list[Path]:
    """Return where the files of a folder would lie that only the bucket has."""
    return [f for f in listed(root, folder) if not f.is_file()] if bucket_of(root) else []


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process of this machine holds the lock, which ends with its process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def name_of(root: Path, place: Path) -> str:
    """Return what a file of a store is called in a bucket."""
    return place.relative_to(root).as_posix()
