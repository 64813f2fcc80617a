"""What is answered at each address; nothing of an address is ever a path of a file."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote

import numpy as np
from jaxtyping import Float32
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.report import Report
from curette.schemas.review import Decision, Decisions
from curette.tasks.look.guard import POLICY, Guard
from curette.tasks.look.pages import LONGEST, Pages
from curette.tasks.look.upload import FORM, uploaded
from curette.tasks.look.view import Statement, StudyView
from curette.tasks.methods.encoder.pixels import open_picture, read_rgb
from curette.tasks.methods.page.pictures import data_uri

Encode = Callable[[str], Float32[np.ndarray, " dim"]]
"""From a text to its unit vector, by the encoder of the study's images; raises `StudyError`."""

_LONGEST_FORM = 16_384  # bytes
_MIB = 2**20
_LARGEST_IMAGE_MIB = 32
_THUMBNAIL_PX = 224
_UPLOAD_PX = 448
_KEPT_THUMBNAILS = 4_096
_SHOWN_AS_THEY_ARE = {"JPEG", "PNG", "GIF", "WEBP"}
_COLOURS = {"L", "LA", "P", "RGB", "RGBA"}
# A document of its own origin: its scripts, which its own policy names, can ask nothing of us.
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; style-src "
    "'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
DOCS_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
)


@runtime_checkable
class Desk(Protocol):
    """Where decisions are taken."""

    def decided(self) -> Decisions:
        """Return those that there are now."""

    def counts(self) -> str:
        """Return when a decision counts, in a sentence."""

    def read(self, cells: Mapping[str, str]) -> tuple[Decision | None, Sequence[str]]:
        """Return the decision of one filled-in form, or why it is none."""

    def keep(self, decision: Decision, instead_of: Decision | None) -> None:
        """Keep a decision.

        Raises:
            StudyError: another decision excludes it, or what it takes the place of has changed.
        """

    def withdraw(self, decision: Decision) -> None:
        """Leave a decision out from now on.

        Raises:
            StudyError: another decision rests on it, or it has changed.
        """


@runtime_checkable
class NewImages(Protocol):
    """Reads and encodes images that are none of the study's."""

    def read(self, content: bytes) -> Image.Image:
        """Return an image's pixels.

        Raises:
            StudyError: it is none that the study would take, or one of its test images.
        """

    def vector(self, pixels: Image.Image) -> Float32[np.ndarray, " dim"]:
        """Return its unit vector.

        Raises:
            StudyError: the encoder cannot be loaded, or changed since.
        """


