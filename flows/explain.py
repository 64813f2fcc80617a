"""Why a head of a study decides as it does about images: `curette explain`."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image
from rich.text import Text

from curette.flows.new_images import new_subject, same_encoder
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.schemas.adaptation import Adaptation
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import DRAWN, EXPLAINED, card_of
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.machine import Machine
from curette.schemas.probe import Head, Heads
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageShelf, image_reader
from curette.storage.store import ArtifactMissing, ArtifactStore
from curette.tasks.explain.corrections import Corrections
from curette.tasks.explain.page import (
    Explained,
    Heat,
    changed_since_training,
    corrected_sentence,
    explain_subject,
    explanation_page,
)
from curette.tasks.explain.subjects import Subject, subject_of_dataset
from curette.tasks.methods.encoder.pixels import read_rgb
from curette.tasks.methods.explanation import Explainer, printable
from curette.tasks.methods.page.decision import more_or_less
from curette.tasks.methods.page.pictures import PictureBook

_ONLY_MEASURED = dict.fromkeys([*DRAWN.values(), "locate"]) | dict.fromkeys(
    ["shifts", "external", "encoders"], ()
)
"""Parts of a study that change no head of it: one decision is explained without them."""
_THUMBNAIL_PX = 112
_TOLD = 5  # statements in the terminal
RunStudy = Callable[[Study, RunOptions], RunResult]


@dataclass(frozen=True)
class Explanations:
    """The decisions, and the page about them."""

    explained: tuple[Explained, ...]
    html: str
    edits: tuple[str, ...]
    """What was changed of the head after it was trained."""


def explain(
    study: Study,
    options: RunOptions,
    images: Sequence[str],
    run: RunStudy,
    adapted: str = "",
    correct: Sequence[str] = (),
    kind: str = EXPLAINED,
) -> Explanations:
    """Take apart the decisions about images of the study's dataset, or about new ones.

    It is the head that the evaluation would be given, whatever stages there are between the
    training and that. Labels of training and validation images are told; those of test images are
    never loaded.

    Args:
        study: what is not done of it yet, up to its heads, is done first.
        options: where things are kept, and on what machine a new image is encoded.
        images: each an image id of the dataset, or else a file.
        run: runs the study.
        adapted: as `explained_head` has it.
        correct: what is to be taken for true of each image, each `CONCEPT=yes` or `CONCEPT=no`.
        kind: of the head.

    Raises:
        StudyError: there is no such image, it cannot be read, the study has no encoder for it, or a
            correction cannot be understood.
    """
    store = ArtifactStore(options.store.resolve())
    trained = with_heads_alone(study)
    taken_in = run(trained, options.model_copy(update={"until": "ingest"})).made[ImageDataset.kind]
    known = store.load(ImageDataset, taken_in)
    images = [known.id_of(image) for image in images]
    _check_are_there(images, [*known.images["image_id"], *known.source_ids])
    published, head = explained_head(study, options, run, adapted, kind)
    corrections = Corrections.of(published, head, correct) if correct else None
    validated = store.load(ValidatedConceptDataset, published.validated_ref)
    dataset = store.load(ImageDataset, validated.dataset_ref)
    locations = dict(zip(dataset.images["image_id"], dataset.images["location"], strict=True))
    read = image_reader(dataset, ImageShelf(store.root))

    def pixels(image_id: str) -> Image.Image | None:
        with suppress(Exception):  # the decision rests on the vector, and is told without them
            return read_rgb(read(locations[image_id]))
        return None

    def nearest(vector: Float32[np.ndarray, " dim"]) -> tuple[int, float]:
        return _nearest(store.load(ConceptIndex, validated.index_ref), published, vector)

    def subject(image: str) -> Subject:
        if image in locations:
            return subject_of_dataset(published, image, pixels(image))
        return new_subject(study, options.machine, published, dataset, Path(image), nearest)

    explainer = Explainer(published, head)
    explained = tuple(explain_subject(explainer, subject(image), corrections) for image in images)
    book = PictureBook(lambda image_id: read(locations[image_id]), _THUMBNAIL_PX)
    heat = _heat(study, options.machine, published)
    page = explanation_page(published, explained, book, heat, head.facts)
    return Explanations(explained, page, head.facts.edits)


def explained_head(
    study: Study, options: RunOptions, run: RunStudy, adapted: str = "", kind: str = EXPLAINED
) -> tuple[ConceptDataset, Head]:
    """Return the head that the evaluation would be given, and what it learned from.

    Args:
        study: what is not done of it yet, up to its heads, is done first.
        options: where things are kept.
        run: runs the study.
        adapted: the adaptation in whose form it is returned, `adaptation/<digest>`; empty: as it
            was trained.
        kind: of the head.

    Raises:
        StudyError: there is no such head or adaptation, or that is one of another head.
    """
    trained = with_heads_alone(study)
    given = run(trained, options.model_copy(update={"before": "evaluate"})).given
    store = ArtifactStore(options.store.resolve())
    published = store.load(ConceptDataset, Ref.parse(given["published"]))
    head = _head_of(store.load(Heads, Ref.parse(given["probe"])), kind)
    if not adapted:
        return published, head
    adaptation = _adaptation(store, adapted)
    if (str(adaptation.probe), adaptation.facts.head) != (given["probe"], kind):
        raise StudyError(
            f"{adapted} is an adaptation of {adaptation.facts.head} of {adaptation.probe}; here "
            f"decides {kind} of {given['probe']}. Adapt that one: curette adapt"
        )
    return published, adaptation.applied_to(head)


def _head_of(heads: Heads, kind: str) -> Head:
    known = dict.fromkeys(
        head.facts.kind
        for head in heads.heads
        if card_of(head.facts.kind).weighs_concepts and head.directions is None
    )
    if kind not in known:
        raise StudyError(
            f"no head {kind!r} was trained that decides by statements alone; {', '.join(known)} "
            "were. A study names its heads under `probe.heads`"
        )
    return heads.head(kind)


def _adaptation(store: ArtifactStore, named: str) -> Adaptation:
    if not re.fullmatch(rf"{Adaptation.kind}/[0-9a-f]{{20}}", named):
        raise StudyError(
            f"{named!r} is no adaptation; name it as `curette adapt` does: {Adaptation.kind}/ and "
            "20 characters"
        )
    try:
        return store.load(Adaptation, Ref.parse(named))
    except ArtifactMissing:
        raise StudyError(
            f"{named} is not in the store {store.root}; curette adapt makes it, and says what it "
            "is called"
        ) from None


def with_heads_alone(study: Study) -> Study:
    """Return the study without what changes no head of it, and with the same heads.

    What its shifts ask of the data and of the selection stays.
    """
    as_before = {"dataset": study.kept_dataset, "select": study.selection}
    return study.model_copy(update=_ONLY_MEASURED | as_before)


def page_path(images: Sequence[str]) -> Path:
    """Return what the page is called where nobody says: after its image, where it is one."""
    stem = re.sub(r"\W+", "_", Path(images[0]).stem)[:100] if len(images) == 1 else "images"
    return Path(f"{stem}-explained.html")


def tell(said: Explanations) -> Iterator[Text]:
    """Yield what was decided, in a few lines an image, without markup."""
    if said.edits:
        yield Text(changed_since_training(said.edits), style="bold")
    for x in said.explained:
        yield Text(x.subject.title, style="bold")
        yield Text(f"  {x.sentence}")
        yield Text(f"  {x.subject.about}")
        if x.unlike:
            yield Text("  Unlike anything that the head was trained on.", style="bold")
        for part in x.decision.parts[:_TOLD]:
            told = more_or_less(part.score > part.mean, part.text)
            yield Text(f"  {part.ahead:+8.3f}  {told}")
        if x.what_if:
            yield Text(f"  {corrected_sentence(x.what_if)}", style="bold")
            for m in x.what_if.others[:_TOLD]:
                yield Text(f"  {m.before:7.0%} -> {m.after:.0%}  “{m.text}”")


def _nearest(
    index: ConceptIndex, published: ConceptDataset, vector: Float32[np.ndarray, " dim"]
) -> tuple[int, float]:
    from curette.tasks.index.faiss_index import search
    from curette.tasks.index.image_index import open_image_index

    scores, rows = search(open_image_index(index, published.vectors), vector[None], 1)
    return int(rows[0, 0]), float(scores[0, 0])


def _heat(study: Study, machine: Machine, published: ConceptDataset) -> Heat | None:
    """Return what draws where concepts are seen; None where no encoder can tell."""
    from curette.tasks.explain.heat import heat_by

    try:
        return heat_by(same_encoder(study.encoder, machine, published.facts.encoder, ""), published)
    except StudyError:
        return None


def _check_are_there(images: Sequence[str], ids: Sequence[str]) -> None:
    """Refuse what is neither an image of the dataset nor a file, before anything else is done.

    Raises:
        StudyError: names ids that are alike.
    """
    known = dict.fromkeys(ids)  # an image may have one id here and in its source
    for image in images:
        with suppress(OSError):  # a name too long for a file
            if image in known or Path(image).is_file():
                continue
        near = difflib.get_close_matches(image, [*known], n=5)
        meant = f"; did you mean {', '.join(map(printable, near))}?" if near else "."
        raise StudyError(
            f"{printable(image)} is neither an image id of the dataset nor a file{meant} "
            f"The dataset has images such as {printable(ids[-1])}."
        )
