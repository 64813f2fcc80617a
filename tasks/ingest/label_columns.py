"""The label of each row, where one column holds it or each class has a column of its own."""

from __future__ import annotations

from curette.tasks.ingest.findings import states_of_column
from curette.tasks.ingest.listing import Listing, text


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
