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
from curette.schemas.images import TestLabels
from curette.schemas.readings import HoldoutCharge, TestReading
from curette.storage import files
from curette.storage.audit import audit
from curette.storage.bucket import bucket_of
from curette.storage.store import ArtifactCorrupt, ArtifactStore, explained

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
        finding=store.manifest(test).recipe.spec.get("finding") or "",
    )


@dataclass(frozen=True)
class TestLedger:
    """One file a set of test labels, `root/test-looks/<digest>.jsonl`, a JSON line a look.

    The digest is of the labels' content: whoever splits the same images alike again, under
    whatever settings, adds to the same file. Beside it `<digest>.images` names the images by their
    content, so that readings of another split with some of the same images are found. Lines are
    added by one write each, or in a bucket by one replacement that fails where another came first,
    so studies that read at a time lose none; and before the labels are loaded, so no reading goes
    unrecorded.
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
            self._name_images(place, contents)
            self._append(place, reading)
        audit(self.root, f"read test labels: {reading.asked}", reading.study)
        readings = self.readings(reading.labels)
        own = [i for i, other in enumerate(readings) if other.question == reading.question]
        first = own[0] if reading.question else own[-1]
        elsewhere = tuple(self._elsewhere(place, contents, reading.finding))
        if again:  # what came after the first time does not count
            elsewhere = tuple(other for other in elsewhere if other.at <= readings[first].at)
        return (*readings[:first], *elsewhere)

    def _elsewhere(
        self, place: Path, images: frozenset[str], finding: str
    ) -> Iterator[TestReading]:
        """Yield the readings of other splits with some of these images, and the share they have.

        Those of another finding are passed over: whoever read them knows nothing of this one.
        """
        for other in files.listed(self.root, place.parent):
            if other.suffix != ".images" or other.stem == place.stem:
                continue
            named = (files.read(self.root, other) or b"").decode("ascii").split()
            if shared := len(images.intersection(named)):
                for reading in self.readings(other.stem):
                    if finding and reading.finding and finding != reading.finding:
                        continue
                    yield reading.model_copy(update={"shared": shared / len(images)})

    def readings(self, labels: str) -> tuple[TestReading, ...]:
        """Return the readings of these labels, in the order in which they were first recorded.

        A question that was asked again is one reading. A line that a crash tore is left out: its
        writer did not live to read the labels.

        Raises:
            ArtifactCorrupt: a whole line says nothing; a reading is not passed over in silence.
        """
        place = self._place(labels)
        readings = [
            _read(place, line, TestReading) for line in _lines(files.read(self.root, place))
        ]
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
        """Let the reusable holdout answer, and write down what that cost; no charge is lost.

        Nothing is charged for a question that was asked before.

        Args:
            labels: digest of the test labels' content.
            question: digest of what is asked.
            answer: is given the seed of these labels' noise, which never leaves the store, and
                what was charged before this question was asked first; returns the new charge too.
                It is asked again where another process was faster.

        Raises:
            StoreError: the disk is full or read-only.
            ArtifactCorrupt: a line of the charges says nothing.
        """
        place = self._place(labels).with_suffix(".charges")
        told: list[T] = []

        def charged(content: bytes | None) -> bytes:
            earlier = tuple(_read(place, line, HoldoutCharge) for line in _lines(content))
            first = next((i for i, c in enumerate(earlier) if c.question == question), None)
            said, charge = answer(seed, earlier[:first])
            told.append(said)
            return (content or b"") + (_line(charge) if first is None else b"")

        with explained(self.root):
            seed = self._seed(place.with_suffix(".seed"))
            files.change(self.root, place, charged)
        return told[-1]

    def _name_images(self, place: Path, images: frozenset[str]) -> None:
        """Add what is not named yet: the same labels may be of images that were encoded anew."""

        def with_these(content: bytes | None) -> bytes:
            known = frozenset((content or b"").decode("ascii").split())
            if content is not None and images <= known:
                return content
            return "\n".join(sorted(known | images)).encode("ascii")

        files.change(self.root, place.with_suffix(".images"), with_these)

    def _append(self, place: Path, entry: BaseModel) -> None:
        line = _line(entry)
        if bucket_of(self.root):  # where nothing can be added to: replaced by one line more
            files.change(self.root, place, lambda content: (content or b"") + line)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            # What a disk does that is full but for a few bytes.
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        finally:
            os.close(file)

    def _seed(self, place: Path) -> int:
        """Return the number in a file that the owner alone may read, drawn when first asked for."""
        drawn = str(secrets.randbits(64)).encode("ascii")
        return int(files.change(self.root, place, lambda seed: seed or drawn, mode=0o600))

    def _place(self, labels: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{8,64}", labels):
            raise ValueError(f"{labels!r} is no digest of test labels")
        return self.root / "test-looks" / f"{labels}.jsonl"


def _line(entry: BaseModel) -> bytes:
    """Return an entry on a line of its own: the first end of line closes one that a crash tore."""
    return f"\n{entry.model_dump_json()}\n".encode()


def _lines(content: bytes | None) -> list[str]:
    """Return the whole lines of a file: one that a crash tore is left out."""
    lines = (content or b"").decode("utf-8", "replace").split("\n")
    return [line for line in lines if line.endswith("}")]


def _read(place: Path, line: str, entry: type[E]) -> E:
    try:
        return entry.model_validate_json(line)
    except ValidationError:
        raise ArtifactCorrupt(
            f"{place} has a line that tells of no reading of test labels: {line[:80]}. Put the "
            "file back as it was; without it nobody knows how often these labels were read."
        ) from None
