"""A finished study in formats that other programs read: `curette export`."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curette.flows.finished import last_report
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Manifest, PayloadFile, Ref, StudyError, write_json
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import StudyEmbeddings
from curette.schemas.evaluation import Evaluation
from curette.schemas.probe import Heads
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.store import ArtifactStore
from curette.tasks.export.probe import PROBE, probe_section, write_probe
from curette.tasks.methods.croissant import CROISSANT, Told, croissant, schemas_of

Kind = Literal["dataset"]
"""What is written, by its name on the command line."""
CARD = "README.md"


@dataclass(frozen=True)
class Finished:
    """What the last finished run of a study left."""

    store: ArtifactStore
    ref: Ref[ConceptDataset]
    published: ConceptDataset
    heads: Heads
    evaluation: Evaluation | None
    """None where a reusable holdout guards it: nothing is told of single test images then."""

    finished: str
    """When, UTC."""

    @property
    def manifest(self) -> Manifest:
        """Of the published dataset."""
        return self.store.manifest(self.ref)

    @property
    def text_template(self) -> str:
        """The sentence that each concept was put into; empty where the encoder reads no text."""
        validated = self.store.load(ValidatedConceptDataset, self.published.validated_ref)
        texts = self.store.load(StudyEmbeddings, validated.embeddings_ref).texts_ref
        return str(self.store.manifest(texts).recipe.spec.get("text_template", ""))

    @property
    def measured(self) -> Mapping[str, str]:
        """Head's name -> its balanced accuracy on test images, with its interval."""
        metrics = self.evaluation.metrics if self.evaluation else ()
        return {
            m.head: f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]"
            for m in metrics
            if m.name == "balanced_accuracy"
        }


def export(study: Study, options: RunOptions, kind: Kind, folder: Path) -> str:
    """Write a finished study's last run into a folder; say in a line what is there.

    Nothing that the evaluation did not tell of test images is in it, and no report.

    Args:
        study: it must have been run to its end.
        options: where things are kept.
        kind: what is written.
        folder: that is not there, or is empty; it is there whole or not at all.

    Raises:
        StudyError: the study was never run to its end, or there is something in the folder.
    """
    with _new_folder(folder) as bench:
        finished = _finished(study, options)
        told = _WRITERS[kind](finished, bench)
        size = sum(file.stat().st_size for file in bench.rglob("*") if file.is_file())
    return f"{told}, of the run of {finished.finished}: {folder} ({size / 1e6:.1f} MB)"


def _finished(study: Study, options: RunOptions) -> Finished:
    store = ArtifactStore(options.store.resolve())
    report = store.manifest(last_report(study.name, store))
    inputs = report.recipe.inputs
    ref: Ref[ConceptDataset] = Ref.parse(inputs["published"])
    evaluated = Ref.parse(inputs["evaluation"])
    return Finished(
        store,
        ref,
        store.load(ConceptDataset, ref),
        store.load(Heads, Ref.parse(inputs["probe"])),
        store.load(Evaluation, evaluated) if evaluated.kind == Evaluation.kind else None,
        report.created_at[:16].replace("T", " "),
    )


def _dataset(finished: Finished, folder: Path) -> str:
    """Write the dataset as it was published, with its heads; the card says how to use them."""
    published = finished.published
    for name in finished.manifest.files:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(finished.store.path(finished.ref) / name, folder / name)
    write_probe(folder / PROBE, published, finished.heads, finished.text_template)
    section = probe_section(published, finished.heads, finished.measured)
    (folder / CARD).write_text(published.card.rstrip("\n") + "\n" + section, encoding="utf-8")
    files = finished.manifest.files | {name: _file(folder / name) for name in (CARD, PROBE)}
    told = Told.of(finished.manifest)
    described = croissant(published.facts, files, schemas_of(folder, files), told)
    write_json(folder / CROISSANT, described)
    return "the dataset with its probe"


def _file(path: Path) -> PayloadFile:
    content = path.read_bytes()
    return PayloadFile(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


_WRITERS: dict[Kind, Callable[[Finished, Path], str]] = {"dataset": _dataset}


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Have a folder beside another, which it becomes once it is complete.

    Raises:
        StudyError: there is something in the folder, or it cannot be made.
    """
    folder = folder.absolute()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise StudyError(
            f"{folder} is there already: remove it, or name a folder that is not there"
        )
    if not folder.parent.is_dir():
        raise StudyError(f"the folder of {folder} is not there: make it, or name another")
    bench = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(bench, ignore_errors=True)  # of one that was killed
        bench.mkdir()
        yield bench
        if folder.exists():
            folder.rmdir()  # Windows renames nothing onto it
        bench.rename(folder)
    except OSError as error:
        raise StudyError(f"cannot write {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(bench, ignore_errors=True)
