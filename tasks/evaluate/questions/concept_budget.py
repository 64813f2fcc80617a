"""How good are few statements, and how many random ones are needed for the same?

At a size where anything spans what the classes differ in, chosen concepts and arbitrary ones are
alike; what tells a good choice is how few suffice. So the same small head
(`judging.fit_discriminant`: trained on training images, its shrinkage chosen on validation images)
is trained on the first 1, 2, 3, 5, ... of the study's own order, of LaBo's, of random orders, and
on random directions instead of statements; which of these numbers the study takes was said before
by training and validation images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import REFERENCE
from curette.schemas.questions.concept_budget import BudgetLine, BudgetPoint, ConceptBudget
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.selection.judging import answer_by_discriminants
from curette.tasks.methods.selection.orders import order_concepts
from curette.tasks.methods.statistics.metrics import balanced_accuracies
from curette.tasks.methods.threads import one_thread_of_torch

_SIZES = (1, 2, 3, 5, 8, 12, 20, 40)
_DRAWS, _DIRECTION_DRAWS = 20, 5
_MOST_SCORES = 2**24  # of images and concepts at once, in memory
_MOST_AT_ONCE = 2000  # candidates in one head; beyond, the head on all of them is left out

_Vectors = Float[np.ndarray, "concept dim"]


@dataclass(frozen=True, eq=False)
class _Line:
    """Heads of one way of choosing: some draws at each size."""

    name: str
    sizes: tuple[int, ...]
    right: Bool[np.ndarray, "size draw image"]


def measure(exam: Exam) -> ConceptBudget | None:
    """Return the curves, with intervals over groups; nothing where there is too little to
    choose."""
    published = exam.published
    chosen, most = len(published.concepts), len(published.pool)
    if most < 2:
        return None
    sizes = tuple(sorted({size for size in (*_SIZES, chosen) if size < most}))
    learner, labels = Learner.of(exam), exam.images.labels
    ways = dict(_ways(published, max(sizes)))
    draws = [draw for of_way in ways.values() for draw in of_way]
    with one_thread_of_torch():
        right = np.stack(
            [learner.right(np.stack([draw(size) for draw in draws]), labels) for size in sizes]
        )
        ends = np.cumsum([len(of_way) for of_way in ways.values()])[:-1]
        lines = [
            _Line(name, sizes, of_way)
            for name, of_way in zip(ways, np.split(right, ends, axis=1), strict=True)
        ]
        if most <= _MOST_AT_ONCE:
            everything = learner.right(published.pool_vectors[None], labels)
            lines.append(_Line("all", (most,), everything[None]))
    return _tell(exam, chosen, lines)


def _ways(
    published: ConceptDataset, most: int
) -> Iterator[tuple[str, list[Callable[[int], _Vectors]]]]:
    """Yield each way of choosing with its draws: from a number to so many concepts' vectors."""
    vectors = published.pool_vectors
    for name, orders in order_concepts(published, most, _DRAWS).items():
        yield name, [lambda size, choose=choose: vectors[choose(size)] for choose in orders]  # type: ignore[misc]
    drawn = [
        np.random.default_rng(draw).normal(size=(most, vectors.shape[1])).astype(np.float32)
        for draw in range(_DIRECTION_DRAWS)
    ]
    yield "random directions", [lambda size, d=d: d[:size] for d in drawn]  # type: ignore[misc]


