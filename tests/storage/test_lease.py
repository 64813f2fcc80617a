"""A bucket is held by many runs or by one that removes; what is removed is gone whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar

import pytest

from curette.schemas.artifact import JsonArtifact, Recipe, Ref
from curette.storage.bucket import Bucket, bucket_of
from curette.storage.lease import Check, LeaseLost, Pace, StoreInUse, in_use, unused
from curette.storage.retention import Forgettable, forget, forgettable, remove, resting_on
from curette.storage.store import ArtifactMissing, ArtifactStore
from tests.object_storage import URL, ObjectStorage

HURRIED = Pace(over_s=2)
"""For who asks: whoever was not heard of for two seconds is gone."""


class Word(JsonArtifact, frozen=True):
    kind: ClassVar[str] = "word"
    text: str


def save(store: ArtifactStore, text: str, *inputs: Ref[Word]) -> Ref[Word]:
    named = {f"input {i}": str(ref) for i, ref in enumerate(inputs)}
    return store.save(Word(text=text), Recipe(stage="x", code="", inputs=named))


def bucket_behind(root: Path) -> Bucket:
    bucket = bucket_of(root)
    assert bucket
    return bucket


@contextmanager
def another_process(script: str) -> Iterator[subprocess.Popen[str]]:
    """Run it until it says that it is there; killed at the end, if it was not before."""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def said(stream: IO[str] | None) -> str:
    assert stream
    return stream.readline().strip()


HOLDS = f"""
import time
from curette.storage.bucket import local_folder
from curette.storage.lease import Pace, in_use, unused
with {{}}(local_folder({URL!r}), Pace(renewed_s=0.2)):  # often, for who is `HURRIED`
    print("here", flush=True)
    time.sleep(600)
