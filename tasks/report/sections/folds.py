"""How much does it depend on which images trained?"""

from typing import Any

from curette.schemas.heads import EXPLAINED
from curette.schemas.questions.folds import FoldSpread, FoldTable
from curette.tasks.methods.page.numbers import plain
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return what heads of other training images reach; None where none were trained."""
    if draft.evaluation is None or draft.evaluation.folds is None:
        return None
    return fold_section(draft.evaluation.folds)


def fold_section(table: FoldTable) -> dict[str, Any]:
    """Return a row a head."""
    return {
        "meaning": _meaning(table),
        "note": "Training and validation images were dealt into folds anew, whole patients or "
        "lesions together; each fold chose once, while the others selected concepts and trained "
        "every head. All were asked about the same test images. Folds share most of their images, "
        "so the deviation is no standard error.",
        "rows": [_row(spread) for spread in table.spreads],
        "unusable": table.unusable,
    }


def _meaning(table: FoldTable) -> str:
    for spread in table.spreads:
        if spread.head_kind == EXPLAINED:
            return (
                f"Trained on other images, the {spread.head} reaches a balanced accuracy of "
                f"{plain(min(spread.folds))} to {plain(max(spread.folds))}, where this one reaches "
                f"{plain(spread.value)}."
            )
    return "No fold could be trained on."


def _row(spread: FoldSpread) -> dict[str, str]:
    return {
        "head": spread.head,
        "value": plain(spread.value),
        "low": plain(min(spread.folds)),
        "high": plain(max(spread.folds)),
        "mean": plain(sum(spread.folds) / len(spread.folds)),
        "deviation": plain(spread.deviation),
        "folds": str(len(spread.folds)),
    }
