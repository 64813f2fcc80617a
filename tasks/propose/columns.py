"""Concepts that the data has columns of: what each of them says, in its own words."""

from collections.abc import Mapping, Sequence

from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import FileOrigin
from curette.schemas.images import ClassLabel
from curette.tasks.propose.proposals import Found, Proposal


def said_by_columns(
    attributes: Mapping[str, AttributePhrases], classes: Sequence[ClassLabel]
) -> Found:
    """Return one statement a column, for all classes: the first that claims it, or denies it."""
    keys = tuple(c.key for c in classes)
    proposals = tuple(
        Proposal(
            (*phrases.claimed_by, *phrases.denied_by)[0],
            keys,
            FileOrigin(file="dataset.attributes", line=number),
        )
        for number, phrases in enumerate(attributes.values(), start=1)
        if phrases.claimed_by or phrases.denied_by
    )
    return Found(proposals=proposals, said=f"{len(proposals)} true/false columns of the data")
