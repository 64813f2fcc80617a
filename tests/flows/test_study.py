"""Whole studies: what is remembered, what is made again, and who may read what."""

import base64
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curette.flows.curate import curate
from curette.flows.probe import probe
from curette.flows.runs import RunResult
from curette.flows.sequence import remembered, whole_study
from curette.flows.stages import (
    NotRemembered,
    RunOptions,
    Watcher,
    only_remembered,
    stage_watcher,
)
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.artifact import ConceptDatasetRejected, Ref, StudyError
from curette.schemas.evaluation import Evaluation
from curette.schemas.images import ImageDataset, TestLabels
from curette.storage.ledger import TestLedger
from curette.storage.store import ArtifactMissing, ArtifactStore
from curette.tasks.methods.encoder.open_clip_layout import DEMO as DEMO_CLIP
from curette.tasks.stage import stage_names, why_skipped
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.tasks.methods.encoder.hub_folders import save_timm

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]

NAMES = [s for s in stage_names() if not why_skipped(s, load_study(DEMO))]
TRAINING = [
    "probe",
    "edit",
    "draw (few shots)",
    "probe (few shots)",
    "draw (shifts)",
    "probe (shifts)",
]
STAGES = [*NAMES[: NAMES.index("publish") + 1], *TRAINING, *NAMES[NAMES.index("locate") :]]
EXTERNAL = ["ingest (lamp)", "embed (lamp)"]
ALL = [*STAGES[:-2], *EXTERNAL, *STAGES[-2:]]  # before the evaluation


def _run(store: Path, *overrides: str, **options: Any) -> RunResult:
    return study(load_study(DEMO, [*SMALL, *overrides]), RunOptions(store=store, **options))


class _Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def _ran(result: RunResult) -> list[str]:
    return [s.title for s in result.stages if s.state == "ran"]


@pytest.fixture(scope="module")
def done(
    finished: FinishedStudy, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunResult]:
    """A finished study in a store that the tests of this file have to themselves."""
    copy = finished.copied_to(tmp_path_factory.mktemp("done") / "store")
    return copy.store, copy.result


@pytest.fixture
def store(done: tuple[Path, RunResult], tmp_path: Path) -> Path:
    """A store of a test's own, empty."""
    return tmp_path / "store"


def test_a_study_runs_every_stage_and_says_where_its_results_are(
    done: tuple[Path, RunResult],
) -> None:
    _, result = done
    assert {*STAGES} == {*NAMES}
    assert [s.title for s in result.stages] == ALL
    assert _ran(result) == ALL
    assert result.report is not None
    assert "<html" in Path(result.report).read_text()
    assert result.concept_dataset is not None
    assert (Path(result.concept_dataset) / "README.md").is_file()
    heads = set(result.metrics)
    assert {"linear probe", "concept bottleneck", "majority class"} <= heads
    assert any(h.startswith("random concepts") for h in heads)


def test_the_same_study_does_nothing_the_second_time(done: tuple[Path, RunResult]) -> None:
    """Even in a store that was moved: this one is a copy of the one that it ran in."""
    store, first = done
    again = _run(store)
    assert _ran(again) == []
    assert [s.ref for s in again.stages] == [s.ref for s in first.stages]


def test_what_is_all_there_is_found_without_prefect_and_what_is_not_is_left_to_it(
    done: tuple[Path, RunResult],
) -> None:
    store, first = done

    def recall(*changes: str, **options: Any) -> RunResult | None:
        return remembered(load_study(DEMO, (*SMALL, *changes)), RunOptions(store=store, **options))

    again = recall()
    assert again is not None
    assert [(s.title, s.ref) for s in again.stages] == [(s.title, s.ref) for s in first.stages]
    assert {s.state for s in again.stages} == {"cached"}
    assert (again.report, again.metrics) == (first.report, first.metrics)
    early = recall(until="select")
    assert early is not None
    assert early.stages[-1].title == "select"
    assert recall("report.thumbnail_px=33") is None
    assert recall(refresh=("index",)) is None


