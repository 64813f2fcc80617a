"""The label of each row, where one column holds it or each class has a column of its own."""

from __future__ import annotations

from collections.abc import Sequence

from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.findings import states_of_column
from curette.tasks.ingest.listing import Listing, text, trimmed


def read_labels(listing: Listing) -> list[str | None]:
    """Return the label of every row as the data has it; None where there is none.

    Where each class has a column, it is the one column with a 1: of no or several, nobody can tell.

    Raises:
        StudyError: a cell of such a column says none of what it may say, naming it and the row.
    """
    columns = listing.columns
    if not columns.one_of:
        return text(listing.table, columns.label, missing=())
    states = [states_of_column(text(listing.table, name), name) for name in columns.one_of]
    return [
        columns.one_of[row.index("present")] if row.count("present") == 1 else None
        for row in zip(*states, strict=True)
    ]


def class_keys(labels: Sequence[str | None], spec: DatasetSpec) -> list[str | None]:
    """Return the class key that each label stands for: the study's `labels` says of which."""
    renamed = {trimmed(label): key for label, key in spec.labels.items()}
    return [label and renamed.get(label, label) for label in labels]
