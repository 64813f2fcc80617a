"""What people answered in Label Studio, as a table that the images' own data can take in.

Read is the export called JSON (https://labelstud.io/guide/export, tasks as in
https://labelstud.io/guide/task_format), of a project with the interface of `label_studio.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.tasks.export.label_studio import CLASS, CONCEPTS, NONE_OF_THEM, class_names
from curette.tasks.export.shown import concept_fields
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.filled_tables import write_table

T = TypeVar("T")

_MOST_FAULTS = 10
_TRUTH = {True: "true", False: "false", None: ""}


class _Result(BaseModel):
    from_name: str
    value: dict[str, Any]

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(map(str, self.value.get("choices", ())))


class _Annotation(BaseModel):
    result: list[_Result]
    was_cancelled: bool = False


class _Task(BaseModel):
    data: dict[str, Any]
    annotations: list[_Annotation]


_EXPORT = TypeAdapter(list[_Task])


@dataclass(frozen=True)
class Answers:
    """What was answered of each image, where those who looked agree."""

    table: bytes
    """CSV: the image, its class, and whether each concept can be seen; empty: nobody knows."""
    attributes: Mapping[str, list[str]]
    """Column of the table -> the statement that claims it, as `dataset.attributes` has it."""
    images: int
    differing: int
    """Cells about which people differ, which are empty."""


@dataclass(frozen=True)
class _Answer:
    """What one person answered of one image; None: nothing."""

    class_key: str | None
    seen: frozenset[str] | None


def read_answers(
    content: bytes, published: ConceptDataset, names: Mapping[str, str], id_column: str
) -> Answers:
    """Return the answers of an export.

    Whoever chose no concept, and not that there is none of them either, said nothing of concepts.

    Args:
        content: of the file.
        published: what was exported.
        names: image id -> what the data itself calls the image.
        id_column: what the table's first column is called.

    Raises:
        StudyError: it is no such export, or of other images, classes or concepts; all that is wrong
            at once.
    """
    try:
        tasks = _EXPORT.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StudyError(
            "this is no export of Label Studio in its format JSON (JSON-MIN and the others say "
            f"too little): {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    keys = {name: key for key, name in class_names(published).items()}
    texts = [c.text for c in published.concepts]
    faults: list[str] = []
    of_images: dict[str, list[_Answer]] = {}
    for number, task in enumerate(tasks, 1):
        image_id = str(task.data.get("image_id", ""))
        if image_id not in names:
            faults.append(f"task {number}: there is no image {printable(image_id) or 'named'}")
            continue
        for annotation in task.annotations:
            if not annotation.was_cancelled:
                answer, wrong = _answer(annotation, keys, texts)
                faults += [f"task {number}: {what}" for what in wrong]
                of_images.setdefault(image_id, []).append(answer)
    if faults:
        more = len(faults) - _MOST_FAULTS
        raise StudyError(
            "these answers do not fit the study's last finished run; if they were asked for by an "
            "earlier one, they are about other concepts:\n"
            + "\n".join(faults[:_MOST_FAULTS])
            + (f"\nand {more:,} more" if more > 0 else "")
        )
    columns = concept_fields(published, "sees_")
    rows, differing = [], 0
    for image_id in sorted(of_images):
        answers = of_images[image_id]
        chosen, differ = _agreed(a.class_key for a in answers)
        # As the data has them, so that the table can be joined to it.
        cells = [names[image_id], chosen or "", str(len(answers))]
        differing += differ
        for text in texts:
            seen, differ = _agreed(None if a.seen is None else text in a.seen for a in answers)
            cells.append(_TRUTH[seen])
            differing += differ
        rows.append(cells)
    return Answers(
        table=write_table([id_column, "answered_class", "people", *columns], rows),
        attributes={column: [text] for column, text in zip(columns, texts, strict=True)},
        images=len(rows),
        differing=differing,
    )


def _answer(
    annotation: _Annotation, keys: Mapping[str, str], texts: list[str]
) -> tuple[_Answer, list[str]]:
    """Return one person's answer, and what is wrong with it."""
    wrong: list[str] = []
    class_key: str | None = None
    seen: frozenset[str] | None = None
    for result in annotation.result:
        if result.from_name == CLASS:
            chosen = result.choices[:1]
            wrong += [f"there is no class {printable(name)}" for name in chosen if name not in keys]
            class_key = next((keys[name] for name in chosen if name in keys), None)
        elif result.from_name == CONCEPTS:
            seen = frozenset(result.choices) - {NONE_OF_THEM}
            wrong += [f"there is no concept {printable(t)}" for t in sorted(seen - {*texts})]
            if seen and NONE_OF_THEM in result.choices:
                wrong.append(f"“{NONE_OF_THEM}” is chosen beside {printable(min(seen))}")
    return _Answer(class_key, seen), wrong


def _agreed(given: Iterable[T | None]) -> tuple[T | None, bool]:
    """Return what all say who say anything, and whether they differ; None: nobody, or they do."""
    said = {answer for answer in given if answer is not None}
    return (said.pop(), False) if len(said) == 1 else (None, len(said) > 1)
