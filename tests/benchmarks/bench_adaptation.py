"""When does adapting a head by a few labelled images pay, and when is it left alone?

Run `python -m tests.benchmarks.bench_adaptation demo STORE` with the store of a finished demo,
`... drawn`, or `... ph2 FILE.npz ...` with the vectors of PH2. Every row is of many draws of so
many labelled images a class: how often nothing was chosen, by how much balanced accuracy rose on
all other images of the site (95 % interval of the mean over draws), and the share of draws that
lost more than .01. Draws of one site share its images, so their interval tells nothing of others.

- demo: heads as the demo trained them. Home is validation; the site is the other light, or the
  demo's own test images, which are of the same kind.
- drawn: Gaussian classes, K = 2 to 7, of which some sites moved as one, some class by class, some
  are stretched, noisier, closer together, or follow home.
- ph2: a discriminant on concept scores, trained, held out and adapted on different images, which
  are of the same kind.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from curette.flows.stages import RunOptions, only_remembered
from curette.flows.study import study as whole_study
from curette.flows.study_file import load_study
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.probe import Heads, head_inputs
from curette.storage.store import ArtifactStore
from curette.tasks.methods.adaptation import NOTHING, Home, Weights, adapt
from curette.tasks.methods.selection.judging import fit_discriminant
from tests.benchmarks.measuring import print_rows

SHOTS, DRAWS, LOST = (1, 2, 4, 8), 200, 0.01
PROBLEMS, DRAWS_OF_A_PROBLEM, DIMENSIONS = 40, 2, 12
KINDS = ("home", "moved", "moved by class", "both", "stretched", "noisier", "closer")


class Row(NamedTuple):
    """Draws of one size at one or several sites."""

    head: str
    site: str
    a_class: int
    draws: int
    nothing: float
    """Share of draws in which the head was left alone."""
    gain: str
    lost: float
    """Share of draws that lost more than .01."""
    above_offset: float
    """Share of draws that climbed above the offset."""


class Outcome(NamedTuple):
    """What became of one draw."""

    rung: str
    gain: float


def main(what: str, *arguments: str) -> list[Row]:
    """Return the rows of one part."""
    torch.set_num_threads(1)
    parts: dict[str, Callable[..., Iterator[Row]]] = {
        "demo": of_demo,
        "drawn": of_drawn,
        "ph2": of_ph2,
    }
    return list(parts[what](*arguments))


def try_draw(
    home: Home,
    features: np.ndarray,
    labels: np.ndarray,
    each: int,
    seed: int,
    concepts: bool = True,
) -> Outcome:
    """Adapt by one draw of a site's images and measure on all others."""
    generator = np.random.default_rng(seed)
    chosen = np.concatenate(
        [
            generator.choice(np.flatnonzero(labels == k), each, replace=False)
            for k in range(home.classes)
        ]
    )
    choice = adapt(home, features[chosen], labels[chosen], concepts=concepts)
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    before, after = (
        balanced(head, features[rest], labels[rest]) for head in (home.head, choice.head)
    )
    return Outcome(choice.rung, after - before)


