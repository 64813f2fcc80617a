"""Why the concept bottleneck of a study decides as it does about one image: `curette explain`."""

import difflib
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32
from PIL import Image
from rich.text import Text

from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.machine import Machine
from curette.schemas.probe import Head, Heads
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.images import ImageShelf, image_reader
from curette.storage.store import ArtifactStore
from curette.tasks.ingest.listing import ImageFile, Refusal
from curette.tasks.ingest.ranges import scaled_png
from curette.tasks.ingest.verify import verify_image
from curette.tasks.methods.encoder.pixels import Window, read_rgb
from curette.tasks.methods.explanation import ImageExplanation, explain_image, printable
from curette.tasks.methods.page.heat_picture import draw_heat
from curette.tasks.report.explanation_picture import SeenConcept, draw_explanation

if TYPE_CHECKING:
    import pandas as pd

    from curette.tasks.methods.encoder.encoder import ClipEncoder

_ONLY_MEASURED = {"few_shots": None, "shifts": (), "folds": None, "external": (), "locate": None}
"""Parts of a study that change no head of it: one decision is explained without them."""
_SEEN, _HEAT_PX = 3, 240  # concepts whose heat is drawn, and how large
RunStudy = Callable[[Study, RunOptions], RunResult]
Nearest = Callable[[Float32[np.ndarray, " dim"]], tuple[int, float]]
"""From a vector to the row of the dataset's image that is most like it, and their cosine."""


@dataclass(frozen=True)
class ExplainedImage:
    """One image, what is known of it, and the decision about it."""

    title: str
    about: str
    explanation: ImageExplanation
    picture: Image.Image
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Subject:
    """The image that is explained."""

    title: str
    about: str
    vector: Float32[np.ndarray, " dim"]
    group: str | None
    pixels: Image.Image | None


def explain(study: Study, options: RunOptions, image: str, run: RunStudy) -> ExplainedImage:
    """Take apart the decision about an image of the study's dataset, or about a new one.

    It is the head that the evaluation would be given, whatever stages there are between the
    training and that. Labels of training and validation images are told; those of test images are
    never loaded.

    Args:
        study: what is not done of it yet, up to its heads, is done first.
        options: where things are kept, and on what machine a new image is encoded.
        image: an image id of the dataset, or else a file.
        run: runs the study.

    Raises:
        StudyError: there is no such image, it cannot be read, or the study has no encoder for it.
    """
    store = ArtifactStore(options.store.resolve())
    trained = study.model_copy(update=_ONLY_MEASURED)
    taken_in = run(trained, options.model_copy(update={"until": "ingest"})).made[ImageDataset.kind]
    _check_is_there(image, list(store.load(ImageDataset, taken_in).images["image_id"]))
    published, head = explained_head(study, options, run)
    validated = store.load(ValidatedConceptDataset, published.validated_ref)
    dataset = store.load(ImageDataset, validated.dataset_ref)
    pixels = _pixels(dataset, store)

    def nearest(vector: Float32[np.ndarray, " dim"]) -> tuple[int, float]:
        return _nearest(store.load(ConceptIndex, validated.index_ref), published, vector)

    subject = _find(study, options.machine, published, image, pixels, nearest, dataset.windows)
    explanation = explain_image(published, head, subject.vector, subject.group)
    return ExplainedImage(
        title=subject.title,
        about=subject.about,
        explanation=explanation,
        picture=draw_explanation(
            explanation,
            subject.title,
            subject.about,
            subject.pixels,
            pixels,
            _seen(study, options.machine, published, explanation, subject.pixels),
        ),
        notices=_notices(published),
    )


def explained_head(study: Study, options: RunOptions, run: RunStudy) -> tuple[ConceptDataset, Head]:
    """Return the concept bottleneck that the evaluation would be given, and what it learned from.

    Args:
        study: what is not done of it yet, up to its heads, is done first.
        options: where things are kept.
        run: runs the study.
    """
    trained = study.model_copy(update=_ONLY_MEASURED)
    given = run(trained, options.model_copy(update={"before": "evaluate"})).given
    store = ArtifactStore(options.store.resolve())
    published = store.load(ConceptDataset, Ref.parse(given["published"]))
    return published, store.load(Heads, Ref.parse(given["probe"])).head(EXPLAINED)


def same_encoder(
    spec: OpenClipEncoder, machine: Machine, identity: EncoderIdentity
) -> "ClipEncoder":
    """Return the encoder that made a dataset's vectors.

    Raises:
        StudyError: it changed since, or cannot be loaded.
    """
    from curette.tasks.methods.encoder.encoder import load_encoder

    encoder = load_encoder(spec, machine)
    if encoder.identity != identity:
        raise StudyError(
            f"the encoder {encoder.identity.name} changed after the study's images were embedded "
            "with it. Run the study again."
        )
    return encoder


