"""What a person fills in: tabs and words in the form, and the study that comes of it."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from prefect.blocks.system import Secret
from prefect.variables import Variable

from curette.flows.asked import NewImages, as_tabs, open_asked
from curette.flows.form import FromStage, study
from curette.flows.rerun import study_of
from curette.flows.stages import RunOptions, stages_from
from curette.flows.study_file import STUDIES, load_study, settings_of
from curette.flows.workplace import lend_key, settled
from curette.schemas.artifact import StudyError
from curette.schemas.settings.llm import LlmSpec
from curette.storage.studies import StudyShelf
from curette.tasks.stage import stage_names
from tests.builders.demo import DEMO, SMALL

PROJECT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployed", DEPLOYMENTS, ids=lambda deployed: deployed["name"])
def test_every_deployments_form_has_tabs_and_words_for_every_field(deployed: Any) -> None:
    file, _, name = deployed["entrypoint"].partition(":")
    module = importlib.import_module(f"curette.flows.{Path(file).stem}")
    schema = getattr(module, name).parameters.model_dump()
    assert "oneOf" not in json.dumps(schema)
    assert all(field.get("description") for field in schema["properties"].values())
    assert set(deployed["parameters"]) <= set(schema["properties"])
    assert [*schema["properties"]][-1] == "store", "what is seldom changed comes last"


def test_the_form_of_a_study_has_a_tab_a_way_to_name_it() -> None:
    tabs = study.parameters.properties["study"]["anyOf"]
    assert len(tabs) == 3
    titles = {d["title"] for d in study.parameters.definitions.values()}
    assert {"new images", "every setting", "folder", "class prompts"} <= titles
    assert FromStage is not None
    assert study.parameters.properties["from_stage"]["enum"][1:] == stage_names()


def test_tabs_are_called_after_their_kinds() -> None:
    folder = {"type": "object", "title": "FolderSource", "properties": {"kind": {"const": "a_b"}}}
    schema = {"items": {"oneOf": [folder], "discriminator": {"propertyName": "kind"}}}
    assert as_tabs(schema) == {"items": {"anyOf": [folder | {"title": "a b"}]}}


def test_a_study_that_was_run_in_the_store_is_known_by_its_name(tmp_path: Path) -> None:
    ours = load_study(DEMO, [*SMALL, "name=ours", "select.size=7"])
    with pytest.raises(StudyError, match="there is no study ours: none of that name comes with"):
        open_asked("ours", tmp_path)
    StudyShelf(tmp_path).keep("ours", settings_of(ours))
    assert open_asked("ours", tmp_path) == ours
    assert open_asked("ours", tmp_path, ("select.size=9",)).select.size.total == 9
    assert study_of(" ours ", tmp_path) == ours
    with pytest.raises(StudyError, match=r"was run in the store .* \(ours\)"):
        open_asked("theirs", tmp_path)
    assert open_asked("demo", tmp_path).name == "demo"


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_study_is_read_back_as_it_was_to_the_last_digit(file: Path, tmp_path: Path) -> None:
    """Else stages would not know their answers again."""
    study = load_study(file)
    StudyShelf(tmp_path).keep("again", settings_of(study))
    assert open_asked("again", tmp_path).model_dump_json() == study.model_dump_json()


def test_new_images_take_everything_but_what_is_the_others_from_a_template(tmp_path: Path) -> None:
    for number in range(40):
        place = tmp_path / "images" / ("a", "b")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number * 5, dtype=np.uint8)).save(place)
    new = NewImages(name="week-48", images=tmp_path / "images", template="demo")
    made, template = open_asked(new, tmp_path), open_asked("demo", tmp_path)
    assert made.name == "week-48"
    assert set(made.dataset.classes) == {"a", "b"}
    assert (made.propose, made.encoder) == (template.propose, template.encoder)
    assert (made.shifts, made.external) == ((), ())
    usual = open_asked(new.model_copy(update={"template": ""}), tmp_path)
    assert usual.llm is not None


def test_from_a_stage_on_means_it_and_all_that_follow() -> None:
    assert stages_from("report") == ("report",)
    assert stages_from("evaluate") == ("evaluate", "report")
    assert set(stages_from("probe")) > {"probe", "probe (few shots)", "report"}
    assert stages_from(None) == ()


@pytest.mark.usefixtures("prefect_server")
def test_what_nobody_said_is_what_prefects_variables_and_blocks_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = RunOptions(store=tmp_path)
    assert settled(said) == said
    Variable.set("curette_store", "/srv/curette", overwrite=True)
    Variable.set("curette_machine", {"device": "cpu", "threads": 2}, overwrite=True)
    try:
        assert settled(said).store == tmp_path
        assert settled(RunOptions()).store == Path("/srv/curette")
        assert settled(said).machine.threads == 2
        Variable.set("curette_machine", {"device": "abacus"}, overwrite=True)
        with pytest.raises(StudyError, match="curette_machine is no machine: device"):
            settled(said)
    finally:
        Variable.unset("curette_store")
        Variable.unset("curette_machine")
    monkeypatch.delenv("LENT_KEY", raising=False)
    llm = LlmSpec(model="m", api_key_variable="LENT_KEY")
    lend_key(llm)
    assert not os.environ.get("LENT_KEY")
    Secret(value="sk-1").save("lent-key")
    lend_key(llm)
    assert os.environ.get("LENT_KEY") == "sk-1"
