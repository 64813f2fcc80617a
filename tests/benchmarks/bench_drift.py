"""How often is drift found without any, and with some, and how good is what is expected?

Run `python -m tests.benchmarks.bench_drift STORE [VECTORS.npz]` with the store of a finished demo.
New subjects are drawn by the demo's program and encoded once (minutes; kept in the second file, if
named). A week is so many images of whole subjects, some 6 of each; 200 weeks are without drift, 40
of each drift. Its parts:

- hair, ruler: three in four images show one, of usually one in four or seven;
- light: all images are taken under another light; site mix: three in ten are;
- class mix: melanomas are twice as frequent; dark skin: types V and VI are three times as frequent.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curette.flows.finished import last_finished
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED
from curette.schemas.machine import Machine
from curette.schemas.probe import Head, Heads
from curette.schemas.settings.drift import DriftSpec
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.storage.store import ArtifactStore
from curette.tasks.drift.comparing import Batch, find_drift, statements_asked
from curette.tasks.ingest.synthetic import FLASH, LAMP, generate_images
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import load_encoder
from curette.tasks.methods.features import features_of
from tests.benchmarks.measuring import print_rows

SIZES, LEVEL = (50, 100, 200), 0.05
WITHOUT, WITH = 200, 40
KNOWN = ("label", "subject", "skin_tone", "hair", "ruler", "light")
Images = Mapping[str, np.ndarray]
Chance = Callable[[Images], np.ndarray]
"""By what chance each drawn image is among those of a week."""


class Row(NamedTuple):
    """Many weeks of one kind and size."""

    kind: str
    images: int
    weeks: int
    found: str
    """Share of weeks in which drift was found, with its 95 % interval (Wilson)."""
    named: float
    """Share in which a statement of the drift's own words is among those told."""
    accuracy: float
    """Of the head on all images of the kind."""
    expected: float
    error: float
    """Mean absolute, of what is expected beside what is so."""
    covered: float
    """Share of intervals that hold it."""


def _usual(images: Images) -> np.ndarray:
    return np.where(images["light"] == "flash", 1.0, 0.0)


def _more(column: str, values: tuple[str, ...], others: float) -> Chance:
    return lambda images: _usual(images) * np.where(np.isin(images[column], values), 1.0, others)


KINDS: dict[str, tuple[Chance, tuple[str, ...]]] = {
    "no drift": (_usual, ()),
    "no drift, one image each": (_usual, ()),
    "no drift, patients unknown": (_usual, ()),
    "hair": (_more("hair", ("True",), 0.11), ("hair",)),
    "ruler": (_more("ruler", ("True",), 0.06), ("ruler",)),
    "light": (lambda images: np.where(images["light"] == "lamp", 1.0, 0.0), ("skin", "light")),
    "site mix": (lambda images: np.where(images["light"] == "lamp", 1.0, 0.42), ("skin", "light")),
    "class mix": (_more("label", ("melanoma",), 0.39), ()),
    "dark skin": (_more("skin_tone", ("V", "VI"), 0.2), ("skin",)),
}


def main(store: str, kept: str = "") -> list[Row]:
    """Return a row for each kind and size."""
    shelf = ArtifactStore(Path(store).resolve())
    finished = last_finished(shelf, "demo")
    if finished is None:
        raise SystemExit(f"no run of the demo is finished in {store}")
    inputs = shelf.manifest(finished).recipe.inputs
    published = shelf.load(ConceptDataset, Ref.parse(inputs["published"]))
    head = shelf.load(Heads, Ref.parse(inputs["probe"])).head(EXPLAINED)
    images = drawn(Path(kept) if kept else None)
    return [
        measure(published, head, images, kind, size)
        for kind in KINDS
        for size in (SIZES if kind == "no drift" or KINDS[kind][0] is not _usual else (100,))
    ]


def drawn(kept: Path | None) -> Images:
    """Return new images' vectors and what is known of them."""
    if kept and kept.is_file():
        with np.load(kept, allow_pickle=False) as content:
            return dict(content)
    encoder = load_encoder(OpenClipEncoder(model="demo"), Machine())
    rows: list[tuple[str, ...]] = []

    def contents() -> Iterator[bytes]:
        for count, seed, light in ((20_000, 11, FLASH), (3000, 12, LAMP)):
            name = "flash" if light is FLASH else "lamp"
            for image in generate_images(count, seed, light=light):
                told = (image.label, f"{name} {image.subject}", image.skin_tone)
                rows.append((*told, str(image.hair), str(image.ruler), name))
                yield image.png

    batches = encode_in_batches(
        contents(), encoder.prepare_image, encoder.stack, encoder.encode_images, 64, 1
    )
    images = {"vectors": np.concatenate(list(batches))}
    images |= {
        name: np.array(column) for name, column in zip(KNOWN, zip(*rows, strict=True), strict=True)
    }
    if kept:
        np.savez(kept, **images)  # type: ignore[arg-type] # its stubs take a keyword for `allow_pickle`
    return images


def weeks(images: Images, chance: Chance, size: int, count: int, one: bool) -> Iterator[np.ndarray]:
    """Yield the rows of weeks of whole subjects."""
    _, of = np.unique(images["subject"], return_inverse=True)
    rows = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    chances = chance(images)
    generator = np.random.default_rng(size)
    able = [r for r in rows if chances[r].any()]
    for _ in range(count):
        week: list[int] = []
        for subject in generator.permutation(len(able)):
            there = able[subject][generator.random(len(able[subject])) < chances[able[subject]]]
            week += there[: 1 if one else None].tolist()
            if len(week) >= size:
                break
        yield np.array(week[:size])


def measure(published: ConceptDataset, head: Head, images: Images, kind: str, size: int) -> Row:
    """Return what many weeks come to."""
    chance, words = KINDS[kind]
    encoder = load_encoder(OpenClipEncoder(model="demo"), Machine())
    texts = DriftSpec().statements
    asked = statements_asked(published, head, texts, encoder.encode_texts(encoder.tokenize(texts)))
    order = {key: k for k, key in enumerate(published.class_keys)}
    labels = np.array([order[key] for key in images["label"]])
    logits = head.logits(features_of(published, head, images["vectors"]))
    accuracy = float(np.average(logits.argmax(axis=1) == labels, weights=chance(images)))
    found, named, expected = [], [], []
    count = WITHOUT if chance is _usual else WITH
    for rows in weeks(images, chance, size, count, one=kind.endswith("each")):
        groups = images["subject"][rows]
        if kind.endswith("unknown"):
            groups = np.arange(len(rows)).astype(str)
        told = find_drift(published, head, asked, Batch(images["vectors"][rows], groups), LEVEL)
        found.append(any(test.corrected <= LEVEL for test in told.tests))
        texts_told = " ".join(told.statements[i].text for i in told.told)
        named.append(any(word in texts_told for word in words))
        expected.append(told.accuracy_now)
    values = np.array([e.value for e in expected])
    return Row(
        kind,
        size,
        count,
        _share(np.array(found)),
        float(np.mean(named)) if words else float("nan"),
        accuracy,
        float(values.mean()),
        float(np.abs(values - accuracy).mean()),
        float(np.mean([e.low <= accuracy <= e.high for e in expected])),
    )


def _share(found: np.ndarray) -> str:
    n, p, z = len(found), found.mean(), 1.96
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return f"{p:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    print_rows("drift", main(*sys.argv[1:]))
