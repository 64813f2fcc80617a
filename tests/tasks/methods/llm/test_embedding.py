import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.llm import Usage
from curette.schemas.settings.llm import LlmPrices
from curette.tasks.methods.llm.embedding import (
    TEXTS_A_REQUEST,
    embed_texts_remotely,
    embedding_usage,
)
from tests.servers import Reset, Status, in_turn, text_vector
from tests.tasks.methods.llm.askers import GOOD, QUICK, Asker, asking

TEXTS = ["dark brown", "round shape", "ünïcode", "dark brown"]


def embed(asker: Asker, texts: list[str], spent: Usage | None = None) -> np.ndarray:
    used = spent or Usage()
    return embed_texts_remotely(texts, "embed", asker.llm, asker.shelf, used, QUICK)


def test_vectors_are_the_servers_at_length_one_in_the_order_of_the_texts(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        vectors = embed(asker, TEXTS)
    expected = np.array([text_vector(text) for text in TEXTS])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    assert vectors.dtype == np.float32
    assert asker.server.bodies == [
        {"model": "embed", "input": TEXTS[:3], "encoding_format": "float"}
    ]


def test_only_texts_without_a_vector_are_sent(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        first = embed(asker, TEXTS)
        np.testing.assert_array_equal(embed(asker, TEXTS), first)
        assert len(asker.server.bodies) == 1
        more = embed(asker, [*TEXTS, "new"])
        np.testing.assert_array_equal(more[:4], first)
    assert asker.server.bodies[1]["input"] == ["new"]


def test_many_texts_go_in_shares_and_trouble_is_sat_out(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(2 * TEXTS_A_REQUEST + 1)]
    trouble = in_turn(Status(429), Reset(), Status(500), GOOD)
    with asking(trouble, tmp_path, concurrency=1, max_retries=3) as asker:
        vectors = embed(asker, texts)
    assert vectors.shape == (len(texts), 8)
    sizes = [len(body["input"]) for body in asker.server.bodies]
    assert sizes == [TEXTS_A_REQUEST] * 5 + [1]


def test_after_a_failure_only_the_rest_is_sent(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(TEXTS_A_REQUEST + 1)]
    with asking(in_turn(GOOD, Status(400)), tmp_path, concurrency=1) as asker:
        with pytest.raises(StudyError, match=r"HTTP 400.*Answers that came are kept"):
            embed(asker, texts)
        asker.server.behave = in_turn(GOOD)
        embed(asker, texts)
    assert asker.server.bodies[2]["input"] == texts[-1:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([{"index": 0, "embedding": [1.0]}], "of 2 texts and gave 1"),
        ([{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}], "of 2 texts"),
        ([{"index": i, "embedding": [0.0, 0.0]} for i in (0, 1)], "without a direction"),
        ([{"index": i, "embedding": [1.0] * (i + 1)} for i in (0, 1)], "different lengths"),
        ([{"index": 0, "embedding": "AAAA"}], "not with embeddings"),
    ],
)
def test_what_are_no_vectors_of_these_texts_is_refused(
    tmp_path: Path, data: list[dict[str, Any]], reason: str
) -> None:
    no_vectors = Status(200, json.dumps({"data": data}))
    with (
        asking(in_turn(no_vectors), tmp_path) as asker,
        pytest.raises(StudyError, match=reason),
    ):
        embed(asker, ["one", "two"])


def test_no_text_has_no_vectors_and_an_empty_one_is_a_mistake(tmp_path: Path) -> None:
    with asking(in_turn(GOOD), tmp_path) as asker:
        assert embed(asker, []).shape == (0, 0)
        with pytest.raises(ValueError, match="a text is empty"):
            embed(asker, ["one", " "])
        assert asker.server.bodies == []


def test_embeddings_count_against_the_limits_of_the_study(tmp_path: Path) -> None:
    prices = LlmPrices(prompt_usd=100, completion_usd=0)
    with asking(in_turn(GOOD), tmp_path, prices=prices, max_requests=2) as asker:
        embed(asker, TEXTS)
        used = embedding_usage(TEXTS, "embed", asker.llm, asker.shelf)
        tokens = sum(len(text) for text in TEXTS[:3])  # so this server counts
        assert (used.requests, used.answers, used.prompt_tokens) == (1, 3, tokens)
        assert used.cost_usd == pytest.approx(tokens * 100 / 1e6)
        with pytest.raises(StudyError, match="2 are sent"):
            embed(asker, ["new"], spent=Usage(requests=2))
        dear = Asker(asker.server, tmp_path, prices=prices, max_tokens=1, max_cost_usd=1e-4)
        with pytest.raises(StudyError, match="could cost up to"):
            embed(dear, ["new"])
    assert len(asker.server.bodies) == 1
