"""What few statements reach on PH2, by how they are chosen: 5-fold cross-validation, repeated.

Run `python -m tests.benchmarks.bench_concept_budget`. In each fold concepts are chosen on the four
others by explained class variance, by LaBo's objective and at random (20 draws), and the same head
is trained there on the first 3, 5, 8, 12 and 20 of each: a linear discriminant. Beside them stands
the linear probe on image vectors. The shrinkage of the one and the strength of the other are chosen
by cross-validation within the four folds. AUROC is the mean over folds, whose answers are not
compared with each other. An interval is a bootstrap over images of the mean over folds and repeats,
paired: it tells what other test images would say, given what was trained.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import softmax

from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.selection.choosing import Known, choose_in_order
from curette.tasks.methods.selection.judging import Choose
from curette.tasks.methods.solvers.head_batch import (
    SHRINKAGES,
    ChosenHeads,
    shrinkage_discriminants,
)
from curette.tasks.methods.solvers.linear import (
    LinearHead,
    RegularisationPath,
    Standardisation,
    choose_by_validation,
    column_standardisation,
    global_standardisation,
    regularisation_path,
)
from curette.tasks.methods.splits import deal_groups
from curette.tasks.methods.statistics.metrics import macro_auroc
from curette.tasks.methods.threads import one_thread_of_torch
from tests.benchmarks.bench_few_shots import DATA, KEYS, ph2_statements
from tests.benchmarks.measuring import Target, print_rows

SIZES = (3, 5, 8, 12, 20)
FOLDS, REPEATS, DRAWS, RESAMPLES = 5, 4, 20, 500
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
    said: dict[tuple[str, int], list[np.ndarray]] = {}
    folds = np.stack([_deal(labels, seed) for seed in range(REPEATS)])
    with one_thread_of_torch():
        for repeat, fold in enumerate(folds):
            for number in range(FOLDS):
                train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                for way, draws in _margins(texts, links, images, labels, train, test).items():
                    shape = (REPEATS, len(draws), len(labels))
                    of_all = said.setdefault(way, [np.zeros(shape)])[0]
                    of_all[repeat][:, test] = draws
    yield from _rows(file.stem, {way: made[0] for way, made in said.items()}, labels, folds)


def _deal(labels: np.ndarray, seed: int) -> np.ndarray:
    return deal_groups(np.arange(len(labels)), labels, np.full(FOLDS, 1 / FOLDS), seed=seed)


def _margins(
    texts: np.ndarray,
    links: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> dict[tuple[str, int], np.ndarray]:
    """Return, for each way and number, how sure each draw is of melanoma on each test image."""
    known, most = Known(images[train], labels[train]), max(SIZES)
    orders = {
        "chosen": [choose_in_order(texts, links, known, SelectSpec(), most)],
        "labo": [choose_in_order(texts, links, known, SelectSpec(method="labo"), most)],
        "random": [_in_random_order(len(texts), draw) for draw in range(DRAWS)],
    }

    def of_statements(chosen: np.ndarray) -> np.ndarray:
        scores = (images @ texts[chosen].T).astype(np.float64)
        head = _discriminant(torch.from_numpy(scores[train]), torch.from_numpy(labels[train]))
        return _margin(head.logits(torch.from_numpy(scores[test])))

    margins = {
        (way, size): np.stack([of_statements(choose(size)) for choose in draws])
        for way, draws in orders.items()
        for size in SIZES
    }
    return margins | {("probe", 0): _probe(images, labels, train, test)[None]}


def _discriminant(scores: torch.Tensor, labels: torch.Tensor) -> LinearHead:
    """Train a discriminant with the shrinkage that the middle one of the inner folds chooses."""
    scaling, inner = column_standardisation(scores), torch.from_numpy(_deal(labels.numpy(), 0))

    def fit(rows: torch.Tensor, held: torch.Tensor, amounts: Sequence[float]) -> ChosenHeads:
        features = scaling.apply(scores)
        return shrinkage_discriminants(
            features[rows],
            labels[rows],
            torch.arange(len(features[rows]))[None],
            len(KEYS),
            features[held],
            labels[held],
            class_weight="balanced",
            shrinkages=amounts,
        )

    chosen = [
        int(fit(inner != number, inner == number, SHRINKAGES).index[0]) for number in range(FOLDS)
    ]
    every = torch.ones(len(labels), dtype=torch.bool)
    return scaling.fold(fit(every, every, (SHRINKAGES[sorted(chosen)[FOLDS // 2]],)).head(0))


def _probe(
    images: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Return the linear probe's margins; inner folds choose its strength by log loss."""
    strengths = sorted(set(ProbeSpec().l2_values), reverse=True)

    def path_of(rows: np.ndarray) -> tuple[Standardisation, RegularisationPath]:
        scaling = global_standardisation(torch.from_numpy(images[rows]))
        features, own = (
            scaling.apply(torch.from_numpy(images[rows])),
            torch.from_numpy(labels[rows]),
        )
        return scaling, regularisation_path(
            features, own, len(KEYS), strengths, class_weight="balanced"
        )

    inner, losses = _deal(labels[train], 0), np.zeros(len(strengths))
    for number in range(FOLDS):
        held = train[inner == number]
        scaling, path = path_of(train[inner != number])
        features = scaling.apply(torch.from_numpy(images[held]))
        losses += choose_by_validation(
            path, features, torch.from_numpy(labels[held])
        ).validation_loss
    scaling, path = path_of(train)
    features = scaling.apply(torch.from_numpy(images[test]))
    return _margin(path.head(int(losses.argmin())).logits(features))


