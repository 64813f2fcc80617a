"""A store in object storage keeps what a folder keeps: whole or absent, checked, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.readings import HoldoutCharge, TestReading
from curette.schemas.settings.evaluate import ThresholdoutSpec
from curette.storage.bucket import BucketSilent, bucket_of, local_folder
from curette.storage.decisions import DecisionShelf
from curette.storage.images import ImageShelf
from curette.storage.ledger import TestLedger
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.store import ArtifactCorrupt, ArtifactMissing, ArtifactStore
from curette.storage.vectors import VectorShelf
from curette.storage.versions import Versions
from tests.object_storage import SECRET, URL, ObjectStorage
from tests.storage.notes import RECIPE, Note


def test_what_one_machine_saves_another_loads(machines: list[Path]) -> None:
    one, two = map(ArtifactStore, machines)
    ref = one.save(Note(text="héllo"), RECIPE)
    assert two.load(Note, ref) == Note(text="héllo")
    assert two.is_whole(ref)
    assert two.manifest(ref) == one.manifest(ref)
    assert two.latest("note") == [ref]
    with pytest.raises(ArtifactMissing):
        two.load(Note, Ref("note", "0" * 20))


def test_a_manifest_is_written_last(storage: ObjectStorage) -> None:
    ArtifactStore(local_folder(URL)).save(Note(text="a"), RECIPE)
    written = [path.split("/", 6)[-1] for method, path in storage.asked if method == "PUT"][1:]
    assert [name for name in written if name.endswith("manifest.json")] == written[-1:]
    assert len(written) == 3


def test_the_folder_may_be_deleted_at_any_time(machines: list[Path]) -> None:
    store = ArtifactStore(machines[1])
    ref = store.save(Note(text="a"), RECIPE)
    for file in sorted(machines[1].rglob("*"), reverse=True):
        if file.name != ".mirrors":
            file.rmdir() if file.is_dir() else file.unlink()
    assert store.load(Note, ref) == Note(text="a")


def test_a_byte_that_changed_in_the_bucket_is_found_and_written_anew(machines: list[Path]) -> None:
    one, two = map(ArtifactStore, machines)
    ref = one.save(Note(text="abc"), RECIPE)
    bucket = bucket_of(machines[0])
    assert bucket
    bucket.put(f"{ref}/note.json", b"{}")
    assert not two.is_whole(ref)
    with pytest.raises(ArtifactCorrupt, match="changed after it was saved"):
        two.load(Note, ref)
    assert two.save(Note(text="abc"), RECIPE) == ref
    assert bucket.get(f"{ref}/note.json") == (one.path(ref) / "note.json").read_bytes()
    assert two.load(Note, ref) == Note(text="abc")


SAVES = f"""
from tests.storage.notes import Note, RECIPE
from curette.storage.bucket import local_folder
from curette.storage.store import ArtifactStore
ArtifactStore(local_folder({URL!r})).save(Note(text="killed"), RECIPE)
"""


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_killed_between_two_writes_it_leaves_a_store_that_loads(
    writes: int, storage: ObjectStorage, machines: list[Path]
) -> None:
    one, two = map(ArtifactStore, machines)
    before = one.save(Note(text="before"), RECIPE)
    storage.writes_left = writes
    process = subprocess.Popen([sys.executable, "-c", SAVES], env=os.environ | {"PYTHONPATH": "."})
    assert storage.at_the_last.wait(180)
    process.send_signal(signal.SIGKILL)
    process.wait()
    storage.writes_left = None
    assert two.latest("note") == [before]
    assert two.load(Note, before) == Note(text="before")
    ref = one.save(Note(text="killed"), RECIPE)
    assert two.load(Note, ref) == Note(text="killed")
    assert {*two.latest("note")} == {before, ref}


def test_of_lines_that_many_add_at_a_time_none_is_lost(machines: list[Path]) -> None:
    """Each knows of those before it, on whichever machine."""
    told: list[int] = []

    def work(number: int) -> None:
        reading = TestReading(
            labels="a" * 64,
            study=f"s{number}",
            at="2026-01-05T09:00:00+00:00",
            asked="metrics",
            question=f"q{number}",
        )
        ledger = TestLedger(machines[number % 2])
        told.append(len(ledger.record(reading, [f"{number:064x}"])))

    _at_a_time(work, 8)
    assert sorted(told) == [*range(8)]
    assert len(TestLedger(machines[0]).readings("a" * 64)) == 8


def test_no_charge_is_lost_and_all_machines_have_one_seed(machines: list[Path]) -> None:
    seeds = set()

    def work(number: int) -> None:
        def answer(seed: int, before: tuple[HoldoutCharge, ...]) -> tuple[int, HoldoutCharge]:
            seeds.add(seed)
            return len(before), HoldoutCharge(
                study="s", question=f"q{number}", settings=ThresholdoutSpec(), asked=1, spent=1
            )

        said.append(TestLedger(machines[number % 2]).charge("b" * 64, f"q{number}", answer))

    said: list[int] = []
    _at_a_time(work, 6)
    assert len(seeds) == 1
    assert sorted(said) == [*range(6)]


def test_of_decisions_that_two_machines_add_none_is_lost(machines: list[Path]) -> None:
    def work(number: int) -> None:
        store = ArtifactStore(machines[number % 2])

        def add(before: Ref[Note] | None) -> Ref[Note]:
            text = store.load(Note, before).text if before else ""
            return store.save(Note(text=f"{text}{number}"), RECIPE)

        DecisionShelf(machines[number % 2], Note).change("skin", add)

    _at_a_time(work, 4)
    ref = DecisionShelf(machines[0], Note).get("skin")
    assert ref
    assert sorted(ArtifactStore(machines[0]).load(Note, ref).text) == ["0", "1", "2", "3"]


def test_shelves_are_shared(machines: list[Path]) -> None:
    one, two = machines
    sha256 = ImageShelf(one).put(b"pixels")
    assert ImageShelf(two).get(sha256) == b"pixels"
    with pytest.raises(FileNotFoundError):
        ImageShelf(two).get("0" * 64)
    assert Pseudonyms(one).of("subject", "7") == Pseudonyms(two).of("subject", "7")
    keys = np.array([bytes([i] * 32) for i in (1, 2)], dtype="S32")
    vectors = np.eye(2, dtype=np.float32)
    VectorShelf(one).put("enc", keys[:1], vectors[:1])
    VectorShelf(two).put("enc", keys[1:], vectors[1:])
    for root in (one, two):
        found, known = VectorShelf(root).get("enc", keys, 2)
        assert found.all()
        assert (known == vectors).all()
    assert not VectorShelf(two, "texts").get("enc", keys, 2)[0].any()


def test_an_image_that_the_bucket_has_is_not_written_again_unless_it_changed(
    machines: list[Path], storage: ObjectStorage
) -> None:
    storage.keep_versions()
    one, two = map(ImageShelf, machines)
    sha256 = one.put(b"pixels")
    name = f"images/{sha256[:2]}/{sha256}"
    assert two.put(b"pixels") == sha256
    assert (two.root / name).read_bytes() == b"pixels"
    bucket, versions = bucket_of(two.root), Versions.of(URL)
    assert bucket
    assert versions
    assert len(versions.listed(name)) == 1

    bucket.put(name, b"others")
    (two.root / name).unlink()
    with pytest.raises(ArtifactCorrupt, match="--refresh ingest"):
        two.get(sha256)
    two.put(b"pixels")
    assert bucket.get(name) == b"pixels"


def test_the_copy_here_is_its_owners_alone_and_holds_no_secret(machines: list[Path]) -> None:
    ArtifactStore(machines[0]).save(Note(text="a"), RECIPE)
    Pseudonyms(machines[0]).of("subject", "7")
    assert machines[0].stat().st_mode & 0o077 == 0
    files = [p for p in machines[0].rglob("*") if p.is_file()]
    assert not any(SECRET.encode() in p.read_bytes() for p in files)
    assert not (machines[0] / "keys" / "pseudonyms").exists()


def test_what_refuses_is_told_in_one_line_without_the_key(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_bucket = ArtifactStore(local_folder("s3://nobody/has"))
    with pytest.raises(BucketSilent, match=r"404 Not Found \(NoSuchBucket\)") as told:
        no_bucket.save(Note(text="a"), RECIPE)
    assert "\n" not in str(told.value)
    storage.writes_left = 0
    storage.go_on.set()
    with pytest.raises(BucketSilent, match="credentials in the environment") as told:
        ArtifactStore(local_folder(URL)).save(Note(text="a"), RECIPE)
    assert SECRET not in json.dumps(str(told.value))


class NoContainer(BaseHTTPRequestHandler):
    """Azure's answer where the container of an address is not there."""

    def do_PUT(self) -> None:
        said = b"<Error><Code>ContainerNotFound</Code><Message>There is none.</Message></Error>"
        self.send_response(404)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PUT  # noqa: N815


