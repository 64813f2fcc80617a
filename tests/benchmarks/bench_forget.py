"""What it is worth to make a head that was given away forget a class, beside training it anew.

Run `python -m tests.benchmarks.bench_forget STORE`, of a store in which a study has published. A
logistic regression on the selected scores (scikit-learn, C = 1, classes balanced) stands for the
head that was given away; every class in turn is forgotten, and rows are means over classes:

- `retrained`: trained without the class, the only one that never saw it;
- `neutralised`: the quarter of the concepts with the largest sum of |contribution| to the class
  over its training images is neutralised, as `curette edit` does;
- `random labels`, `one fixed class`: trained with wrong labels on the images of the class (after
  Chang et al., arXiv 2405.15662, of which the abstract alone was read), the fixed one being the
  class that the given head takes them for most often where it errs.

On validation images: how often the class is still named where it is there, accuracy on the other
classes, mean KL(retrained || head) on the others, and the AUROC with which confidence (largest
probability) tells training images of the class from validation ones, with the widest 95 % interval
over groups of any class. Relearning: AUROC of the class against the rest for nearest means fitted
on so many images a side (50 draws), on the head's own logits, on scores and on vectors as they are
published, and on vectors of which the class was erased (LEACE). No test label is read.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.storage.store import ArtifactStore
from curette.tasks.methods.editing import ColumnEdit, LinearWeights, edit_weights
from curette.tasks.methods.erasure import leace
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from tests.benchmarks.measuring import print_rows, timed

SHOTS, DRAWS, SHARE, RESAMPLES = (1, 4, 16), 50, 0.25, 1_000


class Row(NamedTuple):
    """One way to forget a class, in the mean over classes."""

    head: str
    still_named: float
    others_right: float
    kl_to_retrained: float
    membership: str
    relearned_1: float
    relearned_4: float
    relearned_16: float
    seconds: float


class Part(NamedTuple):
    """Scores, vectors, classes and groups of one split."""

    scores: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


def main() -> list[Row]:
    """Measure on the concept dataset of a store that was used last."""
    store = ArtifactStore(Path(sys.argv[1]).resolve())
    folders = sorted((store.root / ConceptDataset.kind).iterdir(), key=lambda f: f.stat().st_mtime)
    published = store.load(ConceptDataset, Ref(ConceptDataset.kind, folders[-1].name))
    rows = published.rows("train"), published.rows("validation")
    scaler = StandardScaler().fit(published.scores[rows[0]])
    labels = published.labels("train"), published.labels("validation")
    train, held = (
        Part(
            scaler.transform(published.scores[r].astype(np.float64)),
            published.vectors[r].astype(np.float64),
            known,
            published.images["group"].to_numpy()[r],
        )
        for r, known in zip(rows, labels, strict=True)
    )
    classes = range(len(published.class_keys))
    made = [dict(_of_class(k, len(classes), train, held)) for k in classes]
    return [_mean(name, [one[name] for one in made]) for name in made[0]]


def _of_class(k: int, classes: int, train: Part, held: Part) -> Iterator[tuple[str, list[float]]]:
    """Yield what every way to forget a class comes to; what is left has shots alone."""
    of_given, given = timed(lambda: _fit(train.scores, train.labels))
    rest = train.labels != k
    of_retrained, retrained = timed(lambda: _fit(train.scores[rest], train.labels[rest], classes))
    of_edited, edited = timed(lambda: _neutralised(given, k, train))
    errs = _logits(given, train.scores[~rest])
    errs[:, k] = -np.inf
    generator = np.random.default_rng(k)
    others = [c for c in range(classes) if c != k]
    random, fixed = train.labels.copy(), train.labels.copy()
    random[~rest] = generator.choice(others, (~rest).sum())
    fixed[~rest] = np.bincount(errs.argmax(axis=1)).argmax()
    of_poisoned, poisoned = timed(lambda: _fit(train.scores, random, classes))
    of_turned, turned = timed(lambda: _fit(train.scores, fixed, classes))
    reference = _logits(retrained, held.scores)
    for name, head, seconds in (
        ("given away", given, of_given),
        ("retrained", retrained, of_retrained),
        ("neutralised", edited, of_edited),
        ("random labels", poisoned, of_poisoned),
        ("one fixed class", turned, of_turned),
    ):
        yield name, [*_judge(head, reference, k, train, held), seconds]
    nothing = [np.nan] * 6
    for name, seen, asked in (
        ("published scores", train.scores, held.scores),
        ("published vectors", train.vectors, held.vectors),
    ):
        yield name, [*nothing, *_relearned(seen, asked, k, train, held), 0.0]
    seconds, eraser = timed(lambda: leace(train.vectors, (~rest)[:, None].astype(float)))
    cleared = eraser.apply(train.vectors), eraser.apply(held.vectors)
    yield "vectors, erased", [*nothing, *_relearned(*cleared, k, train, held), seconds]


def _fit(scores: np.ndarray, labels: np.ndarray, classes: int | None = None) -> LinearWeights:
    """Return a head; a class without images is never named."""
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2_000).fit(scores, labels)
    weights, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        weights, bias = np.vstack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    whole = classes or len(model.classes_)
    wide, far = np.zeros((whole, scores.shape[1])), np.full(whole, -50.0)
    wide[model.classes_], far[model.classes_] = weights, bias
    return LinearWeights(wide, far)


def _neutralised(head: LinearWeights, k: int, train: Part) -> LinearWeights:
    mean = train.scores.mean(axis=0)
    centred = head.concepts[k] - head.concepts.mean(axis=0)
    told = np.abs((train.scores[train.labels == k] - mean) * centred).sum(axis=0)
    most = np.argsort(-told)[: max(1, round(SHARE * len(told)))]
    edits = [ColumnEdit(int(j), "neutralise") for j in most]
    none = np.zeros(train.vectors.shape[1])
    return edit_weights(head, edits, mean, none, np.zeros((len(mean), len(none))))


def _logits(head: LinearWeights, scores: np.ndarray) -> np.ndarray:
    return scores @ head.concepts.T + head.bias


def _judge(
    head: LinearWeights, reference: np.ndarray, k: int, train: Part, held: Part
) -> list[float]:
    logits, gone = _logits(head, held.scores), held.labels == k
    named = logits.argmax(axis=1)
    right = [(named[held.labels == c] == c).mean() for c in np.unique(held.labels) if c != k]
    wanted, told = log_softmax(reference[~gone], axis=1), log_softmax(logits[~gone], axis=1)
    kl = (np.exp(wanted) * (wanted - told)).sum(axis=1).mean()
    seen = _logits(head, train.scores[train.labels == k])
    sure = [np.exp(log_softmax(x, axis=1)).max(axis=1) for x in (seen, logits[gone])]
    member = np.repeat([1, 0], [len(seen), int(gone.sum())])
    groups = np.array(
        [*(f"t{g}" for g in train.groups[train.labels == k]), *(f"v{g}" for g in held.groups[gone])]
    )
    sureness = np.concatenate(sure)
    bootstrap = ClusterBootstrap.of(groups, RESAMPLES, seed=0, parts=1 - member)
    made = bootstrap.replicate(lambda w: _auroc(member, sureness, w), "percentile")
    interval = made.intervals("percentile", 0.95)[0]
    own = _relearned(_logits(head, train.scores), logits, k, train, held)
    still = float((named[gone] == k).mean())
    return [
        still,
        float(np.mean(right)),
        float(kl),
        interval.value,
        interval.low,
        interval.high,
        *own,
    ]


def _auroc(member: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.array([[roc_auc_score(member, score, sample_weight=w)] for w in weights])


def _relearned(seen: np.ndarray, asked: np.ndarray, k: int, train: Part, held: Part) -> list[float]:
    """Return the AUROC of a class for nearest means, by how many images a side they are of."""
    generator = np.random.default_rng(0)
    of_class, others = np.flatnonzero(train.labels == k), np.flatnonzero(train.labels != k)
    found = []
    for shots in SHOTS:
        values = []
        for _ in range(DRAWS):
            one = seen[generator.choice(of_class, shots, replace=False)].mean(axis=0)
            other = seen[generator.choice(others, shots, replace=False)].mean(axis=0)
            told = asked @ (one - other)
            values.append(roc_auc_score(held.labels == k, told))
        found.append(float(np.mean(values)))
    return found


def _mean(name: str, found: list[list[float]]) -> Row:
    still, right, kl, member, _, _, *rest = np.mean(found, axis=0)
    low, high = min(f[4] for f in found), max(f[5] for f in found)
    told = "" if np.isnan(member) else f"{member:.3f} [{low:.3f}, {high:.3f}]"
    return Row(name, still, right, kl, told, *rest)


if __name__ == "__main__":
    print_rows("forgetting a class", main())
