import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.settings.llm import LlmPrices, LlmSpec
from curette.schemas.settings.propose import (
    ASPECTS,
    ClassPromptSource,
    ContrastSource,
    ProposeSource,
    ProposeSpec,
    Sampling,
)
from curette.storage.store import ArtifactStore
from curette.tasks.propose import STAGE
from curette.tasks.propose.task import propose_concepts
from curette.tasks.stage import Workplace
from tests.builders.images import SECRET_CLASSES, secret_dataset
from tests.servers import Answer, ChatServer, Status, chat_server, in_turn

CLASSES = SECRET_CLASSES[:2]
GOOD = Answer('{"concepts": ["dark brown", "round shape"]}')


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


@pytest.fixture
def dataset(store: ArtifactStore) -> Ref[ImageDataset]:
    return store.save(secret_dataset(CLASSES), Recipe(stage="ingest", code=""))


PROMPTS = ClassPromptSource(
    kind="class_prompts", sampling=Sampling(max_rounds=3, min_new_share=0.1)
)
CONTRASTS = ContrastSource(kind="contrasts", sampling=Sampling(max_rounds=1))


def llm(server: ChatServer, **settings: Any) -> LlmSpec:
    return LlmSpec(
        model="tiny",
        base_url=server.base_url,
        api_key_variable="SOME_KEY",
        max_retries=0,
        **settings,
    )


def run(
    store: ArtifactStore,
    dataset: Ref[ImageDataset],
    server: ChatServer,
    *sources: ProposeSource,
    images: Ref[ImageEmbeddings] | None = None,
    **settings: Any,
) -> Ref[CandidateSet]:
    spec = ProposeSpec(sources=sources or (PROMPTS,), modality="dermoscopy image")
    return propose_concepts.fn(Workplace(store), dataset, images, spec, llm(server, **settings))


