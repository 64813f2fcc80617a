"""`curette pages`: pages of the store and nothing else are answered."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curette.flows.look import listening, quiet_server
from curette.flows.pages import serve_pages
from curette.schemas.artifact import StudyError
from curette.schemas.report import BESIDE
from curette.tasks.look.stored import StoredPages

DIGEST = "0a" * 10
PAGES = {
    f"report/{DIGEST}/report.html": "text/html",
    f"report/{DIGEST}/data_docs.html": "text/html",
    f"validation-report/{DIGEST}/data_docs.html": "text/html",
    f"concept-dataset/{DIGEST}/README.md": "text/plain",
}


@contextmanager
def served(root: Path) -> Iterator[int]:
    with listening(0) as place:
        server = quiet_server(StoredPages(root).app)
        thread = threading.Thread(target=server.run, args=([place],))
        thread.start()
        try:
            yield place.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content, answer.headers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    for page in PAGES:
        (store / page).parent.mkdir(parents=True, exist_ok=True)
        (store / page).write_text(page)
    return store


def test_pages_are_answered_with_a_policy_and_nothing_else_is(root: Path) -> None:
    (root / "test-labels" / DIGEST).mkdir(parents=True)
    for secret in (f"test-labels/{DIGEST}/labels.json", f"report/{DIGEST}/manifest.json"):
        (root / secret).write_text("secret")
    (root.parent / "secret.html").write_text("secret")
    elsewhere = root / "report" / ("0b" * 10)
    elsewhere.mkdir()
    (elsewhere / "report.html").symlink_to(root.parent / "secret.html")
    with served(root) as port:
        for page, kind in PAGES.items():
            status, content, headers = ask(port, f"/{page}")
            assert (status, content) == (200, page)
            assert headers["content-type"].startswith(kind)
            assert headers["content-security-policy"].startswith("sandbox")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
        for path in (
            *("/", "/report", "/report/", f"/report/{DIGEST}", f"/report/{DIGEST}/"),
            *(f"/report/{DIGEST}/manifest.json", f"/test-labels/{DIGEST}/labels.json"),
            *("/../secret.html", "/report/../../secret.html", "/%2e%2e/secret.html"),
            *(
                f"/report/{DIGEST}/..%2f..%2f..%2fsecret.html",
                "//etc/passwd",
                "/report/x/report.html",
            ),
            *(f"/report/{'0b' * 10}/report.html", f"/report/{DIGEST}/report.html/.."),
        ):
            status, content, headers = ask(port, path)
            assert (status, "secret" in content) == (404, False), path
            assert "default-src 'none'" in headers["content-security-policy"]
        for method in ("POST", "PUT", "DELETE"):
            assert ask(port, f"/report/{DIGEST}/report.html", method)[0] == 405


def test_thumbnails_beside_a_report_come_in_it(root: Path) -> None:
    place = root / "report" / DIGEST
    (place / BESIDE).mkdir()
    (place / BESIDE / "0.jpg").write_bytes(b"jpeg")
    (place / "report.html").write_text(f"url({BESIDE}/0.jpg)")
    with served(root) as port:
        page = ask(port, f"/report/{DIGEST}/report.html")[1]
        assert page == "url(data:image/jpeg;base64,anBlZw==)"
        assert ask(port, f"/report/{DIGEST}/{BESIDE}/0.jpg")[0] == 404


def test_a_store_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no store"):
        serve_pages(tmp_path / "none", "127.0.0.1", 0, print)
