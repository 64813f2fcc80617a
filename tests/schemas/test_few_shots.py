"""Few-shot heads come back as they were saved, and tables that do not fit are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from curette.schemas import few_shots
from curette.schemas.few_shots import FewShotHeads
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec


def _heads() -> FewShotHeads:
    generator = np.random.default_rng(0)
    return FewShotHeads(
        class_keys=("a", "b", "c"),
        heads=("linear_probe", "prior"),
        shots=(1, 1, None),
        seeds=(0, 1, 0),
        weights=generator.normal(size=(3, 2, 3, 5)).astype(np.float32),
        bias=generator.normal(size=(3, 2, 3)).astype(np.float32),
        skipped=("zero shot: no names",),
    )


def test_heads_come_back_as_they_were_saved(tmp_path: Path) -> None:
    heads = _heads()
    heads.write(tmp_path)
    again = FewShotHeads.read(tmp_path)
    np.testing.assert_array_equal(again.weights, heads.weights)
    np.testing.assert_array_equal(again.bias, heads.bias)
    for name in ("class_keys", "heads", "shots", "seeds", "skipped"):
        assert getattr(again, name) == getattr(heads, name)


def test_an_answer_is_right_where_the_strongest_class_is_the_images() -> None:
    heads = _heads()
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
    heads, labels = _heads(), np.arange(7) % 3
    vectors = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    together = heads.answer(vectors, labels)
    for most in (1, 2 * 7 * 2 * 3):  # one draw at a time, then two and one
        monkeypatch.setattr(few_shots, "_MOST_LOGITS", most)
        np.testing.assert_array_equal(heads.answer(vectors, labels), together)


def test_tables_that_do_not_fit_are_refused() -> None:
    heads = _heads()
    with pytest.raises(ValueError, match="bias of shape"):
        replace(heads, bias=heads.bias[:2])
    with pytest.raises(ValueError, match="weights of shape"):
        replace(heads, weights=heads.weights[:, :1])


def test_shots_rise_from_one_on() -> None:
    for shots in ((0, 1), (2, 1), (1, 1)):
        with pytest.raises(ValidationError, match="rising numbers from 1 on"):
            FewShotSpec(shots=shots)


def test_how_heads_are_trained_is_the_probes_setting_alone() -> None:
    for name in ("l2_values", "class_weight"):
        assert name in ProbeSpec.model_fields
        with pytest.raises(ValidationError, match=f"{name}\n.*Extra inputs are not permitted"):
            FewShotSpec.model_validate({name: ProbeSpec.model_fields[name].default})
