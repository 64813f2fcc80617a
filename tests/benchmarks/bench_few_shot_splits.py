"""What every head reaches on PH2 with few images a class, over several splits and both encoders.

Run `python -m tests.benchmarks.bench_few_shot_splits`: 5 splits of 50/20/30 by class, each with 20
draws of 1 to 16 images and one of all. Concepts are selected anew in each draw. A lead is over the
tuned linear probe on the same draws, in points of balanced accuracy; plus or minus is the half
width of its 95% interval over the splits (t distribution, 4 degrees of freedom), whose test images
overlap: it tells how much splits differ, not how much other patients would.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.stats import t

from curette.schemas.heads import HeadKind
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.draw.few_shots import draw as draw_few_shots
from curette.tasks.evaluate.questions.few_shots import balanced_accuracies
from curette.tasks.probe.protocols import train_on_draws
from tests.benchmarks.bench_few_shots import DATA, SELECT, SPEC, halves, ph2
from tests.benchmarks.measuring import print_rows

SPLITS = 5


class Row(NamedTuple):
    """One head on the vectors of one encoder, or of both; percent."""

    encoder: str
    head: str
    of_1: str
    of_2: str
    of_4: str
    of_8: str
    of_16: str
    of_all: str


class _Reached(NamedTuple):
    heads: tuple[HeadKind, ...]
    values: Float64[np.ndarray, "split size head"]


def main() -> list[Row]:
    """Return a row for each encoder and head; none where PH2 is absent."""
    if not DATA.is_dir():
        print("PH2 is not here: ../shared/data/ph2-clip is absent")
        return []
    of_encoder = {file.stem: measure(file) for file in sorted(DATA.glob("*.npz"))}
    reached = list(of_encoder.values())
    both = _Reached(reached[0].heads, np.mean([r.values for r in reached], axis=0))
    return [row for name, r in (*of_encoder.items(), ("both", both)) for row in _rows(name, r)]


def measure(file: Path) -> _Reached:
    """Run the protocol on each split of one encoder's vectors."""
    values = []
    for seed in range(SPLITS):
        published, labels = ph2(file, partial(halves, seed=seed))
        heads = train_on_draws(published, draw_few_shots(published, SELECT, SPEC), ProbeSpec())
        test = published.rows("test")
        right = heads.stack.answer(published.vectors[test], labels[test])
        once = np.ones((1, len(test)))
        flat = balanced_accuracies(right.reshape(-1, len(test)), labels[test], once)
        of_draw = flat.reshape(right.shape[:2])
        sizes = np.array([draw.shots or 0 for draw in heads.draws])
        values.append([of_draw[sizes == size].mean(0) for size in (*SPEC.shots, 0)])
    return _Reached(heads.stack.kinds, np.array(values))


def _rows(encoder: str, reached: _Reached) -> list[Row]:
    values = 100 * reached.values
    leads = values - values[..., [reached.heads.index("linear_probe")]]
    half = t.ppf(0.975, SPLITS - 1) * leads.std(0, ddof=1) / np.sqrt(SPLITS)
    rows = []
    for i, head in enumerate(reached.heads):
        cells = [
            f"{value:.1f} ({lead:+.1f} ±{spread:.1f})"
            for value, lead, spread in zip(
                values.mean(0)[:, i], leads.mean(0)[:, i], half[:, i], strict=True
            )
        ]
        rows.append(Row(encoder, head.replace("_", " "), *cells))
    return rows


if __name__ == "__main__":
    print_rows("few shots over splits", main())
