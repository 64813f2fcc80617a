"""Concepts that training images have in common, found without words; then names for them.

Discover-then-name (Rao et al., ECCV 2024) on small data. A dictionary is learned from the vectors
of training images; labels are not looked at. A direction is scored like a statement, by the product
with an image's vector, so that selection, heads and baselines need know nothing new. Names come
from what the other sources say and from noun phrases of documents; validation images bear them out
or do not. K-means is measured
beside every other method, so that no claim is made without it.

Names are looked for here and not behind `screen`, because a concept's words must be known before
the gates read them: what was found goes on like any other candidate, and no stage is run twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import DictionaryFacts, DiscoveredOrigin
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.settings.propose import DiscoveredSource
from curette.tasks.methods.dictionaries import METHODS
from curette.tasks.methods.dictionaries.dictionary import Dictionary, unit
from curette.tasks.methods.dictionaries.learning import Learned, learn
from curette.tasks.methods.dictionaries.naming import Names, Proofs, Proving, nearest_statements
from curette.tasks.methods.dictionaries.worth import active, alive, explained, matched_cosine
from curette.tasks.methods.selection.explained_variance import (
    EachClass,
    class_variance,
    rank_greedily,
)
from curette.tasks.methods.selection.judging import fit_discriminant
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import balanced_accuracies, stratified_auroc
from curette.tasks.methods.threads import one_thread_of_torch
from curette.tasks.propose.proposals import Found, Proposal

_FEW = 5  # concepts of the head by which dictionaries are compared
_PICTURES = 9
_IMAGES_AN_ATOM, _ATOMS_A_DIMENSION = 25, 4
_RANDOM, _RESAMPLES = 5, 1000

_Vectors = Float[np.ndarray, "image dim"]
_Directions = Float[np.ndarray, "direction dim"]


@dataclass(frozen=True, eq=False)
class Parts:
    """Vectors of parts of images."""

    vectors: _Vectors
    of_image: Int[np.ndarray, " part"]
    """Number of the image, in its split."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one split."""

    ids: tuple[str, ...]
    vectors: _Vectors
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    places: Parts | None = None
    """Where concepts are looked for among places."""

    @property
    def parts(self) -> Parts:
        """What a dictionary is made of: places, or the images themselves."""
        return self.places or Parts(self.vectors, np.arange(len(self.ids)))