def picture_path(image: str, out: Path | None) -> Path:
    """Return where the picture will be.

    Raises:
        StudyError: something is there already, or the name does not end in .png.
    """
    path = out or Path(re.sub(r"\W+", "_", Path(image).stem)[:100] + "-explained.png")
    if path.suffix.lower() != ".png":
        raise StudyError(f"the picture is a PNG: give --out a name that ends in .png, not {path}")
    if path.exists():
        raise StudyError(f"{path} is there already: remove it, or name another one with --out")
    if not path.absolute().parent.is_dir():
        raise StudyError(f"the folder of {path} is not there: make it, or name another with --out")
    return path


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture; never over another file.

    Raises:
        StudyError: it cannot be written.
    """
    content = io.BytesIO()
    picture.save(content, "PNG")
    try:
        with path.open("xb") as file:
            file.write(content.getvalue())
    except OSError as error:
        raise StudyError(f"cannot write the picture {path}: {error}") from None


def tell(explained: ExplainedImage) -> Iterator[Text]:
    """Yield the explanation line by line, without markup."""
    e = explained.explanation
    decision = e.decision
    yield Text(f"{explained.title}: {decision.name}", style="bold")
    yield Text(explained.about)
    yield Text("")
    yield Text("  probability    logit  class")
    for answer in e.answers:
        yield Text(f"  {answer.probability:11.3f} {answer.logit:+8.3f}  {answer.name}")
    yield Text("")
    yield Text(
        f"What each concept adds to the logit of {decision.name}, weight x (score - mean), and how "
        f"far that puts it ahead of {e.runner_up.name}"
    )
    yield Text("     adds    ahead    weight    score     mean  higher than  concept")
    for part in e.parts:
        yield Text(
            f" {part.added:+8.3f} {part.ahead:+8.3f} {part.weight:+9.3f} {part.score:+8.3f} "
            f"{part.mean:+8.3f} {part.standing:12.0%}  {part.text}",
            style="blue" if part.added > 0 else "dark_orange3",
        )
    if e.rest_count:
        yield Text(f" {e.rest:+8.3f} {e.rest_ahead:+8.3f} {e.rest_count} other concepts together")
    yield Text(f" {e.baseline:+8.3f} {e.baseline_ahead:+8.3f} the average training image")
    lead = decision.logit - e.runner_up.logit
    yield Text(f" {decision.logit:+8.3f} {lead:+8.3f} the sum: the logit, and its lead", "bold")
    yield Text("")
    yield Text("Nearest training images, of other groups than the image's own")
    for examples in e.examples:
        yield Text(f"  {examples.of}")
        for x in examples.images:
            yield Text(f"    {x.score:+.3f}  {printable(x.image_id)}  ({x.class_name})")
    yield Text("")
    yield Text(
        "Mean, and `higher than`, are over the training images. Probabilities are the softmax of "
        "the logits, not calibrated."
    )
    for notice in explained.notices:
        yield Text(notice)


def _find(
    study: Study,
    machine: Machine,
    published: ConceptDataset,
    image: str,
    pixels: Callable[[str], Image.Image | None],
    nearest: Nearest,
    windows: Mapping[str, tuple[float, float]],
) -> _Subject:
    """Return the dataset's image of this id, or else the image in the file of this name."""
    images = published.images
    [rows] = np.nonzero((images["image_id"] == image).to_numpy())
    if len(rows):
        row = images.iloc[int(rows[0])]
        title = printable(image)
        return _Subject(
            title, _known(published, row), published.vectors[rows[0]], row["group"], pixels(image)
        )
    return _read(study, machine, published, Path(image), nearest, windows)


def _read(
    study: Study,
    machine: Machine,
    published: ConceptDataset,
    path: Path,
    nearest: Nearest,
    windows: Mapping[str, tuple[float, float]],
) -> _Subject:
    """Return the image in a file, encoded as the study's images were."""
    if not isinstance(study.encoder, OpenClipEncoder):
        raise StudyError(
            f"{path} cannot be explained: the study's vectors are precomputed, so there is no "
            "encoder to make one of a new image with. Name an image of the dataset by its id."
        )
    place = path.resolve()
    verified = verify_image(ImageFile(place), place.parent, lambda _: "", study.dataset.max_pixels)
    if isinstance(verified, Refusal):
        raise StudyError(
            f"{path} is refused as an image of the study would be ({verified.reason}): "
            f"{printable(verified.detail)}"
        )
    content, sha256 = place.read_bytes(), verified.sha256
    if verified.deep:
        depth = verified.deep.values.depth
        if depth not in ("16 bits", "colours", *windows):
            raise StudyError(
                f"{path} holds {depth}, and nothing says which is white: no image of the dataset "
                "is of that kind. Convert it to 8 bits."
            )
        if depth in windows:
            content = scaled_png(content, Window(*windows[depth]))
        sha256 = hashlib.sha256(content).hexdigest()
    vector = _encode(content, path, study.encoder, machine, published.facts.encoder)
    same = published.images[published.images["sha256"] == sha256]
    about, group = "a new image: none of the dataset's has its bytes", None
    if len(same):
        row = same.iloc[0]
        group = row["group"]
        about = f"its bytes are those of {printable(row['image_id'])}, {_known(published, row)}"
    elif (found := nearest(vector))[1] >= study.index.near_duplicate_cosine:
        row = published.images.iloc[found[0]]
        about += (
            f"; but it looks almost like {printable(row['image_id'])} (cosine {found[1]:.4f}), "
            f"{_known(published, row)}"
        )
    return _Subject(printable(path.name), about, vector, group, read_rgb(content))


