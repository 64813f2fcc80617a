"""Who has read which test labels: lines are added and never changed."""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from curette.schemas.artifact import Ref
from curette.schemas.evaluation import HoldoutCharge, TestReading
from curette.schemas.images import TestLabels
from curette.storage.audit import audit
from curette.storage.store import ArtifactCorrupt, ArtifactStore, alone, explained

E = TypeVar("E", bound=BaseModel)
T = TypeVar("T")


def digest_of_labels(test: Ref[TestLabels], store: ArtifactStore) -> str:
    """Return the digest by which test labels are known: of their content, not read but listed.

    Their address would not do: equal labels that were set apart under other settings are the same
    test.
    """
    files = store.manifest(test).files.values()
    return "".join(file.sha256 for file in files)


def digest_of_question(question: Iterable[object]) -> str:
    """Return what tells a question to test labels from another."""
    return hashlib.sha256("\n".join(map(str, question)).encode()).hexdigest()


def reading_of(
    test: Ref[TestLabels], store: ArtifactStore, study: str, asked: str, question: str
) -> TestReading:
    """Return the reading that is about to happen.

    Args:
        test: the labels that will be read.
        store: where they are.
        study: that reads them.
        asked: what, in words.
        question: its digest.
    """
    return TestReading(
        labels=digest_of_labels(test, store),
        study=study,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        asked=asked,
        question=question,
    )


@dataclass(frozen=True)
class TestLedger:
    """One file a set of test labels, `root/test-looks/<digest>.jsonl`, a JSON line a look.

    The digest is of the labels' content: whoever splits the same images alike again, under
    whatever settings, adds to the same file. Beside it `<digest>.images` names the images by their
    content, so that readings of another split with some of the same images are found. Lines are
    added by one write each, so studies that read at a time lose none; and before the labels are
    loaded, so no reading goes unrecorded.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    root: Path

    def record(self, reading: TestReading, images: Iterable[str]) -> tuple[TestReading, ...]:
        """Add a reading; return those that were there before its question was asked first.

        Written first and looked up then, so that of two studies that start together the later
        line knows of the other; where they read different splits, maybe both.

        Args:
            reading: that is about to happen.
            images: the sha256 of every image whose label it reads.

        Raises:
            StoreError: the disk is full or read-only, so the labels must not be read.
        """
        place, contents = self._place(reading.labels), frozenset(images)
        again = reading.question in {known.question for known in self.readings(reading.labels)} - {
            ""
        }
        with explained(self.root):
            _name_images(place, contents)
            _append(place, reading)
        audit(self.root, f"read test labels: {reading.asked}", reading.study)
        readings = self.readings(reading.labels)
        own = [i for i, other in enumerate(readings) if other.question == reading.question]
        first = own[0] if reading.question else own[-1]
        elsewhere = tuple(self._elsewhere(place, contents))
        if again:  # what came after the first time does not count
            elsewhere = tuple(other for other in elsewhere if other.at <= readings[first].at)
        return (*readings[:first], *elsewhere)

    def _elsewhere(self, place: Path, images: frozenset[str]) -> Iterator[TestReading]:
        """Yield the readings of other splits with some of these images, and the share they have."""
        for other in sorted(place.parent.glob("*.images")):
            shared = len(images.intersection(other.read_text(encoding="ascii").split()))
            if shared and other.stem != place.stem:
                for reading in self.readings(other.stem):
                    yield reading.model_copy(update={"shared": shared / len(images)})

    def readings(self, labels: str) -> tuple[TestReading, ...]:
        """Return the readings of these labels, in the order in which they were first recorded.

        A question that was asked again is one reading. A line that a crash tore is left out: its
        writer did not live to read the labels.

        Raises:
            ArtifactCorrupt: a whole line says nothing; a reading is not passed over in silence.
        """
        place = self._place(labels)
        readings = [_read(place, line, TestReading) for line in _lines(place)]
        first = {
            reading.question or str(i): i for i, reading in reversed(list(enumerate(readings)))
        }
        return tuple(readings[i] for i in sorted(first.values()))

    def charge(
        self,
        labels: str,
        question: str,
        answer: Callable[[int, tuple[HoldoutCharge, ...]], tuple[T, HoldoutCharge]],
    ) -> T:
        """Let the reusable holdout answer, and write down what that cost; one process at a time.

        Nothing is charged for a question that was asked before.

        Args:
            labels: digest of the test labels' content.
            question: digest of what is asked.
            answer: is given the seed of these labels' noise, which never leaves the store, and
                what was charged before this question was asked first; returns the new charge too.

        Raises:
            StoreError: the disk is full or read-only.
            ArtifactCorrupt: a line of the charges says nothing.
        """
        place = self._place(labels).with_suffix(".charges")
        with explained(self.root), alone(place.with_suffix(".lock")):
            earlier = tuple(_read(place, line, HoldoutCharge) for line in _lines(place))
            first = next((i for i, c in enumerate(earlier) if c.question == question), None)
            told, charge = answer(_secret(place.with_suffix(".seed")), earlier[:first])
            if first is None:
                _append(place, charge)
        return told

    def _place(self, labels: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{8,64}", labels):
            raise ValueError(f"{labels!r} is no digest of test labels")
        return self.root / "test-looks" / f"{labels}.jsonl"


def _name_images(place: Path, images: frozenset[str]) -> None:
    """Add what is not named yet: the same labels may be of images that were encoded anew."""
    names = place.with_suffix(".images")
    with alone(place.with_suffix(".lock")):
        known = frozenset(names.read_text(encoding="ascii").split() if names.is_file() else ())
        if not images <= known:
            bench = names.with_suffix(".new-images")
            bench.write_text("\n".join(sorted(known | images)), encoding="ascii")
            bench.replace(names)


def _append(place: Path, entry: BaseModel) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    line = f"\n{entry.model_dump_json()}\n".encode()
    try:
        # The first end of line closes a line that a crash tore.
        if os.write(file, line) < len(line):  # what a disk does that is full but for a few bytes
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)


def _lines(place: Path) -> list[str]:
    """Return the whole lines of a file: one that a crash tore is left out."""
    if not place.is_file():
        return []
    lines = place.read_text(encoding="utf-8", errors="replace").split("\n")
    return [line for line in lines if line.endswith("}")]


def _read(place: Path, line: str, entry: type[E]) -> E:
    try:
        return entry.model_validate_json(line)
    except ValidationError:
        raise ArtifactCorrupt(
            f"{place} has a line that tells of no reading of test labels: {line[:80]}. Put the "
            "file back as it was; without it nobody knows how often these labels were read."
        ) from None


def _secret(place: Path) -> int:
    """Return the number in a file that the owner alone may read, drawn when first asked for."""
    if not place.is_file():
        bench = place.with_suffix(".new")
        bench.touch(mode=0o600)
        bench.write_text(str(secrets.randbits(64)), encoding="ascii")
        bench.replace(place)
    return int(place.read_text(encoding="ascii"))
