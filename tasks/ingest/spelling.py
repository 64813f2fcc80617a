"""One thing written in two ways: labels and ids that differ in form alone, several in one cell."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from curette.schemas.artifact import StudyError
from curette.schemas.images import plain_name
from curette.tasks.ingest.listing import quoted

_SHOWN = 3
_NUMBER = re.compile(r"0*(\d+)(?:\.0+)?")
_NUMBERED = re.compile(r"(\D*?)0*(\d+)(?:\.0+)?")
_ANY_PART = ("|", ";", "\n", "^")
"""Between findings, and hardly ever in the name of one."""
_EVERY_PART = (",", "+", "/", "&", "\\", "~", " and ", " ")
"""Between findings, but in names too, such as `carcinoma, in situ`."""
_THOUSANDS = re.compile(r"\d{1,3}(?:[,' ]\d{3})+(?:\.0+)?")
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d{2}")
_AROUND = " '\"\u2018\u2019\u201c\u201d\u00ab\u00bb`.,;:!"
"""What stands around a name by accident."""
_IN_A_LIST = re.compile(r"\[(.*)\]|\{(.*)\}|\((.*)\)", re.DOTALL)


def label_form(label: str) -> str:
    """Return what two labels share that differ in form alone.

    That is in case, blanks, dashes, number format, or quotes and full stops around them.
    """
    label = label.strip(_AROUND) or label
    number = _NUMBER.fullmatch(label)
    return number[1] if number else plain_name(label)


def id_form(value: str) -> str:
    """Return what two ids share that differ in case, blanks or number format alone.

    A number at the end counts as one: `P007` and `p7` share a form, `P-7` has another.
    """
    folded = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    if _THOUSANDS.fullmatch(folded):
        folded = re.sub("[,' ]", "", folded)
    numbered = _NUMBERED.fullmatch(folded)
    return numbered[1] + numbered[2] if numbered else folded


def check_labels(labels: Iterable[str | None], column: str, named: Collection[str]) -> None:
    """Refuse labels that are hardly two classes.

    Args:
        labels: of all rows, where the study renames labels as renamed.
        column: where they stand.
        named: those that the study itself names as different classes.

    Raises:
        StudyError: some differ in form alone; both spellings are shown.
    """
    if pairs := _alike((label for label in labels if label not in named), named, label_form):
        first, second = pairs[0][:2]
        raise StudyError(
            f"labels of `{column}` differ in case, blanks, punctuation or number format alone: "
            f"{_told(pairs)}. They are hardly two classes, and would be trained as two. "
            "Correct the data, or say under `dataset.labels` which stands for which, such as "
            f"{quoted(first)}: {quoted(second)}."
        )


def check_ids(ids: Iterable[str | None], column: str, what: str) -> None:
    """Refuse ids that are hardly two things.

    Args:
        ids: of all rows.
        column: where they stand.
        what: what they are ids of, such as `subject`.

    Raises:
        StudyError: some differ in form alone; both spellings are shown. Or a spreadsheet
            shortened them.
    """
    there = [value for value in ids if value is not None]
    if short := [value for value in there if _SHORTENED.fullmatch(value)]:
        raise StudyError(
            f"{len(short):,} ids of `{column}` are long numbers that a spreadsheet shortened, such "
            f"as {quoted(short[0])}: different ones may look alike now. Give the column the format "
            "Text where the numbers are whole, and save it again."
        )
    if pairs := _alike(there, (), id_form):
        raise StudyError(
            f"ids of `{column}` differ in case, blanks or number format alone: "
            f"{_told(pairs)}. If they are one {what}, it would be counted twice and could stand in "
            "two splits. Write each id in one way."
        )


def check_single(labels: Iterable[str | None], column: str, named: Collection[str]) -> None:
    """Refuse labels that hold several labels at once.

    Args:
        labels: of all rows, as they stand in the data.
        column: where they stand.
        named: those that the study itself names, which are classes whatever they look like.

    Raises:
        StudyError: a label's parts, at `|`, `;` or a comma, are labels themselves.
    """
    counts = Counter(label for label in labels if label is not None)
    parts = {label: _parts(label) for label in counts if label not in named}
    known = Counter(p for label in counts for p in {label_form(p) for p in _all_parts(label)})
    known.update({label_form(label) for label in counts if not _all_parts(label)})
    several = []
    for label, (found, need) in parts.items():
        # A part is known where another label has or is it too: once is this label itself.
        shared = [known[label_form(part)] > 1 for part in found]
        if shared and need(shared):
            several.append(label)
    if several:
        shown = ", ".join(quoted(label) for label in several[:_SHOWN])
        rows = sum(counts[label] for label in several)
        raise StudyError(
            f"{rows:,} cells of `{column}` hold several labels at once, such as {shown}: each "
            "combination would be a class of its own. Where images show several findings, name "
            "these under `dataset.findings`, and what parts them in "
            "`dataset.finding_labels.separator`; where such a text is the name of one class, name "
            "it under `dataset.classes`."
        )


def _parts(label: str) -> tuple[list[str], Callable[[Iterable[bool]], bool]]:
    """Return the parts of a label, and how many of them must be labels for it to be several."""
    if listed := _IN_A_LIST.fullmatch(label):
        inner = next(group for group in listed.groups() if group is not None)
        return _split(inner, ","), _always
    for separators, need in ((_ANY_PART, any), (_EVERY_PART, all)):
        for separator in separators:
            if found := _split(label, separator):
                return found, need
    return [], any


def _all_parts(label: str) -> list[str]:
    return _parts(label)[0]


def _always(_: Iterable[bool]) -> bool:
    return True


def _split(label: str, separator: str) -> list[str]:
    found = [part.strip(" '\"") for part in label.split(separator)]
    found = [part for part in found if part]
    return found if len(found) > 1 else []


def _alike(
    values: Iterable[str | None], others: Collection[str], form: Callable[[str], str]
) -> list[tuple[str, str, int, int]]:
    """Return pairs of different texts of one form, and how often each stands there."""
    counts = Counter(value for value in values if value is not None)
    first: dict[str, str] = {form(other): other for other in others}
    pairs = []
    for value in sorted(counts, key=lambda v: (-counts[v], v)):
        same = first.setdefault(form(value), value)
        if same != value:
            pairs.append((value, same, counts[value], counts[same]))
    return pairs


def _told(pairs: Sequence[tuple[str, str, int, int]]) -> str:
    shown = [
        f"{quoted(one)} ({count:,})" + f" and {quoted(other)}" + f" ({more:,})" * bool(more)
        for one, other, count, more in pairs[:_SHOWN]
    ]
    rest = f", and {len(pairs) - _SHOWN:,} more" if len(pairs) > _SHOWN else ""
    return "; ".join(shown) + rest
