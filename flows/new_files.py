"""Files that a command writes: never over another one, and refused before any work is done."""

from pathlib import Path

from curette.schemas.artifact import StudyError


def new_file(path: Path, *endings: str) -> Path:
    """Return the path of a file that is to be written.

    Raises:
        StudyError: something is there already, its folder is not, or its name ends otherwise.
    """
    if path.suffix.lower() not in endings:
        raise StudyError(f"give --out a name that ends in {' or '.join(endings)}, not {path}")
    if path.exists():
        raise StudyError(f"{path} is there already: remove it, or name another one with --out")
    if not path.absolute().parent.is_dir():
        raise StudyError(f"the folder of {path} is not there: make it, or name another with --out")
    return path


def write_new(path: Path, content: bytes) -> None:
    """Write a file where none is.

    Raises:
        StudyError: there is one by now, or it cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise StudyError(f"cannot write {path}: {error.strerror}") from None