@dataclass(frozen=True, eq=False)
class Seen:
    """What discovery may look at; test images are not among it."""

    train: Images
    validation: Images
    present: Bool[np.ndarray, "validation attribute"]
    known: Bool[np.ndarray, "validation attribute"]
    """Truth about validation images, by which directions are measured and nothing is chosen."""
    class_keys: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Discovered:
    """What was found among images."""

    found: Found
    vectors: Float[np.ndarray, "direction dim"]
    """Unit rows, one a proposal."""
    facts: tuple[DictionaryFacts, ...]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Texts that may be names: statements, then noun phrases of documents."""

    texts: tuple[str, ...]
    vectors: Float[np.ndarray, "text dim"]
    documents: tuple[str, ...]
    """Where a phrase stands first; empty of a statement."""

    @property
    def statements(self) -> Float[np.ndarray, "statement dim"]:
        """The vectors of what the other sources say."""
        return self.vectors[[not document for document in self.documents]]


def see(dataset: ImageDataset, images: ImageEmbeddings) -> Seen:
    """Return training and validation images; no vector of another is read."""
    table = dataset.images
    validation = dataset.rows("validation")
    truths = [dataset.attribute(name) for name in dataset.attributes]
    nothing = np.zeros((len(validation), 0), dtype=bool)

    def of(split: str) -> Images:
        rows = dataset.rows(split)  # type: ignore[arg-type]
        return Images(
            tuple(table["image_id"].iloc[rows].astype(str)),
            np.asarray(images.vectors[rows]),
            dataset.labels(split),  # type: ignore[arg-type]
            table["group"].astype(str).to_numpy()[rows],
        )

    return Seen(
        of("train"),
        of("validation"),
        np.stack([t.present[validation] for t in truths], axis=1) if truths else nothing,
        np.stack([t.known[validation] for t in truths], axis=1) if truths else nothing,
        dataset.class_keys,
    )


def discover(source: DiscoveredSource, seen: Seen, vocabulary: Vocabulary | None) -> Discovered:
    """Return what training images have in common, named where a name is borne out.

    Args:
        source: how it is looked for.
        seen: training images to learn from, validation images to measure by.
        vocabulary: what may be a name; None where the encoder reads no text, or nothing was said.

    Raises:
        StudyError: there are too few training images for so many directions, or no validation
            image.
    """
    size = _size(source, seen)
    own = _measure(source, size, seen, vocabulary)
    facts = [own.facts]
    if source.method != "kmeans":
        beside = _measure(_beside(source), size, seen, vocabulary).facts
        facts.append(beside.model_copy(update={"beside": True}))
    proposals = _tell(source, own, seen, vocabulary)
    looked_at = f"{len(seen.train.ids):,} training images"
    if source.among == "places":
        looked_at = f"{len(seen.train.parts.vectors):,} places of training images"
    return Discovered(
        Found(
            proposals=proposals,
            said=f"{len(proposals)} directions found among {looked_at} by {source.method}, "
            f"{own.facts.proved} of them named",
        ),
        own.dictionary.readers.astype(np.float32),
        tuple(facts),
    )


def _size(source: DiscoveredSource, seen: Seen) -> int:
    count, dim = seen.train.vectors.shape
    if not len(seen.validation.ids):
        raise StudyError(
            "propose.sources: `discovered` proves names on validation images, and there are none. "
            "Give dataset.splits a share of validation."
        )
    most = count // 2
    size = source.size or min(_ATOMS_A_DIMENSION * dim, count // _IMAGES_AN_ATOM)
    if source.method == "ica":
        if source.size and source.size > dim:
            raise StudyError(
                f"propose.sources: `ica` is to find {size:,} directions in the {dim:,} dimensions "
                f"of the encoder; it finds at most {dim:,}. Lower its size, or take another method."
            )
        size = min(size, dim)
    if not 2 <= size <= most:
        raise StudyError(
            f"propose.sources: `discovered` is to find {size:,} directions among {count:,} "
            f"training images; from 2 to {most:,} can be found there, half as many as images. "
            + ("Lower its size" if source.size else "Take more images")
            + ", or leave the source out."
        )
    return size


@dataclass(frozen=True, eq=False)
class _Measured:
    facts: DictionaryFacts
    dictionary: Dictionary
    """The atoms that any training image uses."""
    names: Names | None
    proofs: Proofs | None
    """Of the nearest statement of each."""

    @property
    def named(self) -> Bool[np.ndarray, " atom"]:
        """Tell whose nearest statement is its name."""
        if self.names is None or self.proofs is None:
            return np.zeros(len(self.dictionary.atoms), dtype=bool)
        return self.names.fit & self.proofs.hold


def _beside(source: DiscoveredSource) -> DiscoveredSource:
    return source.model_copy(update={"method": "kmeans", "sparsity": None})


def _measure(
    source: DiscoveredSource, size: int, seen: Seen, vocabulary: Vocabulary | None
) -> _Measured:
    """Learn a dictionary, look for names, and measure what it is worth."""
    train, held = seen.train, seen.validation

    def fit(vectors: _Vectors, seed: int = 0) -> Learned:
        return learn(METHODS[source.method], vectors, size, source.active, seed)

    first = fit(train.parts.vectors)
    fits = [fit(train.parts.vectors, seed).dictionary for seed in range(1, source.seeds)]
    halves = [fit(half).dictionary for half in _halves(train)]
    centred = first.centred(held.parts.vectors)
    living = alive(first.dictionary, first.centred(train.parts.vectors))
    atoms = first.dictionary.take(np.flatnonzero(living).tolist())
    shown = held.vectors.astype(np.float64) @ atoms.readers.T
    names = proofs = chance = None
    if vocabulary:
        names = nearest_statements(atoms.atoms, vocabulary.vectors)
        scores = _scores(held, vocabulary.vectors)
        proving = Proving(shown, vocabulary.vectors, scores, held.labels, held.groups)
        proofs, chance = proving.of(names.statement), proving.chance(names.statement)
    right = _right(atoms.readers, seen)
    accuracy = (
        ClusterBootstrap.of(held.groups, _RESAMPLES, seed=0)
        .replicate(lambda weights: balanced_accuracies(right, held.labels, weights), "percentile")
        .intervals("percentile", 0.95)[0]
    )
    said = vocabulary.statements if vocabulary else held.vectors[:0]
    facts = DictionaryFacts(
        method=source.method,
        among=source.among,
        size=len(atoms.atoms),
        explained=explained(first.dictionary, centred),
        active=active(first.dictionary, centred),
        dead=float(1 - living.mean()),
        stable_seeds=_mean_match([first.dictionary, *fits]),
        stable_halves=_mean_match(halves),
        floor=names.floor if names else None,
        named=int(names.fit.sum()) if names else 0,
        proved=int((names.fit & proofs.hold).sum()) if names and proofs else 0,
        proved_by_chance=chance,
        finds=_finds(shown, seen),
        statements_find=_finds(_scores(held, said), seen) if len(said) else None,
        with_five=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        random_five=_of_random(len(atoms.atoms), seen),
        statements_five=_balanced(_right(said, seen), held) if len(said) else None,
    )
    return _Measured(facts, atoms, names, proofs)


def _scores(images: Images, directions: _Directions) -> Float64[np.ndarray, "image direction"]:
    return images.vectors.astype(np.float64) @ directions.astype(np.float64).T


def _halves(images: Images) -> list[_Vectors]:
    """Return what two halves of the images are made of; a group is in one of them."""
    groups, group = np.unique(images.groups, return_inverse=True)
    first = np.random.default_rng(0).permutation(len(groups)) < len(groups) / 2
    in_first = first[group][images.parts.of_image]
    return [images.parts.vectors[in_first], images.parts.vectors[~in_first]]


def _mean_match(fits: Sequence[Dictionary]) -> float | None:
    pairs = [
        matched_cosine(one.atoms, other.atoms)
        for number, one in enumerate(fits)
        for other in fits[number + 1 :]
    ]
    return float(np.mean(pairs)) if pairs else None


def _finds(scores: Float64[np.ndarray, "image direction"], seen: Seen) -> float | None:
    """Return the AUROC within classes of the best direction, the median over attributes."""
    labels, best = seen.validation.labels, []
    for present, known in zip(seen.present.T, seen.known.T, strict=True):
        rows = np.flatnonzero(known)
        strata = [np.flatnonzero(labels[rows] == k) for k in np.unique(labels[rows])]
        once = np.ones((len(rows), 1))
        areas = [
            stratified_auroc(np.ascontiguousarray(score), present[rows], strata, once)[0]
            for score in scores[rows].T
            if strata
        ]
        if np.isfinite(areas).any():
            best.append(float(np.nanmax(areas)))
    return median(best) if best else None


def _right(directions: _Directions, seen: Seen) -> Bool[np.ndarray, "1 image"]:
    """Tell which validation images a small head decides rightly by the five best directions."""
    train, held, classes = seen.train, seen.validation, len(seen.class_keys)
    links = np.ones((len(directions), classes), dtype=bool)
    problem = class_variance(directions, train.vectors, train.labels, classes, links=links)
    rule = EachClass(links, min(_FEW, len(directions)))
    chosen = rank_greedily(problem, _FEW, rule).indices
    with one_thread_of_torch():
        learned, asked = (_scores(images, directions[chosen]) for images in (train, held))
        head = fit_discriminant(learned, train.labels, asked, held.labels, classes)
        answers = head.logits(torch.from_numpy(asked)).numpy()
    return (answers.argmax(axis=1) == held.labels)[None]


def _balanced(right: Bool[np.ndarray, "1 image"], images: Images) -> float:
    return float(balanced_accuracies(right, images.labels, np.ones((1, len(images.labels))))[0, 0])


def _of_random(count: int, seen: Seen) -> float:
    """Return what the best five of as many random directions reach, a mean over draws."""
    dim = seen.train.vectors.shape[1]
    drawn = [np.random.default_rng(n).normal(size=(count, dim)) for n in range(_RANDOM)]
    return float(np.mean([_balanced(_right(unit(d), seen), seen.validation) for d in drawn]))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _tell(
    source: DiscoveredSource, own: _Measured, seen: Seen, vocabulary: Vocabulary | None
) -> tuple[Proposal, ...]:
    """Return one proposal an atom, for all classes, with its pictures."""
    scores = _scores(seen.train, own.dictionary.readers)
    by_id = np.argsort(np.array(seen.train.ids), kind="stable")
    told = []
    for place, named in enumerate(own.named.tolist()):
        highest = by_id[np.argsort(-scores[by_id, place], kind="stable")[:_PICTURES]]
        nearest: dict[str, str | float | None] = {}
        if own.names and own.proofs and vocabulary:
            best = vocabulary.texts[own.names.statement[place]]
            nearest = {
                "name": best if named else "",
                "best": best,
                "document": vocabulary.documents[own.names.statement[place]],
                "cosine": float(own.names.cosine[place]),
                "margin": float(own.names.margin[place]),
                "p_value": float(own.names.p_value[place]),
                "proof": _number(own.proofs.area[place]),
                "proof_low": _number(own.proofs.low[place]),
                "proof_others": _number(own.proofs.others[place]),
            }
        origin = DiscoveredOrigin(
            method=source.method,
            number=place + 1,
            images=tuple(seen.train.ids[i] for i in highest),
            **nearest,
        )
        text = f"{origin.name} (found {place + 1})" if origin.name else f"unnamed {place + 1}"
        told.append(Proposal(text, seen.class_keys, origin))
    return tuple(told)