@dataclass(frozen=True)
class Site:
    """A study, served."""

    view: StudyView
    read: Callable[[str], bytes]
    """Image id -> bytes; raises `FileNotFoundError` where there are no pixels."""
    desk: Desk
    encode: Encode | None
    """None where the study has no encoder for texts."""
    why_no_search: str = ""
    new_images: NewImages | None = None
    """None where nothing can encode an image."""
    report: Report | None = None
    notices: tuple[str, ...] = ()
    reviewer: str = ""
    """Who decides, until somebody gives another name."""
    _last: dict[str, str] = field(default_factory=dict, repr=False)

    def guarded(self, token: str, port: int) -> Guard:
        """Return the application that answers below `/<token>/` at a port of 127.0.0.1."""
        get = {
            "/": self.home,
            "/images": self.images,
            "/image": self.image,
            "/pixels": self.pixels,
            "/thumbnail": self.thumbnail,
            "/search": self.search,
            "/statements": self.statements,
            "/statement": self.statement,
            "/report.html": self.report_page,
            "/data_docs.html": self.data_docs,
        }
        routes = [Route(path, answer) for path, answer in get.items()]
        routes.append(Route("/decide", self.decide, methods=["POST"]))
        routes.append(Route("/withdraw", self.withdraw, methods=["POST"]))
        routes.append(Route("/search-image", self.search_image, methods=["POST"]))
        app = Starlette(
            routes=[Mount(f"/{token}", routes=routes)],
            exception_handlers={CuretteError: self._told, FileNotFoundError: self._told},
        )
        return Guard(app, token, port)

    @property
    def pages(self) -> Pages:
        """What the pages say."""
        return Pages(
            self.view,
            self.encode is not None,
            self.new_images is not None,
            self.notices,
            self.report is not None,
        )

    # --- looking ----------------------------------------------------------------------------------

    def home(self, _: Request) -> Response:
        """Answer with the overview."""
        return HTMLResponse(self.pages.home(self.desk.decided(), self.why_no_search))

    def images(self, request: Request) -> Response:
        """Answer with a page of the wall."""
        return HTMLResponse(self.pages.images(request.query_params))

    def image(self, request: Request) -> Response:
        """Answer with the page of one image."""
        row = self.view.rows.get(request.query_params.get("id", ""))
        return self._not_here("image") if row is None else HTMLResponse(self.pages.image(row))

    def pixels(self, request: Request) -> Response:
        """Answer with an image as large as it is."""
        image_id = request.query_params.get("id", "")
        if image_id not in self.view.rows:
            return self._not_here("image")
        content, kind = _for_browsers(self.read(image_id))
        return Response(content, media_type=kind)

    def thumbnail(self, request: Request) -> Response:
        """Answer with a small copy of an image."""
        image_id = request.query_params.get("id", "")
        if image_id not in self.view.rows:
            return self._not_here("image")
        return Response(_thumbnail(self.read, image_id), media_type="image/jpeg")

    def search(self, request: Request) -> Response:
        """Answer with what a text finds."""
        text = " ".join(request.query_params.get("text", "").split())
        page = partial(self.pages.search, text[:LONGEST])
        if self.encode is None:
            return HTMLResponse(self.pages.problem(self.why_no_search), 404)
        if len(text) > LONGEST:
            said = f"A statement has at most {LONGEST} characters; this has {len(text):,}."
            return HTMLResponse(page(None, said), 400)
        if not text:
            return HTMLResponse(page(None, ""))
        try:
            return HTMLResponse(page(self.encode(text), ""))
        except StudyError as error:
            return HTMLResponse(page(None, str(error)), 500)

    async def search_image(self, request: Request) -> Response:
        """Answer with what is like an image that is sent along; nothing of it is kept."""
        kind = request.headers.get("content-type", "")
        if not kind.startswith(FORM):
            return PlainTextResponse("A form with a file is wanted.\n", 415)
        body = await _body(request, _LARGEST_IMAGE_MIB * _MIB)
        if body is None:
            said = f"An image to search by has at most {_LARGEST_IMAGE_MIB} MiB."
            return HTMLResponse(self.pages.search_image(said), 413)
        return await run_in_threadpool(self._search_image, uploaded(kind, body, "image"))

    def _search_image(self, content: bytes) -> Response:
        page = self.pages.search_image
        if self.new_images is None:
            return HTMLResponse(self.pages.problem(self.why_no_search), 404)
        if not content:
            return HTMLResponse(page("Choose a file with an image in it."), 400)
        try:
            pixels = self.new_images.read(content)
        except StudyError as error:
            return HTMLResponse(page(str(error)), 422)
        try:
            vector = self.new_images.vector(pixels)
        except StudyError as error:
            return HTMLResponse(page(str(error)), 500)
        pixels.thumbnail((_UPLOAD_PX, _UPLOAD_PX))
        return HTMLResponse(page("", vector, data_uri(pixels)))

    def statements(self, _: Request) -> Response:
        """Answer with all statements."""
        return HTMLResponse(self.pages.statements(self.desk.decided()))

    def statement(self, request: Request) -> Response:
        """Answer with one statement and the form to decide about it."""
        statement = self.view.statements.get(request.query_params.get("id", ""))
        if statement is None:
            return self._not_here("statement")
        new_text = request.query_params.get("new_text", "")[:LONGEST]
        filled = {"reviewer": self._reviewer, "new_text": new_text}
        return self._form(statement, filled | ({"verdict": "reword"} if new_text else {}))

    def report_page(self, _: Request) -> Response:
        """Answer with the report, our links above it."""
        if self.report is None:
            return self._not_here("report")
        html = self.report.in_one_file.replace("<header>", f"<header>{self.pages.bar()}", 1)
        return HTMLResponse(html, headers={POLICY: REPORT_POLICY})

    def data_docs(self, _: Request) -> Response:
        """Answer with the page of the checks, to which the report links."""
        if self.report is None:
            return self._not_here("report")
        return HTMLResponse(self.report.data_docs, headers={POLICY: DOCS_POLICY})

    # --- deciding ---------------------------------------------------------------------------------

    async def decide(self, request: Request) -> Response:
        """Ask whether a decision is meant, and keep one that is."""
        return await self._with_form(request, self._decide)

    async def withdraw(self, request: Request) -> Response:
        """Ask whether a decision is meant to be withdrawn, and leave it out if so."""
        return await self._with_form(request, self._withdraw)

    async def _with_form(
        self, request: Request, answer: Callable[[Sequence[tuple[str, str]]], Response]
    ) -> Response:
        if not request.headers.get("content-type", "").startswith(
            "application/x-www-form-urlencoded"
        ):
            return PlainTextResponse("A form is wanted.\n", 415)
        content = await _body(request, _LONGEST_FORM)
        if content is None:
            return PlainTextResponse("That is too long for a decision.\n", 413)
        try:
            fields = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=200)
        except ValueError:  # no UTF-8, or too many
            return PlainTextResponse("That is no form of ours.\n", 400)
        return await run_in_threadpool(answer, fields)

    def _decide(self, fields: Sequence[tuple[str, str]]) -> Response:
        cells = {name: value.strip() for name, value in fields}
        cells["new_classes"] = " | ".join(v for name, v in fields if name == "new_classes")
        statement = self.view.statements.get(cells.get("concept_id", ""))
        if statement is None:
            return self._not_here("statement")
        cells["text"] = statement.candidate.text
        if cells.get("reviewer"):
            self._last["reviewer"] = cells["reviewer"]
        decision, problems = self.desk.read(cells)
        if decision is None:
            return self._form(statement, cells, problems or ["Choose a verdict."], 422)
        earlier = self._decided_about(statement)
        print_of = _fingerprint(earlier)
        if cells.get("confirmed") != "yes" or cells.get("instead_of") != print_of:
            sent = {name: cells[name] for name in _SENT if cells.get(name)}
            page = self.pages.confirmation(
                statement, decision, earlier, sent | {"instead_of": print_of}, self.desk.counts()
            )
            return HTMLResponse(page)
        try:
            self.desk.keep(decision, earlier)
        except StudyError as error:
            return self._form(statement, cells, [str(error)], 409)
        return RedirectResponse(f"statement?id={quote(decision.concept_id, safe='')}", 303)

    def _withdraw(self, fields: Sequence[tuple[str, str]]) -> Response:
        cells = dict(fields)
        statement = self.view.statements.get(cells.get("concept_id", ""))
        if statement is None:
            return self._not_here("statement")
        filled = {"reviewer": self._reviewer}
        decision = self._decided_about(statement)
        if decision is None:
            said = "Nobody has decided about it, so there is nothing to withdraw."
            return self._form(statement, filled, [said], 409)
        print_of = _fingerprint(decision)
        if cells.get("confirmed") != "yes" or cells.get("instead_of") != print_of:
            sent = {"concept_id": statement.concept_id, "instead_of": print_of}
            return HTMLResponse(self.pages.withdrawal(statement, decision, sent))
        try:
            self.desk.withdraw(decision)
        except StudyError as error:
            return self._form(statement, filled, [str(error)], 409)
        return RedirectResponse(f"statement?id={quote(statement.concept_id, safe='')}", 303)

    def _decided_about(self, statement: Statement) -> Decision | None:
        decisions = self.desk.decided().decisions
        return next((d for d in decisions if d.concept_id == statement.concept_id), None)

    def _form(
        self,
        statement: Statement,
        filled: Mapping[str, str],
        problems: Sequence[str] = (),
        status: int = 200,
    ) -> Response:
        empty = dict.fromkeys((*_SENT, "confirmed"), "")
        page = self.pages.statement(statement, self.desk.decided(), empty | {**filled}, problems)
        return HTMLResponse(page, status)

    @property
    def _reviewer(self) -> str:
        return self._last.get("reviewer", self.reviewer)

    # --- what cannot be answered ------------------------------------------------------------------

    def _not_here(self, what: str) -> Response:
        return HTMLResponse(self.pages.problem(f"The study has no such {what}."), 404)

    def _told(self, _: Request, error: Exception) -> Response:
        gone = isinstance(error, FileNotFoundError)
        said = "The pixels of this image are not to be had." if gone else str(error)
        return PlainTextResponse(f"{said}\n", 404 if gone else 500)


