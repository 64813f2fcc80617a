"""No reading of test labels is lost, doubled or passed over in silence."""

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curette.schemas.readings import TestReading, describe_readings
from curette.storage.ledger import TestLedger
from curette.storage.store import ArtifactCorrupt, StoreError

LABELS, OTHERS = "a" * 64, "b" * 64
IMAGES = [f"{i:064x}" for i in range(10)]


def _reading(
    study: str, labels: str = LABELS, at: str = "2026-01-05T09:00:00+00:00"
) -> TestReading:
    return TestReading(labels=labels, study=study, at=at, asked="every metric of 4 heads")


def _file(root: Path) -> Path:
    return root / "test-looks" / f"{LABELS}.jsonl"


def test_looks_are_kept_in_order_and_by_labels(tmp_path: Path) -> None:
    ledger = TestLedger(tmp_path)
    assert ledger.readings(LABELS) == ()
    for reading in (_reading("skin"), _reading("moles", OTHERS), _reading("again")):
        ledger.record(reading, IMAGES)
    assert ledger.readings(LABELS) == (_reading("skin"), _reading("again"))
    assert TestLedger(tmp_path).readings(OTHERS) == (_reading("moles", OTHERS),)


def test_a_question_asked_again_is_one_look_and_knows_what_stood_before_it_first(
    tmp_path: Path,
) -> None:
    ledger = TestLedger(tmp_path)
    first, second = (_reading(s).model_copy(update={"question": s}) for s in ("skin", "moles"))
    assert ledger.record(first, IMAGES) == ()
    assert ledger.record(second, IMAGES) == (first,)
    assert ledger.record(first, IMAGES) == ()
    assert ledger.record(second, IMAGES) == (first,)
    assert ledger.readings(LABELS) == (first, second)


def test_of_studies_that_look_at_a_time_one_knows_of_the_other(tmp_path: Path) -> None:
    """Whoever looked up first and wrote then would let both believe that they are the first."""
    told: list[tuple[TestReading, ...]] = []
    ready = threading.Barrier(2)

    def work(study: str) -> None:
        ready.wait()
        told.append(
            TestLedger(tmp_path).record(
                _reading(study).model_copy(update={"question": study}), IMAGES
            )
        )

    threads = [threading.Thread(target=work, args=(s,)) for s in ("skin", "moles")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, told)) == [0, 1]


def test_a_look_at_another_split_with_some_of_the_images_is_told_with_their_share(
    tmp_path: Path,
) -> None:
    """One image more or less is nearly the same test; other images are none."""
    ledger = TestLedger(tmp_path)
    skin, moles, later = (
        _reading(study, labels, at=f"2026-0{month}-05T09:00:00+00:00").model_copy(
            update={"question": study}
        )
        for month, (study, labels) in enumerate(
            (("skin", LABELS), ("moles", OTHERS), ("later", "c" * 64)), start=1
        )
    )
    ledger.record(skin, IMAGES[:9])
    (told,) = ledger.record(moles, IMAGES)
    assert told == skin.model_copy(update={"shared": 0.9})
    assert ledger.record(later, ["f" * 64]) == ()
    assert ledger.record(skin, IMAGES[:9]) == ()  # what came after it, it was not fitted to
    assert ledger.readings(LABELS) == (skin,)


def test_studies_of_different_splits_that_begin_together_know_of_each_other(
    tmp_path: Path,
) -> None:
    """Whoever set out first may record last; what is there by then counts."""
    ledger = TestLedger(tmp_path)
    slow = _reading("slow", at="2026-01-05T09:00:00+00:00").model_copy(update={"question": "slow"})
    fast = _reading("fast", OTHERS, at="2026-01-05T09:00:01+00:00")
    ledger.record(fast, IMAGES)
    assert ledger.record(slow, IMAGES[:5]) == (fast,)


def test_images_that_were_encoded_anew_are_found_by_either_content(tmp_path: Path) -> None:
    ledger = TestLedger(tmp_path)
    first, again = (_reading(s).model_copy(update={"question": s}) for s in ("first", "again"))
    ledger.record(first, IMAGES[:2])
    ledger.record(again, ["e" * 64, "f" * 64])
    for content in (IMAGES[0], "f" * 64):
        other = _reading("moles", OTHERS, at="2026-02-05T09:00:00+00:00")
        assert len(ledger.record(other, [content])) >= 2


