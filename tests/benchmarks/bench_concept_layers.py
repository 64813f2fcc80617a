"""What a learnt layer between concept scores and head is worth, and what becomes of its words.

Run `python -m tests.benchmarks.bench_concept_layers STORE`, of a store in which a study has
published. After Sparse-CBM (Semenov et al., Sparse Concept Bottleneck Models: Gumbel Tricks in
Contrastive Learning, 2024): z = W s with a square W that starts as the identity, and a
linear head on z, trained together by cross-entropy plus a strength times

- `l1`: the sum of |W| over the number of concepts;
- `contrastive`: symmetric cross-entropy of the cosines of learnt directions and text vectors, each
  concept's own being the positive (their code pairs image i with concept i, which means nothing);
- `gumbel`: -mean log of the Gumbel-softmax of z, over concepts and over images, halved.

Five folds of whole groups of the training and validation images; strengths are chosen by log loss
on a fifth of each fold's training groups. Beside them stand W = 1, W free without a penalty, the
study's own kind of bottleneck, the sparse head at 5 effective concepts, and the bottleneck on as
many random concepts (5 draws, the mean of their balanced accuracies). Told of each layer: cosine of
a concept's learnt direction with its text vector, correlation of its column with the score it was
(on held-out images), the share of columns below .8 there, and the AUROC of columns whose truth is
known, minus that of their scores. No test label is read.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.storage.store import ArtifactStore
from curette.tasks.methods.solvers.head_batch import shrinkage_discriminants
from curette.tasks.methods.solvers.linear import column_standardisation, cross_entropy
from curette.tasks.methods.solvers.sparse import STRENGTHS, sparse_paths, truncate_to_nec
from curette.tasks.methods.splits import deal_groups
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import balanced_accuracies
from tests.benchmarks.measuring import print_rows

FOLDS, STEPS, RATE, RIDGE, NEC = 5, 400, 0.02, 1e-3, 5
TRIED = {"l1": (0.01, 0.1, 1.0), "contrastive": (0.01, 0.1, 1.0), "gumbel": (0.01, 0.1, 1.0)}


class Row(NamedTuple):
    """One head over all folds."""

    head: str
    balanced_accuracy: str
    over_no_layer: str
    cosine_to_text: str = ""
    correlation: str = ""
    lost: str = ""
    auroc_gained: str = ""


class Fold(NamedTuple):
    """Scores and labels of one fold: what trains, what chooses, what is asked."""

    train: Tensor
    labels: Tensor
    choosing: Tensor
    choosing_labels: Tensor
    asked: Tensor
    texts: Tensor
    """Directions in vector space that standardised scores are products with."""


def main() -> list[Row]:
    """Return a row a head."""
    store = ArtifactStore(Path(sys.argv[1]).resolve())
    digest = next((store.root / ConceptDataset.kind).iterdir()).name
    published = store.load(ConceptDataset, Ref(ConceptDataset.kind, digest))
    rows = np.concatenate([published.rows("train"), published.rows("validation")])
    labels = np.concatenate([published.labels("train"), published.labels("validation")])
    groups = published.images["group"].to_numpy()[rows]
    truth = [published.concept_truth(split) for split in ("train", "validation")]
    present, known = (np.concatenate([getattr(t, x) for t in truth]) for x in ("present", "known"))
    vectors = torch.from_numpy(published.vectors[rows]).double()
    own = published.pool_rows(c.concept_id for c in published.concepts)
    pool = torch.from_numpy(published.pool_vectors).double()
    rng = np.random.default_rng(0)
    sets = [own] + [rng.choice(len(pool), len(own), replace=False) for _ in range(5)]
    fold = _parts(groups, labels, FOLDS)
    heads = ["no layer", "free layer", *TRIED, "bottleneck", "sparse, NEC 5"]
    said = {head: np.zeros(len(labels), dtype=np.int64) for head in heads}
    said |= {f"random {i}": np.zeros(len(labels), dtype=np.int64) for i in range(1, 6)}
    columns = {h: np.zeros((len(labels), len(own))) for h in heads[1:5]}
    was = np.zeros((len(labels), len(own)))
    cosines: dict[str, list[Tensor]] = {h: [] for h in columns}
    for held in range(FOLDS):
        for number, chosen in enumerate(sets):
            part = _fold(vectors @ pool[chosen].T, pool[chosen], labels, groups, fold, held)
            at = fold == held
            if number:
                said[f"random {number}"][at] = _bottleneck(part)
                continue
            said["bottleneck"][at] = _bottleneck(part)
            said["sparse, NEC 5"][at] = _sparse(part)
            was[at] = part.asked.numpy()
            for name in heads[:5]:
                layer, logits = _layered(part, name)
                said[name][at] = logits(part.asked).argmax(1).numpy()
                if name in columns:
                    columns[name][at] = (part.asked @ layer.T).numpy()
                    cosines[name].append(_cosines(layer @ part.texts, part.texts).diagonal())
    return _rows(said, labels, groups, columns, was, cosines, present, known)


def _parts(groups: np.ndarray, labels: np.ndarray, parts: int) -> np.ndarray:
    _, owner = np.unique(groups, return_inverse=True)
    return deal_groups(owner, labels, np.full(parts, 1 / parts), seed=0)


def _fold(
    scores: Tensor,
    texts: Tensor,
    labels: np.ndarray,
    groups: np.ndarray,
    fold: np.ndarray,
    held: int,
) -> Fold:
    inside = np.flatnonzero(fold != held)
    inner = _parts(groups[inside], labels[inside], 5)
    fit, choose = inside[inner > 0], inside[inner == 0]
    scaling = column_standardisation(scores[fit])
    scaled, known = scaling.apply(scores), torch.from_numpy(labels)
    return Fold(
        scaled[fit],
        known[fit],
        scaled[choose],
        known[choose],
        scaled[fold == held],
        texts / scaling.scale[:, None],
    )


def _bottleneck(part: Fold) -> np.ndarray:
    everyone = torch.arange(len(part.labels))[None]
    found = shrinkage_discriminants(
        part.train,
        part.labels,
        everyone,
        int(part.labels.max()) + 1,
        part.choosing,
        part.choosing_labels,
        class_weight="balanced",
    )
    return found.head(0).logits(part.asked).argmax(1).numpy()


def _sparse(part: Fold) -> np.ndarray:
    path = tuple(share for share in STRENGTHS[::2] if share >= 1e-3)
    paths = sparse_paths(
        part.train[None],
        part.labels[None],
        int(part.labels.max()) + 1,
        path,
        class_weight="balanced",
        most_effective_concepts=NEC,
    )
    head = truncate_to_nec(paths, 0, NEC, part.train, part.labels, "weights")
    return head.logits(part.asked).argmax(1).numpy()


def _layered(part: Fold, name: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the layer and the head on it, at the strength that choosing images prefer."""
    best: tuple[float, Tensor, Tensor, Tensor] | None = None
    for strength in TRIED.get(name, (0.0,)):
        layer, head, bias = _train(part, name, strength)
        logits = part.choosing @ layer.T @ head.T + bias
        loss = float(cross_entropy(logits, part.choosing_labels, "balanced"))
        if best is None or loss < best[0]:
            best = loss, layer, head, bias
    assert best is not None
    _, layer, head, bias = best
    return layer, lambda scores: scores @ layer.T @ head.T + bias


