"""The stage with a store: what it saves, and when it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin
from curette.schemas.embeddings import (
    EncoderIdentity,
    ImageEmbeddings,
    StudyEmbeddings,
    TextEmbeddings,
)
from curette.schemas.images import ClassLabel, ImageDataset
from curette.schemas.llm import Usage
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.screen import ScreenSpec
from curette.storage.store import ArtifactStore
from curette.tasks.screen import STAGE
from curette.tasks.screen.gates.judge import Judge
from curette.tasks.screen.task import screen_concepts
from curette.tasks.stage import Workplace
from tests.builders.images import image_dataset
from tests.servers import Answer, Reply, Status, chat_server
from tests.tasks.screen.judges import knows, verdicts

RECIPE = Recipe(stage="by hand", code="0")
CLASSES = (ClassLabel(key="mel", name="melanoma"), ClassLabel(key="nv", name="nevus"))
Inputs = tuple[Ref[ImageDataset], Ref[CandidateSet], Ref[StudyEmbeddings]]


def save_inputs(store: ArtifactStore, texts: dict[str, str]) -> Inputs:
    """Save a study whose candidates are `text -> class key`."""
    dataset = image_dataset(classes=CLASSES)
    proposed = CandidateSet(
        candidates=tuple(
            Candidate(text=t, classes=(k,), origins=(FileOrigin(file="f", line=1),))
            for t, k in texts.items()
        ),
        source="by hand",
    )
    encoder = EncoderIdentity(name="by hand", digest="0", dim=len(texts), demo=False)
    vectors = np.eye(len(texts), dtype=np.float32)
    embeddings = StudyEmbeddings(
        encoder=encoder,
        images=store.save(ImageEmbeddings((), vectors[:0], encoder), RECIPE).digest,
        texts=store.save(TextEmbeddings(tuple(texts), vectors, encoder), RECIPE).digest,
    )
    return store.save(dataset, RECIPE), store.save(proposed, RECIPE), store.save(embeddings, RECIPE)


def test_the_screened_set_is_saved_with_its_recipe(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, {"red dots": "mel", "brown globules": "nv", "itching": "nv"})
    ref = screen_concepts.fn(Workplace(store), *inputs, ScreenSpec(), None)
    screened = store.load(ScreenedSet, ref)
    assert [c.text for c in screened.kept] == ["red dots", "brown globules"]
    assert [d.candidate.text for d in screened.dropped] == ["itching"]
    recipe = store.manifest(ref).recipe
    assert recipe.stage == "screen"
    assert recipe.code == STAGE.code
    assert set(recipe.inputs) == {"dataset", "candidates", "embeddings"}


def test_a_class_that_loses_everything_stops_the_study_after_saving(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, {"red dots": "mel", "a nevus": "nv", "itching": "nv"})
    with pytest.raises(StudyError, match="nevus: 1 by class_leak, 1 by visual") as caught:
        screen_concepts.fn(Workplace(store), *inputs, ScreenSpec(), None)
    saved: Ref[ScreenedSet] = Ref(ScreenedSet.kind, next((tmp_path / "screened").iterdir()).name)
    assert str(saved) in str(caught.value)
    assert len(store.load(ScreenedSet, saved).dropped) == 2


TEXTS = {"red dots": "mel", "brown globules": "nv", "a costly pattern": "nv"}


def judged_by(url: str, **settings: int) -> LlmSpec:
    return LlmSpec(model="tiny-1", base_url=url, max_retries=0, **settings)


def reply(body: dict[str, Any]) -> Reply:
    return Answer(verdicts(body["messages"][0]["content"], knows("a costly pattern")))


def test_the_judge_is_asked_once_and_only_about_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    store, spec = ArtifactStore(tmp_path), ScreenSpec(gates=(*ScreenSpec().gates, Judge()))
    inputs = save_inputs(store, TEXTS)
    with chat_server(reply) as server:
        ref = screen_concepts.fn(Workplace(store), *inputs, spec, judged_by(server.base_url))
        asked = len(server.bodies)
        assert (
            screen_concepts.fn(Workplace(store), *inputs, spec, judged_by(server.base_url)) == ref
        )
        assert len(server.bodies) == asked == 9
        sent = json.dumps(server.bodies)
    screened = store.load(ScreenedSet, ref)
    assert [d.gate for d in screened.dropped] == ["judge"]
    assert screened.judge is not None
    assert screened.judge.believed
    assert screened.usage.requests == 9
    assert screened.usage.prompt_tokens > 0
    assert store.manifest(ref).recipe.spec["llm"]["model"] == "tiny-1"
    for private in ("melanoma", "nevus", "mel", "by hand"):
        assert f" {private} " not in sent


def test_a_study_without_a_language_model_cannot_have_a_judge(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    inputs = save_inputs(store, TEXTS)
    with pytest.raises(
        StudyError, match="asks a language model, and the study names none"
    ) as caught:
        spec = ScreenSpec(gates=(*ScreenSpec().gates, Judge()))
        screen_concepts.fn(Workplace(store), *inputs, spec, None)
    assert "add `llm`, or leave `judge` out" in str(caught.value)


def test_what_was_spent_on_proposing_counts_against_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    store, spec = ArtifactStore(tmp_path), ScreenSpec(gates=(*ScreenSpec().gates, Judge()))
    dataset, candidates, embeddings = save_inputs(store, TEXTS)
    proposed = store.load(CandidateSet, candidates)
    spent = store.save(
        proposed.model_copy(update={"usage": Usage(requests=100, answers=100)}), RECIPE
    )
    with chat_server(reply) as server:
        llm = judged_by(server.base_url, max_requests=105, concurrency=1)
        with pytest.raises(StudyError, match="max_requests"):
            screen_concepts.fn(Workplace(store), dataset, spent, embeddings, spec, llm)
        assert len(server.bodies) == 5


def test_a_server_that_fails_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    store, spec = ArtifactStore(tmp_path), ScreenSpec(gates=(*ScreenSpec().gates, Judge()))
    inputs = save_inputs(store, TEXTS)
    with chat_server(lambda _: Status(401)) as server, pytest.raises(StudyError):
        screen_concepts.fn(Workplace(store), *inputs, spec, judged_by(server.base_url))
    assert not (tmp_path / "screened").exists()


def test_answers_off_the_form_leave_concepts_unjudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    store, spec = ArtifactStore(tmp_path), ScreenSpec(gates=(*ScreenSpec().gates, Judge()))
    inputs = save_inputs(store, TEXTS)
    with chat_server(lambda _: Answer("I would rather not.")) as server:
        ref = screen_concepts.fn(Workplace(store), *inputs, spec, judged_by(server.base_url))
    screened = store.load(ScreenedSet, ref)
    assert len(screened.kept) == 3
    assert screened.judge is not None
    assert {v.judge for v in screened.judge.judged} == {"unjudged"}
    assert len(screened.judge.problems) == 9
