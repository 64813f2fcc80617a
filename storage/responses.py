"""Answers of language models, kept by the hash of the request so that none is paid for twice."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from curette.schemas.responses import LlmRequest, LlmResponse, StoredResponse, SubmittedBatch
from curette.storage import files
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
        place = self._place(request)
        try:
            files.has(self.root, place)
            stored = StoredResponse.model_validate_json(place.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return stored.response if stored.request == request else None

    def put(self, request: LlmRequest, response: LlmResponse) -> None:
        """Keep the answer to a request; the file is there whole or not at all.

        Raises:
            StoreError: the disk is full or read-only.
        """
        stored = StoredResponse(request=request, response=response)
        with explained(self.root):
            files.keep(self.root, self._place(request), stored.model_dump_json(indent=1).encode())

    def keep_batch(self, batch: SubmittedBatch) -> None:
        """Keep what is known of a submitted batch, in place of what was known before.

        Raises:
            StoreError: the disk is full or read-only.
        """
        content = batch.model_dump_json(indent=1).encode()
        with explained(self.root):
            files.replace(self.root, self._batch_place(batch), content)

    def open_batches(self) -> list[SubmittedBatch]:
        """Return all batches that were submitted and not dropped, in a fixed order.

        A damaged file is passed over: the questions of its batch are asked again.
        """
        found = []
        for file in files.listed(self.root, self.root / "responses" / "batches"):
            with suppress(ValidationError):
                if file.suffix == ".json" and (content := files.read(self.root, file)):
                    found.append(SubmittedBatch.model_validate_json(content))
        return found

    def drop_batch(self, batch: SubmittedBatch) -> None:
        """Forget a batch whose answers are kept."""
        files.drop(self.root, self._batch_place(batch))

    def _place(self, request: LlmRequest) -> Path:
        digest = request.sha256
        return self.root / "responses" / digest[:2] / f"{digest}.json"

    def _batch_place(self, batch: SubmittedBatch) -> Path:
        return self.root / "responses" / "batches" / f"{batch.sha256}.json"
