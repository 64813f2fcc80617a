"""What did a person change in the trained heads, and what did that do?"""

from typing import Any

from curette.schemas.edits import Edits
from curette.schemas.heads import EXPLAINED, UNEDITED, card_of
from curette.schemas.readings import TestReading
from curette.tasks.methods.page.numbers import counted, plain, signed_with_interval
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return the edits, when they were made, and the head beside itself as it was."""
    edits = draft.material.probe.head(EXPLAINED).facts.edits
    if not edits:
        return None
    artifact = next((m for m in draft.material.lineage if m.kind == Edits.kind), None)
    return {
        "edits": list(edits),
        "artifact": f"{artifact.kind}/{artifact.digest}" if artifact else "",
        "when": _when(artifact.created_at, draft.material.evaluation.earlier_readings)
        if artifact
        else "",
        "rows": _rows(draft),
    }


def _when(made: str, readings: tuple[TestReading, ...]) -> str:
    """Say whether whoever edited could have known what the test labels say."""
    before = [r for r in readings if r.at <= made]
    if not before:
        return f"They were made on {made[:10]}, before any test label was read."
    first = min(reading.at for reading in before)
    return (
        f"They were made on {made[:10]}, when test labels had been read "
        f"{counted(len(before), 'time')}, first on {first[:10]}: whoever has seen what came of "
        "that may have edited by it."
    )


def _rows(draft: Draft) -> list[dict[str, str]]:
    if draft.evaluation is None:
        return []
    before = card_of(UNEDITED).title
    values = {(m.head, m.name): m for m in draft.evaluation.metrics}
    names = {"balanced_accuracy": "balanced accuracy", "macro_auroc": "macro AUROC"}
    return [
        {
            "metric": names[d.name],
            "before": plain(values[before, d.name].value),
            "after": plain(values[d.head, d.name].value),
            "moved": signed_with_interval(d),
        }
        for d in draft.evaluation.differences
        if d.baseline == before and d.name in names
    ]
