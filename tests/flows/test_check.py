"""`curette check`: what would stop a run is told before it, for nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from curette.flows.check import Finding, Package, check, lacking, print_findings
from curette.flows.cli import main
from curette.flows.stages import RunOptions
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.images import ImageDataset
from curette.tasks.methods.encoder.open_clip_layout import DEMO as DEMO_CLIP
from tests.builders.images import image_dataset
from tests.servers import Answer, Status, chat_server

STUDY = """
name: asking
dataset: {{source: {{kind: folder, path: images}}}}
llm: {{model: some-model, base_url: "{url}", api_key_variable: SOME_KEY}}
propose: {{sources: [{{kind: class_prompts, aspects: [colour]}}]}}
{more}
"""
MODELS = json.dumps({"data": [{"id": "some-model"}, {"id": "another"}]})
COUNTS = {key: {"train": 60, "validation": 20, "test": 20} for key in "ab"}
Checked = Callable[..., dict[str, Finding]]


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """Return a function that checks a study and returns what was found, by its name."""

    def run(
        url: str = "http://127.0.0.1:9/v1",
        more: str = "",
        dataset: ImageDataset | None = None,
        store: Path | None = None,
    ) -> dict[str, Finding]:
        file = _written(tmp_path, url, more)
        images = dataset or image_dataset(_images(), class_counts=COUNTS)
        options = RunOptions(store=store or tmp_path / "store")
        found = check(options, lambda: load_study(file), lambda _: images, lambda *_: ())
        return {finding.what: finding for finding in found}

    return run


def _written(folder: Path, url: str, more: str = "") -> Path:
    file = folder / "study.yaml"
    file.write_text(STUDY.format(url=url, more=more))
    return file


def _images(**columns: object) -> pd.DataFrame:
    rows = range(20)
    fixed = {
        "image_id": [f"image {row}" for row in rows],
        "sha256": [f"{row:064x}" for row in rows],
        "location": "a.png",
        "split": "train",
        "label": ["a", "b"] * 10,
        "group": [f"image {row // 2 * 2}" for row in rows],
        "subject": [f"p{row // 2}" for row in rows],
    }
    return pd.DataFrame(fixed | columns)


def test_a_study_in_which_nothing_is_wrong_has_no_error(checked: Checked, key: str) -> None:
    with chat_server(lambda _: Answer("")) as server:
        server.troubles["GET /v1/models"] = [Status(200, MODELS)]
        found = checked(server.base_url)
    assert {finding.state for finding in found.values()} == {"ok"}, found
    assert found["class `a`"].said == "60 train, 20 validation, 20 test"
    assert found["patients"].said == "10 groups of images that stay together, by subject"
    assert "likely" in found["requests"].said
    assert not any(key in str(finding) for finding in found.values())


def test_the_server_is_asked_once_for_its_models_and_for_nothing_else(
    checked: Checked, key: str
) -> None:
    with chat_server(lambda _: Answer("")) as server:
        checked(server.base_url)
    assert server.sent == [("GET /v1/models", "")]


@pytest.mark.parametrize(
    ("reply", "state", "said"),
    [
        (Status(401), "error", "refuses the key"),
        (Status(200, '{"data": [{"id": "x\\u001b[2J"}]}'), "warning", "has no model some-model"),
        (Status(404), "ok", "does not tell its models"),
        (Status(200, "<html>" * 400_000), "ok", "does not tell its models"),
        (Status(503), "warning", "HTTP 503"),
        (Status(302, "", (("location", "http://127.0.0.1:9/elsewhere"),)), "ok", "HTTP 302"),
    ],
)
@pytest.mark.usefixtures("key")
def test_what_a_server_answers_is_told(
    checked: Checked, reply: Status, state: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with chat_server(lambda _: Answer("")) as server:
        server.troubles["GET /v1/models"] = [reply]
        found = checked(server.base_url)["server"]
    assert (found.state, said in found.said) == (state, True), found
    print_findings([found], as_json=False)
    assert "\x1b[2J" not in capsys.readouterr().out


@pytest.mark.usefixtures("key")
def test_a_server_that_is_not_there_would_stop_the_run(checked: Checked) -> None:
    found = checked()["server"]
    assert found.state == "error"
    assert "does not answer" in found.said


def test_without_a_key_the_server_is_not_asked(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    found = checked("https://model.test/v1")
    assert found["key"].state == "error"
    assert "SOME_KEY" in found["key"].said
    assert "server" not in found


@pytest.mark.usefixtures("key")
def test_classes_and_columns_that_the_gate_rejects_are_told(checked: Checked) -> None:
    counts = {"a": {"train": 9, "validation": 3, "test": 3}, "b": COUNTS["b"]}
    images = _images(**{"meta.visit": [f"2021-03-{1 + row:02}" for row in range(20)]})
    found = checked(dataset=image_dataset(images, class_counts=counts))
    assert found["class `a`"].state == "error"
    assert found["class `b`"].state == "ok"
    assert found["columns"].state == "error"
    assert "visit: 20 values are days" in found["columns"].said


@pytest.mark.usefixtures("key")
def test_unknown_patients_and_columns_that_are_missing_are_told(checked: Checked) -> None:
    images = image_dataset(
        _images(subject=None), class_counts=COUNTS, synthetic=False, unnamed_subject="Look there."
    )
    found = checked(more="evaluate: {subgroup_columns: [sex]}", dataset=images)
    assert (found["patients"].state, found["patients"].said) == ("warning", "Look there")
    assert found["columns"].state == "error"
    assert "the column sex" in found["columns"].said


def test_a_patient_whom_the_data_parts_would_stop_a_run(checked: Checked) -> None:
    """Of ten pairs of images the data puts the first into training and validation."""
    images = image_dataset(
        _images(split=["train", "validation", *["train"] * 18]), class_counts=COUNTS
    )
    found = checked(dataset=images)["patients"]
    assert found.state == "error"
    assert found.said.startswith("1 of 10 groups of images that stay together stand in two splits")
    assert "split_column" in found.cure


@pytest.mark.usefixtures("key")
def test_a_limit_below_the_requests_is_told(tmp_path: Path) -> None:
    """Two classes and one aspect are two requests at least; repeats are likely."""
    study = load_study(_written(tmp_path, "http://127.0.0.1:9/v1"))
    assert study.llm is not None
    images = image_dataset(_images(), class_counts=COUNTS)
    states = {}
    for limit in (1, 2, 1000):
        llm = study.llm.model_copy(update={"max_requests": limit})
        limited = study.model_copy(update={"llm": llm})
        options = RunOptions(store=tmp_path / "store")
        *_, last = check(options, limited.model_copy, lambda _: images, lambda *_: ())
        states[limit] = last.state
    assert states == {1: "error", 2: "warning", 1000: "ok"}


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("encoder", "state", "said"),
    [
        ("{kind: open_clip, model: demo}", "ok", "weights lie in"),
        ("{kind: open_clip, model: hf-hub:nobody/nothing}", "warning", "not on this machine"),
        ("{kind: open_clip, model: ViT-B-23, pretrained: openai}", "error", "did you mean"),
        ("{kind: open_clip, model: ./empty}", "error", "open_clip_config.json"),
    ],
)
def test_weights_are_looked_for_and_not_loaded(
    checked: Checked, encoder: str, state: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    found = checked(more=f"encoder: {encoder}")["encoder"]
    assert (found.state, said in found.said) == (state, True), found


@pytest.mark.usefixtures("key")
def test_files_that_are_absent_are_told_with_their_keys(checked: Checked) -> None:
    found = checked(more="priors: {kind: file, path: weights.json, format: class_to_concepts}")[
        "files"
    ]
    assert found.state == "error"
    assert "weights.json (priors.path)" in found.said


def test_files_of_concepts_are_read(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "guideline.txt").write_text("# Melanoma\n- irregular network\n")
    (tmp_path / "lines.txt").write_text("irregular network\n\nblue veil\n")
    (tmp_path / "other.json").write_text('{"a": ["round"], "c": ["oval"]}')
    (tmp_path / "empty.txt").write_text("\n")
    files = {
        "guideline.txt": "class_to_concepts",
        "lines.txt": "lines",
        "other.json": "class_to_concepts",
        "empty.txt": "lines",
    }
    entries = [f"{{kind: file, path: {n}, format: {form}}}" for n, form in files.items()]
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: reading\ndataset: {source: {kind: folder, path: images}}\n"
        f"propose: {{sources: [{', '.join(entries)}]}}\n"
    )
    images = image_dataset(_images(), class_counts=COUNTS)
    options = RunOptions(store=tmp_path / "store")
    found = {
        finding.what.removeprefix("concepts "): finding
        for finding in check(options, lambda: load_study(file), lambda _: images, lambda *_: ())
    }
    assert found["`guideline.txt`"].state == "error"
    assert "`format: lines`" in found["`guideline.txt`"].said
    assert "the source `documents`" in found["`guideline.txt`"].said
    assert (found["`lines.txt`"].state, found["`lines.txt`"].said) == ("ok", "2 texts")
    assert "In the file only: `c`. In the dataset only: `b`" in found["`other.json`"].said
    assert found["`empty.txt`"].state == "warning"


def test_a_store_that_cannot_be_written_to_is_told(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert checked(store=tmp_path / "file" / "store")["store"].state == "error"


def test_a_wrong_study_is_one_error_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: asking\n")
    assert main(["check", str(file), "--json", "--store", str(tmp_path / "store")]) == 2
    [found] = json.loads(capsys.readouterr().out)
    assert (found["what"], found["state"]) == ("study", "error")
    assert "dataset: must be given" in found["said"]


def test_images_that_cannot_be_taken_in_are_an_error(tmp_path: Path) -> None:
    file = _written(tmp_path, "http://127.0.0.1:9/v1")

    def absent(_: object) -> ImageDataset:
        raise StudyError("there is no folder images")

    found = [*check(RunOptions(store=tmp_path), lambda: load_study(file), absent, lambda *_: ())]
    assert found[-1] == Finding("images", "error", "there is no folder images")


def test_a_package_that_only_this_study_needs_is_named_before_it_is_run(
    checked: Checked, tmp_path: Path
) -> None:
    assert checked()["packages"] == Finding("packages", "ok", "no extra is needed")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "slice.dcm").touch()
    found = checked(more="encoder: {kind: transformers, model: some/model}")["packages"]
    assert found.state == "ok"
    assert (
        "transformers (encoder.kind: transformers), pydicom (images in DICOM files)" in found.said
    )
    absent = lacking([Package("no_such_package", "a study", "curette[none]")])
    assert absent.state == "error"
    assert absent.said == "no_such_package is not installed, which a study needs"
    assert absent.cure == "Install it: pip install 'curette[none]'."


def test_a_further_encoder_that_is_not_there_or_a_copy_is_told(
    checked: Checked, tmp_path: Path
) -> None:
    shutil.copytree(DEMO_CLIP, tmp_path / "clip")
    entry = "{{name: {0}, encoder: {{kind: open_clip, model: ./{0}}}}}"
    more = f"encoders: [{entry.format('clip')}, {entry.format('gone')}]"
    found = checked(more=more)
    assert found["encoder"].state == "ok"
    assert "are those of the encoder to the byte" in found["encoder clip"].said
    assert found["encoder gone"].state == "error"
    assert "gone (encoders.1.encoder.model)" in found["files"].said
