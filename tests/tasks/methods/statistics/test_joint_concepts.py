"""What corrections tell of other concepts, on concepts that are drawn to depend on each other."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import multivariate_normal
from sklearn.linear_model import LogisticRegression

from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.intervention import (
    ConceptReading,
    intervene,
    most_uncertain_first,
    read_concepts,
)
from curette.tasks.methods.statistics.joint_concepts import (
    Beliefs,
    NormalConcepts,
    PairwiseConcepts,
    fit_normal,
    fit_pairwise,
)

CLASSES, CONCEPTS = 3, 6
STRENGTHS = (0.1, 0.01, 0.003)


@dataclass(frozen=True)
class Drawn:
    """Images of three classes; the concepts 0 and 1, 2 and 3, 4 and 5 may share a cause."""

    scores: np.ndarray
    present: np.ndarray
    labels: np.ndarray

    @property
    def known(self) -> np.ndarray:
        return np.ones_like(self.present)

    @property
    def groups(self) -> np.ndarray:
        return np.arange(len(self.labels)) // 2

    @classmethod
    def of(cls, images: int, dependent: bool, seed: int) -> "Drawn":
        generator = np.random.default_rng(seed)
        labels = generator.integers(CLASSES, size=images)
        of_class = 2.4 * np.random.default_rng(99).normal(size=(CLASSES, CONCEPTS))
        causes = generator.normal(size=(images, CONCEPTS))
        if dependent:
            causes = causes[:, [0, 0, 1, 1, 2, 2]]
        present = generator.random((images, CONCEPTS)) < expit(of_class[labels] + 2.5 * causes)
        scores = 0.2 + 0.1 * (present + 0.8 * generator.normal(size=present.shape))
        return cls(scores, present, labels)


@dataclass(frozen=True)
class Corrected:
    """A head, its reading, and test images whose concepts are corrected, least certain first."""

    seen: Drawn
    test: Drawn

    @property
    def reading(self) -> ConceptReading:
        return read_concepts(self.seen.scores, self.seen.present, self.seen.known)

    @cached_property
    def head(self) -> LogisticRegression:
        return LogisticRegression(C=1e4).fit(self.seen.scores, self.seen.labels)

    @property
    def weights(self) -> np.ndarray:
        return np.asarray(self.head.coef_)

    @property
    def logits(self) -> np.ndarray:
        return np.asarray(self.head.decision_function(self.test.scores))

    @property
    def order(self) -> np.ndarray:
        return most_uncertain_first(self.reading.probability(self.test.scores))

    @property
    def independent(self) -> np.ndarray:
        test = self.test
        corrected = self.reading.correct(test.scores, test.present, test.known)
        return intervene(self.logits, self.weights, test.scores, corrected, self.order)

    @cached_property
    def coupled(self) -> PairwiseConcepts:
        return self.fitted(coupled=True)

    def fitted(self, coupled: bool) -> PairwiseConcepts:
        s = self.seen
        evidence = self.reading.evidence(s.scores)
        return fit_pairwise(
            *(evidence, s.present, s.known, s.labels, s.groups, CLASSES),
            coupled=coupled,
            l2_values=STRENGTHS,
        )

    def beliefs(self, model: PairwiseConcepts) -> Beliefs:
        t = self.test
        looks = model.look(self.reading.evidence(t.scores), self.order, t.present, t.known)
        return looks.beliefs(self.logits)

    def right(self, beliefs: Beliefs) -> np.ndarray:
        steps = self.independent + beliefs.class_evidence
        return np.asarray(steps.argmax(2) == self.test.labels[:, None])

    def loss(self, probability: np.ndarray) -> np.ndarray:
        """Return each image's log loss of the concepts that were not looked at, mean over looks."""
        each = -np.log(np.where(self.test.present[:, None], probability, 1 - probability))
        place = self.order.argsort(1)
        left = place[:, None] >= np.arange(CONCEPTS + 1)[:, None]
        return np.asarray(np.where(left, each, 0)[:, 1:-1].sum((1, 2)) / left[:, 1:-1].sum((1, 2)))

    def interval(self, gain: np.ndarray) -> tuple[float, float]:
        resamples = ClusterBootstrap.of(self.test.groups, 400, seed=0).replicate(
            lambda w: (w @ gain / w.sum(1))[:, None], "percentile"
        )
        (found,) = resamples.intervals("percentile", 0.95)
        return found.low, found.high


@pytest.fixture(scope="module", params=[True, False], ids=["dependent", "independent"])
def corrected(request: pytest.FixtureRequest) -> Corrected:
    return Corrected(Drawn.of(1200, request.param, 1), Drawn.of(500, request.param, 2))