"""


def wait_until_over(root: Path) -> None:
    """Wait until the claim of who was killed has run out, and can be taken."""
    end = time.monotonic() + 180
    while True:
        try:
            with unused(root, HURRIED):
                return
        except StoreInUse:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_nothing_is_removed_beside_a_study_of_another_machine(machines: list[Path]) -> None:
    """One that was killed counts as running for a while, and then no more."""
    with in_use(machines[1]), in_use(machines[0]):
        pass  # runs share a store, and are gone when they have ended
    with unused(machines[0]):
        pass
    with another_process(HOLDS.format("in_use")) as process:
        assert said(process.stdout) == "here"
        with pytest.raises(StoreInUse, match=rf"a study is running.*process {process.pid}, since"):
            forget(ArtifactStore(machines[0]), list)
        process.kill()
        process.wait()
        with pytest.raises(StoreInUse, match="nothing was removed"), unused(machines[0]):
            pass
    wait_until_over(machines[0])
    assert set(bucket_behind(machines[0]).names("in-use")) == {
        "in-use/alone.json",
        "in-use/clock",
    }


def test_a_run_waits_for_who_removes_until_that_is_over(machines: list[Path]) -> None:
    with another_process(HOLDS.format("unused")) as process:
        assert said(process.stdout) == "here"
        with pytest.raises(StoreInUse, match="something is being removed"), unused(machines[0]):
            pass
        begun = threading.Event()

        def run() -> None:
            with in_use(machines[0], HURRIED):
                begun.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert not begun.wait(0.3)
        process.kill()
        assert begun.wait(180)
        thread.join()


def test_of_many_who_would_be_alone_at_a_time_at_most_one_is(machines: list[Path]) -> None:
    there, most, tries = [], [], threading.Barrier(6)

    def work(number: int) -> None:
        tries.wait()
        with suppress(StoreInUse), unused(machines[number % 2]):
            there.append(number)
            most.append(len(there))
            time.sleep(0.2)
            there.remove(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}


def test_who_lost_the_store_removes_nothing_further(
    storage: ObjectStorage, machines: list[Path]
) -> None:
    bucket = bucket_behind(machines[0])
    bucket.put("word/x", b"")
    quick = Pace(renewed_s=0.05)
    with pytest.raises(LeaseLost, match="was taken away"), unused(machines[0], quick) as check:
        check()
        bucket.drop("in-use/alone.json")  # as if it had run out and been taken
        _until_it_raises(check)
        bucket.drop("word/x", before=check)
    assert bucket.get("word/x") is not None
    with (
        pytest.raises(LeaseLost, match=r"not renewed for \d+ s"),
        in_use(machines[0], Pace(renewed_s=0.05, doubted_s=0.3)) as check,
    ):
        storage.writes_left = 0
        storage.go_on.set()  # each write is refused now
        _until_it_raises(check)
    storage.writes_left = None


def _until_it_raises(check: Check) -> None:
    end = time.monotonic() + 30
    with suppress(LeaseLost):
        while time.monotonic() < end:
            check()
            time.sleep(0.02)


def test_what_nothing_kept_rests_on_goes_from_the_bucket_and_from_every_copy(
    machines: list[Path],
) -> None:
    one, two = map(ArtifactStore, machines)
    shared = save(one, "shared")
    old = save(one, "old", shared)
    new = save(two, f"rests on {shared.digest}")
    for ref in (old, new, shared):
        one.load(Word, ref)
        two.load(Word, ref)
    for store in (one, two):
        record = store.root / "answers" / f"x-{old.digest}"
        record.parent.mkdir()
        record.write_text(f'"{old.digest}"')
    bucket = bucket_behind(one.root)
    bucket.put(f"answers/x-{old.digest}", one.root / "answers" / f"x-{old.digest}")
    bucket.put("images/00/ff", b"pixels")
    assert {*resting_on(two.root, [shared.digest])} == {shared, old, new}

    def chosen() -> list[Forgettable]:
        return [x for x in forgettable(two, lambda _: "", 1, 0) if x.ref == old]

    assert not forgettable(two, lambda _: "", 1, 7)
    gone = forget(two, chosen)
    assert [x.ref for x in gone] == [old]
    assert gone[0].size_bytes == sum(f.stat().st_size for f in one.path(old).iterdir())
    left = [name for name in bucket.names() if not name.startswith(("in-use/", "audit"))]
    files = [f"{ref}/{file}" for ref in (new, shared) for file in ("manifest.json", "word.json")]
    assert sorted(left) == sorted([*files, "images/00/ff"])
    with pytest.raises(ArtifactMissing):
        two.load(Word, old)
    assert one.path(old).exists()
    with in_use(one.root):  # the next run sees what another machine removed
        assert not one.path(old).exists()
        assert not any((one.root / "answers").iterdir())
        assert one.load(Word, new).text.startswith("rests on")
        one.mark_used(old)
    assert bucket.get(f"{old}/manifest.json") is None


REMOVES = f"""
from curette.schemas.artifact import Ref
from curette.storage.bucket import local_folder
from curette.storage.lease import unused
from curette.storage.retention import remove
from curette.storage.store import ArtifactStore
store = ArtifactStore(local_folder({URL!r}))
with unused(store.root) as check:
    remove(store, [Ref.parse(text) for text in {{}}], check)
"""


@pytest.mark.parametrize("writes", [3, 4])
def test_a_removal_that_was_killed_leaves_nothing_half(
    writes: int, storage: ObjectStorage, machines: list[Path]
) -> None:
    """Killed before manifests are removed, and before the files are to which there are none."""
    one, two = map(ArtifactStore, machines)
    gone, kept = [save(two, "first"), save(two, "second")], save(two, "kept")
    bucket = bucket_behind(two.root)
    bucket.put("answers/x", gone[0].digest.encode())
    storage.writes_left = writes
    with another_process(REMOVES.format([*map(str, gone)])):
        assert storage.at_the_last.wait(180)
    storage.writes_left = None
    assert bucket.get("answers/x") is None
    there = set(one.latest("word"))
    assert there == ({kept} if writes == 4 else {kept, *gone})
    assert all(one.is_whole(ref) for ref in there)
    wait_until_over(two.root)
    with unused(two.root) as check:
        remove(two, gone, check)
    assert {*bucket.names("word")} == {f"{kept}/{f}" for f in ("manifest.json", "word.json")}
    assert not any(two.path(ref).exists() for ref in gone)
