import json
from pathlib import Path
from typing import Any

import pytest

from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.images import ImageDataset
from curette.schemas.llm import Usage
from curette.schemas.priors import Priors, Votes
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.llm import LlmPrices, LlmSpec
from curette.schemas.settings.priors import AskedPriors, LinkPriors
from curette.storage.store import ArtifactStore
from curette.tasks.priors import STAGE
from curette.tasks.priors.asking import FEWEST_PLANTED
from curette.tasks.priors.task import _summary, form_priors
from curette.tasks.stage import Workplace
from tests.builders.images import secret_dataset
from tests.servers import Answer, ChatServer, chat_server
from tests.tasks.priors.judges import Judge, answer, believer, concept, sensible

SKIN = "skin image"
SPEC = AskedPriors(kind="llm", repeats=2)
JUDGE = sensible(
    believer(
        {
            ("speaks for", "dark streaks"): {"melanoma"},
            ("speaks against", "dark streaks"): {"melanocytic nevus"},
            ("reverse", "dark streaks"): {"melanoma"},
            ("speaks for", "pearly surface"): {"basal cell carcinoma"},
        }
    )
)


def form(*given: Any) -> Ref[Priors]:
    """Run the stage; what is given last is the store."""
    *inputs, store = given
    return form_priors.fn(Workplace(store), *inputs)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


@pytest.fixture
def dataset(store: ArtifactStore) -> Ref[ImageDataset]:
    return store.save(secret_dataset(), Recipe(stage="ingest", code=""))


@pytest.fixture
def screened(store: ArtifactStore) -> Ref[ScreenedSet]:
    return screen(store)


def screen(store: ArtifactStore, spent: int = 0) -> Ref[ScreenedSet]:
    kept = (concept("dark streaks", "secret-key-mel"), concept("pearly surface", "secret-key-nv"))
    made = ScreenedSet(kept=kept, dropped=(), gates=(), usage=Usage(requests=spent, answers=spent))
    return store.save(made, Recipe(stage="screen", code=""))


def proposed(store: ArtifactStore, spent: int = 0) -> Ref[CandidateSet]:
    usage = Usage(requests=spent, answers=spent)
    made = CandidateSet(candidates=(), source="a test", usage=usage)
    return store.save(made, Recipe(stage="propose", code=""))


def behave(judge: Judge) -> Any:
    return lambda body: Answer(answer(body["messages"][0]["content"], judge))


def llm(server: ChatServer, **settings: Any) -> LlmSpec:
    return LlmSpec(model="tiny", base_url=server.base_url, max_retries=0, **settings)


