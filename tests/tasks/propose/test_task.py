import json
import threading
from pathlib import Path

import pandas as pd
import pytest

from schemas.artifact import Recipe, Ref, StudyError
from schemas.candidates import CandidateSet, LlmSource, ProposeSpec
from schemas.images import ClassLabel, ImageDataset, TestLabels
from storage.store import ArtifactStore
from tasks.propose.candidates import ASPECTS
from tasks.propose.task import STAGE, propose_concepts
from tests.servers import Answer, ChatServer, Status, chat_server, in_turn

CLASSES = (
    ClassLabel(key="secret-key-nv", name="melanocytic nevus", synonyms=("secret synonym",)),
    ClassLabel(key="secret-key-mel", name="melanoma"),
)
GOOD = Answer('{"concepts": ["dark brown", "round shape"]}')


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


@pytest.fixture
def dataset(store: ArtifactStore) -> Ref[ImageDataset]:
    images = pd.DataFrame(
        {
            "image_id": ["secret-image"],
            "sha256": ["0" * 64],
            "location": ["secret-folder/secret.png"],
            "split": ["train"],
            "label": ["secret-key-nv"],
            "group": ["secret-patient"],
            "meta.age": [77777],
        }
    )
    made = ImageDataset(
        images=images,
        classes=CLASSES,
        rejected=(),
        root="/secret-root",
        source="secret source",
        synthetic=False,
        class_counts={},
        test_labels=Ref(TestLabels.kind, "0"),
    )
    return store.save(made, Recipe(stage="ingest", code=""))


def spec(server: ChatServer, **settings: int) -> ProposeSpec:
    source = LlmSource(
        kind="llm",
        model="tiny",
        base_url=server.base_url,
        api_key_variable="SOME_KEY",
        samples=2,
        max_retries=0,
    )
    return ProposeSpec(source=source, modality="dermoscopy image", **settings)


def test_every_class_is_asked_about_every_aspect_as_often_as_wished(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        found = store.load(CandidateSet, propose_concepts.fn(dataset, spec(server), store))
    assert len(server.bodies) == 2 * len(ASPECTS) * 2
    assert len({json.dumps(body) for body in server.bodies}) == 2 * len(ASPECTS)
    assert [(c.text, c.classes) for c in found.candidates] == [
        ("dark brown", ("secret-key-nv", "secret-key-mel")),
        ("round shape", ("secret-key-nv", "secret-key-mel")),
    ]
    assert len(found.candidates[0].origins) == 20
    assert (found.usage.answers, found.usage.prompt_tokens) == (20, 2000)
    assert found.source == "tiny: 20 answers to 5 prompts a class"
    assert not found.recorded


def test_a_second_run_asks_nothing_and_finds_the_same(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        first = propose_concepts.fn(dataset, spec(server), store)
        asked = len(server.bodies)
        assert propose_concepts.fn(dataset, spec(server), store) == first
    assert len(server.bodies) == asked


def test_prompts_hold_class_names_and_nothing_else_of_the_dataset(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        propose_concepts.fn(dataset, spec(server), store)
    sent = json.dumps(server.bodies)
    assert "melanocytic nevus" in sent
    assert "secret" not in sent
    assert "77777" not in sent


def test_the_key_is_in_no_file_of_the_store(
    store: ArtifactStore, dataset: Ref[ImageDataset], key: str
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        propose_concepts.fn(dataset, spec(server), store)
    files = [p.read_bytes() for p in store.root.rglob("*") if p.is_file()]
    assert len(files) > 20
    assert not [f for f in files if key.encode() in f]


def test_the_manifest_names_the_dataset_and_the_settings(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        manifest = store.manifest(propose_concepts.fn(dataset, spec(server), store))
    assert manifest.recipe.inputs == {"dataset": str(dataset)}
    assert manifest.recipe.spec["source"]["api_key_variable"] == "SOME_KEY"


def test_a_failed_run_keeps_its_answers_and_no_artifact(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD, GOOD, GOOD, Status(503))) as server:
        with pytest.raises(StudyError, match="HTTP 503"):
            propose_concepts.fn(dataset, spec(server), store)
        assert not (store.root / "candidates").exists()
        stored = len(list(store.root.glob("responses/*/*.json")))
        assert stored == 3
        before = len(server.bodies)
        server.behave = in_turn(GOOD)
        propose_concepts.fn(dataset, spec(server), store)
    assert len(server.bodies) - before == 20 - stored


def test_a_class_without_candidates_fails_by_name(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    def refuse_melanoma(body: dict[str, object]) -> Answer:
        return Answer("no") if "<class>melanoma<" in str(body["messages"]) else GOOD

    with (
        chat_server(refuse_melanoma) as server,
        pytest.raises(StudyError, match=r"too few candidates for `secret-key-mel` \(0\)"),
    ):
        propose_concepts.fn(dataset, spec(server), store)


def test_the_stage_runs_in_a_thread_of_its_own(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    made: list[Ref[CandidateSet]] = []
    with chat_server(in_turn(GOOD)) as server:
        asked = spec(server)
        thread = threading.Thread(
            target=lambda: made.append(propose_concepts.fn(dataset, asked, store))
        )
        thread.start()
        thread.join()
        assert made == [propose_concepts.fn(dataset, asked, store)]


def test_every_setting_is_part_of_the_stages_key(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        specs = [spec(server), spec(server, min_per_class=2), spec(server, max_length=9)]
    keys = {STAGE.key({"dataset": dataset, "spec": s, "store": store}) for s in specs}
    assert len(keys) == 3