def test_every_class_is_asked_about_every_aspect_until_nothing_new_comes(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        prices = LlmPrices(prompt_usd=1, completion_usd=10)
        found = store.load(CandidateSet, run(store, dataset, server, prices=prices))
    assert len(server.bodies) == 2 * len(ASPECTS) * 2, "the second round brought nothing new"
    assert len({json.dumps(body) for body in server.bodies}) == 2 * len(ASPECTS)
    assert [(c.text, c.classes) for c in found.candidates] == [
        ("dark brown", ("secret-key-nv", "secret-key-mel")),
        ("round shape", ("secret-key-nv", "secret-key-mel")),
    ]
    assert len(found.candidates[0].origins) == 24
    assert (found.usage.answers, found.usage.prompt_tokens) == (24, 2400)
    assert found.usage.cost_usd == pytest.approx((2400 * 1 + 240 * 10) / 1e6)
    assert found.source == "tiny: 24 answers to 6 prompts a class"
    assert [(s.about, s.stopped) for s in found.saturation] == [
        ("secret-key-nv", "saturated"),
        ("secret-key-mel", "saturated"),
    ]
    assert not found.recorded


def test_a_second_run_asks_nothing_and_finds_the_same(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        first = run(store, dataset, server)
        asked = len(server.bodies)
        assert run(store, dataset, server) == first
    assert len(server.bodies) == asked


def test_prompts_hold_class_names_and_nothing_else_of_the_dataset(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        run(store, dataset, server)
    sent = json.dumps(server.bodies)
    assert "melanocytic nevus" in sent
    assert "secret" not in sent
    assert "77777" not in sent


def test_the_key_is_in_no_file_of_the_store(
    store: ArtifactStore, dataset: Ref[ImageDataset], key: str
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        run(store, dataset, server)
    files = [p.read_bytes() for p in store.root.rglob("*") if p.is_file()]
    assert len(files) > 20
    assert not [f for f in files if key.encode() in f]


def test_the_manifest_names_the_dataset_and_the_settings(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD)) as server:
        manifest = store.manifest(run(store, dataset, server))
    assert manifest.recipe.inputs == {"dataset": str(dataset)}
    assert manifest.recipe.spec["llm"]["model"] == "tiny"
    assert "api_key_variable" not in manifest.recipe.spec["llm"]


def test_a_failed_run_keeps_its_answers_and_no_artifact(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(in_turn(GOOD, GOOD, GOOD, Status(503))) as server:
        with pytest.raises(StudyError, match="HTTP 503"):
            run(store, dataset, server)
        assert not (store.root / "candidates").exists()
        stored = len(list(store.root.glob("responses/*/*.json")))
        assert stored == 3
        before = len(server.bodies)
        server.behave = in_turn(GOOD)
        run(store, dataset, server)
    assert len(server.bodies) - before == 24 - stored


def test_a_class_without_candidates_fails_by_name(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    def refuse_melanoma(body: dict[str, object]) -> Answer:
        return Answer("no") if "<class>melanoma<" in str(body["messages"]) else GOOD

    with (
        chat_server(refuse_melanoma) as server,
        pytest.raises(StudyError, match=r"too few candidates for `secret-key-mel` \(0\)"),
    ):
        run(store, dataset, server)


def test_the_stage_runs_in_a_thread_of_its_own(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    made: list[Ref[CandidateSet]] = []
    with chat_server(in_turn(GOOD)) as server:
        thread = threading.Thread(target=lambda: made.append(run(store, dataset, server)))
        thread.start()
        thread.join()
        assert made == [run(store, dataset, server)]


def test_the_key_holds_what_is_asked_and_not_how_patiently(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    def key(spec: ProposeSpec, **settings: Any) -> str:
        asked = LlmSpec(model="m", **settings)
        return STAGE.key({"dataset": dataset, "spec": spec, "llm": asked, "at": Workplace(store)})

    spec = ProposeSpec(sources=(PROMPTS,))
    assert key(spec) == key(spec, concurrency=2, timeout_s=1, max_requests=5)
    others = {
        key(spec),
        key(spec, temperature=0.1),
        key(spec, draw=1),
        key(ProposeSpec(sources=(PROMPTS,), max_length=9)),
        key(ProposeSpec(sources=(CONTRASTS,))),
    }
    assert len(others) == 5


def test_contrasts_are_asked_of_the_classes_whose_images_are_most_alike(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    encoder = EncoderIdentity(name="e", digest="e", dim=2, demo=False)
    about = store.load(ImageDataset, dataset)
    vectors = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(about), 1))
    embeddings = ImageEmbeddings(tuple(about.images["image_id"]), vectors, encoder)
    images = store.save(embeddings, Recipe(stage="embed", code=""))
    answer = Answer('{"first": ["even brown", "round"], "second": ["blue veil", "round"]}')
    with chat_server(in_turn(answer)) as server:
        found = store.load(CandidateSet, run(store, dataset, server, CONTRASTS, images=images))
    [body] = server.bodies
    assert "<first>melanocytic nevus</first>" in str(body)
    assert [(c.text, c.classes) for c in found.candidates] == [
        ("even brown", ("secret-key-nv",)),
        ("round", ("secret-key-nv", "secret-key-mel")),
        ("blue veil", ("secret-key-mel",)),
    ]
    assert "1 answers on 1 pairs of classes (most alike by their image vectors)" in found.source


def test_a_pair_of_strange_classes_is_refused(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    wrong = ContrastSource(kind="contrasts", pairs=(("secret-key-nv", "wart"),))
    with (
        chat_server(in_turn(GOOD)) as server,
        pytest.raises(StudyError, match=r"the pairs \[secret-key-nv, wart\] are not of"),
    ):
        run(store, dataset, server, wrong)


def test_a_server_that_fails_every_question_once_gives_the_same_candidates(
    tmp_path: Path, store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    """The failures are of every kind that costs no waiting; methods/llm has all kinds.

    Which failure comes depends on the question and the round alone, whatever came between: two in
    a row may be the end of a question.
    """
    troubles = (
        Status(429, headers=(("retry-after", "0"),)),
        Answer('{"concepts": ["cut o', finish_reason="length"),
        Answer(""),
        Answer("Here is what I think of this class."),
        Answer(None, refusal="I would rather not."),
    )
    visits: Counter[str] = Counter()
    given: Counter[Answer | Status] = Counter()
    lock = threading.Lock()

    def statements(body: dict[str, Any]) -> str:
        prompt = str(body["messages"][0]["content"])
        return json.dumps({"concepts": [f"sign {len(prompt)}", f"sign {sum(prompt.encode())}"]})

    def faulty(body: dict[str, Any]) -> Answer | Status:
        prompt = str(body["messages"][0]["content"])
        with lock:
            visits[prompt] += 1
            asked_again = visits[prompt] % 2 == 0
            reply: Answer | Status = Answer(statements(body))
            if not asked_again:
                reply = troubles[(len(prompt) + visits[prompt] // 2) % len(troubles)]
                given[reply] += 1
        return reply

    found = []
    for folder, behave in (("calm", lambda body: Answer(statements(body))), ("stormy", faulty)):
        kept = ArtifactStore(tmp_path / folder)
        about = kept.save(store.load(ImageDataset, dataset), Recipe(stage="ingest", code=""))
        with chat_server(behave) as server:
            spec = ProposeSpec(sources=(PROMPTS,), modality="dermoscopy image")
            asked = llm(server).model_copy(update={"max_retries": 6})
            made = kept.load(
                CandidateSet, propose_concepts.fn(Workplace(kept), about, None, spec, asked)
            )
        found.append([(c.text, c.classes, len(c.origins)) for c in made.candidates])
        assert made.failures == ()
    assert found[0] == found[1]
    assert set(given) == set(troubles)
    assert given.total() == sum(visits.values()) / 2 >= 2 * len(ASPECTS) * 2
