"""A model that looks at images: what it is sent, what it is not, and what its answers are worth."""

import base64
import io
import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.images import ImageDataset
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import SHELF, ImageShelf
from curette.storage.store import ArtifactStore
from curette.tasks.annotate.asking import planted_statements
from curette.tasks.annotate.looking import DRAWN
from curette.tasks.annotate.task import annotate_reports
from curette.tasks.methods.llm.shown import as_data_url, picture_tokens
from curette.tasks.stage import Workplace
from tests.builders.small_study import CLASSES, SELECTED, small_study
from tests.pictures import SECRET, number_of, picture, shown
from tests.servers import Answer, Behaviour, ChatServer, Reply, chat_server

TEXTS = list(SELECTED)
IMAGES, TEST, SMALL = 60, 12, 64
FEW = {"max_reports": 12}
Eye = Callable[[int, str], str]
"""Number of an image and a statement -> what is said of it."""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def validated(store: ArtifactStore) -> tuple[Ref[ValidatedConceptDataset], ImageDataset]:
    """Save the small study with images on the shelf."""
    study = small_study()
    shelf = ImageShelf(store.root)
    kept = [shelf.put(picture(number)) for number in range(IMAGES)]
    table = study.dataset.images.assign(sha256=kept, location=[f"{SHELF}{s}" for s in kept])
    study.dataset = replace(study.dataset, images=table)
    names = ("dataset", "candidates", "screened", "concepts", "priors", "embeddings", "index")
    digests = {n: r.digest for n, r in zip(names, study.save(store), strict=True)}
    ref = store.save(
        ValidatedConceptDataset(**digests, report="0" * 20), Recipe(stage="validate", code="")
    )
    return ref, study.dataset


def annotate(
    store: ArtifactStore,
    server: ChatServer,
    ref: Ref[ValidatedConceptDataset],
    spec: dict[str, Any] | None = None,
    modality: str = "photograph",
    **settings: Any,
) -> Annotations:
    about = AnnotateSpec.model_validate(
        {"images_may_be_sent_to": server.base_url, "image_side": SMALL} | (spec or {})
    )
    llm = LlmSpec(model="sees", base_url=server.base_url, max_retries=0, **settings)
    return store.load(Annotations, annotate_reports.fn(Workplace(store), ref, about, modality, llm))


