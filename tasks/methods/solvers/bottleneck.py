"""LaBo's concept bottleneck: each class is a weighted mean of concept scores.

    logits = scale * S W^T,    W = softmax over concepts of A,    A_kj = 1 if class k links j else 0

with S the cosines of image and concept, scale = 100 as in CLIP, and cross-entropy minimised over A
by Adam (Yang et al., CVPR 2023, and their `asso_opt.py`). The rows of W are positive and sum to 1,
so a class is explained by how much each concept speaks for it, never by what it lacks.

Scores go in raw, without centring, standardisation, bias or learned temperature:

- medical cosines lie in a narrow band, but what all of them share cancels: with rows that sum to 1
  a constant moves every logit of an image alike;
- what is left, the mean of each concept, acts as a bias that W chooses. Taking it away without
  giving a bias back leaves the frequency of a class nowhere to go: on the 200 skin lesions of PH2
  the log loss rose from 0.29 and 0.26 (two encoders, cross-validated) to 0.51 and 0.53. With a bias
  it is the same model from another start, and was no better (0.29 and 0.27);
- dividing each concept by its deviation cost 0.07 and 0.02 of AUROC there;
- a learned temperature had log losses of 0.27 and 0.30 against 0.29 and 0.26, and with balanced
  classes 0.34 and 0.33 against 0.38 and 0.33: too little, on 200 images, to leave LaBo for.

Where we leave LaBo: a class links every concept that was proposed for it, also shared ones; classes
may weigh the same in the loss; the epoch is chosen by validation loss or balanced accuracy, not by
accuracy, which rare classes hardly move; training stops when that no longer improves; and each step
sees all images, so that nothing is left to chance and there is no seed.

Draws are trained together. Every draw has its own images, concepts, labels and start, takes its own
steps of Adam and stops when its own validation loss has not fallen for `patience` epochs: what it
ends at does not depend on its neighbours. Draws with fewer concepts than others are filled up with
concepts that start at minus infinity, which is a weight of zero for good.

Rows of weights sum to 1, so that what all scores of an image share is taken away first: that moves
no probability, and what is left is small enough for float32. The part of the loss that the true
class brings is linear in the weights, so that its images are summed once and for all.

Gradient and Adam are written out: they are ten lines, while the first `torch.optim.Adam` of a
process imports torch's compiler, which takes longer than the training.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.head_batch import batch_shares
from curette.tasks.methods.solvers.linear import (
    ClassWeight,
    balanced_accuracy,
    check_validation,
)

CLIP_SCALE = 100.0  # CLIP's logit scale after training (Radford et al., 2021, section 2.5)

_Free = Float[Tensor, "draw class concept"]


@dataclass(frozen=True)
class Epoch:
    """The head before a step of training: what the images say of it."""

    train_loss: float
    validation_loss: float
    validation_balanced_accuracy: float


@dataclass(frozen=True)
class Bottlenecks:
    """One association a draw, at its epoch of least validation loss, the first of equals."""

    weights: Float64[Tensor, "draw class concept"]  # scale * W: no less than 0, rows sum to scale
    chosen_epoch: Int[Tensor, " draw"]
    history: tuple[Epoch, ...]  # where there is one draw; of several none is kept


def train_bottlenecks(
    scores: Float[Tensor, "draw image concept"],
    labels: Int[Tensor, "draw image"],
    start: Float[Tensor, "draw class concept"],
    validation_scores: Float[Tensor, "draw validation concept"],
    validation_labels: Int[Tensor, "#draw validation"],
    *,
    epochs: int,
    learning_rate: float,
    patience: int,
    class_weight: ClassWeight = "none",
    scale: float = CLIP_SCALE,
) -> Bottlenecks:
    """Train each draw's association and keep the epoch that validation images like best.

    Epoch 0 is the start, so the answer is never worse on validation than the untrained links.

    Args:
        scores: of each draw's images; the scores of absent concepts are not looked at.
        labels: theirs.
        start: A before training: 1 for a link, 0 without one, minus infinity for no concept. A
            concept is absent for all classes or for none.
        validation_scores: of the images that choose the epoch.
        validation_labels: theirs, of each draw or of all.
        epochs: most steps of Adam.
        learning_rate: of Adam; A moves by about this much in a step.
        patience: epochs without a smaller validation loss after which a draw is done.
        class_weight: "balanced" lets every class count the same.
        scale: what turns a score into a logit; 100 is for cosines.

    Raises:
        ValueError: there is no validation image, a score is not finite or there is no concept.
    """
    check_validation(validation_labels[0])
    _check_scores(scores, validation_scores)
    present = start[:, :1].isfinite()
    held_labels = validation_labels.expand(len(scores), -1)
    problem = _Problem(
        _Images.of(scores, labels, present, start.shape[1], class_weight, scale),
        _Images.of(validation_scores, held_labels, present, start.shape[1], class_weight, scale),
    )
    free = start.float()
    state = _State(free, torch.zeros_like(free), torch.zeros_like(free))
    chosen, least = free.clone(), torch.full((len(free),), torch.inf)
    best, at_work = torch.zeros(len(free), dtype=torch.int64), torch.arange(len(free))
    history: list[Epoch] = []
    for epoch in range(epochs + 1):
        weights = state.free.softmax(2)
        loss = problem.held.loss(weights)
        if len(scores) == 1:
            accuracy = _balanced_accuracy(problem.held, weights, held_labels[0])
            history.append(Epoch(float(problem.drawn.loss(weights)), float(loss), accuracy))
        better = loss < least[at_work]
        least[at_work[better]] = loss[better]
        best[at_work[better]] = epoch
        chosen[at_work[better]] = state.free[better]
        going = epoch - best[at_work] < patience
        if not going.all():
            at_work, problem, state = at_work[going], problem.take(going), state.take(going)
            weights = weights[going]
            if not len(at_work):
                break
        state = state.step(problem.drawn.gradient(weights), epoch, learning_rate)
    return Bottlenecks(scale * chosen.softmax(2).double(), best, tuple(history))


def _balanced_accuracy(held: "_Images", weights: _Free, labels: Int[Tensor, " image"]) -> float:
    return balanced_accuracy((weights @ held.scores.mT)[0].T, labels)


@dataclass(frozen=True)
class _Images:
    """Images of every problem."""

    scores: Float[Tensor, "draw image concept"]  # times scale
    shares: Float[Tensor, "draw 1 image"]
    pull: _Free  # of each class: the sum of its images' shares times scores

    @classmethod
    def of(
        cls,
        scores: Float[Tensor, "draw image concept"],
        labels: Int[Tensor, "draw image"],
        present: Bool[Tensor, "draw 1 concept"],
        class_count: int,
        class_weight: ClassWeight,
        scale: float,
    ) -> "_Images":
        """Take away what all concepts of an image share, and sum over the images of each class."""
        known = scores.double().where(present, 0.0)
        contrast = known - known.sum(2, keepdim=True) / present.sum(2, keepdim=True)
        scaled = scale * contrast.where(present, 0.0)
        shares = batch_shares(labels, class_count, class_weight)
        one_hot = torch.nn.functional.one_hot(labels, class_count).double()
        pull = (one_hot * shares[:, :, None]).mT @ scaled
        return cls(scaled.float(), shares[:, None].float(), pull.float())

    def take(self, going: Bool[Tensor, " draw"]) -> "_Images":
        """Return those of some problems."""
        return _Images(self.scores[going], self.shares[going], self.pull[going])

    def loss(self, weights: _Free) -> Float[Tensor, " draw"]:
        """Return each problem's cross-entropy."""
        normaliser = (weights @ self.scores.mT).logsumexp(1)
        return (self.shares[:, 0] * normaliser).sum(1) - (weights * self.pull).sum((1, 2))

    def gradient(self, weights: _Free) -> _Free:
        """Return df/dA = W * (G - sum_j W_kj G_kj), with G = df/dW."""
        said = (weights @ self.scores.mT).softmax(1) * self.shares
        by_weight = said @ self.scores - self.pull
        return weights * (by_weight - (weights * by_weight).sum(2, keepdim=True))


