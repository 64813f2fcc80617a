"""A study's current decisions are found again, and no half-written or foreign file is taken."""

import threading
from pathlib import Path

import pytest

from curette.schemas.artifact import Ref
from curette.schemas.review import Decisions
from curette.storage.decisions import DecisionShelf
from curette.storage.store import ArtifactCorrupt

FIRST: Ref[Decisions] = Ref("decisions", "1" * 20)
SECOND: Ref[Decisions] = Ref("decisions", "2" * 20)


def test_each_study_has_its_own_current_decisions(tmp_path: Path) -> None:
    shelf = DecisionShelf(tmp_path, Decisions)
    assert shelf.get("skin") is None
    shelf.change("skin", lambda now: FIRST)
    shelf.change("chest", lambda now: SECOND)
    assert (shelf.get("skin"), shelf.get("chest")) == (FIRST, SECOND)
    assert (tmp_path / "decisions-of" / "skin.json").is_file()


def test_a_change_is_told_what_is_current(tmp_path: Path) -> None:
    shelf = DecisionShelf(tmp_path, Decisions)
    told = []

    def change(now: Ref[Decisions] | None) -> Ref[Decisions]:
        told.append(now)
        return SECOND if now else FIRST

    assert [shelf.change("skin", change) for _ in range(2)] == [FIRST, SECOND]
    assert told == [None, FIRST]


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    shelf = DecisionShelf(tmp_path, Decisions)
    shelf.change("skin", lambda now: FIRST)

    def fail(now: Ref[Decisions] | None) -> Ref[Decisions]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shelf.change("skin", fail)
    assert shelf.get("skin") == FIRST
    files = sorted(p.name for p in (tmp_path / "decisions-of").iterdir())
    assert files == ["skin.json", "skin.lock"]


def test_changes_at_a_time_lose_none(tmp_path: Path) -> None:
    """Each change counts one further; lost ones would be missing in the end."""
    shelf = DecisionShelf(tmp_path, Decisions)

    def count(now: Ref[Decisions] | None) -> Ref[Decisions]:
        return Ref("decisions", f"{int(now.digest) + 1 if now else 1:020d}")

    def work() -> None:
        for _ in range(20):
            shelf.change("skin", count)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.get("skin") == Ref("decisions", f"{100:020d}")


@pytest.mark.parametrize(
    "name", ["../skin", "skin/..", "/skin", "", ".", "Skin", "skin\n", "a" * 64]
)
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a study"):
        DecisionShelf(tmp_path, Decisions).get(name)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"kind": "decisions"',
        '{"kind": "decisions", "digest": "../../../../etc"}',
        '{"kind": "screened", "digest": "11111111111111111111"}',
    ],
)
def test_a_damaged_file_is_no_empty_one(tmp_path: Path, content: str) -> None:
    shelf = DecisionShelf(tmp_path, Decisions)
    shelf.change("skin", lambda now: FIRST)
    (tmp_path / "decisions-of" / "skin.json").write_text(content)
    with pytest.raises(ArtifactCorrupt, match=r"skin\.json does not say .*import the sheet"):
        shelf.get("skin")
