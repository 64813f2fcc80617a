"""Who is answered: whoever has the address that was printed, asking from a page of ours.

Anybody on this machine, and any page in a browser on it, can connect to 127.0.0.1. The address
holds a token that nobody can guess. A page elsewhere that had its own name point here ("DNS
rebinding") would send that name as `Host`, and a form elsewhere its own `Origin`.
"""

import hmac
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from curette.tasks.methods.page.render import script_digest

POLICY = "content-security-policy"
_HEADERS = {
    POLICY: "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{script_digest()}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # The token stays out of other pages' logs. `no-referrer` would make the Origin of forms `null`.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",  # images are patients'
}


def with_headers(app: ASGIApp) -> ASGIApp:
    """Return the same with the headers of every page, where its answer has not its own."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


@dataclass(frozen=True)
class Guard:
    """Refuses with 403 what does not come from whoever has the address."""

    app: ASGIApp
    token: str
    """The first part of every path."""
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        why = self._why_not(Request(scope))
        app = PlainTextResponse(f"{why}\n", 403) if why else self.app
        await with_headers(app)(scope, receive, send)

    def _why_not(self, request: Request) -> str:
        """Return why a request is refused; empty: it is not."""
        host = request.headers.get("host", "")
        if host not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            return "This server answers at 127.0.0.1 alone."
        token = request.scope["path"].removeprefix("/").partition("/")[0]
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return "Open the address that `curette look` printed: it holds a token."
        if request.method not in ("GET", "HEAD") and _from_elsewhere(request.headers, host):
            return "Forms are taken from this server's own pages alone."
        return ""


def _from_elsewhere(headers: Headers, host: str) -> bool:
    """Return whether a browser says that another page sends this; without a browser nobody does."""
    if (origin := headers.get("origin")) is not None:
        return origin != f"http://{host}"
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
