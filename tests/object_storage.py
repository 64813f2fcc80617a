"""A real server of the S3 protocol on this machine, which can be told to stop in the middle."""

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SECRET = "the-secret-that-nobody-sees"
URL = "s3://shelf/of/skin"


@dataclass
class ObjectStorage:
    """What was asked of the server; `moto` answers, one request at a time.

    One at a time, since it checks the condition of a write and writes in two steps.
    """

    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, in their order."""
    writes_left: int | None = None
    """After so many writes, removals too, each next one waits for `go_on` and is then refused."""
    refuses: str = ""
    """Requests with this in their query get 403."""
    at_the_last: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep_versions(self) -> None:
        """Have the bucket keep what is replaced or removed."""
        wanted = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        address = f"{self.address}/shelf?versioning"
        said = {"Content-Type": "text/xml"}
        direct.open(urllib.request.Request(address, wanted, said, method="PUT"))

    def answer(
        self, app: Any, environment: dict[str, Any], start: Callable[..., Any]
    ) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        if self.refuses and self.refuses in environment["QUERY_STRING"]:
            start("403 Forbidden", [])
            return [b"<Error><Code>AccessDenied</Code></Error>"]
        with self.lock:
            self.asked.append((method, environment["PATH_INFO"]))
            writes = method in ("PUT", "POST", "DELETE")
            stopped = writes and self.writes_left == 0
            if writes and self.writes_left:
                self.writes_left -= 1
            if not stopped:
                return [b"".join(app(environment, start))]
        self.at_the_last.set()
        self.go_on.wait(60)
        start("403 Forbidden", [])
        return [b""]


@contextmanager
def object_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    """Run a server with an empty bucket `shelf`, which the environment names."""
    storage = ObjectStorage()
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, lambda e, s: storage.answer(app, e, s), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    storage.address = f"http://127.0.0.1:{server.server_port}"
    for name in ("AWS_SESSION_TOKEN", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", storage.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = urllib.request.Request(f"{storage.address}/shelf", method="PUT")
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(urllib.request.Request(f"{storage.address}/moto-api/reset", method="POST"))
        direct.open(made)
        yield storage
    finally:
        storage.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
