"""`curette forget` in a bucket: what is left in it and in copies of it, and what a kill leaves."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from obstore.store import from_url

from curette.flows.forgetting import forget_one
from curette.flows.stages import RunOptions
from curette.schemas.purge import Certificate, PurgePlan, Traces
from curette.schemas.study import Study
from curette.schemas.withdrawals import WithdrawalList
from curette.storage.bucket import Bucket, BucketSilent, bucket_of, local_folder
from curette.storage.lease import in_use
from curette.storage.purge import Tally, purge, purge_versions, read_plan, write_plan
from curette.storage.scan import scan
from curette.storage.store import ArtifactStore
from curette.storage.versions import Versions
from tests.flows.test_forget import (  # noqa: F401 (two are fixtures)
    OTHER,
    PERSON,
    WANTED,
    chosen,
    folder,
    planned,
    store,
    take_in,
)
from tests.object_storage import URL, ObjectStorage, object_storage


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    with object_storage(monkeypatch) as storage:
        yield storage


@pytest.fixture
def mirror(
    storage: ObjectStorage,
    store: ArtifactStore,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ArtifactStore:
    """The same store in a bucket, as a machine sees it that has none of it yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    mirror = ArtifactStore(local_folder(URL))
    for file in sorted(store.root.rglob("*")):
        if file.is_file() and ".workshop" not in file.parts and file.suffix != ".lock":
            _bucket(mirror).put(file.relative_to(store.root).as_posix(), file)
    return mirror


def _bucket(mirror: ArtifactStore) -> Bucket:
    bucket = bucket_of(mirror.root)
    assert bucket
    return bucket


def _left(bucket: Bucket) -> set[str]:
    """Return what is in the bucket, save for who was there."""
    return {name for name in bucket.names() if not name.startswith(("in-use/", "audit"))}


def test_no_object_holds_her_afterwards_and_no_copy(
    chosen: Study,  # noqa: F811
    mirror: ArtifactStore,
    storage: ObjectStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect_server: None,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    other = ArtifactStore(local_folder(URL))
    plan = planned(chosen, other)
    bucket = _bucket(mirror)
    bucket.put(f"image-dataset/{'0' * 20}/notes.json", PERSON.encode())  # left by a killed writer
    before = {f.place.partition("/")[0] for f in scan(mirror.root, plan.traces).found}
    assert before >= {"decisions", "image-dataset", "test-looks", "reports", "responses"}
    assert before >= {"vectors", "images", "watched"}
    assert scan(tmp_path / "two", plan.traces).found
    storage.keep_versions()

    said = forget_one(chosen, RunOptions(store=mirror.root), WANTED, take_in)

    for name, content in bucket.contents(bucket.names()):
        place = tmp_path / "all" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    assert not scan(tmp_path / "all", plan.traces).found
    assert not scan(tmp_path / "one", plan.traces).found
    with in_use(other.root):
        assert not scan(tmp_path / "two", plan.traces).found
    assert said.page
    certificate = Certificate.model_validate_json(said.page.with_suffix(".json").read_text())
    assert (certificate.images, certificate.found, certificate.bucket) == (2, (), URL)
    assert (certificate.versions, certificate.versions_refused) == ("removed", "")
    assert certificate.removed["earlier versions"] > 10
    assert "were deleted too" in said.page.read_text()
    versions = Versions.of(URL)
    assert versions
    kept = [v for v in versions.listed() if not v.is_marker]
    assert any(not v.is_current for v in kept), "others stay: they are a backup"
    for version, content in versions.contents(kept):
        place = tmp_path / "versions" / version.id / version.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    assert not scan(tmp_path / "versions", plan.traces).found
    assert not [v for v in versions.listed() if "purge" in v.name], "nor what named her"
    assert {f"withdrawn/certificates/{certificate.number}.{end}" for end in ("json", "md")} < {
        *bucket.names("withdrawn")
    }


def test_versions_of_others_stay_and_a_server_that_keeps_them_is_told(
    storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    storage.keep_versions()
    root, neighbour = (
        local_folder(URL),
        Bucket(f"{URL}-2", from_url(f"{URL}-2", client_options={"allow_http": True})),
    )
    bucket = _bucket(ArtifactStore(root))
    for one in (bucket, neighbour):
        for content in (PERSON, OTHER):
            one.put("notes.json", f'["{content}"]'.encode())
        one.put(f"report/{'0' * 20}/report.html", b"rests on her")
        one.drop(f"report/{'0' * 20}/report.html")
    plan = PurgePlan(
        **{"number": "1", "study": "s", "what": "subject", "receipt": "", "code": ""},
        listed=WithdrawalList(),
        images=(),
        traces=Traces(ids=(PERSON,)),
        artifacts=(f"report/{'0' * 20}",),
    )
    everything = Versions.of("s3://shelf")
    assert everything
    before = everything.listed()
    for refused, code in (("versions", "AccessDenied"), ("delete", "AccessDenied")):
        storage.refuses = refused
        assert purge_versions(root, plan, Tally(root)) == ("kept", code)
    storage.refuses = ""
    assert purge_versions(root, plan, Tally(root)) == ("removed", "")
    left = everything.listed()
    gone = {v for v in before if v not in left}
    assert {(v.name, v.is_marker) for v in gone} == {
        ("of/skin/notes.json", False),
        (f"of/skin/report/{'0' * 20}/report.html", False),
        (f"of/skin/report/{'0' * 20}/report.html", True),
    }
    assert bucket.get("notes.json") == f'["{OTHER}"]'.encode()


def test_a_purge_that_is_cut_off_anywhere_is_ended_by_another_machine(
    chosen: Study,  # noqa: F811
    mirror: ArtifactStore,
    storage: ObjectStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def machine(name: str) -> ArtifactStore:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return ArtifactStore(local_folder(URL))

    plan = planned(chosen, mirror)
    write_plan(mirror.root, plan)
    bucket = _bucket(mirror)
    start = dict(bucket.contents(bucket.names()))
    storage.asked.clear()
    removed = purge(mirror, plan).counts
    writes = sum(method != "GET" for method, _ in storage.asked)
    expected = _left(bucket)
    storage.go_on.set()  # what is cut off is refused at once
    for stop in range(1, writes, writes // 4):
        bucket.drop(*bucket.names())
        for name, content in start.items():
            bucket.put(name, content)
        storage.writes_left = stop
        with suppress(BucketSilent):
            purge(machine(f"cut-{stop}"), plan)
            raise AssertionError("it was not cut off")
        storage.writes_left = None
        other = machine(f"other-{stop}")
        assert read_plan(other.root) == plan
        counted = purge(other, plan).counts
        counted.pop("damaged or unfinished files", None)
        assert counted == removed, "each is counted once, whichever try removed it"
        assert _left(bucket) == expected
