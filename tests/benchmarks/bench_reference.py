"""Whether a reference sentence makes statements find on PH2 what they say.

Run `python -m tests.benchmarks.bench_reference`. Statements of three columns, chosen by their words
before anything was measured, are scored with and without the reference ("This is dermatoscopy") on
all 200 images; nothing is trained. Rows give the mean AUROC over a column's statements, and what
the reference adds with its interval: 2,000 bootstrap resamples of the images, paired.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from curette.tasks.methods.encoder.reference import less_reference
from tests.benchmarks.bench_few_shots import DATA
from tests.benchmarks.measuring import print_rows

REFERENCE, RESAMPLES = "This is dermatoscopy", 2000
CLAIMED = {
    "BWV": ("blue", "bluish"),
    "RS": ("white", "depigment"),
    "APN": ("irregular and atypical patterns",),
}
DENIED = {"APN": (" a regular", "regular and evenly", "uniform arrangement", "regular pattern in")}
"""Words of the statements that claim and deny each column."""


class Row(NamedTuple):
    """The statements of one column and one encoder."""

    encoder: str
    column: str
    statements: int
    plain: float
    with_reference: float
    gain: float
    low: float
    high: float


def main() -> list[Row]:
    """Return a row for each encoder and column, and one for their mean; none without PH2."""
    if not DATA.is_dir():
        print("PH2 is not here: ../shared/data/ph2-clip is absent")
    return [row for file in sorted(DATA.glob("*.npz")) for row in _measure(file.stem)]


def _measure(name: str) -> list[Row]:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        held = {key: file[key] for key in file.files}
    images, texts = (_unit(held[f"{what}_embeddings"]) for what in ("image", "text"))
    prompts, kinds = held["text_prompts"].tolist(), held["text_keys"].tolist()
    lead_away = less_reference(
        prompts, texts, texts[prompts.index(REFERENCE)], untouched=(REFERENCE,)
    )
    drawn = np.random.default_rng(0).integers(0, len(images), (RESAMPLES, len(images)))
    rows, gains = [], []
    for column, claimed in CLAIMED.items():
        shown = held["concept_labels"][:, held["concept_names"].tolist().index(column)] > 0
        signs = {
            j: sign
            for sign, words in ((1, claimed), (-1, DENIED.get(column, ())))
            for j, text in enumerate(prompts)
            if any(word in text for word in words) and not kinds[j].startswith("class")
        }
        scores = [
            np.stack([sign * (images @ vectors[j]) for j, sign in signs.items()])
            for vectors in (texts, lead_away)
        ]
        plain, new = (_auroc(s, shown).mean() for s in scores)
        gain = np.array(
            [
                (_auroc(scores[1][:, d], shown[d]) - _auroc(scores[0][:, d], shown[d])).mean()
                for d in drawn
            ]
        )
        gains.append(gain)
        low, high = np.nanpercentile(gain, (2.5, 97.5))
        rows.append(Row(name, column, len(signs), plain, new, new - plain, low, high))
    low, high = np.nanpercentile(np.mean(gains, axis=0), (2.5, 97.5))
    plain, new = (
        float(np.mean([getattr(r, x) for r in rows])) for x in ("plain", "with_reference")
    )
    total = sum(r.statements for r in rows)
    return [*rows, Row(name, "mean of the three", total, plain, new, new - plain, low, high)]


def _auroc(scores: np.ndarray, shown: np.ndarray) -> np.ndarray:
    yes = int(shown.sum())
    ranks = rankdata(scores, axis=1)[:, shown].sum(axis=1)
    return np.asarray((ranks - yes * (yes + 1) / 2) / (yes * (len(shown) - yes)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    print_rows("statements against a reference, PH2", main())
