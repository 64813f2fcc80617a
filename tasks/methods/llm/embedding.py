"""Texts to vectors by a remote model, behind the same kind of server that answers questions."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, Field
from pydantic_core import from_json

from curette.schemas.artifact import StudyError
from curette.schemas.llm import Usage
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.schemas.settings.llm import LlmSpec
from curette.tasks.methods.llm.asking import Answers
from curette.tasks.methods.llm.budget import KEPT, Budget, cost_usd, prompt_tokens
from curette.tasks.methods.llm.client import Call, Client, connect
from curette.tasks.methods.llm.faults import fault_in
from curette.tasks.methods.llm.manners import manners_of
from curette.tasks.methods.llm.patience import PATIENCE, Patience

TEXTS_A_REQUEST: Final = 128
_MOST_BYTES: Final = 64 * 2**20


def embed_texts_remotely(
    texts: Sequence[str],
    model: str,
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    patience: Patience = PATIENCE,
) -> Float[np.ndarray, "text dim"]:
    """Return one unit vector a text, as float32; ask only for those that are not kept yet.

    A text's vector is kept like an answer, in a file of its own, so a second run asks nothing.
    Runs an event loop of its own.

    Args:
        texts: none of them empty; equal ones are asked about once.
        model: of embeddings, at the server of `llm`.
        llm: the server, its key, patience, concurrency and limits. Its prices are those of the
            model that answers, which cost more than embeddings: a limit of the cost holds.
        answers: where vectors are looked up and kept.
        spent: what the study has used before these texts.
        patience: how long is waited for servers.

    Raises:
        ValueError: a text is empty.
        StudyError: the server refuses, fails or gives no such vectors, or the budget is spent.
    """
    if not all(text.strip() for text in texts):
        raise ValueError("a text is empty, and has no vector")
    requests = {text: _request_of(text, model, llm) for text in texts}
    found = {text: answers.get(request) for text, request in requests.items()}
    missing = [text for text, response in found.items() if response is None]
    if missing:
        asyncio.run(_embed(missing, requests, llm, answers, spent, patience))
        found |= {text: answers.get(requests[text]) for text in missing}
    vectors = [_vector(response) for text in texts if (response := found[text]) is not None]
    if len({len(vector) for vector in vectors}) > 1:
        raise StudyError(
            f"{model} gave vectors of different lengths: it has changed since the first were "
            "kept. Set another llm.draw to ask for all of them again."
        )
    return np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def embedding_usage(texts: Iterable[str], model: str, llm: LlmSpec, answers: Answers) -> Usage:
    """Return what the kept vectors of these texts have cost, each once.

    Tokens at the price of questions, which is more than embeddings cost.
    """
    kept = [answers.get(_request_of(text, model, llm)) for text in dict.fromkeys(texts)]
    responses = [response for response in kept if response is not None]
    tokens = sum(response.prompt_tokens for response in responses)
    return Usage(
        requests=sum(response.requests for response in responses),
        answers=len(responses),
        prompt_tokens=tokens,
        cost_usd=cost_usd(tokens, 0, llm.prices) if llm.prices else None,
    )


class _Embedding(BaseModel):
    index: int = Field(ge=0)
    embedding: tuple[float, ...] = Field(min_length=1)


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(default=None, ge=0)


class _Embeddings(BaseModel):
    """The parts of an answer with embeddings that we use."""

    model: str | None = None
    data: tuple[_Embedding, ...]
    usage: _Usage | None = None


def _request_of(text: str, model: str, llm: LlmSpec) -> LlmRequest:
    return LlmRequest(
        base_url=llm.server,
        body={"model": model, "input": text, "encoding_format": "float"},
        sample=0,
        draw=llm.draw,
    )


async def _embed(
    texts: Sequence[str],
    requests: dict[str, LlmRequest],
    llm: LlmSpec,
    answers: Answers,
    spent: Usage,
    patience: Patience,
) -> None:
    model = requests[texts[0]].body["model"]
    stored = embedding_usage(requests, model, llm, answers)
    free = asyncio.Semaphore(llm.concurrency)
    manners = manners_of(answers, llm.server, model)
    async with connect(llm, Budget.after(spent + stored, llm), patience, manners) as client:

        async def embed_share(share: Sequence[str]) -> None:
            async with free:
                if client.error:
                    return
                try:
                    for text, response in zip(
                        share, await _ask_once(share, model, client), strict=True
                    ):
                        answers.put(requests[text], response)
                except StudyError as error:
                    client.stop(error)

        shares = [texts[i : i + TEXTS_A_REQUEST] for i in range(0, len(texts), TEXTS_A_REQUEST)]
        await asyncio.gather(*map(embed_share, shares))
    if client.error:
        raise client.error


async def _ask_once(texts: Sequence[str], model: str, client: Client) -> list[LlmResponse]:
    body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
    prices = client.llm.prices
    reply = await client.send(
        Call(
            post=lambda openai: openai.embeddings.with_raw_response.create(**body),
            read=_read,
            expected="embeddings",
            most_bytes=_MOST_BYTES,
            worst_usd=client.budget.worst_usd(body),
            cost_usd=lambda said: cost_usd(_tokens(said, body), 0, prices) if prices else 0.0,
        )
    )
    vectors = {item.index: item.embedding for item in reply.answer.data}
    if sorted(vectors) != list(range(len(texts))):
        raise StudyError(
            f"{client.name} was asked for the vectors of {len(texts)} texts and gave "
            f"{len(vectors)}. Is {model} a model of embeddings? {KEPT}"
        )
    if not all(any(vector) and np.isfinite(vector).all() for vector in vectors.values()):
        raise StudyError(
            f"{client.name} gave a vector without a direction. Take another model than {model}."
        )
    # What the request has cost stands with its first text, so that sums over texts are right.
    costs = [(reply.requests, _tokens(reply.answer, body)), *[(0, 0)] * (len(texts) - 1)]
    return [
        LlmResponse(
            text=json.dumps(vectors[place]),
            model=reply.answer.model or model,
            format="text",
            requests=requests,
            prompt_tokens=tokens,
        )
        for place, (requests, tokens) in enumerate(costs)
    ]


def _read(said: str) -> _Embeddings:
    """Return the embeddings that a text holds.

    Raises:
        Fault: it holds an error.
        ValueError: it holds something else.
    """
    try:
        return _Embeddings.model_validate_json(said)
    except ValueError:
        if fault := fault_in(from_json(said)):
            raise fault from None
        raise


def _tokens(said: _Embeddings, body: dict[str, Any]) -> int:
    return (said.usage and said.usage.prompt_tokens) or prompt_tokens(body)


def _vector(response: LlmResponse) -> Float[np.ndarray, " dim"]:
    vector = np.array(json.loads(response.text), dtype=np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
