"""Heads on all concepts: LaBo's bottleneck, the prior's head, and what they are compared with."""

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import Head, SkippedHead
from curette.tasks.methods.solvers.bottleneck import Bottleneck, train_bottleneck
from curette.tasks.methods.solvers.prior import concept_metric, train_prior_heads
from curette.tasks.probe.training import Features, HeadPlan, Training, training_steps


def train_concept_bottleneck(training: Training) -> Head:
    """Train LaBo's bottleneck on the selected concepts."""
    plan = HeadPlan("concept bottleneck", "concept_bottleneck", "scores", training.selected)
    return _associate(training, plan)


def train_random_concepts(training: Training, draw: int) -> Head:
    """Train the bottleneck on as many concepts drawn at random: what selection is worth."""
    plan = HeadPlan(
        name=f"random concepts {draw}",
        kind="random_concepts",
        inputs="scores",
        concepts=draw_concepts(
            training.published, len(training.selected), training.spec.seed + draw
        ),
        family="random concepts",
        draw=draw,
    )
    return _associate(training, plan)


def train_on_shuffled_labels(training: Training, draw: int) -> Head:
    """Train the bottleneck on labels dealt at random, and by such: near chance, or labels leak.

    It starts without the links between concepts and classes, which know of no label and yet tell
    the classes apart.
    """
    plan = HeadPlan(
        name=f"shuffled labels {draw}",
        kind="shuffled_labels",
        inputs="scores",
        concepts=training.selected,
        family="shuffled labels",
        draw=draw,
    )
    generator = np.random.default_rng(training.spec.seed + draw)
    groups = training.published.images["group"].to_numpy()
    train, validation = (
        torch.from_numpy(shuffle_labels(labels.numpy(), groups[rows], generator))
        for labels, rows in (
            (training.train_labels, training.train),
            (training.validation_labels, training.validation),
        )
    )
    features, links = training.features(plan), training.links(plan.concepts)
    trained = fit_bottleneck(training, features, torch.zeros_like(links), train, validation)
    return training.finish(plan, features, trained.head, {"epoch": trained.chosen_epoch})


def train_prior(training: Training) -> Head | SkippedHead:
    """Train the head that is pulled towards the priors; validation images weigh how strongly."""
    plan = HeadPlan("prior", "prior", "scores", training.selected)
    signs = training.published.prior_signs[:, plan.concepts]
    if (signs == signs[0]).all():
        return SkippedHead(
            name=plan.name,
            kind=plan.kind,
            reason="the priors say the same of every class; usually nobody was asked, or every "
            "concept was linked to all classes. Set `priors`.",
        )
    features = training.features(plan)
    heads = train_prior_heads(
        features.train,
        training.train_labels,
        torch.arange(len(features.train))[None],
        torch.from_numpy(signs).double(),
        concept_metric(torch.from_numpy(training.published.pool_vectors[plan.concepts])),
        features.validation,
        training.validation_labels,
        l2_values=training.spec.residual_l2_values,
        class_weight=training.spec.class_weight,
    )
    return training.finish(plan, features, heads.head(0), {})


def draw_concepts(published: ConceptDataset, count: int, seed: int) -> Int[np.ndarray, " concept"]:
    """Draw so many candidates at random; return their positions in the pool.

    The classes draw in turn, each from the candidates proposed for it.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(published.pool)).tolist()
    queues = [
        [i for i in order if class_key in published.pool[i].classes]
        for class_key in published.class_keys
    ]
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        for queue in queues:
            fresh = next((i for i in queue if i not in drawn), None)
            if fresh is not None and len(drawn) < count:
                drawn[fresh] = None
    return np.array(sorted(drawn))


def shuffle_labels(
    labels: Int[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
    generator: np.random.Generator,
) -> Int[np.ndarray, " image"]:
    """Deal the labels out again, group by group: images of one subject go on being alike.

    The labels, in the order of the groups, are laid along the images, in a random order of the
    groups. Each class keeps its number of images.
    """
    names, group = np.unique(groups, return_inverse=True)
    shuffled = np.empty_like(labels)
    place = np.argsort(generator.permutation(len(names))[group], kind="stable")
    shuffled[place] = labels[np.argsort(group, kind="stable")]
    return shuffled


def _associate(training: Training, plan: HeadPlan) -> Head:
    features, links = training.features(plan), training.links(plan.concepts)
    trained = fit_bottleneck(
        training, features, links, training.train_labels, training.validation_labels
    )
    history = trained.history
    curve = training_steps(
        range(len(history)),
        [step.train_loss for step in history],
        [step.validation_loss for step in history],
        [step.validation_balanced_accuracy for step in history],
    )
    return training.finish(plan, features, trained.head, {"epoch": trained.chosen_epoch}, curve)


def fit_bottleneck(
    training: Training,
    features: Features,
    links: Bool[Tensor, "class concept"],
    train_labels: Int[Tensor, " train"],
    validation_labels: Int[Tensor, " validation"],
) -> Bottleneck:
    """Train in float32, which is enough for Adam and twice as fast."""
    return train_bottleneck(
        features.train.float(),
        train_labels,
        links,
        features.validation.float(),
        validation_labels,
        epochs=training.spec.epochs,
        learning_rate=training.spec.learning_rate,
        patience=training.spec.patience,
        class_weight=training.spec.class_weight,
    )
