"""What taking a nuisance out of a trained head is worth, on the demo's confounded shifts.

Run `python -m tests.benchmarks.bench_edits [STORE]`; STORE is one in which `curette run demo` has
published, else the demo runs up to there in a folder of its own. Each shift trains on images of
which nearly all rulers, or hairs, are on melanomas, 12 concepts chosen with nothing avoided.
Concepts are ranked by what they tell of the column within classes, times their weight, as `curette
edit export` ranks them, by training images alone; the first 1, 2 and 4 are neutralised. Beside that
stand as many neutralised at random (20 draws), the head trained anew without these concepts, and
the head on concepts that avoid the column from the start. All edits are saved before the test
labels are read, and the ledger has the reading.

Balanced accuracy in domain, out of domain, and the gap, with 95 % intervals over groups; `moved` is
what the out-of-domain value is ahead of the same head unedited, paired.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.edits import Edit, Edits
from curette.schemas.heads import EXPLAINED, REFERENCE, HeadKind
from curette.schemas.images import METADATA, TestLabels
from curette.schemas.probe import Head, Heads
from curette.schemas.questions.shifts import ShiftTables
from curette.schemas.readings import TestReading
from curette.schemas.settings.draw import ConfoundedShift
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.ledger import TestLedger
from curette.storage.store import ArtifactStore
from curette.tasks.draw.shifts import draw as draw_shifts
from curette.tasks.edit import STAGE
from curette.tasks.edit.heads import edit_probe
from curette.tasks.edit.proposals import propose_edits
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import shifts
from curette.tasks.probe.each_draw import restrict
from curette.tasks.probe.training import train_heads
from tests.benchmarks.measuring import print_rows

COLUMNS = ("ruler", "hair")
CONCEPTS, COUNTS, RANDOM = 12, (1, 2, 4), 20
KINDS: tuple[HeadKind, ...] = (EXPLAINED, "hybrid")
UNEDITED = "unedited"


class Row(NamedTuple):
    """One way with the nuisance, of one head under one shift."""

    shift: str
    head: str
    what: str
    in_domain: float
    out_of_domain: str
    gap: str
    moved: str


def main() -> list[Row]:
    """Edit, retrain and select anew; then read the test labels and measure all of it."""
    if len(sys.argv) > 1 and Path(sys.argv[1]).is_dir():
        return measure(ArtifactStore(Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "curette.flows.cli", "run", "demo", "--until", "publish"]
        subprocess.run([*command, "--store", folder], check=True, capture_output=True)
        return measure(ArtifactStore(Path(folder)))


def measure(store: ArtifactStore) -> list[Row]:
    """Measure on the one concept dataset of a store."""
    (digest,) = (p.name for p in (store.root / ConceptDataset.kind).iterdir())
    published = store.load(ConceptDataset, Ref(ConceptDataset.kind, digest))
    plans = tuple(
        ConfoundedShift(kind="confounded", column=c, correlation=0.9, pairing={"melanoma": "yes"})
        for c in COLUMNS
    )
    plain, avoiding = (
        draw_shifts(published, SelectSpec(size=Size(total=CONCEPTS), avoid=avoid), plans)
        for avoid in ((), COLUMNS)
    )
    made = [
        dict(_variants(published, column, draw, other, store))
        for column, draw, other in zip(COLUMNS, plain.draws, avoiding.draws, strict=True)
    ]
    tables = {kind: _ask(published, plain, kind, made, store) for kind in KINDS}
    return [row for kind, table in tables.items() for row in _rows(kind, table)]


def _variants(
    published: ConceptDataset, column: str, draw: Draw, avoiding: Draw, store: ArtifactStore
) -> Iterator[tuple[str, list[Heads]]]:
    """Yield each way with the nuisance and its heads; the edits are saved on the way."""
    dataset = restrict(published, draw)
    probe = _train(published, draw)
    yield UNEDITED, [probe]
    others = [
        c for c in map(str, dataset.images) if c.startswith(METADATA) and c != METADATA + column
    ]
    alone = replace(dataset, images=dataset.images.drop(columns=others))
    ranked = propose_edits(alone, probe.head(EXPLAINED))
    candidates = probe.head(EXPLAINED).facts.candidates
    print(f"{column}:", "; ".join(f"{candidates[p.place].text} {p.told:.3f}" for p in ranked[:4]))
    generator = np.random.default_rng(0)
    for count in COUNTS:
        first = [p.place for p in ranked[:count]]
        yield f"neutralise {count}", [_edit(dataset, probe, first, store)]
        drawn = [generator.permutation(CONCEPTS)[:count].tolist() for _ in range(RANDOM)]
        yield f"neutralise {count} at random", [_edit(dataset, probe, d, store) for d in drawn]
        gone = {candidates[place].concept_id for place in first}
        left = tuple(c for c in draw.concept_ids if c not in gone)
        without = draw.model_copy(update={"concept_ids": left})
        yield f"train without {count}", [_train(published, without)]
    yield f"select without {column}", [_train(published, avoiding)]


def _train(published: ConceptDataset, draw: Draw) -> Heads:
    spec = ProbeSpec(heads=("hybrid",), nec=(), random_draws=1)
    return train_heads(restrict(published, draw), spec, "shifts")


def _edit(dataset: ConceptDataset, probe: Heads, places: list[int], store: ArtifactStore) -> Heads:
    candidates = probe.head(EXPLAINED).facts.candidates
    edits = Edits(
        study="bench",
        edits=tuple(
            Edit(
                concept_id=candidates[place].concept_id,
                text=candidates[place].text,
                operation="neutralise",
                editor="bench_edits",
            )
            for place in places
        ),
    )
    store.save(edits, STAGE.recipe_of({}))
    return edit_probe(dataset, probe, edits)


def _ask(
    published: ConceptDataset,
    draws: Draws,
    kind: HeadKind,
    made: list[dict[str, list[Heads]]],
    store: ArtifactStore,
) -> ShiftTables:
    """Put all variants of one kind of head to the question about shifts.

    Its leads are over the reference, in whose place the unedited head stands.
    """
    heads = tuple(
        _named(one.head(kind), what, number).on(place)
        for place, variants in enumerate(made)
        for what, several in variants.items()
        for number, one in enumerate(several)
    )
    of_shifts = Heads(
        published.class_keys, heads, protocol="shifts", draws=draws.drawn, unusable=draws.unusable
    )
    exam = Exam(
        published=published,
        probe=of_shifts,
        images=join_test_labels(published, _read_labels(published, kind, store)),
        spec=EvaluateSpec(),
        drawn={"shifts": of_shifts},
    )
    measured = shifts.measure(exam)
    assert measured is not None
    return measured


def _named(head: Head, what: str, number: int) -> Head:
    kind = REFERENCE if what == UNEDITED else EXPLAINED
    update = {"name": f"{what} {number}", "family": what, "kind": kind}
    return replace(head, facts=head.facts.model_copy(update=update))


def _read_labels(published: ConceptDataset, kind: HeadKind, store: ArtifactStore) -> TestLabels:
    """Read the test labels, and let the ledger show that the edits were there before."""
    ref = published.test_labels_ref
    digest = "".join(file.sha256 for file in store.manifest(ref).files.values())
    reading = TestReading(
        labels=digest,
        study="bench_edits",
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        asked=f"edits of the {kind} under shifts",
    )
    images = published.images.iloc[published.rows("test")]["sha256"]
    TestLedger(store.root).record(reading, images)
    edits = [Ref[Edits](Edits.kind, p.name) for p in (store.root / Edits.kind).iterdir()]
    print(
        f"last edit saved {max(store.manifest(e).created_at for e in edits)}, "
        f"test labels read {reading.at}"
    )
    return store.load(TestLabels, ref)


def _rows(kind: HeadKind, table: ShiftTables) -> Iterator[Row]:
    for result in table.results:
        found = {(v.head, v.of): v for v in result.values if v.name == "balanced_accuracy"}
        for head in dict.fromkeys(v.head for v in result.values):
            outside, gap = found[head, "out_of_domain"], found[head, "gap"]
            moved = ""
            if outside.lead is not None:
                moved = f"{outside.lead:+.3f} [{outside.lead_low:+.3f}, {outside.lead_high:+.3f}]"
            yield Row(
                shift=result.plan.spec.column,
                head=kind.replace("_", " "),
                what=head,
                in_domain=found[head, "in_domain"].value,
                out_of_domain=f"{outside.value:.3f} [{outside.low:.3f}, {outside.high:.3f}]",
                gap=f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]",
                moved=moved,
            )


if __name__ == "__main__":
    print_rows("edits", main())
