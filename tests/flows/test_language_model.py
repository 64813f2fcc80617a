"""Whole studies that ask a language model in every way: what it is told, and what it costs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from curette.flows.estimate import estimate
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ImageDataset
from curette.schemas.priors import Priors
from curette.schemas.screened import ScreenedSet
from curette.storage.responses import ResponseShelf
from curette.storage.store import ArtifactStore
from tests.builders.demo import QUICK
from tests.oracle import known_statements, oracle
from tests.servers import ChatServer, chat_server

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]

STUDIES = Path(__file__).parents[2] / "flows" / "studies"
SMALL = (
    "dataset.source.images=240",
    "few_shots=null",
    "shifts=[]",
    *QUICK,
    "propose.sources.0.sampling={max_rounds: 2}",
    "priors.repeats=1",
    "screen.judge.votes=1",
)


@pytest.fixture(scope="module")
def server(prefect_server: None) -> Iterator[ChatServer]:
    with chat_server(oracle()) as running:
        yield running


@pytest.fixture(scope="module")
def stopped(server: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A study with documents that its limit stopped, and how many requests it had made."""
    store = tmp_path_factory.mktemp("asked")
    with pytest.raises(StudyError, match="max_requests"):
        _run(store, server, "llm.max_requests=100")
    return store, len(server.bodies)


@pytest.fixture(scope="module")
def done(stopped: tuple[Path, int], server: ChatServer) -> tuple[Path, RunResult]:
    """The same study under a limit that it keeps, finished."""
    store, _ = stopped
    return store, _run(store, server, "llm.max_requests=5000")


def _run(store: Path, server: ChatServer, *overrides: str, **options: Any) -> RunResult:
    asked = f"llm.base_url={server.base_url}"
    loaded = load_study(STUDIES / "documents.yaml", [*SMALL, asked, *overrides])
    return study(loaded, RunOptions(store=store, **options))


def _made(store: Path, result: RunResult, stage: str) -> Any:
    kinds = (CandidateSet, ScreenedSet, Priors, ImageDataset, ConceptDataset)
    ref: Ref[Any] = Ref.parse(next(s.ref for s in result.stages if s.name == stage))
    return ArtifactStore(store).load(next(k for k in kinds if k.kind == ref.kind), ref)


def test_every_source_the_judge_and_the_priors_leave_their_mark(
    done: tuple[Path, RunResult],
) -> None:
    store, result = done
    candidates = _made(store, result, "propose")
    prompts = {o.prompt for c in candidates.candidates for o in c.origins if o.kind == "llm"}
    assert {"appearance", "colour", "contrast"} <= prompts
    quoted = [o for c in candidates.candidates for o in c.origins if o.kind == "document"]
    assert quoted
    for origin in quoted:
        document = STUDIES / "documents" / origin.document.partition("#")[0]
        assert origin.quote in document.read_text() or document.suffix == ".jsonl"
    assert {s.source for s in candidates.saturation} == {"class_prompts", "contrasts", "documents"}
    judge = _made(store, result, "screen").judge
    assert judge.believed
    assert judge.judged
    priors = _made(store, result, "priors")
    assert {p.answer for p in priors.priors} == {"speaks for", "neutral", "speaks against"}
    assert _made(store, result, "publish").prior_signs.any()
    page = Path(result.report or "").read_text()
    for shown in (
        "How far asking has come",
        "How far the judge can be believed",
        "Fleiss",
        "15 documents",
    ):
        assert shown in page


def test_a_second_run_asks_nothing(done: tuple[Path, RunResult], server: ChatServer) -> None:
    store, first = done
    asked = len(server.bodies)
    again = _run(store, server)
    assert len(server.bodies) == asked
    assert {s.state for s in again.stages} == {"cached"}
    assert [s.ref for s in again.stages] == [s.ref for s in first.stages]
    _run(store, server, refresh=("propose", "screen", "priors"))
    assert len(server.bodies) == asked, "answers are kept apart from stages"


def test_limits_stop_the_study_before_they_are_passed_and_lose_nothing(
    stopped: tuple[Path, int], done: tuple[Path, RunResult], server: ChatServer
) -> None:
    _, asked = stopped
    assert asked == 100
    store, result = done
    spent = sum(
        _made(store, result, stage).usage.requests for stage in ("propose", "screen", "priors")
    )
    assert len(server.bodies) == spent, "what was answered was not asked again"


