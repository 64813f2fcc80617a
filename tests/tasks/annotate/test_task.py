import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.images import Reports
from curette.schemas.llm import Usage
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.store import ArtifactStore
from curette.tasks.annotate import STAGE
from curette.tasks.annotate.task import annotate_reports
from curette.tasks.stage import Workplace
from tests.builders.small_study import SELECTED, small_study
from tests.servers import Answer, Behaviour, ChatServer, Status, chat_server
from tests.tasks.annotate.readers import answer, faithful, write_report

TEXTS = list(SELECTED)
SECRET = "Quillfeather"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def validated(store: ArtifactStore, spent: int = 0) -> Ref[ValidatedConceptDataset]:
    """Save the small study with a report of every image but the first."""
    study = small_study()
    ids = study.dataset.images["image_id"].tolist()
    reports = {
        image_id: write_report(TEXTS[i % 7 :], TEXTS[: i % 7], f"{SECRET} {i}.")
        for i, image_id in enumerate(ids)
        if i
    }
    kept = store.save(Reports(texts=reports), Recipe(stage="ingest", code=""))
    study.dataset = replace(study.dataset, reports=kept)
    used = Usage(requests=spent, answers=spent)
    study.screened = study.screened.model_copy(update={"usage": used})
    names = ("dataset", "candidates", "screened", "concepts", "priors", "embeddings", "index")
    digests = {n: r.digest for n, r in zip(names, study.save(store), strict=True)}
    recipe = Recipe(stage="validate", code="")
    return store.save(ValidatedConceptDataset(**digests, report="0" * 20), recipe)


def annotate(
    store: ArtifactStore,
    server: ChatServer,
    ref: Ref[ValidatedConceptDataset],
    consent: str | None = None,
    most: int | None = None,
    **settings: Any,
) -> Annotations:
    spec = AnnotateSpec(
        reports_may_be_sent_to=server.base_url if consent is None else consent, max_reports=most
    )
    llm = LlmSpec(model="tiny", base_url=server.base_url, max_retries=0, **settings)
    return store.load(
        Annotations, annotate_reports.fn(Workplace(store), ref, spec, "photograph", llm)
    )


def template() -> Behaviour:
    return lambda body: Answer(answer(str(body["messages"][0]["content"]), faithful))


