"""A finished study for other programs, and what people answer there: `export` and `answers`."""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Literal

import yaml
from PIL import Image

from curette.flows.finished import last_report
from curette.flows.new_files import new_file, write_new
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Manifest, PayloadFile, Ref, StudyError, write_json
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import StudyEmbeddings
from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.probe import Heads
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.store import ArtifactStore
from curette.tasks.export import fiftyone, label_studio
from curette.tasks.export.answers import read_answers
from curette.tasks.export.probe import PROBE, probe_section, write_probe
from curette.tasks.export.shown import Shown, shown_images
from curette.tasks.methods.croissant import CROISSANT, Told, croissant, schemas_of
from curette.tasks.methods.encoder.pixels import bare_png, read_rgb
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.numbers import with_interval
from curette.tasks.methods.threads import decoding_threads
from curette.tasks.push.hub import page_of, push_files

Kind = Literal["dataset", "fiftyone", "label-studio"]
"""What is written, by its name on the command line."""
CARD = "README.md"


@dataclass(frozen=True)
class Finished:
    """What the last finished run of a study left."""

    store: ArtifactStore
    ref: Ref[ConceptDataset]
    published: ConceptDataset
    heads: Heads

    probe: Ref[Heads]
    evaluation: Evaluation | None
    """None where a reusable holdout guards it: nothing is told of single test images then."""
    finished: str
    """When, UTC."""
    machine: Machine

    @property
    def manifest(self) -> Manifest:
        """Of the published dataset."""
        return self.store.manifest(self.ref)

    @property
    def dataset(self) -> ImageDataset:
        """The images that it was published from."""
        validated = self.store.load(ValidatedConceptDataset, self.published.validated_ref)
        return self.store.load(ImageDataset, validated.dataset_ref)

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
        return {m.head: with_interval(m) for m in metrics if m.name == "balanced_accuracy"}


def export(
    study: Study,
    options: RunOptions,
    kind: Kind,
    folder: Path,
    *,
    copy_images: bool = False,
    push: bool = False,
) -> str:
    """Write a finished study's last run into a folder; say in a line what is there.

    Nothing that the evaluation did not tell of test images is in it, and no report.

    Args:
        study: it must have been run to its end.
        options: where things are kept.
        kind: what is written.
        folder: that is not there, or is empty; it is there whole or not at all.
        copy_images: copy the pixels of images into it, and nothing else of their files, where they
            would be links. The dataset has none.
        push: lay the dataset, and nothing else, into the study's repository of the hub too.

    Raises:
        StudyError: the study was never run to its end, there is something in the folder, the images
            are gone, or the hub refuses.
    """
    if copy_images and kind == "dataset":
        raise StudyError("the dataset has no images to copy: leave --copy-images out")
    if push and kind != "dataset":
        raise StudyError("--push is for the dataset: images go to no hub")
    if push and study.publish.push is None:
        raise StudyError("--push needs a repository of the hub: name it in publish.push.repo")
    hub = study.publish.push if push else None
    with _new_folder(folder) as bench:
        finished = _finished(study, options)
        match kind:
            case "dataset":
                told = _dataset(finished, bench, page_of(hub) if hub else "")
            case "fiftyone":
                told = _fiftyone(finished, bench, copy_images)
            case "label-studio":
                told = _label_studio(finished, bench, folder.absolute().name, copy_images)
        written = [file for file in bench.rglob("*") if file.is_file() and not file.is_symlink()]
        size = sum(file.stat().st_size for file in written)
        pushed = ""
        if hub:
            files = {file.relative_to(bench).as_posix(): file for file in written}
            pushed = f", and {push_files(files, hub, f'{finished.ref} with its probe').url}"
    return f"{told}, of the run of {finished.finished}: {folder} ({size / 1e6:.1f} MB){pushed}"


def take_answers(study: Study, options: RunOptions, answers: Path, out: Path) -> str:
    """Write what people answered in Label Studio into a table; say what is there.

    Args:
        study: whose last finished run was exported.
        options: where things are kept.
        answers: Label Studio's export, in its format JSON.
        out: the table to write, a .csv.

    Raises:
        StudyError: the study was never run to its end, the answers are none or are about other
            images, classes or concepts, or the table cannot be written.
    """
    path, finished = new_file(out, ".csv"), _finished(study, options)
    try:
        content = answers.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read {answers}: {error.strerror}") from None
    dataset = finished.dataset
    names = dict(zip(dataset.images["image_id"], dataset.source_ids, strict=True))
    id_column = study.dataset.id_column or "image_id"
    made = read_answers(content, finished.published, names, id_column)
    write_new(path, made.table)
    attributes = yaml.safe_dump(
        {"attributes": dict(made.attributes)}, sort_keys=False, default_flow_style=None, width=1000
    )
    differing = f"; {made.differing:,} cells are empty, since people differ" * bool(made.differing)
    return (
        f"answers: {out}: {made.images:,} images{differing}\n"
        "Once its columns are in your data, under dataset:\n" + indent(attributes, "  ")
    )