def test_a_look_that_only_began_to_be_written_is_an_error(tmp_path: Path) -> None:
    """A disk that is full but for a few bytes takes these, and says nothing."""
    ledger = TestLedger(tmp_path)
    for study in ("skin", "moles", "warts", "scars"):
        ledger.record(_reading(study), IMAGES)
    limit = _file(tmp_path).stat().st_size + 20
    with _largest_file(limit), pytest.raises(StoreError, match="disk is full"):
        ledger.record(_reading("lost"), IMAGES)
    assert _file(tmp_path).stat().st_size == limit
    assert len(ledger.readings(LABELS)) == 4
    ledger.record(_reading("late"), IMAGES)
    assert [r.study for r in ledger.readings(LABELS)][3:] == ["scars", "late"]


@contextmanager
def _largest_file(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_torn_last_line_is_no_look_and_spoils_none(tmp_path: Path) -> None:
    """Its writer died before it read the labels; the next reading begins a line of its own."""
    ledger = TestLedger(tmp_path)
    ledger.record(_reading("skin"), IMAGES)
    with _file(tmp_path).open("a") as file:
        file.write('\n{"labels":"aaaa","study":"mo')
    assert ledger.readings(LABELS) == (_reading("skin"),)
    ledger.record(_reading("again"), IMAGES)
    assert ledger.readings(LABELS) == (_reading("skin"), _reading("again"))


def test_a_line_that_was_changed_is_not_passed_over(tmp_path: Path) -> None:
    ledger = TestLedger(tmp_path)
    ledger.record(_reading("skin"), IMAGES)
    _file(tmp_path).write_text('{"study":"skin"}\n')
    with pytest.raises(ArtifactCorrupt, match=r"tells of no reading.*Put the file back"):
        ledger.readings(LABELS)


def test_looks_at_a_time_lose_none(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for i in range(20):
            TestLedger(tmp_path).record(_reading(f"study-{number}-{i}"), IMAGES)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    studies = {reading.study for reading in TestLedger(tmp_path).readings(LABELS)}
    assert studies == {f"study-{n}-{i}" for n in range(4) for i in range(20)}


def test_a_name_that_is_no_digest_reaches_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no digest of test labels"):
        TestLedger(tmp_path).readings("../../secret")


def test_without_a_place_to_write_there_is_no_reading(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file stands in the way")
    with pytest.raises(StoreError, match="a part of the path is a file"):
        TestLedger(tmp_path / "store").record(_reading("skin"), IMAGES)


def test_readers_are_told_from_the_second_look_on() -> None:
    assert describe_readings(()) is None
    once = describe_readings((_reading("skin"),))
    assert once is not None
    assert once.startswith(
        "These test labels have been read 1 time before, first on 2026-01-05, by skin."
    )
    later = _reading("moles", at="2026-02-05T09:00:00+00:00")
    twice = describe_readings((_reading("skin"), later, later))
    assert twice is not None
    assert "3 times before, first on 2026-01-05, by moles, skin." in twice
    partly = describe_readings((_reading("skin"), later.model_copy(update={"shared": 0.98})))
    assert partly is not None
    assert "1 time before, first on 2026-01-05, by skin. As part of other test splits " in partly
    assert "98 % of these images have been read 1 time before, first on 2026-02-05" in partly


def test_who_read_another_finding_of_the_same_images_knows_nothing_of_this_one(
    tmp_path: Path,
) -> None:
    ledger = TestLedger(tmp_path)

    def about(finding: str, labels: str) -> TestReading:
        return _reading("chest", labels).model_copy(update={"finding": finding})

    assert ledger.record(about("edema", LABELS), IMAGES) == ()
    assert ledger.record(about("mass", OTHERS), IMAGES) == ()
    assert len(ledger.record(about("", "c" * 64), IMAGES)) == 2
    again = ledger.record(about("mass", "d" * 64), IMAGES)
    assert {r.finding for r in again} == {"mass", ""}
