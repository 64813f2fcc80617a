"""Questions asked through OpenAI's Batch API: cheaper, within a day, and safe to walk away from.

A batch is a file of questions (`custom_id`: the request's sha256), worked on by the server, and
up to two files of answers, in any order. What is submitted is written down before and after the
server is told to begin, so that a run that starts again waits for the same batch. Lines that
failed, expired, are missing, or hold no usable answer go into a batch of their own, until each
was asked as often as a single one is.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.responses import AnswerFormat, LlmResponse, SubmittedBatch
from curette.tasks.methods.llm.batch_files import (
    Batch,
    Line,
    Listing,
    UploadedFile,
    in_shares,
    line_of,
    refuse_the_format,
)
from curette.tasks.methods.llm.budget import KEPT
from curette.tasks.methods.llm.client import Call, Client, Refused
from curette.tasks.methods.llm.completion import (
    LADDER,
    in_format,
    is_last,
    paid,
    repair,
    response_of,
)
from curette.tasks.methods.llm.live import Asked, Keep
from curette.tasks.methods.llm.manners import EFFORT
from curette.tasks.methods.llm.reading import AnswerForm, Unusable, read_answer

B = TypeVar("B", bound=BaseModel)


@runtime_checkable
class Batches(Protocol):
    """Where it is written down which batches are under way."""

    def keep_batch(self, batch: SubmittedBatch) -> None:
        """Keep what is known of a batch, in place of what was known before."""

    def open_batches(self) -> list[SubmittedBatch]:
        """Return all batches kept and not dropped."""

    def drop_batch(self, batch: SubmittedBatch) -> None:
        """Forget a batch."""


async def ask_in_batches(
    asked: Mapping[str, Asked], known: Set[str], client: Client, batches: Batches, keep: Keep
) -> None:
    """Ask everything; go on with batches that are under way already.

    Args:
        asked: by sha256 of the request, what has no answer yet.
        known: sha256 of all requests that this run asks about, answered or not.
        client: the server.
        batches: where it is written down what is under way.
        keep: told each answer as it is collected.

    Raises:
        StudyError: a batch failed or was cancelled, the server refuses or is not there, or the
            budget does not allow for a whole batch.
    """
    desk = _Desk(asked, known, client, batches, keep)
    under_way = desk.under_way()
    for batch in under_way:
        client.budget.owe(len(batch.requests), desk.worst_usd(batch))
    taken = {sha256 for batch in under_way for sha256 in batch.requests}
    bodies = {sha256: r.body for sha256, (r, _) in asked.items() if sha256 not in taken}
    fresh = [desk.write(share, LADDER[0], {}) for share in in_shares(bodies)]
    for batch in fresh:  # at once: nobody looks after those under way yet, so none gives back
        client.budget.reserve_at_once(len(batch.requests), desk.worst_usd(batch))
    under_way += [await desk.submit(batch) for batch in fresh]
    try:
        async with asyncio.TaskGroup() as group:
            for batch in under_way:
                group.create_task(desk.see_through(batch))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the others are under way still, and written down


_MOST_BYTES: Final = 2**30  # of a file of answers: 50,000 of 20 kB
_ENDED: Final = ("completed", "expired", "failed", "cancelled")


@dataclass
class _Desk:
    """Where batches are written, handed in and collected."""

    asked: Mapping[str, Asked]
    known: Set[str]
    client: Client
    batches: Batches
    keep: Keep

    @property
    def base_url(self) -> str:
        return self.client.llm.server

    def under_way(self) -> list[SubmittedBatch]:
        """Return the batches that some earlier run has submitted, each question in one only.

        A question is in two where a run ended between handing in a later batch and forgetting the
        earlier one: the later one has it.
        """
        found = [
            batch
            for batch in self.batches.open_batches()
            if batch.base_url == self.base_url and not self.asked.keys().isdisjoint(batch.requests)
        ]
        found.sort(key=lambda batch: LADDER.index(batch.format))
        last: dict[str, SubmittedBatch] = {}
        for batch in found:
            for sha256 in batch.requests:
                other = last.get(sha256)
                if other is None or _attempts(other, sha256) <= _attempts(batch, sha256):
                    last[sha256] = batch
        mine = []
        for batch in found:
            if requests := tuple(s for s in batch.requests if last[s] is batch):
                mine.append(batch.model_copy(update={"requests": requests}))
            else:
                self.batches.drop_batch(batch)
        return mine

    def write(
        self,
        requests: Sequence[str],
        format: AnswerFormat,  # noqa: A002
        earlier: Mapping[str, LlmResponse],
    ) -> SubmittedBatch:
        """Return a batch that is not handed in yet."""
        return SubmittedBatch(
            base_url=self.base_url,
            input_file_id="",
            format=format,
            requests=tuple(requests),
            earlier=dict(earlier),
        )

    async def reserve(self, batch: SubmittedBatch) -> None:
        """Set aside what the batch may cost.

        Raises:
            StudyError: it could pass a limit of the study.
        """
        await self.client.budget.reserve(len(batch.requests), self.worst_usd(batch))

    def worst_usd(self, batch: SubmittedBatch) -> float:
        """Return the most that the batch can cost."""
        worst_usd = self.client.budget.worst_usd
        return sum(worst_usd(self._body(batch, sha256), "batch") for sha256 in self._mine(batch))

    async def submit(self, batch: SubmittedBatch) -> SubmittedBatch:
        """Hand a batch in; return it with the server's names for it."""
        lines = b"".join(line_of(sha256, self._body(batch, sha256)) for sha256 in batch.requests)
        file = await self._get(
            lambda openai: openai.files.with_raw_response.create(
                file=("questions.jsonl", lines), purpose="batch"
            ),
            UploadedFile,
        )
        batch = batch.model_copy(update={"input_file_id": file.id})
        self.batches.keep_batch(batch)
        return await self._begin(batch)

    async def see_through(self, batch: SubmittedBatch) -> None:
        """Wait for a batch, keep its answers, and go on with a batch of what it left open."""
        if not batch.batch_id:
            batch = await self._begin(batch)
        while True:
            ended = await self._wait(batch)
            lines = await self._collect(ended)
            await self._settle(batch, lines)
            if ended.status in ("failed", "cancelled"):
                came = [sha256 for sha256 in batch.requests if sha256 in lines]
                await self._take(batch.model_copy(update={"requests": tuple(came)}), lines)
                self._forget(batch)
                raise StudyError(
                    f"batch {ended.id} at {self.client.name} has ended as {ended.status} "
                    f"({self.client.shown(ended.why)}). {KEPT}"
                )
            again = await self._take(batch, lines)
            if again is None:
                self._forget(batch)
                return
            await self.reserve(again)
            following = await self.submit(again)
            self._forget(batch)
            batch = following

    async def _begin(self, batch: SubmittedBatch) -> SubmittedBatch:
        """Tell the server to begin, unless it has begun and the word was lost."""

        async def find_or_create(openai: Any) -> Any:
            raw = await openai.batches.with_raw_response.list(limit=100)
            for begun in Listing.model_validate_json(raw.text).data:
                if begun.input_file_id == batch.input_file_id:
                    return await openai.batches.with_raw_response.retrieve(begun.id)
            return await openai.batches.with_raw_response.create(
                input_file_id=batch.input_file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            )

        begun = await self._get(find_or_create, Batch)
        batch = batch.model_copy(update={"batch_id": begun.id})
        self.batches.keep_batch(batch)
        return batch

    async def _wait(self, batch: SubmittedBatch) -> Batch:
        """Return the batch's description once it has ended."""
        began = time.monotonic()
        for looks in itertools.count():
            try:
                seen = await self._get(
                    lambda openai: openai.batches.with_raw_response.retrieve(batch.batch_id),
                    Batch,
                )
            except Refused as error:
                if error.status != 404:
                    raise
                raise StudyError(
                    f"{self.client.name} does not know batch {batch.batch_id}, which was handed "
                    "in earlier. Use the key it was handed in with; or, to ask its "
                    f"{len(batch.requests)} questions again, delete {batch.sha256}.json in the "
                    "store's folder responses/batches."
                ) from None
            if seen.status in _ENDED:
                return seen
            if time.monotonic() - began > self.client.patience.longest_batch_s:
                raise StudyError(
                    f"batch {batch.batch_id} at {self.client.name} is still {seen.status}. Run "
                    "the study again to go on waiting for it."
                )
            await self.client.pause(self.client.patience.poll_s(looks))
        raise AssertionError  # `count` never ends

    async def _collect(self, ended: Batch) -> dict[str, Line]:
        """Return the lines of both files by request; a line that cannot be read is none."""
        lines = {}
        for file_id in (ended.error_file_id, ended.output_file_id):
            if not file_id:
                continue
            for line in await self._download(file_id):
                with suppress(ValidationError):
                    read = Line.model_validate_json(line)
                    lines[read.custom_id] = read
        return lines

    async def _download(self, file_id: str) -> list[str]:
        call = Call(
            post=lambda openai: openai.files.with_raw_response.content(file_id),
            read=str,
            expected="a file",
            requests=0,
            most_bytes=_MOST_BYTES,
        )
        return (await self.client.send(call)).answer.split("\n")

    async def _settle(self, batch: SubmittedBatch, lines: Mapping[str, Line]) -> None:
        """Give back what the batch did not cost."""
        usd = 0.0
        for sha256 in self._mine(batch):
            line = lines.get(sha256)
            if line is not None and line.completion is not None:
                body = self._body(batch, sha256)
                usd += paid(line.completion, body, self.client.llm.prices, "batch")
        await self.client.budget.settle(self.worst_usd(batch), usd)

    async def _take(
        self, batch: SubmittedBatch, lines: Mapping[str, Line]
    ) -> SubmittedBatch | None:
        """Keep the batch's usable answers and last attempts; return a batch of the rest, if any."""
        mine = self._mine(batch)
        rung = LADDER.index(batch.format)
        if self._refuse_effort(batch, lines):
            return self.write(mine, batch.format, batch.earlier)
        if rung + 1 < len(LADDER) and refuse_the_format(lines.values()):
            return self.write(mine, LADDER[rung + 1], batch.earlier)
        again: dict[str, LlmResponse] = {}
        for sha256 in mine:
            request, form = self.asked[sha256]
            response = self._response(batch, sha256, lines.get(sha256))
            if is_last(response, request.body) or _problem(response, form) is None:
                await self.keep(request, response)
            else:
                again[sha256] = response
        return self.write(list(again), batch.format, again) if again else None

    def _refuse_effort(self, batch: SubmittedBatch, lines: Mapping[str, Line]) -> bool:
        """Whether every line says that the model knows no effort; later ones are sent without."""
        return refuse_the_format(lines.values()) and any(
            self.client.manners.leave_out_effort(self._body(batch, sha256), lines[sha256].said)
            for sha256 in self._mine(batch)
            if sha256 in lines
        )

    def _response(self, batch: SubmittedBatch, sha256: str, line: Line | None) -> LlmResponse:
        earlier = batch.earlier.get(sha256)
        if line is not None and line.completion is not None:
            body = self._body(batch, sha256)
            return response_of(line.completion, body, batch.format, "batch", earlier, requests=1)
        why = self.client.shown(line.why) if line else "its line is missing"
        if earlier is None:
            return LlmResponse(
                text="",
                error=f"no answer came in the batch: {why}",
                model=self.client.llm.model,
                format=batch.format,
                delivery="batch",
            )
        counted = {"attempts": earlier.attempts + 1, "requests": earlier.requests + 1}
        return earlier.model_copy(update=counted)

    def _body(self, batch: SubmittedBatch, sha256: str) -> dict[str, Any]:
        """Return what is asked in this batch: the question, or the repair of an earlier answer."""
        request, form = self.asked[sha256]
        body = request.body
        if (earlier := batch.earlier.get(sha256)) is not None:
            body = repair(body, earlier, _problem(earlier, form) or "", form)
        if self.client.manners.effort_refused:
            body = {key: value for key, value in body.items() if key != EFFORT}
        return in_format(body, batch.format)

    def _mine(self, batch: SubmittedBatch) -> list[str]:
        return [sha256 for sha256 in batch.requests if sha256 in self.asked]

    def _forget(self, batch: SubmittedBatch) -> None:
        """Drop a batch, or keep what of it belongs to questions that nobody asks now."""
        if others := tuple(sha256 for sha256 in batch.requests if sha256 not in self.known):
            self.batches.keep_batch(batch.model_copy(update={"requests": others}))
        else:
            self.batches.drop_batch(batch)

    async def _get(self, post: Callable[[Any], Awaitable[Any]], cls: type[B]) -> B:
        call = Call(post=post, read=cls.model_validate_json, expected=cls.__name__, requests=0)
        return (await self.client.send(call)).answer


def _attempts(batch: SubmittedBatch, sha256: str) -> int:
    earlier = batch.earlier.get(sha256)
    return earlier.attempts if earlier else 0


def _problem(response: LlmResponse, form: AnswerForm[Any]) -> str | None:
    """Return why an answer is unusable; None where it is usable."""
    try:
        read_answer(response, form)
    except Unusable as problem:
        return str(problem)
    return None