def test_propagating_pays_where_concepts_depend_on_each_other_and_only_there(
    corrected: Corrected, request: pytest.FixtureRequest
) -> None:
    coupled = corrected.beliefs(corrected.coupled)
    alone = corrected.beliefs(corrected.fitted(coupled=False))
    right = [corrected.right(b)[:, 1:].mean(1) for b in (coupled, alone)]
    accuracy = corrected.interval(right[0] - right[1])
    loss = corrected.interval(corrected.loss(alone.concepts) - corrected.loss(coupled.concepts))
    today = corrected.independent.argmax(2) == corrected.test.labels[:, None]
    over_today = corrected.interval(right[0] - today[:, 1:].mean(1))
    if request.node.callspec.id == "dependent":
        assert loss[0] > 0
        assert over_today[0] > 0
    else:
        assert accuracy[0] <= 0 <= accuracy[1]
        assert loss[0] <= 0 <= loss[1]


def test_dependence_that_was_drawn_is_found_and_no_other(corrected: Corrected) -> None:
    model = corrected.coupled
    pairs = model.coupling[[0, 2, 4], [1, 3, 5]]
    others = np.abs(model.coupling).sum() / 2 - np.abs(pairs).sum()
    np.testing.assert_array_equal(model.coupling, model.coupling.T)
    assert (np.diag(model.coupling) == 0).all()
    assert others / 12 < 0.35
    assert pairs.min() > 1 or np.abs(pairs).max() < 0.6


def _alone(corrected: Corrected) -> PairwiseConcepts:
    """Say that concepts depend neither on each other nor on the class."""
    return PairwiseConcepts(
        np.ones(CONCEPTS),
        np.tile(corrected.reading.log_odds, (CLASSES, 1)),
        np.zeros((CONCEPTS, CONCEPTS)),
    )


def test_without_dependence_the_curve_is_that_of_independent_corrections_to_the_bit(
    corrected: Corrected,
) -> None:
    beliefs = corrected.beliefs(_alone(corrected))
    np.testing.assert_array_equal(beliefs.class_evidence, 0)
    np.testing.assert_array_equal(
        corrected.independent + beliefs.class_evidence, corrected.independent
    )
    read = corrected.reading.probability(corrected.test.scores)
    np.testing.assert_allclose(beliefs.concepts[:, 0], read, atol=1e-9)
    left = corrected.order.argsort(1)[:, None] >= np.arange(CONCEPTS + 1)[:, None]
    expected = np.where(left, read[:, None], corrected.test.present[:, None])
    np.testing.assert_allclose(beliefs.concepts, expected, atol=1e-9)


def test_before_any_look_the_answer_is_the_heads(corrected: Corrected) -> None:
    beliefs = corrected.beliefs(corrected.coupled)
    np.testing.assert_array_equal(beliefs.class_evidence[:, 0], 0)


def _random_model(seed: int, strength: float = 1.0) -> PairwiseConcepts:
    generator = np.random.default_rng(seed)
    coupling = np.triu(strength * generator.normal(size=(CONCEPTS, CONCEPTS)), 1)
    return PairwiseConcepts(
        generator.uniform(0.5, 1.5, CONCEPTS),
        strength * generator.normal(size=(CLASSES, CONCEPTS)),
        coupling + coupling.T,
    )


def test_conditionals_are_those_of_brute_force() -> None:
    model, generator = _random_model(0), np.random.default_rng(1)
    evidence, logits = generator.normal(size=(4, CONCEPTS)), generator.normal(size=(4, CLASSES))
    present = generator.random((4, CONCEPTS)) < 0.5
    order = np.stack([generator.permutation(CONCEPTS) for _ in range(4)])
    known = np.ones_like(present)
    known[0, order[0, 1]] = False
    looks = model.look(evidence, order, present, known)
    made = looks.beliefs(logits)
    within = looks.within
    together = model.together(evidence, np.array([0, 1, 2, 0]))
    for i in range(4):
        table = {}
        for c in product((0, 1), repeat=CONCEPTS):
            on = np.array(c)
            pairs = sum(
                model.coupling[j, k] * on[j] * on[k] for k in range(CONCEPTS) for j in range(k)
            )
            for y in range(CLASSES):
                told = model.slope * evidence[i] + model.class_effect[y]
                table[c, y] = np.exp(on @ told + pairs)
        z = [sum(w for (_, k), w in table.items() if k == y) for y in range(CLASSES)]
        answer = softmax(logits[i])
        joint = {(c, y): answer[y] * w / z[y] for (c, y), w in table.items()}
        for step in range(CONCEPTS + 1):
            held = [j for j in order[i, :step] if known[i, j]]
            kept = {
                (c, y): w for (c, y), w in joint.items() if all(c[j] == present[i, j] for j in held)
            }
            total = sum(kept.values())
            expected = [sum(w for (c, _), w in kept.items() if c[j]) / total for j in range(6)]
            np.testing.assert_allclose(made.concepts[i, step], expected, atol=1e-12)
            classes = [sum(w for (_, k), w in kept.items() if k == y) / total for y in range(3)]
            got = softmax(logits[i] + made.class_evidence[i, step])
            np.testing.assert_allclose(got, classes, atol=1e-12)
        y = [0, 1, 2, 0][i]
        both = [
            [sum(w for (c, k), w in joint.items() if k == y and c[a] and c[b]) for b in range(6)]
            for a in range(6)
        ]
        np.testing.assert_allclose(together[i] * answer[y], both, atol=1e-12)
        np.testing.assert_allclose(np.diag(together[i]), within[i, 0, :, y], atol=1e-12)