def _margin(logits: torch.Tensor) -> np.ndarray:
    return np.asarray(softmax(logits.numpy(), axis=1)[:, 1] - 0.5)


def _in_random_order(count: int, seed: int) -> Choose:
    lot = np.random.default_rng(seed).permutation(count)
    return lambda size: lot[:size]


def _rows(
    encoder: str, said: dict[tuple[str, int], np.ndarray], labels: np.ndarray, folds: np.ndarray
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
            macro_auroc(labels[rows], np.stack([0.5 - m, 0.5 + m], axis=1), weights[:, rows])
            for of_repeat, fold in zip(said[name, size], folds, strict=True)
            for number in range(FOLDS)
            for rows in [np.flatnonzero(fold == number)]
            for m in of_repeat[:, rows]
        ]
        return accuracy, np.nanmean(areas, axis=0)  # a resample may lose a fold's melanomas

    probe = reached("probe", 0)
    for size in SIZES:
        own, lots, labo = (reached(name, size) for name in ("chosen", "random", "labo"))
        leads = [a - b for a, b in zip(own, lots, strict=True)]
        lows = [float(np.quantile(lead[1:], 0.025)) for lead in leads]
        behind = float(probe[1][0] - own[1][0])
        met = all(AHEAD.is_met_by(low) for low in lows)
        said_of = [f"{a[0]:.3f} / {b[0]:.3f}" for a, b in (own, lots, labo, probe)]
        ahead = [
            f"{lead[0]:+.3f} [{low:.3f}, {np.quantile(lead[1:], 0.975):.3f}]"
            for lead, low in zip(leads, lows, strict=True)
        ]
        yield Row(
            encoder=encoder,
            statements=size,
            chosen=said_of[0],
            random=said_of[1],
            labo=said_of[2],
            probe=said_of[3],
            ahead_of_random=ahead[0],
            ahead_of_random_in_auroc=ahead[1],
            ahead_of_labo_in_auroc=float(own[1][0] - labo[1][0]),
            behind_probe_in_auroc=behind,
            target=f"ahead of random {AHEAD}" + (f"; behind probe {NEAR}" if size == 12 else ""),
            met=met and (size != 12 or NEAR.is_met_by(behind)),
        )


if __name__ == "__main__":
    print_rows("concept budget", main())