def _finished(study: Study, options: RunOptions) -> Finished:
    store = ArtifactStore(options.store.resolve())
    report = store.manifest(last_report(study.name, store))
    inputs = report.recipe.inputs
    ref: Ref[ConceptDataset] = Ref.parse(inputs["published"])
    probe: Ref[Heads] = Ref.parse(inputs["probe"])
    evaluated = Ref.parse(inputs["evaluation"])
    return Finished(
        store,
        ref,
        store.load(ConceptDataset, ref),
        store.load(Heads, probe),
        probe,
        store.load(Evaluation, evaluated) if evaluated.kind == Evaluation.kind else None,
        report.created_at[:16].replace("T", " "),
        options.machine,
    )


def _dataset(finished: Finished, folder: Path, url: str) -> str:
    """Write the dataset as it was published, with its heads; the card says how to use them."""
    published = finished.published
    for name in finished.manifest.files:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(finished.store.path(finished.ref) / name, folder / name)
    write_probe(folder / PROBE, published, finished.heads, finished.text_template)
    section = probe_section(published, finished.heads, finished.measured)
    (folder / CARD).write_text(published.card.rstrip("\n") + "\n" + section, encoding="utf-8")
    files = finished.manifest.files | {name: _file(folder / name) for name in (CARD, PROBE)}
    told = Told.of(finished.manifest, url)
    described = croissant(published.facts, files, schemas_of(folder, files), told)
    write_json(folder / CROISSANT, described)
    return "the dataset with its probe"


def _fiftyone(finished: Finished, folder: Path, copy_images: bool) -> str:
    images = _shown(finished, folder / fiftyone.PICTURES, copy_images)
    fiftyone.write_fiftyone(folder, finished.published, images)
    return f"{len(images):,} images for FiftyOne"


def _label_studio(finished: Finished, folder: Path, called: str, copy_images: bool) -> str:
    images = _shown(finished, folder / label_studio.PICTURES, copy_images)
    version = f"{EXPLAINED} of {finished.probe}"
    label_studio.write_label_studio(folder, called, finished.published, images, version)
    return f"{len(images):,} tasks for Label Studio"


def _shown(finished: Finished, pictures: Path, copy_images: bool) -> list[Shown]:
    """Lay the pictures into a folder; return what is told of them."""
    predictions = finished.evaluation.predictions if finished.evaluation else ()
    told = {p.image_id: p.label for p in predictions}
    pictures.mkdir()
    files = _lay_pictures(finished, pictures, copy_images)
    head = finished.heads.head(EXPLAINED)
    return shown_images(finished.published, head, told, [f"{pictures.name}/{f}" for f in files])


def _lay_pictures(finished: Finished, folder: Path, copy_images: bool) -> list[str]:
    """Return the name of each image's picture in the folder: its number.

    A name of ours tells nothing of where the image came from, as its own may. Neither does a copy:
    it has the pixels as the encoder sees them and no metadata. A link leads to the file, as it is.
    """
    store = finished.store
    dataset = finished.dataset
    locations = dict(zip(dataset.images["image_id"], dataset.images["location"], strict=True))
    digests = dict(zip(dataset.images["image_id"], dataset.images["sha256"], strict=True))
    images = ImageFiles(Path(dataset.root).resolve(), ImageShelf(store.root))

    def lay(number: int, image_id: str) -> str:
        location = locations[image_id]
        try:
            if copy_images:
                name = f"{number:06d}.png"
                pixels = read_rgb(images.read(location, digests[image_id]))
                (folder / name).write_bytes(bare_png(pixels))
            else:
                path = images.path(location)
                with Image.open(path) as picture:
                    name = f"{number:06d}.{str(picture.format).lower()}"
                (folder / name).symlink_to(os.path.relpath(path, folder))
        except FileNotFoundError as error:
            raise StudyError(
                f"the picture of image {printable(image_id)} is not there any more "
                f"({printable(str(error))}): put it back, or export the dataset, which has none"
            ) from None
        return name

    with ThreadPoolExecutor(decoding_threads(finished.machine)) as pool:
        return list(pool.map(lay, itertools.count(), finished.published.images["image_id"]))


def _file(path: Path) -> PayloadFile:
    content = path.read_bytes()
    return PayloadFile(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


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
