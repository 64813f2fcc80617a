"""Answers of language models, kept by the hash of the request so that none is paid for twice."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from curette.schemas.artifact import write_json
from curette.schemas.responses import LlmRequest, LlmResponse, StoredResponse, SubmittedBatch
from curette.storage.store import explained


@dataclass(frozen=True)
class ResponseShelf:
    """One JSON file a response under `root/responses/<2 digits>/<sha256 of the request>.json`.

    Batches that were submitted and not yet collected stand under `root/responses/batches/`.
    """

    root: Path

    def get(self, request: LlmRequest) -> LlmResponse | None:
        """Return the stored answer to a request, or None where there is none.

        A file that is damaged or answers another request counts as none: the question is asked
        again and the file replaced.
        """
        try:
            stored = StoredResponse.model_validate_json(self._place(request).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return stored.response if stored.request == request else None

    def put(self, request: LlmRequest, response: LlmResponse) -> None:
        """Keep the answer to a request; the file is there whole or not at all.

        Raises:
            StoreError: the disk is full or read-only.
        """
        self._write(self._place(request), StoredResponse(request=request, response=response))

    def keep_batch(self, batch: SubmittedBatch) -> None:
        """Keep what is known of a submitted batch, in place of what was known before.

        Raises:
            StoreError: the disk is full or read-only.
        """
        self._write(self._batch_place(batch), batch)

    def open_batches(self) -> list[SubmittedBatch]:
        """Return all batches that were submitted and not dropped, in a fixed order.

        A damaged file is passed over: the questions of its batch are asked again.
        """
        found = []
        for file in sorted((self.root / "responses" / "batches").glob("[0-9a-f]*.json")):
            try:
                found.append(SubmittedBatch.model_validate_json(file.read_bytes()))
            except (FileNotFoundError, ValidationError):
                continue
        return found

    def drop_batch(self, batch: SubmittedBatch) -> None:
        """Forget a batch whose answers are kept."""
        self._batch_place(batch).unlink(missing_ok=True)

    def _write(self, place: Path, content: BaseModel) -> None:
        with explained(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            bench = place.with_name(f".{place.stem}-{uuid.uuid4().hex}")
            try:
                write_json(bench, content.model_dump(mode="json"))
                bench.replace(place)
            finally:
                bench.unlink(missing_ok=True)

    def _place(self, request: LlmRequest) -> Path:
        digest = request.sha256
        return self.root / "responses" / digest[:2] / f"{digest}.json"

    def _batch_place(self, batch: SubmittedBatch) -> Path:
        return self.root / "responses" / "batches" / f"{batch.sha256}.json"
