import json
from pathlib import Path

import pytest

from curette.schemas.responses import LlmRequest, LlmResponse, SubmittedBatch
from curette.storage.responses import ResponseShelf
from curette.storage.store import StoreError

REQUEST = LlmRequest(
    base_url="http://localhost:1/v1",
    body={"model": "m", "messages": [{"role": "user", "content": "é?"}], "temperature": 0.8},
    sample=0,
)
RESPONSE = LlmResponse(text='{"concepts": ["ünïcode\\n"]}', model="m-1", format="json_schema")


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    shelf = ResponseShelf(tmp_path)
    assert shelf.get(REQUEST) is None
    shelf.put(REQUEST, RESPONSE)
    assert shelf.get(REQUEST) == RESPONSE


def test_an_answer_stands_in_one_file_named_after_its_request(tmp_path: Path) -> None:
    ResponseShelf(tmp_path).put(REQUEST, RESPONSE)
    digest = REQUEST.sha256
    files = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert files == [f"responses/{digest[:2]}/{digest}.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://localhost:2/v1"},
        {"sample": 1},
        {"draw": 1},
        {"body": REQUEST.body | {"model": "n"}},
        {"body": REQUEST.body | {"temperature": 0.7}},
        {"body": REQUEST.body | {"messages": [{"role": "user", "content": "e?"}]}},
    ],
)
def test_another_request_has_another_address(tmp_path: Path, change: dict[str, object]) -> None:
    shelf = ResponseShelf(tmp_path)
    shelf.put(REQUEST, RESPONSE)
    assert shelf.get(REQUEST.model_copy(update=change)) is None


def test_the_address_does_not_depend_on_the_order_of_keys() -> None:
    turned = dict(reversed(REQUEST.body.items()))
    assert REQUEST.model_copy(update={"body": turned}).sha256 == REQUEST.sha256


def test_the_address_is_what_earlier_versions_gave_it() -> None:
    """Every answer paid for would be asked again if this changed."""
    assert REQUEST.sha256 == "624761b762ddfccf1eae382c35013f03f4e9700c70b965d62c9617328f1b7484"


def test_a_damaged_file_counts_as_no_answer_and_is_replaced(tmp_path: Path) -> None:
    shelf = ResponseShelf(tmp_path)
    shelf.put(REQUEST, RESPONSE)
    file = next(tmp_path.rglob("*.json"))
    file.write_bytes(file.read_bytes()[:40])
    assert shelf.get(REQUEST) is None
    shelf.put(REQUEST, RESPONSE)
    assert shelf.get(REQUEST) == RESPONSE


def test_an_answer_filed_under_another_request_is_not_taken(tmp_path: Path) -> None:
    shelf = ResponseShelf(tmp_path)
    shelf.put(REQUEST, RESPONSE)
    other = REQUEST.model_copy(update={"sample": 1})
    place = tmp_path / "responses" / other.sha256[:2] / f"{other.sha256}.json"
    place.parent.mkdir(exist_ok=True)
    next(tmp_path.rglob("*.json")).rename(place)
    assert shelf.get(other) is None


def test_a_place_that_cannot_be_written_names_the_cure(tmp_path: Path) -> None:
    (tmp_path / "responses").write_text("in the way")
    with pytest.raises(StoreError, match="a part of the path is a file: choose a folder"):
        ResponseShelf(tmp_path).put(REQUEST, RESPONSE)


BATCH = SubmittedBatch(
    base_url="http://localhost:1/v1",
    input_file_id="../../file-1",
    format="json_schema",
    requests=("aa", "bb"),
    earlier={"aa": RESPONSE},
)


def test_a_submitted_batch_is_found_until_it_is_dropped(tmp_path: Path) -> None:
    shelf = ResponseShelf(tmp_path)
    assert shelf.open_batches() == []
    shelf.keep_batch(BATCH)
    begun = BATCH.model_copy(update={"batch_id": "batch-1"})
    shelf.keep_batch(begun)
    assert ResponseShelf(tmp_path).open_batches() == [begun]
    other = BATCH.model_copy(update={"input_file_id": "file-2"})
    shelf.keep_batch(other)
    shelf.drop_batch(begun)
    shelf.drop_batch(begun)
    assert shelf.open_batches() == [other]


def test_a_servers_name_for_a_file_is_no_path(tmp_path: Path) -> None:
    ResponseShelf(tmp_path / "store").keep_batch(BATCH)
    [file] = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert file.parent == tmp_path / "store" / "responses" / "batches"


def test_a_damaged_record_of_a_batch_is_passed_over(tmp_path: Path) -> None:
    shelf = ResponseShelf(tmp_path)
    shelf.keep_batch(BATCH)
    file = next(tmp_path.rglob("*.json"))
    file.write_bytes(file.read_bytes()[:40])
    assert shelf.open_batches() == []


def test_answers_of_earlier_versions_are_read(tmp_path: Path) -> None:
    shelf = ResponseShelf(tmp_path)
    shelf.put(REQUEST, RESPONSE)
    file = next(tmp_path.rglob("*.json"))
    stored = json.loads(file.read_bytes())
    for name in ("requests", "delivery", "error"):
        del stored["response"][name]
    file.write_text(json.dumps(stored))
    assert shelf.get(REQUEST) == RESPONSE
