"""A study that is to go to the hub goes there once, and is otherwise the study that it was."""

import json
from pathlib import Path

import pytest

from curette.flows.sequence import remembered
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.hub import hub_server

PUSHED = load_study(DEMO, [*SMALL, "publish.push.repo=clinic/moles"])


@pytest.mark.slow
def test_a_published_dataset_goes_to_the_hub_once(
    finished: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = finished.copied_to(tmp_path / "store")
    options = RunOptions(store=done.store)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_clinic")
    with hub_server("hf_of_the_clinic") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        result = study(PUSHED, options)
        assert [s.title for s in result.stages if s.state == "ran"] == ["push"]
        assert {s.ref for s in done.result.stages} == {
            s.ref for s in result.stages if s.title != "push"
        }
        card = (Path(result.concept_dataset or "") / "README.md").read_bytes()
        assert hub.files["clinic/moles"]["README.md"] == card
        assert not any("manifest" in name for name in hub.files["clinic/moles"])
        described = json.loads(hub.files["clinic/moles"]["croissant.json"])
        assert described["url"] == f"{hub.endpoint}/datasets/clinic/moles"
        named = {file["@id"] for file in described["distribution"]}
        assert named | {"croissant.json"} == hub.files["clinic/moles"].keys()
        asked = len(hub.sent)
        assert remembered(PUSHED, options)
        assert len(hub.sent) == asked
    assert b"hf_of_the_clinic" not in b"".join(
        p.read_bytes() for p in done.store.rglob("*") if p.is_file()
    )


def test_without_a_token_nothing_is_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(StudyError, match="set HF_TOKEN"):
        remembered(PUSHED, RunOptions(store=tmp_path / "store"))
    assert not (tmp_path / "store" / "image-dataset").exists()