@dataclass(frozen=True)
class _Problem:
    """The problems that are not done yet."""

    drawn: _Images
    held: _Images  # they choose the epoch

    def take(self, going: Bool[Tensor, " draw"]) -> "_Problem":
        """Return some of them."""
        return _Problem(self.drawn.take(going), self.held.take(going))


@dataclass(frozen=True)
class _State:
    """A, and Adam's two running means of its gradient (Kingma and Ba, 2015, their defaults)."""

    free: _Free
    momentum: _Free
    energy: _Free

    def take(self, going: Bool[Tensor, " draw"]) -> "_State":
        """Return those of some problems."""
        return _State(self.free[going], self.momentum[going], self.energy[going])

    def step(self, gradient: _Free, epoch: int, learning_rate: float) -> "_State":
        """Return the state after one step."""
        momentum = torch.lerp(self.momentum, gradient, 0.1)
        energy = torch.lerp(self.energy, gradient.square(), 0.001)
        deviation = (energy / (1 - 0.999 ** (epoch + 1))).sqrt() + 1e-8
        rate = learning_rate / (1 - 0.9 ** (epoch + 1))
        return _State(self.free - rate * momentum / deviation, momentum, energy)


def _check_scores(
    scores: Float[Tensor, "draw image concept"],
    validation_scores: Float[Tensor, "draw validation concept"],
) -> None:
    if not scores.shape[2]:
        raise ValueError(
            "there is no concept to build a bottleneck of; usually every candidate was rejected. "
            "Read the reasons in the screened set, or propose more."
        )
    for split, of_split in (("training", scores), ("validation", validation_scores)):
        if not of_split.isfinite().all():
            raise ValueError(
                f"a {split} score is not finite; usually an embedding overflowed at half "
                "precision. Embed at float32."
            )
