"""Which of several findings each image shows, and what becomes of it where nobody says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from curette.schemas.artifact import StudyError
from curette.schemas.images import SPLITS, ClassLabel, Rejection
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.listing import Listing, quoted, text

State = Literal["present", "absent", "blank", "uncertain"]
FINDING: Final = "finding."
"""What the names of columns of states start with."""
_STATES: Final[Mapping[str, State]] = {
    **dict.fromkeys(("1", "1.0", "yes", "true"), "present"),
    **dict.fromkeys(("0", "0.0", "no", "false"), "absent"),
    **dict.fromkeys(("-1", "-1.0"), "uncertain"),
}
_SHOWN = 10


def read_states(listing: Listing, spec: DatasetSpec) -> dict[str, list[State]]:
    """Return the state of every finding in every row, as the data has it.

    Args:
        listing: the rows.
        spec: `findings` and how they are told; `blank` and `uncertain` are not applied yet.

    Raises:
        StudyError: a cell says none of what it may say, naming the finding and the row.
    """
    if spec.finding_labels.separator:
        return _of_cells(text(listing.table, spec.label_column, missing=()), spec)
    return {key: states_of_column(text(listing.table, key), key) for key in spec.findings}


def states_of_column(values: Sequence[str | None], key: str) -> list[State]:
    """Return what the cells of a finding's column say, or of a class's.

    Raises:
        StudyError: a cell says none of what it may say, naming it and the row.
    """
    states = ["blank" if v is None else _STATES.get(v.lower()) for v in values]
    strange = [(row, v) for row, (v, s) in enumerate(zip(values, states, strict=True)) if s is None]
    if strange:
        row, value = strange[0]
        raise StudyError(
            f"the column {quoted(key)} of a finding or class has {len(strange):,} cells that are "
            f"none of 1, 0, yes, no, true, false, -1 for uncertain, or nothing; the first is "
            f"{quoted(value or '')} in row {row + 1:,}. Correct the cells, or name another column "
            "under `dataset.findings` or `dataset.label_columns`."
        )
    return [state for state in states if state is not None]


def _of_cells(cells: Sequence[str | None], spec: DatasetSpec) -> dict[str, list[State]]:
    told = spec.finding_labels
    parts = [
        None if cell is None else {part.strip() for part in cell.split(told.separator)} - {""}
        for cell in cells
    ]
    known = {*spec.findings, *told.others}
    strange = Counter(part for row in parts for part in (row or ()) if part not in known)
    if strange:
        first = next(row for row, found in enumerate(parts) if found and found & {*strange})
        shown = ", ".join(f"{quoted(p)} ({n:,})" for p, n in strange.most_common(_SHOWN))
        more = ", ..." if len(strange) > _SHOWN else ""
        raise StudyError(
            f"cells of {quoted(spec.label_column)} name what is no finding of the study, first in "
            f"row {first + 1:,}: {shown}{more}. Name each under `dataset.findings`; or, where it "
            "is to count as none of them, such as `No Finding`, under "
            "`dataset.finding_labels.others`."
        )
    return {
        key: [
            "blank" if found is None else "present" if key in found else "absent" for found in parts
        ]
        for key in spec.findings
    }


def in_words(states: Mapping[str, Sequence[State]]) -> list[str]:
    """Return a text a row that two rows share where all their states are the same."""
    return [
        ", ".join(
            key if state == "present" else f"{key} {state}"
            for key, state in zip(states, row, strict=True)
            if state != "absent"
        )
        or "no finding"
        for row in zip(*states.values(), strict=True)
    ]


def rarest(states: Mapping[str, Sequence[State]]) -> list[str]:
    """Return of every row the finding present that fewest rows show; empty where none is.

    Splits are stratified by it, so that every finding has its share of each, rare ones first, and
    all findings the same splits.
    """
    counts = {key: sum(s == "present" for s in column) for key, column in states.items()}
    keys = sorted(counts, key=lambda key: counts[key])
    return [
        next((key for key in keys if states[key][row] == "present"), "")
        for row in range(len(next(iter(states.values()))))
    ]


def classes_of(spec: DatasetSpec) -> tuple[ClassLabel, ClassLabel]:
    """Return the two classes of the study's finding: that it is there, and that it is not."""
    key = str(spec.finding)
    own = spec.findings[key]
    others = [(k, f.name, *f.synonyms) for k, f in spec.findings.items() if k != key]
    return (
        ClassLabel(key=key, name=own.name, synonyms=own.synonyms),
        ClassLabel(
            key=absence_of(key),
            name=f"no {own.name}",
            beside=tuple(dict.fromkeys(name for names in others for name in names)),
        ),
    )


