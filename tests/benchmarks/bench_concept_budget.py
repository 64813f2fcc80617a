"""What few statements reach on PH2, by how they are chosen: 5-fold cross-validation, repeated.

Run `python -m tests.benchmarks.bench_concept_budget`. In each fold concepts are chosen on the
training images by explained class variance, by LaBo's objective and at random (20 draws), and the
same small head is trained on the first 3, 5, 8, 12 and 20 of each: a linear discriminant, the
shrinkage of which a fifth of the fold's training images chooses. Beside them stands the linear
probe on image vectors, its strength chosen on the same images. Every image is tested once a
repeat. A repeat's leads are means over its folds; an interval is a bootstrap over images of the
mean over repeats, paired: it tells what other images would say, given these.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import softmax

from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.ingest.splits import deal_groups
from curette.tasks.methods.selection.choosing import Known, choose_in_order
from curette.tasks.methods.selection.judging import Choose, fit_discriminant
from curette.tasks.methods.solvers.linear import (
    choose_by_validation,
    global_standardisation,
    regularisation_path,
)
from curette.tasks.methods.statistics.metrics import macro_auroc
from curette.tasks.methods.threads import one_thread_of_torch
from tests.benchmarks.bench_few_shots import DATA, KEYS, ph2_statements
from tests.benchmarks.measuring import Target, print_rows

SIZES = (3, 5, 8, 12, 20)
FOLDS, REPEATS, DRAWS, RESAMPLES = 5, 4, 20, 1000
AHEAD, NEAR = Target(">=", 0.0), Target("<=", 0.01)


class Row(NamedTuple):
    """So many statements of one encoder's file."""

    encoder: str
    statements: int
    chosen: str  # balanced accuracy / AUROC
    random: str
    labo: str
    probe: str
    ahead_of_random: str  # balanced accuracy, with its interval
    ahead_of_random_in_auroc: str
    ahead_of_labo_in_auroc: float
    behind_probe_in_auroc: float
    target: str
    met: bool | None


def main() -> list[Row]:
    """Return a row for each encoder and number; none where PH2 is absent."""
    if not DATA.is_dir():
        print("PH2 is not here: ../shared/data/ph2-clip is absent")
    return [row for file in sorted(DATA.glob("*.npz")) for row in measure(file)]


def measure(file: Path) -> Iterator[Row]:
    """Answer every image in every repeat, then compare."""
    pool, texts, images, labels = ph2_statements(file)
    links = np.array([[key in c.classes for key in KEYS] for c in pool])
    said: dict[tuple[str, int], np.ndarray] = {}
    with one_thread_of_torch():
        for repeat in range(REPEATS):
            fold = deal_groups(
                np.arange(len(labels)), labels, np.full(FOLDS, 1 / FOLDS), seed=repeat
            )
            for number in range(FOLDS):
                rest, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                held = deal_groups(
                    np.arange(len(rest)), labels[rest], np.array([0.8, 0.2]), seed=number
                )
                train, held_out = rest[held == 0], rest[held == 1]
                for name, size, draw, margin in _margins(
                    texts, links, images, labels, train, held_out, test
                ):
                    shape = (REPEATS, DRAWS if name == "random" else 1, len(labels))
                    of_all = said.setdefault((name, size), np.zeros(shape))
                    of_all[repeat, draw, test] = margin
    yield from _rows(file.stem, said, labels)


def _margins(
    texts: np.ndarray,
    links: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    held: np.ndarray,
    test: np.ndarray,
) -> Iterator[tuple[str, int, int, np.ndarray]]:
    """Yield how sure each way, number and draw is of melanoma, beyond even odds, on test images."""
    known = Known(images[train], labels[train])
    most = max(SIZES)
    orders = {
        "chosen": [choose_in_order(texts, links, known, SelectSpec(), most)],
        "labo": [choose_in_order(texts, links, known, SelectSpec(method="labo"), most)],
        "random": [_in_random_order(len(texts), draw) for draw in range(DRAWS)],
    }
    for name, draws in orders.items():
        for draw, choose in enumerate(draws):
            for size in SIZES:
                scores = (images @ texts[choose(size)].T).astype(np.float64)
                head = fit_discriminant(
                    scores[train], labels[train], scores[held], labels[held], len(KEYS)
                )
                logits = head.logits(torch.from_numpy(scores[test])).numpy()
                yield name, size, draw, softmax(logits, axis=1)[:, 1] - 0.5
    scaling = global_standardisation(torch.from_numpy(images[train]))
    path = regularisation_path(
        scaling.apply(torch.from_numpy(images[train])),
        torch.from_numpy(labels[train]),
        len(KEYS),
        sorted(set(ProbeSpec().l2_values), reverse=True),
        class_weight="balanced",
    )
    choice = choose_by_validation(
        path,
        scaling.apply(torch.from_numpy(images[held])),
        torch.from_numpy(labels[held]),
        "log_loss",
    )
    logits = path.head(choice.index).logits(scaling.apply(torch.from_numpy(images[test])))
    yield "probe", 0, 0, softmax(logits.numpy(), axis=1)[:, 1] - 0.5


def _in_random_order(count: int, seed: int) -> Choose:
    lot = np.random.default_rng(seed).permutation(count)
    return lambda size: lot[:size]


def _rows(
    encoder: str, said: dict[tuple[str, int], np.ndarray], labels: np.ndarray
) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=RESAMPLES)
    weights = np.concatenate([np.ones((1, len(labels))), drawn])

    def reached(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return balanced accuracy and AUROC, the mean over repeats and draws, by resample."""
        margins = said[name, size].reshape(-1, len(labels))
        right = (margins > 0) == (labels == 1)
        accuracy = np.mean(
            [
                weights[:, labels == k]
                @ right[:, labels == k].T
                / weights[:, labels == k].sum(1)[:, None]
                for k in (0, 1)
            ],
            axis=(0, 2),
        )
        areas = [
            macro_auroc(labels, np.stack([0.5 - m, 0.5 + m], axis=1), weights) for m in margins
        ]
        return accuracy, np.mean(areas, axis=0)

    probe = reached("probe", 0)
    for size in SIZES:
        own, lots, labo = (reached(name, size) for name in ("chosen", "random", "labo"))
        leads = [a - b for a, b in zip(own, lots, strict=True)]
        lows = [float(np.quantile(lead[1:], 0.025)) for lead in leads]
        behind = float(probe[1][0] - own[1][0])
        met = all(AHEAD.is_met_by(low) for low in lows)
        yield Row(
            encoder,
            size,
            *(f"{a[0]:.3f} / {b[0]:.3f}" for a, b in (own, lots, labo, probe)),
            *(
                f"{lead[0]:+.3f} [{low:.3f}, {np.quantile(lead[1:], 0.975):.3f}]"
                for lead, low in zip(leads, lows, strict=True)
            ),
            float(own[1][0] - labo[1][0]),
            behind,
            f"ahead of random {AHEAD}" + (f"; behind probe {NEAR}" if size == 12 else ""),
            met and (size != 12 or NEAR.is_met_by(behind)),
        )


if __name__ == "__main__":
    print_rows("concept budget", main())
