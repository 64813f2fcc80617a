"""Decisions and their reasons add up; what is unlike the known is found by brute force too."""

import numpy as np
import pytest
from jaxtyping import Float32

from curette.tasks.methods import predictions
from curette.tasks.methods.predictions import decide, least_usual_cosine, nearest_cosines


def _unit(rows: int, seed: int) -> Float32[np.ndarray, "row dim"]:
    drawn = np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_all_reasons_add_up_to_the_lead_over_the_runner_up() -> None:
    g = np.random.default_rng(0)
    weights, bias, scores = g.normal(size=(3, 5)), g.normal(size=3), g.normal(size=(20, 5))
    said = decide(weights, bias, np.zeros(5), scores, reasons=5)
    for i, row in enumerate(scores):
        logits = weights @ row + bias
        first, second = np.argsort(-logits)[:2]
        assert (said.decided[i], said.runner_up[i]) == (first, second)
        assert said.probability[i] == pytest.approx(np.exp(logits[first]) / np.exp(logits).sum())
        lead = (weights[first] - weights[second]) * row
        told = [j for j in said.reasons[i] if j >= 0]
        assert told == sorted((j for j in range(5) if lead[j] > 0), key=lambda j: -lead[j])
        assert said.ahead[i].sum() == pytest.approx(lead[lead > 0].sum())


def test_nearest_cosines_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "_BLOCK", 70)
    known, asked = _unit(30, 1), _unit(11, 2)
    cosines, rows = nearest_cosines(known, asked)
    assert cosines == pytest.approx((asked @ known.T).max(axis=1))
    assert (rows == (asked @ known.T).argmax(axis=1)).all()


def test_a_persons_own_images_are_no_neighbours() -> None:
    known = np.repeat(_unit(200, 3), 2, axis=0)
    groups = np.repeat(np.arange(200), 2)
    each = known[::2] @ known[::2].T - 2 * np.eye(200)
    expected = np.quantile(np.repeat(each.max(axis=1), 2), 0.01)
    assert least_usual_cosine(known, groups) == pytest.approx(expected, abs=1e-5)


def test_where_all_are_one_group_nothing_is_unlike() -> None:
    assert least_usual_cosine(_unit(5, 4), np.zeros(5)) == -1