def test_priors_come_from_the_servers_answers(
    store: ArtifactStore, dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    with chat_server(behave(JUDGE)) as server:
        spec = llm(server, prices=LlmPrices(prompt_usd=1, completion_usd=10))
        found = store.load(
            Priors,
            form(dataset, proposed(store), screened, SPEC, SKIN, spec, store),
        )
    assert len(server.bodies) == 2 * 3 * 2 + FEWEST_PLANTED
    assert [p.answer for p in found.priors] == [
        "speaks against",
        "speaks for",
        "neutral",
        "neutral",
        "neutral",
        "speaks for",
    ]
    assert [p.directions_differ for p in found.priors] == [*[False] * 5, True]
    assert (found.usage.answers, found.usage.prompt_tokens) == (24, 2400)
    assert found.usage.cost_usd == pytest.approx((2400 * 1 + 240 * 10) / 1e6)


def test_a_second_run_asks_nothing_and_finds_the_same(
    store: ArtifactStore, dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    with chat_server(behave(JUDGE)) as server:
        first = form(dataset, proposed(store), screened, SPEC, SKIN, llm(server), store)
        asked = len(server.bodies)
        assert form(dataset, proposed(store), screened, SPEC, SKIN, llm(server), store) == first
    assert len(server.bodies) == asked


def test_prompts_hold_names_and_statements_and_nothing_else_of_the_dataset(
    store: ArtifactStore, dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    with chat_server(behave(JUDGE)) as server:
        form(dataset, proposed(store), screened, SPEC, SKIN, llm(server), store)
    sent = json.dumps(server.bodies)
    assert "melanocytic nevus" in sent
    assert "pearly surface" in sent
    assert "secret" not in sent
    assert "77777" not in sent


def test_what_the_study_has_spent_counts_before_the_first_question(
    store: ArtifactStore, dataset: Ref[ImageDataset]
) -> None:
    with chat_server(behave(JUDGE)) as server:
        spec = llm(server, max_requests=100)
        with pytest.raises(StudyError, match="max_requests"):
            form(
                dataset,
                proposed(store, 40),
                screen(store, spent=60),
                SPEC,
                SKIN,
                spec,
                store,
            )
        assert server.bodies == []
        form(dataset, proposed(store, 40), screen(store, spent=36), SPEC, SKIN, spec, store)
    assert len(server.bodies) == 24


def test_what_the_model_will_not_answer_is_neutral_and_a_failure(
    store: ArtifactStore, dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    def refuse_pearls(body: dict[str, Any]) -> Answer:
        if "pearly surface" in body["messages"][0]["content"]:
            return Answer(None, refusal="I cannot help with that.")
        return Answer(answer(body["messages"][0]["content"], JUDGE))

    with chat_server(refuse_pearls) as server:
        made = form(dataset, proposed(store), screened, SPEC, SKIN, llm(server), store)
    found = store.load(Priors, made)
    dark, pearls = found.priors[:3], found.priors[3:]
    assert [p.answer for p in dark] == ["speaks against", "speaks for", "neutral"]
    assert {(p.answer, p.speaks_for, p.speaks_against, p.reverse) for p in pearls} == {
        ("neutral", Votes(), Votes(), Votes())
    }
    assert len(found.failures) == 6
    assert all("`pearly surface`: the model refused" in f for f in found.failures)
    assert [a.items for a in found.agreement] == [3, 3, 3]
    assert _summary(found) == (
        "tiny: 2 answers to each of 3 questions; of the control questions it answered "
        "20 of 20 whose answer is no, and 16 of 16 whose answer is yes rightly. Neutral: 4 of 6 "
        "pairs. Fleiss' kappa: "
        "speaks for 1.00 over 3 pairs, speaks against 1.00 over 3 pairs, "
        "reverse 1.00 over 3 pairs. Without a usable answer: 6."
    )


def test_links_ask_nobody(
    store: ArtifactStore, dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    made = form(dataset, proposed(store), screened, LinkPriors(), SKIN, None, store)
    assert [p.sign for p in store.load(Priors, made).priors] == [0, 1, 0, 1, 0, 0]
    assert not (store.root / "responses").exists()


def test_the_manifest_names_the_model_only_where_it_was_asked(
    store: ArtifactStore, dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    with chat_server(behave(JUDGE)) as server:
        asked = form(dataset, proposed(store), screened, SPEC, SKIN, llm(server), store)
        links = form(dataset, proposed(store), screened, LinkPriors(), SKIN, None, store)
    recipe = store.manifest(asked).recipe
    assert recipe.inputs == {
        "dataset": str(dataset),
        "candidates": str(proposed(store)),
        "screened": str(screened),
    }
    assert recipe.spec["llm"]["model"] == "tiny"
    assert "llm" not in store.manifest(links).recipe.spec


def test_settings_and_modality_are_part_of_the_stages_key(
    dataset: Ref[ImageDataset], screened: Ref[ScreenedSet]
) -> None:
    inputs = {"dataset": dataset, "screened": screened, "llm": LlmSpec(model="tiny")}
    keys = {
        STAGE.key({**inputs, "spec": spec, "modality": modality})
        for spec in (SPEC, LinkPriors(), AskedPriors(kind="llm", repeats=2, min_agreement=0.9))
        for modality in (SKIN, "retina image")
    }
    assert len(keys) == 6