def _nearest(
    index: ConceptIndex, published: ConceptDataset, vector: Float32[np.ndarray, " dim"]
) -> tuple[int, float]:
    from curette.tasks.index.faiss_index import search
    from curette.tasks.index.image_index import open_image_index

    scores, rows = search(open_image_index(index, published.vectors), vector[None], 1)
    return int(rows[0, 0]), float(scores[0, 0])


def _encode(
    content: bytes,
    path: Path,
    spec: OpenClipEncoder,
    machine: Machine,
    identity: EncoderIdentity,
) -> Float32[np.ndarray, " dim"]:
    encoder = same_encoder(spec, machine, identity)
    try:
        prepared = encoder.prepare_image(content)
    except Exception as error:  # whatever an image library says of bytes that are not ours
        raise StudyError(f"{path} cannot be decoded: {printable(str(error))}") from error
    [vector] = encoder.encode_images(prepared[None])
    if not np.isfinite(vector).all():
        raise StudyError(f"{identity.name} gives {path} a vector that is not finite")
    return vector


def _seen(
    study: Study,
    machine: Machine,
    published: ConceptDataset,
    explanation: ImageExplanation,
    pixels: Image.Image | None,
) -> tuple[SeenConcept, ...]:
    """Return where the strongest concepts for the decision are seen.

    Nothing where the pixels or the encoder are not to be had, or the encoder has no places: the
    decision is told without.
    """
    parts = [part for part in explanation.parts if part.added > 0][:_SEEN]
    if pixels is None or not parts or not isinstance(study.encoder, OpenClipEncoder):
        return ()
    from curette.tasks.locate.heat import encoder_view, heat_of_batch, why_no_heat
    from curette.tasks.methods.encoder.encoder import load_encoder

    try:
        encoder = load_encoder(study.encoder, machine)
    except StudyError:
        return ()
    if encoder.identity != published.facts.encoder or why_no_heat(encoder):
        return ()
    vectors = published.pool_vectors[published.pool_rows(part.concept_id for part in parts)]
    heat = heat_of_batch(encoder, encoder.preprocess(pixels)[None], vectors)[0]
    view = encoder_view(encoder)
    return tuple(
        SeenConcept(part.text, draw_heat(pixels, places.tolist(), view, None, _HEAT_PX))
        for part, places in zip(parts, heat, strict=True)
    )


def _known(published: ConceptDataset, row: "pd.Series") -> str:
    """Return an image's split and, outside the test split, its label."""
    if row["split"] == "test":
        return "test split, its label is held out"
    names = {c.key: c.name for c in published.facts.classes}
    said = f"{row['split']} split, labelled {printable(names[row['label']])}"
    return said + ("; the head was trained on it" if row["split"] == "train" else "")


def _check_is_there(image: str, ids: list[str]) -> None:
    """Refuse what is neither an image of the dataset nor a file, before anything else is done.

    Raises:
        StudyError: names ids that are alike.
    """
    with suppress(OSError):  # a name too long for a file
        if image in ids or Path(image).is_file():
            return
    near = difflib.get_close_matches(image, ids, n=5)
    meant = f"; did you mean {', '.join(map(printable, near))}?" if near else "."
    raise StudyError(
        f"{printable(image)} is neither an image id of the dataset nor a file{meant} "
        f"The dataset has {len(ids):,} images, such as {printable(ids[0])}."
    )


def _pixels(dataset: ImageDataset, store: ArtifactStore) -> Callable[[str], Image.Image | None]:
    """Return a function from an image's id to its pixels; None where they are not to be had."""
    read = image_reader(dataset, ImageShelf(store.root))
    locations = dict(zip(dataset.images["image_id"], dataset.images["location"], strict=True))

    def pixels(image_id: str) -> Image.Image | None:
        try:
            return read_rgb(read(locations[image_id]))
        except Exception:  # the decision rests on the vector, and is told without the pixels
            return None

    return pixels


def _notices(published: ConceptDataset) -> tuple[str, ...]:
    if not published.facts.encoder.demo:
        return ()
    return ("The encoder is the embedded demo's, which knows only drawn lesions.",)
