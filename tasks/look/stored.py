"""The pages that lie in a store, for whoever has the address of one: read, and nothing else."""

import re
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from curette.schemas.report import BESIDE, Report
from curette.storage import files
from curette.tasks.look.guard import POLICY, with_headers
from curette.tasks.look.site import DOCS_POLICY, REPORT_POLICY

_PAGES = {
    ("report", "report.html"): REPORT_POLICY,
    ("report", "data_docs.html"): DOCS_POLICY,
    ("validation-report", "data_docs.html"): DOCS_POLICY,
    ("concept-dataset", "README.md"): DOCS_POLICY,
    ("drift", "drift.html"): REPORT_POLICY,
    ("findings", "findings.html"): REPORT_POLICY,
}
"""Kind and file of what is a page, with what it may do."""
_ADDRESS = re.compile(r"/([a-z-]+)/([0-9a-f]{20})/([A-Za-z_]+\.(?:html|md))")


@dataclass(frozen=True)
class StoredPages:
    """Answers with the pages of a store.

    An address is matched against what pages there are, never followed as a path. There is no list:
    the digest in an address is what tells it, and stands in the run's artifacts.
    """

    root: Path

    @property
    def app(self) -> ASGIApp:
        """Return what answers requests."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                response = await run_in_threadpool(self._answer, Request(scope))
                await response(scope, receive, send)

        return with_headers(answer)

    def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Pages are read here, and nothing else.\n", 405)
        asked = _ADDRESS.fullmatch(request.scope["path"])
        policy = _PAGES.get((asked[1], asked[3])) if asked else None
        if asked and policy:
            place = self.root / asked[1] / asked[2] / asked[3]
            if self._is_there(place) and place.resolve() == self.root.resolve() / Path(
                *asked.groups()
            ):
                kind = "text/html" if place.suffix == ".html" else "text/plain"
                return Response(
                    Report.read(place.parent).in_one_file
                    if asked[3] == "report.html"
                    else place.read_bytes(),
                    media_type=f"{kind}; charset=utf-8",
                    headers={POLICY: policy},
                )
        return PlainTextResponse(
            "There is no such page in this store. It may have been removed (`curette clean`): run "
            "the study again, and open the link of that run.\n",
            404,
        )

    def _is_there(self, place: Path) -> bool:
        """Return whether there is such a page; where only a bucket has it, it is fetched."""
        beside = place.parent / BESIDE
        if place.name == "report.html":
            for other in (place.with_name("data_docs.html"), *files.elsewhere(self.root, beside)):
                files.has(self.root, other)
        return files.has(self.root, place)
