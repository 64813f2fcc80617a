"""Training every head of a concept dataset, on its training and validation images alone."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int
from torch import Tensor

from schemas.artifact import StudyError
from schemas.candidates import Candidate
from schemas.concept_dataset import ConceptDataset
from schemas.probe import Head, HeadFacts, HeadKind, Probe, ProbeSpec, TrainingStep
from tasks.probe.bottleneck import train_bottleneck
from tasks.probe.linear import (
    LinearHead,
    choose_by_validation,
    global_standardisation,
    regularisation_path,
)


@dataclass(frozen=True)
class _Images:
    """The rows and labels that training may see."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    train_labels: Int[Tensor, " train"]
    validation_labels: Int[Tensor, " validation"]


def train_heads(published: ConceptDataset, spec: ProbeSpec) -> Probe:
    """Train a linear probe, the concept bottleneck and its baselines.

    The baselines: a bottleneck of as many concepts drawn at random from the same pool (the classes
    draw in turn, each from the candidates proposed for it), several times; and the majority class.
    Whatever is chosen is chosen on validation images.

    Raises:
        StudyError: a split is empty.
    """
    for split in ("train", "validation"):
        if not len(published.rows(split)):
            raise StudyError(
                f"the {split} split of {published.facts.name} has no image; usually the split "
                "shares are too small for so few groups. Change dataset.splits."
            )
    images = _Images(
        train=published.rows("train"),
        validation=published.rows("validation"),
        train_labels=torch.from_numpy(published.labels("train")),
        validation_labels=torch.from_numpy(published.labels("validation")),
    )
    place = {c.concept_id: i for i, c in enumerate(published.pool)}
    selected = np.array([place[c.concept_id] for c in published.concepts])
    heads = [
        _linear_probe(published, images, spec),
        _bottleneck(published, images, spec, selected, "concept bottleneck", "concept_bottleneck"),
    ]
    for draw in range(1, spec.random_draws + 1):
        drawn = _draw(published, seed=spec.seed + draw)
        name = f"random concepts {draw}"
        heads.append(_bottleneck(published, images, spec, drawn, name, "random_concepts", draw))
    heads.append(_majority(published, images))
    return Probe(class_keys=published.class_keys, heads=tuple(heads))


def _linear_probe(published: ConceptDataset, images: _Images, spec: ProbeSpec) -> Head:
    """L2 logistic regression on image vectors; the strength is chosen by validation log loss."""
    vectors = published.vectors
    scaling = global_standardisation(_tensor(vectors[images.train]))
    path = regularisation_path(
        scaling.apply(_tensor(vectors[images.train])),
        images.train_labels,
        len(published.class_keys),
        sorted(set(spec.l2_values), reverse=True),
        class_weight=spec.class_weight,
    )
    choice = choose_by_validation(
        path,
        scaling.apply(_tensor(vectors[images.validation])),
        images.validation_labels,
        "log_loss",
    )
    facts = HeadFacts(
        name="linear probe",
        kind="linear_probe",
        chosen={"l2": path.l2_values[choice.index]},
        curve=tuple(
            TrainingStep(
                x=l2,
                train_loss=loss,
                validation_loss=choice.validation_loss[i],
                validation_balanced_accuracy=choice.validation_balanced_accuracy[i],
            )
            for i, (l2, loss) in enumerate(zip(path.l2_values, path.train_loss, strict=True))
        ),
    )
    return _head(facts, scaling.fold(path.head(choice.index)), vectors[images.train])


def _bottleneck(
    published: ConceptDataset,
    images: _Images,
    spec: ProbeSpec,
    concepts: Int[np.ndarray, " concept"],
    name: str,
    kind: HeadKind,
    draw: int = 0,
) -> Head:
    """LaBo's bottleneck on these concepts of the pool; the epoch is chosen by validation loss."""
    candidates = tuple(published.pool[i] for i in concepts)
    train = published.vectors[images.train] @ published.pool_vectors[concepts].T
    validation = published.vectors[images.validation] @ published.pool_vectors[concepts].T
    trained = train_bottleneck(
        _tensor(train),
        images.train_labels,
        torch.from_numpy(_links(candidates, published.class_keys)),
        _tensor(validation),
        images.validation_labels,
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        patience=spec.patience,
        class_weight=spec.class_weight,
    )
    facts = HeadFacts(
        name=name,
        kind=kind,
        draw=draw,
        candidates=candidates,
        chosen={"epoch": trained.chosen_epoch},
        curve=tuple(
            TrainingStep(
                x=epoch,
                train_loss=step.train_loss,
                validation_loss=step.validation_loss,
                validation_balanced_accuracy=step.validation_balanced_accuracy,
            )
            for epoch, step in enumerate(trained.history)
        ),
    )
    return _head(facts, trained.head, train)


def _majority(published: ConceptDataset, images: _Images) -> Head:
    """Say of every image what most training images are, as surely as they are."""
    counts = np.bincount(images.train_labels.numpy(), minlength=len(published.class_keys))
    facts = HeadFacts(name="majority class", kind="majority", chosen={})
    bias = np.log(counts / counts.sum())
    return Head(facts, np.zeros((len(counts), 0)), bias, np.zeros(0))


def _draw(published: ConceptDataset, seed: int) -> Int[np.ndarray, " concept"]:
    """Draw as many candidates as were selected, class by class in turn; return pool positions."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(published.pool)).tolist()
    queues = [
        [i for i in order if class_key in published.pool[i].classes]
        for class_key in published.class_keys
    ]
    drawn: dict[int, None] = {}
    while len(drawn) < len(published.concepts):
        for queue in queues:
            fresh = next((i for i in queue if i not in drawn), None)
            if fresh is not None and len(drawn) < len(published.concepts):
                drawn[fresh] = None
    return np.array(sorted(drawn))


def _links(
    candidates: tuple[Candidate, ...], class_keys: tuple[str, ...]
) -> Bool[np.ndarray, "class concept"]:
    """Return which candidate was proposed for which class."""
    return np.array([[key in c.classes for c in candidates] for key in class_keys])


def _head(facts: HeadFacts, head: LinearHead, train: Float32[np.ndarray, "image feature"]) -> Head:
    weights: Float64[np.ndarray, "class feature"] = head.weights.double().numpy()
    center = train.mean(axis=0, dtype=np.float64)
    return Head(facts, weights, head.bias.double().numpy(), center)


def _tensor(array: Float32[np.ndarray, "row column"]) -> Float32[Tensor, "row column"]:
    return torch.from_numpy(np.ascontiguousarray(array))
