"""A real HTTP server on this machine that behaves like the hub, as far as we write there."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """Repositories of data sets, and what was asked."""

    token: str
    endpoint: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    """Their messages."""
    sent: list[str] = field(default_factory=list)
    """Method and path of every request."""

    def answer(self, asked: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the JSON that a request (method and path) gets."""
        if asked == "POST /api/repos/create":
            return self._create(**json.loads(body))
        if asked == "POST /api/validate-yaml":
            return 200, {"warnings": [], "errors": []}
        found = re.match(r"(\w+) /api/datasets/([\w.-]+/[\w.-]+)(/\w+|)(/main|)$", asked)
        if not found or found[2] not in self.files:
            return 404, {"error": f"there is no {asked}"}
        repo, address = found[2], f"{self.endpoint}/datasets/{found[2]}"
        held = self.files[repo]
        told: dict[str, Any] = {}
        match found[1] + found[3]:
            case "POST/preupload":
                named = [{"path": f["path"]} for f in json.loads(body)["files"]]
                usual = {"uploadMode": "regular", "shouldIgnore": False}
                told = {"files": [name | usual for name in named]}
            case "POST/commit":
                self._commit(repo, body)
                commit = f"{len(self.commits):040x}"
                told = {"success": True, "commitOid": commit}
                told["commitUrl"] = f"{address}/commit/{commit}"
            case "GET/tree":
                each = {"type": "file", "size": 1, "oid": "0" * 40}
                return 200, [each | {"path": path} for path in held]
            case "GET" | "GET/revision":
                told = {"id": repo, "sha": "0" * 40, "private": self.private[repo], "tags": []}
                told |= {"siblings": [{"rfilename": path} for path in held]}
        return (200, told) if told else (404, {"error": f"there is no {asked}"})

    def _create(
        self, name: str, organization: str, visibility: str = "public", **_: object
    ) -> tuple[int, Any]:
        repo = f"{organization}/{name}"
        told = {"url": f"{self.endpoint}/datasets/{repo}"}
        if repo in self.files:
            return 409, told | {"error": "it is there"}
        self.files[repo], self.private[repo] = {}, visibility == "private"
        return 200, told

    def _commit(self, repo: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.commits.append(value["summary"])
            elif entry["key"] == "file":
                self.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "deletedFile":
                del self.files[repo][value["path"]]


@contextmanager
def hub_server(token: str) -> Iterator[Hub]:
    """Run a hub without repositories on a free port, which lets one token write."""
    hub = Hub(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            hub.sent.append(f"{self.command} {self.path}")
            if self.headers.get("authorization") != f"Bearer {hub.token}":
                code, said = 401, {"error": "who are you?"}
            else:
                code, said = hub.answer(hub.sent[-1].partition("?")[0], body)
            content = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