def seeing(eye: Eye, of_cards: str = "absent") -> Behaviour:
    """Return a server that sees: the cards as they are, images of the study as its eye has it."""

    def behave(body: dict[str, Any]) -> Answer:
        image, statements = shown(body)
        middle = image.getpixel((image.width // 2, image.height // 2))
        drawn = {(255, 0, 0): DRAWN[0], (0, 0, 255): DRAWN[1]}
        number = number_of(image)

        def say(text: str) -> str:
            if text in planted_statements():
                return "absent"
            if number is None:
                known = drawn.get(cast(tuple[int, int, int], middle))
                return ("present" if text == known else "absent") if text in DRAWN else of_cards
            return eye(number, text)

        return Answer(json.dumps({str(n): say(t) for n, t in enumerate(statements, start=1)}))

    return behave


def stripes(number: int, text: str) -> str:
    return ("present", "absent", "absent", "cannot tell")[(number // 2 + TEXTS.index(text)) % 4]


def test_what_a_model_sees_is_what_the_images_show_and_nothing_else_goes_along(
    store: ArtifactStore,
) -> None:
    ref, dataset = validated(store)
    with chat_server(seeing(stripes)) as server:
        made = annotate(store, server, ref)
        asked = len(server.bodies)
        assert annotate(store, server, ref).facts == made.facts
        assert len(server.bodies) == asked, "nothing is asked twice"
    table = made.answers.set_index("image_id")
    number = {i: n for n, i in enumerate(dataset.images["image_id"])}
    for concept in made.facts.concepts:
        expected = [stripes(number[i], concept.text) for i in table.index]
        said = table[concept.concept_id].replace("not mentioned", "cannot tell").tolist()
        assert said == expected
    assert {c.text for c in made.facts.used} == set(TEXTS)
    assert {x.source for x in made.labelled} == {"images"}
    # dependence on the class of labels that are stripes
    assert all(abs(c.class_kappa or 0) < 0.6 for c in made.facts.concepts)
    assert (made.facts.reads, made.facts.side, made.facts.test_images) == ("images", SMALL, False)
    held_out = set((dataset.images["split"] == "test").to_numpy().nonzero()[0].tolist())
    seen = {number_of(shown(body)[0]) for body in server.bodies} - {None}
    assert len(held_out) == TEST
    assert seen == set(range(IMAGES)) - held_out
    assert made.facts.images == IMAGES - TEST
    sent = re.sub(r"base64,[^\"]+", "", json.dumps(server.bodies))
    for word in (SECRET, *(c.key for c in CLASSES), *(c.name for c in CLASSES), *number):
        assert word not in sent
    for body in server.bodies:
        image, _ = shown(body)
        assert max(image.size) <= SMALL
        assert image.info == {}
    kept = [f.read_text() for f in store.root.glob("responses/??/*.json")]
    assert len(kept) == asked
    assert not [text for text in kept if "base64" in text]
    one = dataset.images["sha256"][0]
    assert sum(one in text for text in kept) == 2, "whoever withdraws an image finds what was asked"


def test_test_images_are_sent_where_the_study_says_so(store: ArtifactStore) -> None:
    ref, _ = validated(store)
    with chat_server(seeing(stripes)) as server:
        made = annotate(store, server, ref, {"test_images": True})
    assert {number_of(shown(body)[0]) for body in server.bodies} - {None} == set(range(IMAGES))
    assert made.facts.test_images
    assert made.facts.images == IMAGES


@pytest.mark.parametrize("consent", ["http://127.0.0.1:1/v1", "https://api.openai.com/v1"])
def test_without_a_consent_that_names_the_address_nothing_is_sent(
    store: ArtifactStore, consent: str
) -> None:
    ref, _ = validated(store)
    with chat_server(seeing(stripes)) as server:
        with pytest.raises(StudyError, match=r"images_may_be_sent_to is .* Nothing was sent"):
            annotate(store, server, ref, {"images_may_be_sent_to": consent})
        with pytest.raises(StudyError, match="delivery is `batch`"):
            annotate(store, server, ref, delivery="batch")
    assert server.bodies == []


def test_reports_and_images_are_not_read_in_one_study() -> None:
    both = {"images_may_be_sent_to": "http://a/v1", "reports_may_be_sent_to": "http://a/v1"}
    with pytest.raises(ValueError, match="exclude each other"):
        AnnotateSpec.model_validate(both)
    with pytest.raises(ValueError, match="cannot tell what an image"):
        AnnotateSpec(images_may_be_sent_to="http://a/v1", not_mentioned="absent")


@pytest.mark.parametrize("word", ["absent", "present", "cannot tell"])
def test_a_model_that_does_not_see_is_sent_no_image_of_the_study(
    store: ArtifactStore, word: str
) -> None:
    def blind(body: dict[str, Any]) -> Answer:
        _, statements = shown(body)
        said = ["absent" if s in planted_statements() else word for s in statements]
        return Answer(json.dumps({str(n): w for n, w in enumerate(said, start=1)}))

    ref, _ = validated(store)
    told = pytest.raises(StudyError, match=r"shown a red disc, tiny-1 says .*does not see what")
    with chat_server(blind) as server, told:
        annotate(store, server, ref)
    assert {number_of(shown(body)[0]) for body in server.bodies} == {None}


def test_what_is_seen_in_an_empty_picture_is_not_used(store: ArtifactStore) -> None:
    ref, _ = validated(store)
    with chat_server(seeing(stripes, of_cards="present")) as server:
        made = annotate(store, server, ref, {"max_reports": 4})
    assert {c.why_unused for c in made.facts.concepts} == {
        "it was called present on an empty grey picture"
    }


@pytest.mark.parametrize(
    ("modality", "name", "middle"),
    [
        ("dermoscopy", "a drawn radiograph", (175, 175, 175)),
        ("chest X-ray", "drawn skin with a brown spot", (82, 46, 30)),
    ],
)
def test_what_is_seen_in_a_picture_of_another_kind_is_not_used(
    store: ArtifactStore, modality: str, name: str, middle: tuple[int, int, int]
) -> None:
    eye = seeing(stripes)

    def fooled(body: dict[str, Any]) -> Reply:
        image, statements = shown(body)
        seen = cast(tuple[int, int, int], image.getpixel((SMALL // 2, SMALL // 2)))
        if max(abs(a - b) for a, b in zip(seen, middle, strict=True)) > 12:
            return eye(body)
        said = ["present" if text == TEXTS[0] else "absent" for text in statements]
        return Answer(json.dumps({str(n): word for n, word in enumerate(said, start=1)}))

    ref, _ = validated(store)
    with chat_server(fooled) as server:
        made = annotate(store, server, ref, {"max_reports": 8}, modality)
    why = {c.text: c.why_unused for c in made.facts.concepts}
    assert why[TEXTS[0]] == f"it was called present on {name}"
    assert name not in {reason for text, reason in why.items() if text != TEXTS[0]}


def test_what_no_image_lets_a_model_tell_is_no_label_and_ends_no_run(store: ArtifactStore) -> None:
    def unsure(number: int, text: str) -> str:
        return "cannot tell" if text == TEXTS[0] else stripes(number, text)

    ref, _ = validated(store)
    with chat_server(seeing(unsure)) as server:
        made = annotate(store, server, ref, FEW)
    open_one = next(c for c in made.facts.concepts if c.text == TEXTS[0])
    assert (open_one.decided, open_one.luck) == (0, 1)
    assert open_one.why_unused == "no training or validation image says whether it is there"


def test_whoever_goes_by_the_class_is_told_so(store: ArtifactStore) -> None:
    """Labels that are the classes again agree with them wholly; those of stripes above do not."""
    ref, dataset = validated(store)
    labels = dataset.images["label"].tolist()

    def by_class(number: int, text: str) -> str:
        return "present" if labels[number] == SELECTED[text] else "absent"

    with chat_server(seeing(by_class)) as server:
        made = annotate(store, server, ref, FEW)
    assert [c.class_kappa for c in made.facts.concepts] == [pytest.approx(1.0)] * len(TEXTS)


def test_a_run_that_ends_on_the_way_goes_on_and_pictures_count_towards_its_limit(
    store: ArtifactStore,
) -> None:
    ref, _ = validated(store)
    with chat_server(seeing(stripes)) as server:
        with pytest.raises(StudyError, match="max_requests"):
            annotate(store, server, ref, FEW, max_requests=10)
        assert len(server.bodies) == 10
        made = annotate(store, server, ref, FEW, max_requests=500)
        assert len(server.bodies) == made.facts.questions + 4
        prices = {"prompt_usd": 1e6 / picture_tokens(SMALL), "completion_usd": 0.0}
        with pytest.raises(StudyError, match="max_cost_usd"):
            annotate(store, server, ref, FEW, prices=prices, max_cost_usd=0.9, draw=1)


def test_a_run_that_is_killed_goes_on_and_asks_nothing_twice_that_was_kept(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = validated(store)
    killed: list[int] = []
    eye = seeing(stripes)

    def kept() -> int:
        return len(list(store.root.glob("responses/??/*.json")))

    def deadly(body: dict[str, Any]) -> Reply:
        if killed and kept() >= 10:
            with suppress(ProcessLookupError):
                os.kill(killed[0], signal.SIGKILL)
        return eye(body)

    with chat_server(deadly) as server:
        child = os.fork()
        if not child:
            try:
                annotate(store, server, ref, FEW)
            finally:
                os._exit(0)
        killed.append(child)
        _, status = os.waitpid(child, 0)
        killed.clear()
        assert os.WIFSIGNALED(status), "the run ended before it could be killed"
        before = kept()
        # What the killed run had asked may still come in: the run after it has a key of its own.
        monkeypatch.setenv("OPENAI_API_KEY", "later")
        made = annotate(store, server, ref, FEW)
    assert server.keys.count("Bearer later") == made.facts.questions + 4 - before


def test_a_picture_holds_pixels_alone_and_keeps_its_shape() -> None:
    image = Image.new("RGB", (400, 100), (5, 6, 7))
    image.info["exif"] = b"Exif\x00\x00secret"
    data = base64.b64decode(as_data_url(image, 100).partition(",")[2])
    opened = Image.open(io.BytesIO(data))
    assert opened.size == (100, 25)
    assert opened.info == {}
    assert b"secret" not in data
    assert Image.open(io.BytesIO(base64.b64decode(as_data_url(image, 900).split(",")[1]))).size == (
        400,
        100,
    )