def balanced(head: Weights, features: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of the share that is decided right."""
    right = head.logits(features).argmax(axis=1) == labels
    return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))


def row(head: str, site: str, each: int, outcomes: list[Outcome]) -> Row:
    """Return what many draws come to."""
    gains = np.array([o.gain for o in outcomes])
    error = 1.96 * gains.std(ddof=1) / np.sqrt(len(gains))
    mean = gains.mean()
    return Row(
        head,
        site,
        each,
        len(gains),
        float(np.mean([o.rung == NOTHING for o in outcomes])),
        f"{mean:+.3f} [{mean - error:+.3f}, {mean + error:+.3f}]",
        float((gains < -LOST).mean()),
        float(np.mean([o.rung not in (NOTHING, "shrunk offset") for o in outcomes])),
    )


def of_demo(store: str) -> Iterator[Row]:
    """Yield the rows of the demo's heads."""
    shelf = ArtifactStore(Path(store).resolve())
    token = only_remembered.set(True)
    try:
        made = whole_study.fn(load_study(Path("demo")), RunOptions(store=shelf.root))
    finally:
        only_remembered.reset(token)
    published = shelf.load(ConceptDataset, made.made[ConceptDataset.kind])
    probe = next(
        heads
        for heads in (shelf.load(Heads, Ref.parse(s.ref)) for s in made.stages if s.name == "edit")
    )
    other = {s.name: Ref.parse(s.ref) for s in made.stages if s.external}
    lamp = shelf.load(ImageDataset, other["ingest"])
    lamp_ids = list(lamp.images["image_id"])
    test = published.rows("test")
    sites = {
        "other light": (
            shelf.load(ImageEmbeddings, other["embed"]).take(lamp_ids),
            shelf.load(TestLabels, lamp.test_labels).labels,
            lamp_ids,
        ),
        "own test images": (
            published.vectors[test],
            shelf.load(TestLabels, published.test_labels_ref).labels,
            list(published.images["image_id"].iloc[test]),
        ),
    }
    order = {key: k for k, key in enumerate(published.class_keys)}
    for kind in (EXPLAINED, REFERENCE):
        head = probe.head(kind)
        rows = published.pool_rows(c.concept_id for c in head.facts.candidates)
        see = partial(head_inputs, head.facts.inputs, concept_vectors=published.pool_vectors[rows])
        home = Home(
            Weights(head.weights, head.bias),
            see(vectors=published.vectors[published.rows("validation")]),
            published.labels("validation"),
        )
        for site, (vectors, by_id, ids) in sites.items():
            labels = np.array([order[by_id[i]] for i in ids])
            features = see(vectors=vectors)
            for each in SHOTS:
                outcomes = [
                    try_draw(home, features, labels, each, seed, kind == EXPLAINED)
                    for seed in range(DRAWS)
                ]
                yield row(head.facts.name, site, each, outcomes)


def of_drawn() -> Iterator[Row]:
    """Yield the rows of drawn problems, by kind of site."""
    for kind in KINDS:
        for each in SHOTS:
            outcomes = []
            for number in range(PROBLEMS):
                home, features, labels = draw_problem(kind, number)
                outcomes += [
                    try_draw(home, features, labels, each, seed)
                    for seed in range(DRAWS_OF_A_PROBLEM)
                ]
            yield row("discriminant", kind, each, outcomes)


def draw_problem(kind: str, number: int) -> tuple[Home, np.ndarray, np.ndarray]:
    """Draw classes, train a discriminant at home, and draw the images of a site."""
    generator = np.random.default_rng((number, KINDS.index(kind)))
    classes = int(generator.integers(2, 8))
    spectrum = (1 + np.arange(DIMENSIONS)) ** -0.5
    means = generator.uniform(0.6, 1.6) * generator.normal(size=(classes, DIMENSIONS)) * spectrum

    def draw(of: np.ndarray, each: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(classes), each)
        scatter = noise * generator.normal(size=(len(labels), DIMENSIONS)) * spectrum
        return of[labels] + scatter, labels

    own, held = draw(means, 100), draw(means, 40)
    fitted = fit_discriminant(*own, *held, classes, shrinkages=(0.02,))
    home = Home(Weights(fitted.weights.numpy(), fitted.bias.numpy()), *held)
    far = generator.uniform(0.3, 1.2) * spectrum
    there, stretch, noise = means, np.ones(DIMENSIONS), 1.0
    if kind in ("moved", "both"):
        there = there + far * generator.normal(size=DIMENSIONS)
    if kind in ("moved by class", "both"):
        part = 0.5 if kind == "both" else 1.0
        there = there + part * far * generator.normal(size=(classes, DIMENSIONS))
    if kind == "stretched":
        stretch = np.exp(0.4 * generator.normal(size=DIMENSIONS))
    if kind == "noisier":
        noise = 1.5
    if kind == "closer":
        there = means.mean(axis=0) + 0.6 * (means - means.mean(axis=0))
    features, labels = draw(there, 200, noise)
    return home, features * stretch, labels


def of_ph2(*files: str) -> Iterator[Row]:
    """Yield the rows of PH2: a third trains, a third is held out, the last is the site."""
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            vectors = data["image_embeddings"].astype(np.float64)
            texts = data["text_embeddings"].astype(np.float64)
            _, labels = np.unique(data["labels"], return_inverse=True)
        vectors, texts = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, texts))
        scores = vectors @ texts.T
        for each in SHOTS[:-1]:  # a third of PH2 has 13 melanomas
            outcomes = []
            for seed in range(DRAWS):
                generator = np.random.default_rng(seed)
                third = np.empty(len(labels), dtype=np.int64)
                for k in np.unique(labels):
                    own = generator.permutation(np.flatnonzero(labels == k))
                    third[own] = np.arange(len(own)) % 3
                train, held, site = (
                    (scores[third == part], labels[third == part]) for part in range(3)
                )
                fitted = fit_discriminant(*train, *held, 2, shrinkages=(0.3,))
                home = Home(Weights(fitted.weights.numpy(), fitted.bias.numpy()), *held)
                outcomes.append(try_draw(home, *site, each, seed))
            yield row("discriminant", Path(file).stem, each, outcomes)


if __name__ == "__main__":
    print_rows("adaptation", main(*sys.argv[1:]))