@dataclass(frozen=True, eq=False)
class Learner:
    """Trains the small head on scores of any concepts: the images, looked up once."""

    train: Float[np.ndarray, "train dim"]
    labels: Int[np.ndarray, " train"]
    held: Float[np.ndarray, "held dim"]
    held_labels: Int[np.ndarray, " held"]
    asked: Float[np.ndarray, "image dim"]
    class_count: int

    @classmethod
    def of(cls, exam: Exam) -> "Learner":
        """Take training and validation images with their labels, and test images without."""
        published = exam.published
        return cls(
            published.vectors[published.rows("train")],
            published.labels("train"),
            published.vectors[published.rows("validation")],
            published.labels("validation"),
            published.vectors[exam.rows],
            len(published.class_keys),
        )

    def answers_by(
        self, concepts: Float[np.ndarray, "set concept dim"]
    ) -> Float64[np.ndarray, "set image class"]:
        """Train a head on the scores of each set of concepts; return its logits of the test
        images."""
        images = len(self.train) + len(self.held) + len(self.asked)
        batches = min(len(concepts), 1 + images * concepts[..., 0].size // _MOST_SCORES)
        return np.concatenate(
            [self._answers_by(some) for some in np.array_split(concepts, batches)]
        )

    def _answers_by(
        self, concepts: Float[np.ndarray, "set concept dim"]
    ) -> Float64[np.ndarray, "set image class"]:
        count, size, dim = concepts.shape
        train, held, asked = (
            (vectors @ concepts.reshape(-1, dim).T).reshape(len(vectors), count, size)
            for vectors in (self.train, self.held, self.asked)
        )
        return answer_by_discriminants(
            train, self.labels, held, self.held_labels, asked, self.class_count
        )

    def right(
        self,
        concepts: Float[np.ndarray, "set concept dim"],
        labels: Int[np.ndarray, " image"],
    ) -> Bool[np.ndarray, "set image"]:
        """Tell which test images each set's head calls what they are."""
        return np.asarray(self.answers_by(concepts).argmax(axis=2) == labels)


def _tell(exam: Exam, chosen: int, lines: Sequence[_Line]) -> ConceptBudget:
    labels = exam.images.labels
    probe = exam.answers(REFERENCE)
    probe_right = np.stack([p.argmax(axis=1) == labels for p in probe.draws])
    by_name = {line.name: line for line in lines}
    sizes = by_name["selected"].sizes
    here = sizes.index(chosen) if chosen in sizes else len(sizes) - 1
    every = np.concatenate([*(line.right.reshape(-1, len(labels)) for line in lines), probe_right])
    once = np.ones((1, len(labels)))

    def statistics(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        accuracy = balanced_accuracies(every, labels, weights)
        means, start = {}, 0
        for line in lines:
            count = line.right.shape[0] * line.right.shape[1]
            of_line = accuracy[:, start : start + count].reshape(
                len(weights), *line.right.shape[:2]
            )
            means[line.name] = of_line.mean(axis=2)
            start += count
        black_box = accuracy[:, start:].mean(axis=1, keepdims=True)
        own, lot, labo = means["selected"], means["random"], means["labo"]
        return np.concatenate(
            [
                *(means[line.name] for line in lines),
                black_box,
                own[:, [here]] - black_box,
                own[:, [here]] - lot[:, [here]],
                _area(own - lot, sizes),
                _area(own - labo, sizes),
            ],
            axis=1,
        )

    estimates = iter(exam.estimates(statistics))
    told = []
    for line in lines:
        points = []
        for place, size in enumerate(line.sizes):
            of_draws = balanced_accuracies(line.right[place], labels, once)[0]
            value = next(estimates)
            if value is not None:
                points.append(
                    BudgetPoint(
                        concepts=size,
                        balanced_accuracy=value,
                        lowest=float(np.quantile(of_draws, 0.05)),
                        highest=float(np.quantile(of_draws, 0.95)),
                    )
                )
        told.append(BudgetLine(name=line.name, draws=line.right.shape[1], points=tuple(points)))
    return ConceptBudget(
        chosen=chosen,
        lines=tuple(told),
        black_box=next(estimates),
        lead_over_black_box=next(estimates),
        lead_over_random=next(estimates),
        area_over_random=next(estimates),
        area_over_labo=next(estimates),
    )


def _area(
    lead: Float64[np.ndarray, "resample size"], sizes: Sequence[int]
) -> Float64[np.ndarray, "resample 1"]:
    """Return the mean lead over the sizes, on a logarithmic scale: the area between two curves."""
    if len(sizes) == 1:
        return lead
    at = np.log(sizes)
    return (np.trapezoid(lead, at, axis=1) / (at[-1] - at[0]))[:, None]
