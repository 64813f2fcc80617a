"""Sparse heads: one of the strength that validation chooses, and one of each NEC asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from jaxtyping import Float64
from torch import Tensor

from curette.schemas.probe import Head, SkippedHead
from curette.tasks.methods.solvers.linear import (
    Standardisation,
    column_standardisation,
    cross_entropy,
)
from curette.tasks.methods.solvers.sparse import (
    STRENGTHS,
    Refit,
    SparsePath,
    choose_sparse,
    sparse_path,
    truncate_to_nec,
)
from curette.tasks.probe.concept_heads import draw_concepts
from curette.tasks.probe.training import Features, HeadPlan, Training, training_steps

# Every second one down to a thousandth, where GLM-SAGA's path ends too: what is weaker costs more
# than all of these together and overfits.
PATH = tuple(share for share in STRENGTHS[::2] if share >= 1e-3)


@dataclass(frozen=True)
class SparseHeads:
    """A path of sparse heads on some concepts; it ends at the largest NEC asked for."""

    training: Training
    plan: HeadPlan
    features: Features
    scaling: Standardisation
    standardised: Float64[Tensor, "train concept"]
    path: SparsePath

    @classmethod
    def of(cls, training: Training, plan: HeadPlan) -> "SparseHeads":
        """Solve the path on standardised scores."""
        features = training.features(plan)
        scaling = column_standardisation(features.train)
        standardised = scaling.apply(features.train)
        path = sparse_path(
            standardised,
            training.train_labels,
            training.class_count,
            PATH,
            class_weight=training.spec.class_weight,
            most_effective_concepts=max(training.spec.nec, default=float("inf")),
        )
        return cls(training, plan, features, scaling, standardised, path)

    def chosen(self) -> Head:
        """Return the head of the least validation log loss."""
        choice = choose_sparse(
            self.path,
            self.scaling.apply(self.features.validation),
            self.training.validation_labels,
            "log_loss",
        )
        path, labels = self.path, self.training.train_labels
        train_losses = [
            float(cross_entropy(path.head(i).logits(self.standardised), labels, path.class_weight))
            for i in range(len(path.strengths))
        ]
        curve = training_steps(
            path.strengths,
            train_losses,
            choice.validation_loss,
            choice.validation_balanced_accuracy,
        )
        chosen = {"share of the largest strength": path.strengths[choice.index]}
        head = self.scaling.fold(path.head(choice.index))
        return self.training.finish(self.plan, self.features, head, chosen, curve)

    def at_each_nec(self) -> Iterator[Head | SkippedHead]:
        """Yield a head of each NEC asked for.

        Whether the weights that are left are solved again without the penalty that chose and shrank
        them, or stay as they are (as in VLG-CBM), is chosen by validation log loss.
        """
        for nec in sorted(set(self.training.spec.nec)):
            plan = replace(
                self.plan,
                name=f"{self.plan.name}, NEC {nec}",
                family=f"{self.plan.family}, NEC {nec}",
            )
            reason = self._why_not(nec)
            if reason:
                yield SkippedHead(name=plan.family, kind=plan.kind, reason=reason)
            else:
                heads = (self._truncate(plan, nec, refit) for refit in get_args(Refit))
                yield min(heads, key=lambda head: head.facts.validation_loss)

    def _truncate(self, plan: HeadPlan, nec: int, refit: Refit) -> Head:
        labels = self.training.train_labels
        head = self.scaling.fold(truncate_to_nec(self.path, nec, self.standardised, labels, refit))
        chosen = {"weights solved again": float(refit == "weights")}
        return self.training.finish(plan, self.features, head, chosen)

    def _why_not(self, nec: int) -> str:
        concepts = len(self.plan.concepts)
        if nec > concepts:
            return f"{nec} effective concepts a class were asked for, and there are {concepts}."
        if nec > max(self.path.nec):
            return (
                f"no strength leaves {nec} effective concepts a class; the weakest tried leave "
                f"{max(self.path.nec):.1f} of {concepts}, as the others bring nothing."
            )
        return ""


def train_sparse(training: Training) -> SparseHeads:
    """Train sparse heads on the selected concepts."""
    plan = HeadPlan("sparse", "sparse", "scores", training.selected, family="sparse")
    return SparseHeads.of(training, plan)


def train_random_sparse(training: Training, draw: int) -> SparseHeads:
    """Train sparse heads on as many concepts drawn at random."""
    plan = HeadPlan(
        name=f"random sparse {draw}",
        kind="random_sparse",
        inputs="scores",
        concepts=draw_concepts(
            training.published, len(training.selected), training.spec.seed + draw
        ),
        family="random sparse",
        draw=draw,
    )
    return SparseHeads.of(training, plan)
