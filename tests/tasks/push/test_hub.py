"""A dataset goes to the hub whole, to whoever may see it, and only with a token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.settings.publish import PublishSpec, PushSpec
from curette.tasks.push.hub import push_files, token_for_the_hub
from tests.hub import Hub, hub_server

TOKEN = "hf_do_not_show_this_1234"
SPEC = PushSpec(repo="clinic/moles")
Files = dict[str, Path]
FILES = ["README.md", "concepts.parquet", "data/train.parquet"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with hub_server(TOKEN) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


@pytest.fixture
def files(tmp_path: Path) -> Files:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"this is {name}")
    return {name: tmp_path / name for name in FILES}


def test_exactly_these_files_are_sent_into_a_private_repository(hub: Hub, files: Files) -> None:
    pushed = push_files(files, SPEC, "concept-dataset/0123")
    assert hub.files == {SPEC.repo: {name: path.read_bytes() for name, path in files.items()}}
    assert hub.private == {SPEC.repo: True}
    assert hub.commits == ["curette: concept-dataset/0123"]
    assert pushed.commit == f"{1:040x}"
    assert pushed.url == f"{hub.endpoint}/datasets/clinic/moles"


def test_old_tables_and_heads_go_and_what_others_keep_there_stays(hub: Hub, files: Files) -> None:
    hub.private[SPEC.repo] = True
    old = {"dropped.parquet": b"old", "probe.safetensors": b"of other tables"}
    hub.files[SPEC.repo] = {**old, "LICENSE": b"theirs", "pages/a.html": b"x"}
    push_files(files, SPEC, "new")
    assert set(hub.files[SPEC.repo]) == {*FILES, "LICENSE", "pages/a.html"}


def test_nothing_is_sent_into_a_public_repository_unasked(hub: Hub, files: Files) -> None:
    hub.private[SPEC.repo], hub.files[SPEC.repo] = False, {}
    with pytest.raises(StudyError, match="is there already and is public, so nothing was sent"):
        push_files(files, SPEC, "new")
    assert not hub.files[SPEC.repo]
    assert not any("commit" in sent or "preupload" in sent for sent in hub.sent)
    public = SPEC.model_copy(update={"private": False})
    push_files(files, public, "new")
    assert set(hub.files[SPEC.repo]) == {*FILES}


def test_a_token_that_may_not_write_is_one_clear_error(
    hub: Hub, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(StudyError, match=r"refuses to write clinic/moles \(HTTP 401\)") as told:
        push_files(files, SPEC, "new")
    assert "hf_another" not in str(told.value)


def test_without_a_token_it_is_said_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(StudyError, match="set HF_TOKEN"):
        token_for_the_hub()


def test_where_it_goes_is_no_part_of_what_is_published() -> None:
    there = PublishSpec(title="Moles", push=SPEC)
    here = PublishSpec(title="Moles")
    assert there.card == here
    assert here.model_dump() == {"title": "Moles", "licence": "other", "citation": "", "notes": ""}
    assert there.card.model_dump() == here.model_dump()


@pytest.mark.parametrize("repo", ["moles", "a/b/c", "../x/y", "https://hub/x", "a/ b"])
def test_a_repository_is_a_user_and_a_name(repo: str) -> None:
    with pytest.raises(ValueError, match="repo"):
        PushSpec(repo=repo)