def _train(part: Fold, name: str, strength: float) -> tuple[Tensor, Tensor, Tensor]:
    concepts, classes = part.train.shape[1], int(part.labels.max()) + 1
    layer = torch.eye(concepts, dtype=torch.float64).requires_grad_(name != "no layer")
    head = torch.zeros(classes, concepts, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    learnt = [head, bias] if name == "no layer" else [layer, head, bias]
    steps = torch.optim.Adam(learnt, RATE)
    noise = torch.Generator().manual_seed(0)
    own = torch.arange(concepts)
    for _ in range(STEPS):
        columns = part.train @ layer.T
        loss = cross_entropy(columns @ head.T + bias, part.labels, "balanced")
        loss = loss + RIDGE * head.square().sum() / 2
        if name == "l1":
            loss = loss + strength * layer.abs().sum() / concepts
        elif name == "contrastive":
            alike = _cosines(layer @ part.texts, part.texts) / 0.1
            both = [torch.nn.functional.cross_entropy(x, own) for x in (alike, alike.T)]
            loss = loss + strength * (both[0] + both[1]) / 2
        elif name == "gumbel":
            drawn = torch.rand(columns.shape, generator=noise, dtype=torch.float64)
            said = columns - (-drawn.clamp(1e-12, 1 - 1e-12).log()).log()
            loss = loss - strength * (said.log_softmax(1).mean() + said.log_softmax(0).mean()) / 2
        for parameter, gradient in zip(learnt, torch.autograd.grad(loss, learnt), strict=True):
            parameter.grad = gradient
        steps.step()
    return layer.detach(), head.detach(), bias.detach()


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    unit = [x / x.norm(dim=1, keepdim=True) for x in (first, second)]
    return unit[0] @ unit[1].T


def _rows(
    said: dict[str, np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray,
    columns: dict[str, np.ndarray],
    was: np.ndarray,
    cosines: dict[str, list[Tensor]],
    present: np.ndarray,
    known: np.ndarray,
) -> list[Row]:
    heads = list(said)
    right = np.stack([said[head] == labels for head in heads])
    random = np.array([head.startswith("random") for head in heads])

    def values(weights: np.ndarray) -> np.ndarray:
        found = balanced_accuracies(right, labels, weights)
        mean = found[:, random].mean(1, keepdims=True)
        kept = np.hstack([found[:, ~random], mean])
        return np.hstack([kept, kept - kept[:, :1]])

    made = ClusterBootstrap.of(groups, 2_000, seed=0).replicate(values, "percentile")
    told = [
        f"{x.value:.3f} [{x.low:.3f}, {x.high:.3f}]" for x in made.intervals("percentile", 0.95)
    ]
    names = [head for head in heads if not head.startswith("random")] + ["random concepts"]
    rows = []
    for i, name in enumerate(names):
        drift: tuple[str, ...] = ()
        if name in columns:
            moved = torch.stack(cosines[name]).mean(0).numpy()
            kept = np.array(
                [np.corrcoef(columns[name][:, j], was[:, j])[0, 1] for j in range(was.shape[1])]
            )
            gained = [
                roc_auc_score(present[k, j], columns[name][k, j])
                - roc_auc_score(present[k, j], was[k, j])
                for j in range(was.shape[1])
                if (k := known[:, j]).any() and 0 < present[k, j].mean() < 1
            ]
            drift = (
                f"{np.median(moved):.2f}, least {moved.min():.2f}",
                f"{np.median(kept):.2f}, least {kept.min():.2f}",
                f"{(kept < 0.8).sum()} of {len(kept)}",
                f"{np.mean(gained):+.3f} of {len(gained)}" if gained else "",
            )
        rows.append(Row(name, told[i], told[len(names) + i], *drift))
    return rows


if __name__ == "__main__":
    print_rows("concept layers", main())