def test_neither_a_run_with_nothing_to_do_nor_edits_nor_adapting_import_prefect(
    done: tuple[Path, RunResult],
) -> None:
    store, _ = done
    arguments = ["run", str(DEMO), "--store", str(store), "--json", "--set", *SMALL]
    code = (
        "import sys; from curette.flows.cli import main;"
        f"assert main({arguments!r}) == 0;"
        "assert not {'torch', 'scipy.stats'} & set(sys.modules);"
        "import curette.flows.adaptation, curette.flows.edits;"
        "assert 'prefect' not in sys.modules"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment["PREFECT_PROFILES_PATH"] = str(store / "none")
    project = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=project, check=True)


def test_a_shift_is_measured_from_the_draw_to_the_page(done: tuple[Path, RunResult]) -> None:
    store, result = done
    ref = next(s.ref for s in result.stages if s.name == "evaluate")
    shifts = ArtifactStore(store).load(Evaluation, Ref.parse(ref)).shifts
    assert shifts is not None
    domain = shifts.results[0]
    assert domain.plan.spec.column == "hair"
    assert {"in_domain", "out_of_domain", "gap", "mean"} <= {v.of for v in domain.values}
    assert len(shifts.results) + len(shifts.unusable) == 3
    assert result.report is not None
    page = Path(result.report).read_text()
    assert 'id="shifts"' in page
    assert page.count("not computable") >= len(shifts.unusable)


def test_another_dataset_is_measured_from_its_images_to_the_page(
    done: tuple[Path, RunResult],
) -> None:
    store, result = done
    ref = next(s.ref for s in result.stages if s.name == "evaluate")
    shifts = ArtifactStore(store).load(Evaluation, Ref.parse(ref)).shifts
    assert shifts is not None
    found = next(r for r in shifts.results if r.plan.spec.kind == "dataset")
    assert {"in_domain", "out_of_domain", "gap", "mean"} <= {v.of for v in found.values}
    assert {v.head for v in found.values} == set(result.metrics)
    assert found.parts[1].images <= 60
    assert result.report is not None
    page = Path(result.report).read_text()
    assert "another dataset: lamp" in page
    assert "They were drawn by the project itself" in page


def test_another_dataset_trains_nothing_again(done: tuple[Path, RunResult]) -> None:
    store, first = done
    changed = _run(store, "external.0.dataset.source.seed=8")
    assert _ran(changed) == [*EXTERNAL, "evaluate", "report"]
    own = {s.title: s.ref for s in first.stages if not s.external}
    kept = [s for s in changed.stages if not s.external and s.name not in ("evaluate", "report")]
    assert all(s.ref == own[s.title] for s in kept)


def test_what_a_study_leaves_out_is_skipped_and_runs_nothing_else_again(
    done: tuple[Path, RunResult],
) -> None:
    """And another dataset is looked at on its own account: it may be of other classes.

    Adding one, or leaving it out, is one more reading of the study's own test labels.
    """
    store, first = done
    seen = {s.external: Ref.parse(s.ref) for s in first.stages if s.name == "ingest"}
    shelf = ArtifactStore(store)
    readings = {}
    for name, ref in seen.items():
        labels = shelf.load(ImageDataset, ref).test_labels
        digest = shelf.manifest(labels).files["test-labels.json"].sha256
        readings[name] = TestLedger(store).readings(digest)
    left_out = ("shifts=[]", "external=[]", "locate=null")
    as_before = "select.avoid=[ruler]"  # what the shifts confound, unless something else is said
    without = _run(store, *left_out, as_before, "evaluate.seed=11")
    skipped = ("draw (shifts)", "probe (shifts)", "locate", *EXTERNAL)
    assert [s.title for s in without.stages] == [s for s in ALL if s not in skipped]
    assert _ran(without) == ["evaluate", "report"]

    assert readings["lamp"]
    own = readings[""][0].labels
    assert readings["lamp"][0].labels != own
    assert len(TestLedger(store).readings(own)) == len(readings[""]) + 1
    assert TestLedger(store).readings(readings["lamp"][0].labels) == readings["lamp"]

    located, not_located = (
        shelf.load(Evaluation, Ref.parse(ref)).location
        for result in (first, without)
        for ref in [s.ref for s in result.stages if s.name == "evaluate"]
    )
    assert located.images > 0
    assert located.heads
    assert "`locate: null`" in not_located.not_computable


