"""What holds for every page that is made for people, whatever the texts in it."""

import base64
import hashlib
import re
from html.parser import HTMLParser

HOSTILE = '<script>alert("x")</script>{{ 7 * 7 }}</style><img src=https://evil.example/a.png>'


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return every tag of a page with its attributes."""
    parser = _Tags()
    parser.feed(page)
    return parser.tags


def check_hostile_text_stays_text(page: str) -> None:
    tags = tags_of(page)
    assert [tag for tag, _ in tags].count("script") == 1, "our own"
    assert "img" not in {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page, "no text is evaluated"
    assert page.count("</style>") == 1


def check_asks_nobody(page: str, *files: str) -> None:
    """Check that nothing is fetched or linked to but the page's own parts and files beside it."""
    for _, attributes in tags_of(page):
        for name in ("src", "href", "action", "poster", "srcset"):
            target = attributes.get(name) or ""
            assert target.startswith(("#", "data:")) or target in ("", *files)
        assert "url(" not in (attributes.get("style") or "")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    for url in re.findall(r"url\((.*?)\)", style.group(1)):
        assert url.startswith("data:") or url in files
    assert "default-src 'none'" in page


def check_only_our_script_runs(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    for power in ("eval", "innerHTML", "Function(", "fetch", "XMLHttpRequest", "document.write"):
        assert power not in script, "texts of the page are never read as code or markup"


def check_tables_say_what_their_heads_are_of(page: str) -> None:
    scopes = [attributes.get("scope") for tag, attributes in tags_of(page) if tag == "th"]
    assert all(scope in ("row", "col", "rowgroup") for scope in scopes)


def picture_texts(page: str) -> list[str]:
    """Return what is said of each picture to who does not see it."""
    return [a.get("aria-label") or "" for _, a in tags_of(page) if a.get("role") == "img"]
