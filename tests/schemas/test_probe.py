"""Stacked heads come back as they were saved, and tables that do not fit are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curette.schemas import probe
from curette.schemas.draws import Drawn
from curette.schemas.probe import Heads, HeadStack, SkippedHead


def _stack() -> HeadStack:
    generator = np.random.default_rng(0)
    return HeadStack(
        kinds=("linear_probe", "prior"),
        weights=generator.normal(size=(3, 2, 3, 5)).astype(np.float32),
        bias=generator.normal(size=(3, 2, 3)).astype(np.float32),
    )


def _heads() -> Heads:
    return Heads(
        class_keys=("a", "b", "c"),
        protocol="few shots",
        draws=(Drawn(shots=1), Drawn(shots=1, seed=1), Drawn()),
        stack=_stack(),
        skipped=(SkippedHead(name="zero-shot", kind="zero_shot", reason="no names"),),
    )


def test_heads_come_back_as_they_were_saved(tmp_path: Path) -> None:
    heads = _heads()
    heads.write(tmp_path)
    again = Heads.read(tmp_path)
    np.testing.assert_array_equal(again.stack.weights, heads.stack.weights)
    np.testing.assert_array_equal(again.stack.bias, heads.stack.bias)
    assert replace(again, stack=heads.stack) == heads


def test_an_answer_is_right_where_the_strongest_class_is_the_images() -> None:
    heads = _stack()
    vectors = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    labels = np.arange(7) % 3
    right = heads.answer(vectors, labels)
    for draw in range(3):
        for head in range(2):
            logits = vectors @ heads.weights[draw, head].T + heads.bias[draw, head]
            np.testing.assert_array_equal(right[draw, head], logits.argmax(1) == labels)


def test_answers_do_not_depend_on_how_many_draws_are_asked_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads, labels = _stack(), np.arange(7) % 3
    vectors = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    together = heads.answer(vectors, labels)
    for most in (1, 2 * 7 * 2 * 3):  # one draw at a time, then two and one
        monkeypatch.setattr(probe, "_MOST_LOGITS", most)
        np.testing.assert_array_equal(heads.answer(vectors, labels), together)


def test_tables_that_do_not_fit_are_refused() -> None:
    heads = _stack()
    with pytest.raises(ValueError, match="bias of shape"):
        replace(heads, bias=heads.bias[:2])
    with pytest.raises(ValueError, match="weights of shape"):
        replace(heads, weights=heads.weights[:, :1])
    with pytest.raises(ValueError, match="2 draws for a stack of 3"):
        replace(_heads(), draws=_heads().draws[:2])