def absence_of(key: str) -> str:
    """Return the class key of images that do not show a finding."""
    return f"no {key}"


def label_images(
    images: pd.DataFrame, spec: DatasetSpec
) -> tuple[pd.DataFrame, list[Rejection], list[str]]:
    """Return the images labelled by the study's finding, and without those it is unclear of.

    All findings are looked at, so that the first of them to be run tells what would stop the last.

    Args:
        images: with their splits, and the states of all findings.
        spec: which finding, and what blank and uncertain ones count as.

    Returns:
        The images that are left, without the states; the others with their reasons; and notes.

    Raises:
        StudyError: naming each finding that cannot be trained or tested, and the split.
    """
    told = spec.finding_labels
    present, clear = {}, {}
    for key in spec.findings:
        states = images[f"{FINDING}{key}"]
        left_out = [s for s in ("blank", "uncertain") if getattr(told, s) == "left_out"]
        present[key] = (states == "present").to_numpy()
        clear[key] = ~states.isin(left_out).to_numpy()
    split = images["split"].to_numpy()
    if lost := [said for k in spec.findings for said in _lacking(k, present[k], clear[k], split)]:
        raise StudyError(
            "some findings cannot be studied on these images:\n  "
            + "\n  ".join(lost)
            + "\nCorrect the labels or the splits, count what is blank or uncertain as absent "
            "(`dataset.finding_labels`), or leave these findings out of `dataset.findings`."
        )
    key = str(spec.finding)
    label = np.where(present[key], key, absence_of(key))
    kept = clear[key]
    states = images[f"{FINDING}{key}"]
    unclear = [
        Rejection(
            row=image_id,
            reason="unclear-finding",
            detail=f"whether it shows {quoted(key)} is {state}",
        )
        for image_id, state in zip(images["image_id"][~kept], states[~kept], strict=True)
    ]
    bare = images.drop(columns=[c for c in images.columns if c.startswith(FINDING)])
    left = bare.assign(label=label)[kept].reset_index(drop=True)
    return left, unclear, [*_told_of(states, told), *_told_of_gaps(key, left)]


def _lacking(
    key: str,
    present: Bool[np.ndarray, " image"],
    clear: Bool[np.ndarray, " image"],
    split: np.ndarray,
) -> list[str]:
    """Return a line for each split that a finding cannot do without and has not."""
    lines = []
    for name in (name for name in SPLITS if name in split):  # another dataset has test alone
        rows = clear & (split == name)
        if not rows.any():
            lines.append(f"{quoted(key)}: of no {name} image it is known")
        elif name == "train" and not present[rows].any():
            lines.append(f"{quoted(key)}: no train image shows it")
        elif name == "train" and present[rows].all():
            lines.append(f"{quoted(key)}: every train image shows it")
    return lines


def _told_of(states: pd.Series[str], told: object) -> list[str]:
    return [
        f"Of {count:,} images the finding is {state}: "
        + ("left out." if getattr(told, state) == "left_out" else "counted as absent.")
        for state in ("blank", "uncertain")
        if (count := int((states == state).sum()))
    ]


def _told_of_gaps(key: str, images: pd.DataFrame) -> list[str]:
    labels = {name: {*images["label"][images["split"] == name]} for name in ("validation", "test")}
    return [
        f"The {name} split has no image {said} {quoted(key)}."
        for name, found in labels.items()
        for wanted, said in ((key, "with"), (absence_of(key), "without"))
        if wanted not in found
    ]
