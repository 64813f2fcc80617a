"""A real HTTP server on this machine that behaves like the hub, as far as we use it."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pytest


@dataclass(frozen=True)
class File:
    """What a repository holds under a name, as it was at a commit."""

    content: bytes
    commit: str


_NAME = r"([\w.-]+/[\w.-]+)"


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
    revisions: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    """Repository and commit -> its files."""

    def commit(self, repo: str, files: Mapping[str, bytes], private: bool = False) -> str:
        """Commit files, as somebody else does, in place of all that a repository held."""
        self.private[repo], self.files[repo] = private, dict(files)
        return self._committed(repo, "theirs")

    def answer(self, asked: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the JSON, or a file, that a request (method and path) gets."""
        told: Any = None
        if asked == "POST /api/repos/create":
            return self._create(**json.loads(body))
        if asked == "POST /api/validate-yaml":
            told = {"warnings": [], "errors": []}
        elif found := re.match(rf"(?:GET|HEAD) /datasets/{_NAME}/resolve/(\w+)/(.+)$", asked):
            content = self._at(found[1], found[2]).get(unquote(found[3]))
            told = None if content is None else File(content, self._sha(found[1], found[2]))
        elif found := re.match(rf"(\w+) /api/datasets/{_NAME}(/\w+|)(?:/(\w+))?(/.+|)$", asked):
            told = self._told(found[1] + found[3], found[2], found[4] or "main", found[5], body)
        return (404, {"error": f"there is no {asked}"}) if told is None else (200, told)

    def _told(self, asked: str, repo: str, revision: str, below: str, body: bytes) -> Any:
        if repo not in self.files:
            return None
        held = self._at(repo, revision)
        match asked:
            case "POST/preupload":
                named = [{"path": f["path"]} for f in json.loads(body)["files"]]
                usual = {"uploadMode": "regular", "shouldIgnore": False}
                return {"files": [name | usual for name in named]}
            case "POST/commit":
                commit = self._commit(repo, body)
                page = f"{self.endpoint}/datasets/{repo}/commit/{commit}"
                return {"success": True, "commitOid": commit, "commitUrl": page}
            case "GET/tree":
                return _listed(held, PurePosixPath(unquote(below).removeprefix("/")))
            case "GET" | "GET/revision":
                about = {"id": repo, "private": self.private[repo], "tags": []}
                files = [{"rfilename": path} for path in held]
                return about | {"sha": self._sha(repo, revision), "siblings": files}
            case _:
                return None

    def may(self, asked: str, authorization: str | None) -> bool:
        """Return whether whoever asks may: the token writes, and reads what is private."""
        if authorization == f"Bearer {self.token}":
            return True
        found = re.match(rf"(?:GET|HEAD) (?:/api)?/datasets/{_NAME}", asked)
        return found is not None and self.private.get(found[1]) is False

    def _sha(self, repo: str, revision: str) -> str:
        if revision != "main":
            return revision
        here = [commit for of, commit in self.revisions if of == repo]
        return here[-1] if here else "0" * 40

    def _at(self, repo: str, revision: str) -> dict[str, bytes]:
        if revision == "main":
            return self.files.get(repo, {})
        return self.revisions.get((repo, revision), {})

    def _create(
        self, name: str, organization: str, visibility: str = "public", **_: object
    ) -> tuple[int, Any]:
        repo = f"{organization}/{name}"
        told = {"url": f"{self.endpoint}/datasets/{repo}"}
        if repo in self.files:
            return 409, told | {"error": "it is there"}
        self.files[repo], self.private[repo] = {}, visibility == "private"
        return 200, told

    def _commit(self, repo: str, body: bytes) -> str:
        said = ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                said = value["summary"]
            elif entry["key"] == "file":
                self.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "deletedFile":
                del self.files[repo][value["path"]]
        return self._committed(repo, said)

    def _committed(self, repo: str, said: str) -> str:
        self.commits.append(said)
        commit = f"{len(self.commits):040x}"
        self.revisions[repo, commit] = dict(self.files[repo])
        return commit


def _listed(held: Mapping[str, bytes], below: PurePosixPath) -> list[dict[str, Any]]:
    """Return the files right below a folder, and its folders."""
    inside = {path: PurePosixPath(path) for path in held if below in PurePosixPath(path).parents}
    files = _entries({name: held[name] for name, path in inside.items() if path.parent == below})
    deeper = {below / path.relative_to(below).parts[0] for path in inside.values()}
    folders = {str(place) for place in deeper} - held.keys()
    return [{"type": "directory", "path": f, "oid": _oid(f.encode())} for f in folders] + files


def _entries(held: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
        for path, content in held.items()
    ]


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@contextmanager
def hub_server(token: str) -> Iterator[Hub]:
    """Run a hub without repositories on a free port, which lets one token write."""
    hub = Hub(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            hub.sent.append(f"{self.command} {self.path}")
            asked = hub.sent[-1].partition("?")[0]
            if not hub.may(asked, self.headers.get("authorization")):
                code, said = 401, {"error": "who are you?"}
            else:
                code, said = hub.answer(asked, body)
            content = said.content if isinstance(said, File) else json.dumps(said).encode()
            self.send_response(code)
            if isinstance(said, File):
                self.send_header("etag", f'"{_oid(content)}"')
                self.send_header("x-repo-commit", said.commit)
            else:
                self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_POST()

        def do_HEAD(self) -> None:
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


def name_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Have the hub's libraries, which read the environment as they are imported, ask this hub."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    address = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.endpoint)