def test_the_reusable_holdout_leaves_other_datasets_alone(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    guarded = _run(store, "evaluate.thresholdout={budget: 5}")
    assert not any(s.external for s in guarded.stages)
    assert guarded.report is not None
    assert "other datasets are not measured" in Path(guarded.report).read_text()


def test_a_run_never_ends_with_a_stage_of_another_dataset(done: tuple[Path, RunResult]) -> None:
    store, first = done
    published = next(s.ref for s in first.stages if s.name == "publish")
    chosen = load_study(DEMO, list(SMALL))
    probed = probe(published, chosen, until="embed", store=str(store))
    assert probed.stages[-1].name == "report"
    assert "image-dataset" not in probed.made


def test_what_is_wrong_with_another_dataset_names_it(
    done: tuple[Path, RunResult], tmp_path: Path
) -> None:
    store, _ = done
    with pytest.raises(StudyError, match="external dataset lamp: nothing is left of its 240"):
        _run(
            store,
            "external.0.dataset.source={kind: synthetic, images: 240}",
        )
    with pytest.raises(StudyError, match=r"lamp: `labels` names `melanomas`, which is no class"):
        _run(store, "external.0.dataset.labels={melanoma: melanomas}")
    looked = {p.name for p in (store / "test-looks").iterdir()}
    table = tmp_path / "labels.csv"
    table.write_text("image,label\n" + "".join(f"{i}.png,class {i % 2}\n" for i in range(4)))
    with pytest.raises(StudyError, match="lamp: it has no class in common with the study"):
        _run(
            store,
            f"external.0.dataset.source={{kind: table, path: {table}, image_column: image}}",
        )
    assert {p.name for p in (store / "test-looks").iterdir()} == looked


def test_a_further_encoder_runs_only_what_depends_on_it(
    done: tuple[Path, RunResult], tmp_path: Path
) -> None:
    """Adding one leaves all that the study's own encoder made, and what others made, as it is."""
    store, first = done
    entry = "{{name: {0}, encoder: {{kind: image_only, model: {1}}}}}"
    net = entry.format("net", save_timm(tmp_path / "net"))
    beside = _run(store, f"encoders=[{net}]")
    others = ["embed (net)", "embed_texts (net)", "probe (net)", "probe (resampled)"]
    assert _ran(beside) == [*others, "evaluate", "report"]
    own = {s.title: s.ref for s in first.stages}
    kept = [s for s in beside.stages if s.title in own and s.name not in ("evaluate", "report")]
    assert all(s.ref == own[s.title] for s in kept)
    assert beside.report is not None
    assert 'id="encoders"' in Path(beside.report).read_text()
    dots = entry.format("dots", save_timm(tmp_path / "dots", mean=[0.1, 0.1, 0.1]))
    two = load_study(DEMO, [*SMALL, f"encoders=[{net}, {dots}]"])
    token = only_remembered.set(True)
    try:
        with pytest.raises(NotRemembered) as missing:
            whole_study(two, RunOptions(store=store))
    finally:
        only_remembered.reset(token)
    assert missing.value.title == "embed (dots)"  # the first that is not there


def test_a_further_encoder_that_is_the_studys_own_is_refused(
    done: tuple[Path, RunResult], tmp_path: Path
) -> None:
    store, _ = done
    shutil.copytree(DEMO_CLIP, tmp_path / "clip")
    with pytest.raises(StudyError, match="the encoder copy: it is the study's own under another"):
        _run(
            store,
            f"encoders=[{{name: copy, encoder: {{kind: open_clip, model: {tmp_path / 'clip'}}}}}]",
        )


def test_the_machine_changes_nothing(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    machine = {"device": "cpu", "batch_size": 7, "workers": 1, "threads": 1}
    assert _ran(_run(store, machine=machine)) == []


def test_a_change_reruns_exactly_what_depends_on_it(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    changed = _run(store, "select.size=5")
    untouched = ("priors", *EXTERNAL)
    assert _ran(changed) == [s for s in ALL[ALL.index("select") :] if s not in untouched]


def test_a_stage_can_be_repeated_and_the_same_answer_stops_there(
    done: tuple[Path, RunResult],
) -> None:
    store, first = done
    again = _run(store, refresh=("select", "probe"))
    assert _ran(again) == ["select", "probe", "probe (few shots)", "probe (shifts)"]
    assert [s.ref for s in again.stages] == [s.ref for s in first.stages]


def test_a_run_can_end_early(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    result = _run(store, until="screen")
    assert [s.name for s in result.stages] == STAGES[: STAGES.index("screen") + 1]
    assert result.report is None
    assert result.metrics == {}


def test_a_damaged_artifact_is_made_again(done: tuple[Path, RunResult]) -> None:
    store, first = done
    damaged = next(s.ref for s in first.stages if s.name == "screen")
    file = store / damaged / "screened.json"
    file.write_text(file.read_text()[:100])
    again = _run(store)
    assert _ran(again) == ["screen"]
    assert [s.ref for s in again.stages] == [s.ref for s in first.stages]


def test_a_vanished_artifact_is_made_again(done: tuple[Path, RunResult]) -> None:
    store, first = done
    shutil.rmtree(store / next(s.ref for s in first.stages if s.name == "index"))
    assert _ran(_run(store)) == ["index"]


def test_a_torn_record_of_an_answer_is_made_again(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    for record in (store / "answers").glob("select-*"):
        record.write_bytes(record.read_bytes()[:50])
    assert "select" in _ran(_run(store))


def test_an_answer_that_is_no_plain_reference_is_never_read(done: tuple[Path, RunResult]) -> None:
    """Prefect would read a record with the serialiser that the record names."""
    store, _ = done
    record = next((store / "answers").glob("propose-*"))
    content = json.loads(record.read_text())
    content["metadata"]["serializer"] = {"type": "pickle"}
    content["result"] = base64.b64encode(pickle.dumps(_Trap(store / "sprung"))).decode()
    record.write_text(json.dumps(content))
    assert _ran(_run(store)) == ["propose"]
    assert not (store / "sprung").exists()


def test_another_store_starts_anew(done: tuple[Path, RunResult], store: Path) -> None:
    assert _ran(_run(store, until="ingest")) == ["ingest"]


def test_nothing_before_the_evaluation_can_read_test_labels(finished: FinishedStudy) -> None:
    """They were gone while the study ran, from the moment they were set apart."""
    assert finished.without_test_labels == ALL[: ALL.index("evaluate")]
    assert _ran(finished.result) == ALL
    assert len(list((finished.store / TestLabels.kind).iterdir())) == 2


def test_the_evaluation_cannot_do_without_test_labels(
    done: tuple[Path, RunResult], tmp_path: Path
) -> None:
    store, _ = done
    labels = store / TestLabels.kind

    def start(title: str) -> None:
        if title == "evaluate":
            labels.rename(tmp_path / "away")

    token = stage_watcher.set(Watcher(start, lambda record: None))
    try:
        with pytest.raises(ArtifactMissing, match="test-labels"):
            _run(store, "evaluate.seed=2")
    finally:
        stage_watcher.reset(token)
        (tmp_path / "away").rename(labels)


def test_curate_and_probe_make_what_the_study_makes(
    done: tuple[Path, RunResult], store: Path
) -> None:
    path, whole = done
    chosen = load_study(DEMO, list(SMALL))
    curated = curate(chosen, store=str(path))
    assert [s.name for s in curated.stages] == STAGES[: STAGES.index("publish") + 1]
    published = next(s.ref for s in curated.stages if s.name == "publish")
    probed = probe(published, chosen, store=str(path))
    assert probed.metrics == whole.metrics
    assert probed.concept_dataset == whole.concept_dataset


def test_the_gate_rejects_after_saving_its_report(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    with pytest.raises(ConceptDatasetRejected, match=str(store)):
        _run(store, "validation.min_images_per_class=5000")


def test_a_class_without_enough_candidates_is_named(done: tuple[Path, RunResult]) -> None:
    store, _ = done
    with pytest.raises(StudyError, match="nevus"):
        _run(store, "propose.min_per_class=5000")
