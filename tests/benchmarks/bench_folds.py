"""What every head reaches on PH2 when each image is tested once: 5-fold cross-validation.

Run `python -m tests.benchmarks.bench_folds`. Concepts are selected and heads trained anew in each
fold, on the 4 others, of which a fifth are validation images; once with as many concepts as the
study selects, once with every statement of the file. The interval is of the mean over folds
(t distribution, 4 degrees of freedom): it tells how much folds differ, not how much other patients
would.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from scipy.stats import t

from curette.schemas.probe import Head
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.tasks.methods.features import head_features
from curette.tasks.methods.splits import deal_groups
from curette.tasks.methods.statistics.metrics import (
    balanced_accuracy,
    confusion_matrices,
    macro_auroc,
)
from curette.tasks.probe.training import train_heads
from tests.benchmarks.bench_few_shots import DATA, SELECT, ph2
from tests.benchmarks.measuring import print_rows

FOLDS = 5
EVERY_STATEMENT = SelectSpec(size=Size(per_class=1000))


class Row(NamedTuple):
    """One head on the vectors of one encoder: means over folds."""

    encoder: str
    concepts: str
    head: str
    auroc: float
    low: float
    high: float
    balanced_accuracy: float
    behind: float  # AUROC of the linear probe minus the head's


class _Numbers(NamedTuple):
    auroc: float
    balanced_accuracy: float


def main() -> list[Row]:
    """Return a row for each encoder and head; none where PH2 is absent."""
    if not DATA.is_dir():
        print("PH2 is not here: ../shared/data/ph2-clip is absent")
    return [
        row
        for file in sorted(DATA.glob("*.npz"))
        for select in (SELECT, EVERY_STATEMENT)
        for row in cross_validate(file, select)
    ]


def cross_validate(file: Path, select: SelectSpec) -> list[Row]:
    """Train and test on every fold."""
    reached: dict[str, list[_Numbers]] = {}
    for fold in range(FOLDS):
        for head, numbers in _one_fold(file, fold, select).items():
            reached.setdefault(head, []).append(numbers)
    linear = float(np.mean([n.auroc for n in reached["linear probe"]]))
    rows = []
    for head, of_folds in reached.items():
        if len(of_folds) < FOLDS:
            continue  # a number of effective concepts that some folds do not reach
        aurocs = np.array([n.auroc for n in of_folds])
        half = t.ppf(0.975, FOLDS - 1) * aurocs.std(ddof=1) / np.sqrt(FOLDS)
        mean = float(aurocs.mean())
        accuracy = float(np.mean([n.balanced_accuracy for n in of_folds]))
        rows.append(
            Row(
                encoder=file.stem,
                concepts="all" if select is EVERY_STATEMENT else str(select.size),
                head=head,
                auroc=mean,
                low=mean - half,
                high=mean + half,
                balanced_accuracy=accuracy,
                behind=linear - mean,
            )
        )
    return rows


def _one_fold(file: Path, fold: int, select: SelectSpec) -> dict[str, _Numbers]:
    """Return family -> what it reaches on the fold, the mean over its draws."""

    def split(labels: np.ndarray) -> np.ndarray:
        images = np.arange(len(labels))
        part = deal_groups(images, labels, np.full(FOLDS, 1 / FOLDS), seed=0)
        rest = np.flatnonzero(part != fold)
        held = deal_groups(np.arange(len(rest)), labels[rest], np.array([0.8, 0.2]), seed=fold)
        names = np.full(len(labels), "test", dtype="<U10")
        names[rest] = np.array(["train", "validation"])[held]
        return names

    published, labels = ph2(file, split, select)
    rows = published.rows("test")
    once = np.ones((1, len(rows)))

    def numbers(head: Head) -> _Numbers:
        probabilities = softmax(head.logits(head_features(published, head, rows)), axis=1)
        confusion = confusion_matrices(labels[rows], probabilities, once)
        auroc = macro_auroc(labels[rows], probabilities, once)
        return _Numbers(float(auroc[0]), float(balanced_accuracy(confusion)[0]))

    families: dict[str, list[_Numbers]] = {}
    for head in train_heads(published, ProbeSpec()).heads:
        families.setdefault(head.facts.family, []).append(numbers(head))
    return {name: _Numbers(*np.mean(draws, axis=0).tolist()) for name, draws in families.items()}


if __name__ == "__main__":
    print_rows("folds", main())
