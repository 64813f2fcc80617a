"""A wrong study is refused with every problem, its place, and what would be right."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from curette.flows.runs import start
from curette.flows.stages import RunOptions
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.schemas.settings.ingest import FolderSource, TableSource
from curette.schemas.settings.propose import FileSource, RecordedSource
from curette.tasks.stage import named_run

STUDIES = Path(__file__).parents[2] / "flows" / "studies"

GOOD = """\
name: mine
dataset:
  source: {kind: synthetic, images: 100}
propose:
  sources: [{kind: recorded}]
"""
_OTHER = "{name: clinic, dataset: {source: {kind: synthetic}}}"


def _write(folder: Path, text: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda f: f.stem)
def test_our_own_studies_are_right(file: Path) -> None:
    assert load_study(file).name == file.stem


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    file = _write(
        tmp_path,
        "name: Bad Name\n"
        "dataset:\n"
        "  source: {kind: table, pth: x.csv, image_column: f}\n"
        "  splits: {train: 0.6, validation: 0.6, test: 0.2}\n"
        "propose:\n"
        "  sources: [{kind: llmm}]\n"
        "select:\n"
        "  method: greedy\n",
    )
    with pytest.raises(StudyError) as caught:
        load_study(file)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"6 problems in the study {file}:"
    expected = [
        (1, "name: cannot be 'Bad Name' (lower-case letters, digits and dashes"),
        (3, "dataset.source.path: must be given (a .csv, .tsv, .jsonl, .parquet or .xlsx file)"),
        (3, "dataset.source.pth: there is no such key; did you mean `path`?"),
        (4, "dataset.splits: train + validation + test must be 1, not 1.4"),
        (6, "propose.sources.0: Input tag 'llmm'"),
        (8, "select.method: Input should be 'explained_variance', 'labo', 'random' or 'top'"),
    ]
    for line, (number, text) in zip(lines[1:], expected, strict=True):
        assert line.startswith(f"  {file}:{number}: {text}")


def test_a_problem_from_the_command_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"select\.size\.per_class: Input should be greater"):
        load_study(_write(tmp_path, GOOD), ["select.per_class=0"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a", "write it as dotted.key=value"),
        ("=1", "write it as dotted.key=value"),
        ("name.x=1", "`name` has no keys of its own"),
        ("select.seed=[1", "the value is not YAML"),
        ("selct.seed=1", "did you mean `select`"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_study(_write(tmp_path, GOOD), [override])


def test_an_override_may_make_new_sections(tmp_path: Path) -> None:
    file = _write(tmp_path, GOOD)
    study = load_study(file, ["select.per_class=4", "screen.gates=[form]"])
    assert study.select.size.per_class == 4
    assert study.screen.names == ("form",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "is not YAML"),
        ("- a", "must be a mapping"),
        ("", "must be a mapping"),
        ("name: a\nname: b\n", r"study\.yaml:2: `name` stands twice"),
        (
            GOOD.replace("name: mine", "name: !!python/object:os.system x"),
            "is not YAML.*could not determine a constructor",
        ),
    ],
)
def test_what_is_not_a_study_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_study(_write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"cannot read the study .*absent\.yaml"):
        load_study(tmp_path / "absent.yaml")


def test_relative_paths_start_at_the_study(tmp_path: Path) -> None:
    study = load_study(
        _write(
            tmp_path,
            GOOD.replace(
                "{kind: synthetic, images: 100}", "{kind: table, path: a.csv, image_column: f}"
            )
            + "encoder: {kind: open_clip, model: ./model}\n",
        )
    )
    assert isinstance(study.dataset.source, TableSource)
    assert study.dataset.source.path == tmp_path / "a.csv"
    assert isinstance(study.encoder, OpenClipEncoder)
    assert study.encoder.model == tmp_path / "model"


def test_so_do_those_of_another_dataset_and_its_labels_may_be_numbers(tmp_path: Path) -> None:
    study = load_study(
        _write(
            tmp_path,
            GOOD + "external:\n- name: clinic\n  dataset:\n    source: {kind: folder, path: b}\n"
            "    labels: {0: nevus, 1: 1}\n",
        )
    )
    source = study.external[0].dataset.source
    assert isinstance(source, FolderSource)
    assert source.path == tmp_path / "b"
    assert study.external[0].dataset.labels == {"0": "nevus", "1": "1"}


def test_a_model_name_stays_a_name(tmp_path: Path) -> None:
    (tmp_path / "ViT-B-32").mkdir()
    study = load_study(_write(tmp_path, GOOD + "encoder: {kind: open_clip, model: ViT-B-32}\n"))
    assert isinstance(study.encoder, OpenClipEncoder)
    assert study.encoder.model == "ViT-B-32"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("screen.gates=[form, form]", "a gate stands twice"),
        ("screen.min_words=20", "a smallest length is above the largest"),
        ("dataset.classes={yes: ill, no: well}", "quote yes, no, on and off"),
        ("dataset.labels={ill: yes}", "quote yes, no, on and off"),
        (f"external=[{_OTHER}, {_OTHER}]", "external: clinic stands there twice; rename one"),
        (
            "external=[{name: clinic, dataset: {source: {kind: synthetic}, split_column: part}}]",
            "all images of an external dataset are test images",
        ),
        (
            "external=[{name: clinic, dataset: {source: {kind: synthetic}, splits: {train: 0.1, "
            "validation: 0.1, test: 0.8}}}]",
            "all images of an external dataset are test images",
        ),
        (
            "external=[{name: clinic, dataset: {source: {kind: synthetic}, classes: {a: b}}}]",
            "the classes are those of the study; leave `classes` out",
        ),
        (
            "external=[{name: clinic, dataset: {source: {kind: vectors, path: v.npz}}}]",
            "the external dataset clinic is of `vectors`, so encoder must be `precomputed`",
        ),
        (
            "encoder={kind: image_only, model: ./net}",
            "knows images alone, so concepts from recorded cannot be compared with images",
        ),
        (
            "encoders=[{name: other, encoder: {kind: open_clip, precision: bfloat16}}]",
            "other is the same encoder as the study's own, `encoder`, with which it can only agree",
        ),
        (
            "encoders=[{name: a, encoder: {kind: image_only, model: ./net}}, "
            "{name: b, encoder: {kind: image_only, model: ./net, precision: bfloat16}}]",
            "encoders: b is the same encoder as a",
        ),
        (
            "encoders=[{name: a, encoder: {kind: image_only, model: ./net}}, "
            "{name: a, encoder: {kind: image_only, model: ./other}}]",
            "encoders: a is the name of another of them too; rename one",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_study(_write(tmp_path, GOOD), [override])


def test_a_key_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    llm = "llm: {model: m, api_key_variable: sk-secret}\n"
    with pytest.raises(StudyError, match="api_key_variable: cannot be this") as caught:
        load_study(_write(tmp_path, GOOD + llm))
    assert "sk-secret" not in str(caught.value)


def test_relative_paths_in_a_list_start_at_the_study_too(tmp_path: Path) -> None:
    lines = "[{kind: file, path: concepts.txt, format: lines}]"
    study = load_study(_write(tmp_path, GOOD.replace("[{kind: recorded}]", lines)))
    [source] = study.propose.sources
    assert isinstance(source, FileSource)
    assert source.path == tmp_path / "concepts.txt"


def test_a_study_that_asks_names_a_model(tmp_path: Path) -> None:
    asking = GOOD.replace("recorded", "class_prompts") + "priors: {kind: llm}\n"
    with pytest.raises(StudyError, match=r"class_prompts, priors: a language model is asked, and"):
        load_study(_write(tmp_path, asking))
    assert load_study(_write(tmp_path, asking), ["llm.model=m"]).llm is not None


def test_an_override_reaches_into_a_list(tmp_path: Path) -> None:
    study = load_study(_write(tmp_path, GOOD), ["propose.sources.0.path=record.json"])
    [source] = study.propose.sources
    assert isinstance(source, RecordedSource)
    assert source.path == tmp_path / "record.json"
    with pytest.raises(StudyError, match="`1` is no place in a list of 1, counted from 0"):
        load_study(_write(tmp_path, GOOD), ["propose.sources.1.path=x"])


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    study = load_study(_write(tmp_path, GOOD), ["dataset.classes={0: well, 1: ill}"])
    assert [c.name for c in study.dataset.classes.values()] == ["well", "ill"]
    assert list(study.dataset.classes) == ["0", "1"]


def test_reports_are_sent_only_where_the_study_says_so_in_words(tmp_path: Path) -> None:
    sending = GOOD.replace("images: 100}", "images: 100}\n  report_column: findings")
    sending += "llm: {model: m, base_url: http://here:8000/v1}\nannotate: {}\n"
    with pytest.raises(StudyError) as caught:
        load_study(_write(tmp_path, sending))
    assert (
        "annotate: reports are patients' text, and the study does not say that they may leave this "
        "machine. If they may be sent to http://here:8000/v1, write `annotate: "
        "{reports_may_be_sent_to: http://here:8000/v1}`. Nothing was sent"
    ) in str(caught.value)
    elsewhere = "annotate.reports_may_be_sent_to=http://there:8000/v1"
    with pytest.raises(StudyError, match="reports go nowhere else than where the study says"):
        load_study(_write(tmp_path, sending), [elsewhere])
    here = "annotate.reports_may_be_sent_to=http://here:8000/v1/"
    assert load_study(_write(tmp_path, sending), [here]).annotate is not None
    with pytest.raises(StudyError, match=r"https://api\.openai\.com/v1: reports go nowhere else"):
        load_study(_write(tmp_path, sending), [here, "llm.base_url=null"])
    with pytest.raises(StudyError, match="there are no reports to read"):
        load_study(_write(tmp_path, sending), [here, "dataset.report_column=null"])
    with pytest.raises(StudyError, match="annotate: a language model is asked, and the study"):
        load_study(_write(tmp_path, sending), [here, "llm=null"])


@pytest.mark.parametrize(
    ("until", "changes", "why"),
    [
        ("annotate", (), "`annotate` is not set"),
        ("locate", ("locate=null",), "`locate` is null"),
        ("shift_heads", ("shifts=[]",), "`shifts` is empty"),
        ("locate", ("evaluate.thresholdout={}",), "`evaluate.thresholdout` is set"),
        ("few_shots", ("evaluate.thresholdout={}",), "`evaluate.thresholdout` is set"),
    ],
)
def test_a_run_cannot_end_with_a_stage_that_the_study_skips(
    until: str, changes: tuple[str, ...], why: str
) -> None:
    """It would go on to the end, and look at the test labels."""
    named = re.escape(named_run(until))
    with pytest.raises(StudyError, match=f"the stage {named}, which demo skips, since {why}"):
        start(load_study(STUDIES / "demo.yaml", changes), RunOptions(until=until))
    start(load_study(STUDIES / "demo.yaml", changes), RunOptions(until="probe"))


def test_old_names_of_stages_are_still_known_and_a_run_ends_with_a_run_of_a_stage() -> None:
    named = {"few_shots": "draw (few shots)", "few_shot_heads": "probe (few shots)"}
    named |= {"shifts": "draw (shifts)", "shift_heads": "probe (shifts)", "probe": "probe"}
    for old, new in named.items():
        assert RunOptions(until=old).until == new
        assert RunOptions(refresh=(old,)).refresh == (new,)
    assert RunOptions(refresh=("draw",)).refresh == ("draw",)
    with pytest.raises(ValidationError, match=r"there is no stage draw; .* draw \(few shots\)"):
        RunOptions(until="draw")


def test_a_bare_name_is_a_study_that_comes_with_curette(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_study(Path("demo")) == load_study(STUDIES / "demo.yaml")
    (tmp_path / "demo").mkdir()  # a folder is no study file
    assert load_study(Path("demo")).name == "demo"


def test_an_unknown_bare_name_is_answered_with_those_that_come_along() -> None:
    with pytest.raises(StudyError, match=r"no study file dmeo here.* demo, .*ham10000"):
        load_study(Path("dmeo"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nlimit: !!float x\n", ":2: 'x' is no float"),
        ("name: x\nlimit: !!bool perhaps\n", ":2: 'perhaps' is no bool"),
        ("name: 2020-13-45\n", ":1: '2020-13-45' is no timestamp"),
        ("name: !!timestamp x\n", ":1: 'x' is no timestamp"),
        ("name: !!int ''\n", ":1: '' is no int"),
        ("name: " + "9" * 5000 + "\n", ":1: '999"),
        ('name: "\\UFFFFFFFF"\n', "is not YAML"),
        ("name: " + "[" * 1500 + "\n", "nested too deeply"),
    ],
)
def test_what_yaml_cannot_build_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(_write(tmp_path, text))
    assert said in str(caught.value)


def test_references_in_circles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"the alias of line 1 stands within itself"):
        load_study(_write(tmp_path, "name: &x [*x]\n"))


@pytest.mark.parametrize("line", ["{b}: &{b} [{many}]\n", "{b}: &{b} {{<<: [{many}]}}\n"])
def test_aliases_that_stand_for_billions_are_refused_at_once(tmp_path: Path, line: str) -> None:
    first = "a: &a {x: 1}\n"
    rest = (line.format(b=b, many=", ".join([f"*{a}"] * 9)) for a, b in pairwise("abcdefghijk"))
    with pytest.raises(StudyError, match=r"with its aliases written out it has [\d,]{9,} values"):
        load_study(_write(tmp_path, first + "".join(rest)))


def test_an_alias_may_repeat_what_is_short(tmp_path: Path) -> None:
    text = (
        "name: mine\n"
        "dataset: &data {source: {kind: synthetic}}\n"
        "propose: {sources: [{kind: recorded}]}\n"
        "external: [{name: x, dataset: *data}]\n"
    )
    study = load_study(_write(tmp_path, text))
    assert study.external[0].dataset == study.dataset


@pytest.mark.parametrize("value", ["!!float x", "2020-13-45", "[" * 1500])
def test_an_override_that_yaml_cannot_build_is_told(tmp_path: Path, value: str) -> None:
    with pytest.raises(StudyError, match=r"--set select\.seed="):
        load_study(_write(tmp_path, GOOD), [f"select.seed={value}"])
