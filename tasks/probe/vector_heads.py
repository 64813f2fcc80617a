"""Heads that see image vectors, or need no training: probe, hybrid, prompts, majority."""

import torch

from curette.schemas.heads import HeadKind
from curette.schemas.probe import Head, SkippedHead
from curette.tasks.methods.solvers.bottleneck import CLIP_SCALE
from curette.tasks.methods.solvers.hybrid import train_hybrid
from curette.tasks.methods.solvers.linear import (
    LinearHead,
    choose_by_validation,
    global_standardisation,
    regularisation_path,
)
from curette.tasks.methods.solvers.zero_shot import class_prompt_head, concept_matrix_head
from curette.tasks.probe.training import Features, HeadPlan, Training, training_steps


def train_linear_probe(training: Training) -> Head:
    """L2 logistic regression on image vectors; the strength is chosen by validation log loss."""
    plan = HeadPlan("linear probe", "linear_probe", "vectors")
    features = training.features(plan)
    scaling = global_standardisation(features.train)
    path = regularisation_path(
        scaling.apply(features.train),
        training.train_labels,
        training.class_count,
        sorted(set(training.spec.l2_values), reverse=True),
        class_weight=training.spec.class_weight,
    )
    choice = choose_by_validation(
        path, scaling.apply(features.validation), training.validation_labels, "log_loss"
    )
    curve = training_steps(
        path.l2_values,
        path.train_loss,
        choice.validation_loss,
        choice.validation_balanced_accuracy,
    )
    head = scaling.fold(path.head(choice.index))
    chosen = {"l2": path.l2_values[choice.index]}
    return training.finish(plan, features, head, chosen, curve)


def train_hybrid_of(training: Training, concept_head: Head) -> Head:
    """Add a residual on image vectors to a head on the selected concepts.

    Told as chosen are the residual's l2 (missing where no residual was best) and the share of
    validation decisions that it flips.
    """
    plan = HeadPlan("hybrid", "hybrid", "scores and vectors", training.selected)
    features = training.features(plan)
    concepts = LinearHead(
        torch.from_numpy(concept_head.weights), torch.from_numpy(concept_head.bias)
    )
    count = len(plan.concepts)
    said = Features(
        concepts.logits(features.train[:, :count]), concepts.logits(features.validation[:, :count])
    )
    vectors = Features(features.train[:, count:], features.validation[:, count:])
    hybrid = train_hybrid(
        said.train,
        vectors.train,
        training.train_labels,
        said.validation,
        vectors.validation,
        training.validation_labels,
        training.spec.residual_l2_values,
        class_weight=training.spec.class_weight,
    )
    chosen = {"flipped": hybrid.flipped_share(said.validation, vectors.validation)}
    if hybrid.l2 is not None:
        chosen["l2"] = hybrid.l2
    weights = torch.cat([concepts.weights, hybrid.residual.weights], 1)
    head = LinearHead(weights, concepts.bias + hybrid.residual.bias)
    return training.finish(plan, features, head, chosen)


def class_prompts(training: Training) -> Head | SkippedHead:
    """Compare images with the classes' names, as CLIP does."""
    plan = HeadPlan("zero-shot", "zero_shot", "vectors")
    vectors = training.published.class_vectors
    if vectors is None:
        return _without_class_vectors(plan.name, plan.kind)
    head = class_prompt_head(torch.from_numpy(vectors), scale=CLIP_SCALE)
    return training.finish(plan, training.features(plan), head, {})


def concept_matrix(training: Training) -> Head | SkippedHead:
    """Compare the concepts of images with those of the classes' names (Sparse-CBM's search).

    The cosine of two rows of scores is linear in the image's row once that has unit length. It is
    multiplied by CLIP's scale, so that it can be read as a logit.
    """
    plan = HeadPlan("concept matrix search", "concept_matrix", "unit scores", training.selected)
    vectors = training.published.class_vectors
    if vectors is None:
        return _without_class_vectors(plan.name, plan.kind)
    concepts = torch.from_numpy(training.published.pool_vectors[plan.concepts])
    head = concept_matrix_head(concepts, torch.from_numpy(vectors), scale=CLIP_SCALE)
    return training.finish(plan, training.features(plan), head, {})


def majority(training: Training) -> Head:
    """Say of every image what most training images are, as surely as they are."""
    plan = HeadPlan("majority class", "majority", "nothing")
    counts = torch.bincount(training.train_labels, minlength=training.class_count).double()
    head = LinearHead(counts.new_zeros(len(counts), 0), (counts / counts.sum()).log())
    return training.finish(plan, training.features(plan), head, {})


def _without_class_vectors(name: str, kind: HeadKind) -> SkippedHead:
    return SkippedHead(
        name=name,
        kind=kind,
        reason="the names of the classes have no vectors; usually images came as vectors of an "
        "encoder that is not here. Name an encoder that reads text.",
    )
