"""Concepts that somebody published in a file, in the formats of LaBo and KnoBo or line by line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import FileOrigin
from curette.schemas.images import ClassLabel, plain_name
from curette.schemas.settings.propose import FileSource
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.questions import statement


def read_file(source: FileSource, classes: Sequence[ClassLabel]) -> Found:
    """Return every concept of a file, in the file's order.

    A file of lines or questions does not say which class a concept is for, so each is proposed
    for all classes.

    Raises:
        StudyError: the file cannot be read, is not in its format, or its classes are not the
            dataset's.
    """
    text = read_text(source.path)
    if source.format == "class_to_concepts":
        proposals = _of_classes(source.path, text, classes)
    else:
        proposals = _of_lines(source, text, classes)
    said = f"the file {source.path.name}, {len(proposals)} texts"
    return Found(proposals=tuple(proposals), said=said)


def _of_lines(source: FileSource, text: str, classes: Sequence[ClassLabel]) -> list[Proposal]:
    keys = tuple(c.key for c in classes)
    to_concept = statement if source.format == "questions" else str
    return [
        Proposal(to_concept(line), keys, FileOrigin(file=source.path.name, line=number))
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        StudyError: it is not there, may not be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(f"cannot read the concepts in {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None


def match_classes(
    names: Sequence[str], classes: Sequence[ClassLabel], path: Path
) -> dict[str, ClassLabel]:
    """Return the dataset's class of each name in a file: by key, name or synonym.

    Case, and whether words are parted by blanks, dashes or underscores, do not matter. Several
    names may mean one class.

    Raises:
        StudyError: a name means no class or several, or a class is not named at all.
    """
    known: dict[str, dict[str, ClassLabel]] = {}
    for label in classes:
        for name in label.plain_names | {plain_name(other) for other in label.beside}:
            known.setdefault(name, {})[label.key] = label
    found = {name: list(known.get(plain_name(name), {}).values()) for name in names}
    if vague := [name for name, labels in found.items() if len(labels) > 1]:
        raise StudyError(
            f"{path}: {_listed(vague)} could each mean several classes of the dataset; make the "
            "synonyms in dataset.classes tell them apart."
        )
    unknown = [name for name, labels in found.items() if not labels]
    named = {labels[0].key for labels in found.values() if labels}
    unnamed = [label.key for label in classes if label.key not in named]
    if unknown or unnamed:
        raise StudyError(
            f"{path} and the dataset do not have the same classes. In the file only: "
            f"{_listed(unknown)}. In the dataset only: {_listed(unnamed)}. Add the file's names "
            "as synonyms in dataset.classes, or change the file."
        )
    return {name: labels[0] for name, labels in found.items()}


def _of_classes(path: Path, text: str, classes: Sequence[ClassLabel]) -> list[Proposal]:
    try:
        lists: Mapping[str, list[str]] = _CLASS_TO_CONCEPTS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " > ".join(str(part) for part in first["loc"]) or "the top"
        raise StudyError(
            f'{path} is not JSON of the form {{"class name": ["concept", ...]}}: at {place}, '
            f"{first['msg']}. Where it has one concept a line, write `format: lines`; a text that "
            "describes the classes, such as a guideline, is for the source `documents`."
        ) from None
    labels = match_classes([name for name, texts in lists.items() if texts], classes, path)
    return [
        Proposal(concept, (labels[name].key,), FileOrigin(file=path.name, line=position))
        for name, texts in lists.items()
        for position, concept in enumerate(texts, start=1)
    ]


_CLASS_TO_CONCEPTS: Final = TypeAdapter(dict[str, list[str]])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:20]) or "none"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