_SENT = ("concept_id", "verdict", "new_text", "new_classes", "reviewer", "comment")


async def _body(request: Request, longest: int) -> bytes | None:
    """Return what a request brings along; None where that is more than `longest` bytes.

    It is heard out even then, since a browser shows no answer that comes before it has sent all.
    """
    content, length = bytearray(), 0
    async for part in request.stream():
        length += len(part)
        if length <= longest:
            content += part
        else:
            content.clear()
    return bytes(content) if length <= longest else None


def _fingerprint(decision: Decision | None) -> str:
    """Return what tells one decision from another."""
    return sha256(decision.model_dump_json().encode()).hexdigest()[:20] if decision else "none"


@lru_cache(maxsize=_KEPT_THUMBNAILS)
def _thumbnail(read: Callable[[str], bytes], image_id: str) -> bytes:
    small = read_rgb(read(image_id))
    small.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=82)
    return out.getvalue()


def _for_browsers(content: bytes) -> tuple[bytes, str]:
    """Return an image that every browser shows, and its media type: as it is where that does."""
    with open_picture(io.BytesIO(content)) as image:
        if image.format in _SHOWN_AS_THEY_ARE and image.mode in _COLOURS:
            return content, Image.MIME[image.format]
    out = io.BytesIO()
    read_rgb(content).save(out, "PNG")
    return out.getvalue(), "image/png"