def test_correcting_a_concept_to_its_certain_value_changes_nothing() -> None:
    model = _random_model(2)
    evidence = np.random.default_rng(3).normal(size=(5, CONCEPTS))
    evidence[:, 2] = 1e4
    logits = np.zeros((5, CLASSES))
    order = np.full((5, 1), 2)
    there = np.ones((5, CONCEPTS), dtype=bool)
    made = model.look(evidence, order, there, there).beliefs(logits)
    np.testing.assert_allclose(made.concepts[:, 1], made.concepts[:, 0], atol=1e-9)
    np.testing.assert_allclose(made.class_evidence[:, 1], 0, atol=1e-9)


def test_corrections_that_contradict_each_other_and_the_image_stay_numbers() -> None:
    model = _random_model(4, strength=400.0)
    evidence = np.full((2, CONCEPTS), 1e6)
    evidence[1] = np.nan
    present = np.array([[True, False] * 3] * 2)
    known = np.ones_like(present)
    order = np.tile(np.arange(CONCEPTS), (2, 1))
    made = model.look(evidence, order, present, known).beliefs(np.array([[1e3, 0, -1e3]] * 2))
    assert np.isfinite(made.concepts).all()
    assert np.isfinite(made.class_evidence).all()
    np.testing.assert_array_equal(made.concepts[:, -1], present)


def test_what_training_never_showed_or_nobody_knows_is_learned_from_the_rest() -> None:
    seen = Drawn.of(300, dependent=True, seed=5)
    reading = read_concepts(seen.scores, seen.present, seen.known)
    present, known = seen.present.copy(), seen.known.copy()
    present[:, 0] = False
    known[::3, 1] = False
    present[::3, 1] = True  # whatever stands where nothing is known
    other = present.copy()
    other[::3, 1] = False
    for shown in (present, other):
        model = fit_pairwise(
            *(reading.evidence(seen.scores), shown, known, seen.labels, seen.groups, CLASSES),
            l2_values=STRENGTHS,
        )
        assert np.isfinite(model.class_effect).all()
        assert (model.class_effect[:, 0] < -5).all()
        if shown is present:
            first = model
    np.testing.assert_array_equal(first.coupling, model.coupling)


def test_many_concepts_move_as_the_conditional_of_a_normal_distribution() -> None:
    seen = Drawn.of(600, dependent=True, seed=6)
    reading = read_concepts(seen.scores, seen.present, seen.known)
    log_odds = reading.evidence(seen.scores) + reading.log_odds
    model = fit_normal(log_odds, seen.present, seen.known)
    order = np.tile([3, 0], (600, 1))
    weights = np.random.default_rng(0).normal(size=(CLASSES, CONCEPTS))
    made = model.beliefs(log_odds, weights, order, seen.present, seen.known)
    s, u = [0, 3], [1, 2, 4, 5]
    i = 7
    v = np.where(seen.present[i], model.high, model.low)
    # the conditional mean is where the density of all, the corrected held, is highest
    c, read = model.covariance, log_odds[i]
    moved = read[u] + c[np.ix_(u, s)] @ np.linalg.inv(c[np.ix_(s, s)]) @ (v - read)[s]
    best = read.copy()
    best[s], best[u] = v[s], moved
    density = multivariate_normal(read, c)
    for j in u:
        for step in (-1e-3, 1e-3):
            assert density.logpdf(best) > density.logpdf(best + step * (np.arange(6) == j))
    np.testing.assert_allclose(made.concepts[i, 2, u], expit(moved))
    np.testing.assert_array_equal(made.concepts[i, 2, s], seen.present[i, s])
    gained = weights[:, u] @ (moved - read[u])
    np.testing.assert_allclose(made.class_evidence[i, 2], gained - gained[0])
    apart = NormalConcepts(model.low, model.high, np.diag(np.diag(c)))
    still = apart.beliefs(log_odds, weights, order, seen.present, seen.known)
    np.testing.assert_array_equal(still.class_evidence, 0)
    np.testing.assert_array_equal(still.concepts[:, 2, u], still.concepts[:, 0, u])