@pytest.fixture(scope="module")
def read_twice(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[ChatServer, list[Annotations], list[int]]:
    """A server that was asked about all reports, what came of it, and how much it had been asked
    each time."""
    store = ArtifactStore(tmp_path_factory.mktemp("store"))
    ref, made, asked = validated(store), [], []
    with chat_server(template()) as server:
        for _ in range(2):
            made.append(annotate(store, server, ref))
            asked.append(len(server.bodies))
    return server, made, asked


def test_annotations_come_from_the_servers_answers_and_are_kept(
    read_twice: tuple[ChatServer, list[Annotations], list[int]],
) -> None:
    _, (made, again), (asked, in_all) = read_twice
    assert again.facts == made.facts
    # every report, and those of training and validation images again, which are less than 50
    assert in_all == asked == 59 + 47
    assert (made.facts.model, made.facts.images, made.facts.images_without) == ("tiny-1", 59, 1)
    assert made.facts.usage.prompt_tokens == 100 * asked
    assert {c.text for c in made.facts.used} == set(TEXTS)


def test_the_consent_is_asked_for_again_where_something_would_be_sent(store: ArtifactStore) -> None:
    ref = validated(store)
    with chat_server(template()) as server:
        for consent in ("", "http://127.0.0.1:1/v1"):
            with pytest.raises(StudyError, match=r"annotate: .* Nothing was sent"):
                annotate(store, server, ref, consent)
    assert server.bodies == []


def test_what_was_asked_before_counts_towards_the_limit(store: ArtifactStore) -> None:
    ref = validated(store, spent=95)
    with chat_server(template()) as server:
        with pytest.raises(StudyError, match="max_requests"):
            annotate(store, server, ref, most=4, max_requests=100)
        assert len(server.bodies) == 5
        made = annotate(store, server, ref, most=4, max_requests=500)
        assert len(server.bodies) == made.facts.questions > 5


@pytest.mark.parametrize("status", [400, 500, 200])
def test_a_server_that_repeats_a_report_in_its_errors_is_not_quoted(
    store: ArtifactStore, status: int
) -> None:
    def echo(body: dict[str, Any]) -> Status:
        said = body["messages"][0]["content"]
        return Status(status, json.dumps({"error": {"message": said}, "said": said}))

    with chat_server(echo) as server, pytest.raises(StudyError) as caught:
        annotate(store, server, validated(store))
    assert SECRET in server.sent[0][1]
    assert SECRET not in str(caught.value)
    assert "its own words are left out" in str(caught.value)


def test_a_server_that_points_elsewhere_is_not_followed(store: ArtifactStore) -> None:
    with chat_server(template()) as elsewhere:
        there = (("location", f"{elsewhere.base_url}/chat/completions"),)
        with (
            chat_server(lambda _: Status(307, "{}", there)) as server,
            pytest.raises(StudyError, match="HTTP 307"),
        ):
            annotate(store, server, validated(store))
    assert elsewhere.sent == []


def test_batches_would_leave_files_at_the_server_so_none_is_begun(store: ArtifactStore) -> None:
    with (
        chat_server(template()) as server,
        pytest.raises(StudyError, match=r"delivery is `batch`.* write `delivery: live`. Nothing"),
    ):
        annotate(store, server, validated(store), delivery="batch")
    assert server.sent == []


def test_a_server_that_does_not_say_which_model_it_is_has_the_studys(store: ArtifactStore) -> None:
    def unnamed(body: dict[str, Any]) -> Status:
        content = answer(str(body["messages"][0]["content"]), faithful)
        return Status(200, json.dumps({"choices": [{"message": {"content": content}}]}))

    with chat_server(unnamed) as server:
        assert annotate(store, server, validated(store), most=3).facts.model == "tiny"


def test_one_question_that_is_refused_is_kept_with_a_reason_that_quotes_nothing(
    store: ArtifactStore,
) -> None:
    told: dict[str, None] = {}

    def refuse_one(body: dict[str, Any]) -> Answer | Status:
        said = str(body["messages"][0]["content"])
        told.update(dict.fromkeys(re.findall(rf"{SECRET} (\d+)\.", said)))
        if len(told) > 1 and f"{SECRET} {[*told][1]}." in said:
            return Status(400, json.dumps({"error": {"message": said}}))
        return Answer(answer(said, faithful))

    with chat_server(refuse_one) as server:
        made = annotate(store, server, validated(store), most=8, concurrency=1)
    refused = f"img{int([*told][1]):02d}"
    assert {f.image_id for f in made.facts.failures} == {refused}
    assert SECRET not in made.facts.model_dump_json()
    assert made.answers.set_index("image_id").loc[refused].isna().all()


def test_nothing_but_the_report_the_concepts_and_the_modality_is_sent(
    read_twice: tuple[ChatServer, list[Annotations], list[int]],
) -> None:
    server, _, _ = read_twice
    dataset = small_study().dataset
    hidden = {
        *dataset.images["image_id"],
        *dataset.images["subject"],
        *dataset.images["location"],
        *dataset.class_keys,
        *(c.name for c in dataset.classes),
    }
    for prompt in server.prompts():
        words = prompt.replace(SECRET, "")
        assert not [h for h in hidden if f" {h} " in words or h in words.split()]
        assert "photograph" in prompt


def test_patience_and_limits_are_in_no_key_and_settings_are() -> None:
    ref: Ref[ValidatedConceptDataset] = Ref("validated-concept-dataset", "0" * 20)

    def key(spec: AnnotateSpec, **settings: Any) -> str:
        llm = LlmSpec(model="tiny", base_url="http://here/v1", **settings)
        return STAGE.key({"validated": ref, "spec": spec, "modality": "x", "llm": llm})

    spec = AnnotateSpec(reports_may_be_sent_to="http://here/v1")
    assert key(spec) == key(spec, max_requests=5, concurrency=1)
    assert key(spec) != key(spec.model_copy(update={"min_kappa": 0.1}))


def test_no_other_stage_loads_reports() -> None:
    stages = Path(__file__).parents[3] / "tasks"
    loading = [p.parent.name for p in stages.rglob("*.py") if "load(Reports" in p.read_text()]
    assert loading == ["annotate"]
