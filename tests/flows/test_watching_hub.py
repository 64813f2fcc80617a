"""A watched dataset of the hub is told of by commits, and read at the one that was looked at."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curette.flows.study_file import load_study
from curette.flows.watching import revision_seen, watch_each, watch_study
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.images import ImageDataset
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.storage.watched import WatchShelf
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.stage import Workplace
from tests.builders.demo import DEMO
from tests.hub import Hub, hub_server, name_hub
from tests.prefect_server import free_port

TOKEN, REPO, CARD = "hf_do_not_show_this_1234", "clinic/moles", "README.md"


def rows(numbers: range, site: str) -> bytes:
    """Return a Parquet file of images in the hub's layout."""
    pictures = []
    for number in numbers:
        png = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(png, "PNG")
        pictures.append({"bytes": png.getvalue(), "path": f"{number}.png"})
    labels = ["nevus" if number % 2 else "melanoma" for number in numbers]
    columns = {"image": pictures, "label": labels, "site": [site] * len(labels)}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


FIRST = {CARD: b"Moles.", "data/train-0.parquet": rows(range(20), "north")}
MORE = FIRST | {"data/train-1.parquet": rows(range(20, 23), "south")}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with hub_server(TOKEN) as hub:
        name_hub(hub, monkeypatch, tmp_path / "cache")
        yield hub


@pytest.fixture
def study() -> Study:
    source = f"dataset={{source: {{kind: hub, path: {REPO}}}, metadata: [site]}}"
    return load_study(DEMO, [source, "shifts=[]"])


def taken_in(study: Study, store: Path) -> Ref[ImageDataset]:
    at = Workplace(ArtifactStore(store))
    revision = revision_seen(study, store)
    return ingest_dataset.fn(at, study.kept_dataset, None, None, revision)


def test_a_commit_with_new_images_is_told_once_and_is_what_the_study_reads(
    hub: Hub, study: Study, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = hub.commit(REPO, FIRST, private=True)
    assert watch_study(study, store, "s.yaml").images == 20
    assert revision_seen(study, store) == first
    dataset = taken_in(study, store)
    asked = len(hub.sent)
    assert not watch_study(study, store, "s.yaml")
    assert len(hub.sent) == asked + 1, "nothing but the newest commit is asked for"

    card = hub.commit(REPO, FIRST | {CARD: b"Moles of the clinic."}, private=True)
    assert watch_study(study, store, "s.yaml").told == "nothing new"
    assert revision_seen(study, store) == card
    assert taken_in(study, store) == dataset, "the same images: all that follows is there"

    more = hub.commit(REPO, MORE, private=True)
    assert taken_in(study, store) == dataset, "nobody has looked yet"
    news = watch_study(study, store, "s.yaml")
    assert news.told == "3 new images; 2 melanoma, 1 nevus; site: 3 south"
    assert news.revision == revision_seen(study, store) == more
    hub.commit(REPO, FIRST, private=True)
    found = ArtifactStore(store).load(ImageDataset, taken_in(study, store))
    assert len(found) == 23, "read at the commit that was looked at, and no newer one"
    assert not any(TOKEN.encode() in f.read_bytes() for f in store.rglob("*") if f.is_file())


def test_what_was_looked_at_of_one_source_says_nothing_of_another(
    hub: Hub, study: Study, tmp_path: Path
) -> None:
    hub.commit(REPO, FIRST)
    watch_study(study, tmp_path, "s.yaml")
    other = f"dataset={{source: {{kind: hub, path: {REPO}, revision: v2}}}}"
    assert revision_seen(load_study(DEMO, [other, "shifts=[]"]), tmp_path) is None
    assert revision_seen(load_study(DEMO), tmp_path) is None


def test_a_hub_that_is_down_or_refuses_is_one_error_and_nothing_is_forgotten(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    images = tmp_path / "images" / "nevus"
    images.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(images / "1.png")
    folder = f"dataset={{source: {{kind: folder, path: {images.parent}}}}}"
    studies = {"hub.yaml": study, "folder.yaml": load_study(DEMO, [folder, "name=f", "shifts=[]"])}

    def watched() -> str:
        looked = watch_each(studies, studies.__getitem__, tmp_path / "store")
        assert next(looked)[0] == "folder.yaml", "the others are looked at"
        with pytest.raises(StudyError) as told:
            next(looked)
        return str(told.value)

    with hub_server(TOKEN) as hub:
        name_hub(hub, monkeypatch, tmp_path / "cache")
        hub.commit(REPO, FIRST, private=True)
        watch_study(study, tmp_path / "store", "hub.yaml")
        kept = WatchShelf(tmp_path / "store").get(study.name)
        for token in ("", "hf_another_5678"):
            monkeypatch.setenv("HF_TOKEN", token)
            said = watched()
            assert said.startswith(
                f"hub.yaml: the hub says nothing of the dataset {REPO}: HTTP 401."
            )
            assert "HF_TOKEN" in said
            assert "hf_another" not in said
            assert "\n" not in said
    name_hub(Hub(TOKEN, f"http://127.0.0.1:{free_port()}"), monkeypatch, tmp_path / "cache")
    assert "Look whether the hub is reached" in watched()
    assert WatchShelf(tmp_path / "store").get(study.name) == kept