def test_an_estimate_asks_nothing_and_holds(done: tuple[Path, RunResult]) -> None:
    store, result = done
    with chat_server(oracle()) as untouched:
        loaded = load_study(
            STUDIES / "documents.yaml",
            [
                *SMALL,
                f"llm.base_url={untouched.base_url}",
                "llm.prices={prompt_usd: 1, completion_usd: 10}",
            ],
        )
        classes = _made(store, result, "ingest").classes
        made = estimate(loaded, ResponseShelf(store), lambda: classes)
        assert untouched.bodies == []
    spent = [
        _made(store, result, stage).usage.requests for stage in ("propose", "screen", "priors")
    ]
    assert made.fewest_requests <= sum(spent) <= made.most_requests
    assert made.most_usd is not None
    assert made.stored_requests == 0, "another server's answers are not these"


def test_an_estimate_knows_what_is_answered(
    done: tuple[Path, RunResult], server: ChatServer
) -> None:
    store, result = done
    loaded = load_study(STUDIES / "documents.yaml", [*SMALL, f"llm.base_url={server.base_url}"])
    classes = _made(store, result, "ingest").classes
    made = {f.name: f for f in estimate(loaded, ResponseShelf(store), lambda: classes).forecasts}
    asked = made["class prompts"]
    assert asked.stored is not None
    assert asked.fewest <= asked.stored <= asked.most
    assert made["priors"].stored is None, "which concepts will be asked about is not known"


def test_nothing_of_the_dataset_but_class_names_reaches_the_model(tmp_path: Path) -> None:
    with chat_server(oracle()) as server:
        file, secrets = _secret_study(tmp_path, server)
        study(load_study(file), RunOptions(store=tmp_path / "store", until="priors"))
    kinds = [str(body["messages"][0]["content"]) for body in server.bodies]
    for mark in ("<class>", "<first>", "<passage", "<statement>", "<finding>"):
        assert any(mark in prompt for prompt in kinds), f"{mark}: this kind of question was asked"
    for body in server.bodies:
        assert all(isinstance(m["content"], str) for m in body["messages"]), "no picture"
        sent = json.dumps(body)
        assert not [secret for secret in secrets if secret in sent]


def _secret_study(folder: Path, server: ChatServer) -> tuple[Path, set[str]]:
    """Return a study of drawn images about people, and everything that must stay here."""
    names = list(known_statements())
    generator = np.random.default_rng(0)
    images = folder / "clinic-of-dr-quince"
    images.mkdir()
    rows = []
    for i in range(150):
        number = i % len(names)
        pixels = generator.integers(0, 60, (32, 32, 3), dtype=np.uint8) + np.uint8(30 * number)
        Image.fromarray(pixels).save(images / f"scan-zq{i:04d}.png")
        rows.append(
            {
                "file": f"scan-zq{i:04d}.png",
                "ident": f"idn-zz{i:04d}",
                "patient": f"Quillfeather-{i // 2:03d}",
                "dx": f"dxcode-{number}",
                "age": 70_000 + i,
                "town": f"Upper Zzyzx {i % 7}",
                "letter": f"Dear colleague, case {i} of Dr Quince shows nothing unusual.",
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(folder / "people.csv", index=False)
    content = {
        "name": "secret",
        "llm": {"model": "oracle", "base_url": server.base_url},
        "dataset": {
            "source": {
                "kind": "table",
                "path": "people.csv",
                "image_column": "file",
                "image_folder": images.name,
            },
            "id_column": "ident",
            "subject_column": "patient",
            "label_column": "dx",
            "report_column": "letter",
            "classes": {f"dxcode-{i}": name for i, name in enumerate(names)},
        },
        "propose": {
            "modality": "dermoscopy",
            "sources": [
                {"kind": "class_prompts", "sampling": {"max_rounds": 1}},
                {"kind": "contrasts", "sampling": {"max_rounds": 1}},
                {"kind": "documents", "folder": str(STUDIES / "documents"), "max_queries": 3},
            ],
        },
        "screen": {"judge": {"votes": 1}},
        "priors": {"kind": "llm", "repeats": 1},
    }
    file = folder / "secret.yaml"
    file.write_text(yaml.safe_dump(content))
    values = {str(value) for row in rows for value in row.values()}
    return file, values | {images.name, "people.csv", str(folder), "quince", "Zzyzx"}