def test_a_container_that_is_not_there_is_no_empty_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "clinic")
    with ThreadingHTTPServer(("127.0.0.1", 0), NoContainer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/clinic"
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", address)
        store = ArtifactStore(local_folder("az://nobody/has"))
        with pytest.raises(
            BucketSilent, match=r"\(ContainerNotFound\).*AZURE_STORAGE_ACCOUNT_NAME"
        ):
            store.save(Note(text="a"), RECIPE)
        with pytest.raises(BucketSilent, match="ContainerNotFound"):
            store.load(Note, Ref("note", "0" * 20))
        server.shutdown()


def test_a_container_of_another_account_is_another_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = set()
    for account in ("clinic", "university"):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", account)
        folders.add(local_folder("az://shelf/of/skin"))
    assert len(folders) == 2


@pytest.mark.parametrize(
    "address",
    ["s3://key:secret@shelf/x", "s3://shelf/x?sig=1", "https://shelf/x", "s3://shelf/../x", "s3:"],
)
def test_an_address_that_is_none_is_refused_without_being_shown(address: str) -> None:
    if address == "s3:":
        assert local_folder(address) == Path(address).resolve()
        return
    with pytest.raises(StudyError, match="write s3://bucket/prefix") as told:
        local_folder(address)
    assert "secret" not in str(told.value)


def test_a_path_that_lost_a_slash_is_the_address(storage: ObjectStorage) -> None:
    assert local_folder(Path("s3://shelf/of/skin")) == local_folder(URL)


def _at_a_time(work: object, count: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
