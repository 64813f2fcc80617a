"""Phrases of documents may be names where no screen would drop their words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from curette.schemas.images import ClassLabel
from curette.schemas.settings.propose import DiscoveredSource, FileSource, ProposeSpec
from curette.tasks.propose.candidates import propose
from curette.tasks.propose.corpus import read_corpus
from curette.tasks.propose.names import names_in
from curette.tasks.propose.proposals import Found

CLASSES = (ClassLabel(key="mel", name="melanoma"), ClassLabel(key="nv", name="nevus"))
SAYS = "Blue-white veil in a melanoma lesion. Further treatment, general knowledge, Brown globules."


def documents(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.md").write_text(SAYS)
    (folder / "b.txt").write_text("Two brown globules beside a fading net.")
    return folder


def test_a_phrase_names_what_an_image_shows_and_no_class(tmp_path: Path) -> None:
    found = names_in([read_corpus(documents(tmp_path / "d"))], CLASSES, ["Brown globules."])
    assert found == {"blue-white veil": "a.md", "fading net": "b.txt"}


def test_what_is_discovered_is_given_statements_and_phrases_and_nobody_is_asked(
    tmp_path: Path,
) -> None:
    (tmp_path / "said.txt").write_text("brown globules\npale rim")
    file = FileSource(kind="file", path=tmp_path / "said.txt", format="lines")
    looked = DiscoveredSource(kind="discovered", documents=documents(tmp_path / "d"))
    given: list[tuple[list[str], dict[str, str]]] = []

    def discover(
        _: DiscoveredSource, statements: Sequence[str], phrases: Mapping[str, str]
    ) -> Found:
        given.append((list(statements), dict(phrases)))
        return Found((), "nothing")

    spec = ProposeSpec(sources=(looked, file))
    propose(CLASSES, spec, None, lambda _: [], discover=discover)
    assert given == [
        (["brown globules", "pale rim"], {"blue-white veil": "a.md", "fading net": "b.txt"})
    ]
