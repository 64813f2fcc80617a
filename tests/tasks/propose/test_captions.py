"""Captions: which images a model is shown, what it is not told, and whose statements they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import CandidateSet, CaptionOrigin
from curette.schemas.images import ImageDataset
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import ProposeSpec
from curette.schemas.study import Study
from curette.storage.images import SHELF, ImageShelf
from curette.storage.store import ArtifactStore
from curette.tasks.propose.captions import drawn_exhibits, forecast_captions
from curette.tasks.propose.task import propose_concepts
from curette.tasks.stage import Workplace
from tests.builders.images import SECRET_CLASSES, image_dataset
from tests.pictures import number_of, picture, shown, told_words
from tests.servers import Answer, ChatServer, chat_server

IMAGES = 36


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def dataset(store: ArtifactStore) -> ImageDataset:
    """Return three classes of twelve images; each subject has two, and a third are test images."""
    shelf = ImageShelf(store.root)
    kept = [shelf.put(picture(number)) for number in range(IMAGES)]
    numbers = np.arange(IMAGES)
    split = np.array(["train", "train", "test"], dtype=object)[numbers // 2 % 3]
    keys = [SECRET_CLASSES[n // 12].key for n in numbers]
    table = pd.DataFrame(
        {
            "image_id": [f"secret-image-{n}" for n in numbers],
            "sha256": kept,
            "location": [f"{SHELF}{s}" for s in kept],
            "split": split,
            "label": [None if s == "test" else k for k, s in zip(keys, split, strict=True)],
            "group": [f"secret-subject-{n // 2}" for n in numbers],
        }
    )
    return image_dataset(table, classes=SECRET_CLASSES)


def see(body: dict[str, Any]) -> Answer:
    """Describe the colour in the middle, and say one thing of every image."""
    image, _ = shown(body)
    number = number_of(image)
    middle = image.getpixel((image.width // 2, image.height // 2))
    said = (
        [f"{'red' if middle == (255, 0, 0) else 'blue'} shape on white", "a sharp edge"]
        if number is None
        else [f"an area like shade {number} of teal", "a uniform colour all over"]
    )
    return Answer(json.dumps({"concepts": said}))


def propose(
    store: ArtifactStore, server: ChatServer, images: ImageDataset, **source: Any
) -> CandidateSet:
    about = {"kind": "captions", "images_may_be_sent_to": server.base_url, "image_side": 64}
    spec = ProposeSpec.model_validate({"sources": [about | source], "modality": "photograph"})
    llm = LlmSpec(model="sees", base_url=server.base_url, max_retries=0)
    ref: Ref[ImageDataset] = store.save(images, Recipe(stage="ingest", code=""))
    return store.load(CandidateSet, propose_concepts.fn(Workplace(store), ref, None, spec, llm))


def test_training_images_of_each_class_are_described_and_no_class_is_told(
    store: ArtifactStore,
) -> None:
    images = dataset(store)
    with chat_server(see) as server:
        made = propose(store, server, images, images_per_class=4)
        assert propose(store, server, images, images_per_class=4) == made
        assert len(server.bodies) == 2 + 3 * 4, "nothing is asked twice"
    table = images.images.set_index("image_id")
    by_text = {c.text: c for c in made.candidates}
    assert by_text.pop("a uniform colour all over").classes == tuple(c.key for c in SECRET_CLASSES)
    assert len(by_text) == 3 * 4
    for candidate in by_text.values():
        (origin,) = candidate.origins
        assert isinstance(origin, CaptionOrigin)
        assert origin.image_id == f"secret-image-{candidate.text.split()[4]}"
        row = table.loc[origin.image_id]
        assert (row["split"], (row["label"],)) == ("train", candidate.classes)
    for body in server.bodies:
        assert "secret" not in told_words(body)
        assert not [c.name for c in SECRET_CLASSES if c.name in told_words(body)]
        assert shown(body)[0].info == {}
    shelved = "".join(f.read_text() for f in store.root.glob("responses/??/*.json"))
    assert "base64" not in shelved


def test_images_of_other_subjects_come_first(store: ArtifactStore) -> None:
    images = dataset(store)
    table = images.images.set_index("image_id")
    for per_class, subjects in ((3, 3), (4, 4), (6, 4), (50, 4)):
        chosen = drawn_exhibits(images, per_class)
        for label in SECRET_CLASSES:
            ids = [e.image_id for e in chosen if e.class_key == label.key]
            assert len(ids) == min(per_class, 8)
            assert table.loc[ids, "group"].nunique() == subjects
            assert set(table.loc[ids, "split"]) == {"train"}


def test_a_model_that_does_not_see_is_sent_no_image_of_the_study(store: ArtifactStore) -> None:
    blind = Answer(json.dumps({"concepts": ["an even brown colour", "a sharp edge"]}))
    told = pytest.raises(StudyError, match="shown a red disc, sees says nothing of red")
    with chat_server(lambda _: blind) as server, told:
        propose(store, server, dataset(store))
    assert {number_of(shown(body)[0]) for body in server.bodies} == {None}


@pytest.mark.parametrize("consent", ["", "http://127.0.0.1:1/v1"])
def test_without_a_consent_that_names_the_address_nothing_is_sent(
    store: ArtifactStore, consent: str
) -> None:
    with chat_server(see) as server, pytest.raises(StudyError, match="Nothing was sent"):
        propose(store, server, dataset(store), images_may_be_sent_to=consent)
    assert server.bodies == []
    study = {
        "name": "captioned",
        "dataset": {"source": {"kind": "synthetic"}},
        "propose": {"sources": [{"kind": "captions", "images_may_be_sent_to": consent}]},
        "llm": {"model": "sees", "base_url": server.base_url},
    }
    with pytest.raises(ValueError, match=r"propose.sources: .*Nothing was sent"):
        Study.model_validate(study)


def test_an_estimate_counts_a_question_an_image(store: ArtifactStore) -> None:
    images = dataset(store)
    with chat_server(see) as server:
        made = propose(store, server, images, images_per_class=4)
        spec = ProposeSpec.model_validate(
            {"sources": [{"kind": "captions", "images_per_class": 4}], "modality": "photograph"}
        )
        (source,) = spec.sources
        llm = LlmSpec(model="sees", base_url=server.base_url)
    forecast = forecast_captions(images.classes, source, "photograph", llm)  # type: ignore[arg-type]
    assert forecast.fewest == forecast.most == made.usage.requests
