"""What a study's concept bottleneck says of a folder of new images: `curette predict`."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from rich.text import Text

from curette.flows.explain import RunStudy, explained_head, same_encoder
from curette.flows.stages import RunOptions
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.machine import Machine
from curette.schemas.probe import Head, head_inputs
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.schemas.study import Study
from curette.tasks.ingest.listing import ImageFile, Refusal
from curette.tasks.ingest.verify import Verified, verify_images
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.predictions import (
    UNLIKE_SHARE,
    decide,
    least_usual_cosine,
    nearest_cosines,
)
from curette.tasks.methods.threads import decoding_threads
from curette.tasks.review.sheet import protect

_REASONS = 3


@dataclass(frozen=True)
class Prediction:
    """What is said of one image, or why nothing is."""

    file: str
    class_name: str = ""
    probability: float = float("nan")
    runner_up: str = ""
    reasons: tuple[str, ...] = ()
    nearest_cosine: float = float("nan")
    """With the training image most like it."""
    unlike: bool = False
    """Whether nothing that the head was trained on is as like it as training images are."""
    refused: str = ""


def predict(
    study: Study, options: RunOptions, folder: Path, run: RunStudy
) -> tuple[Prediction, ...]:
    """Decide about every image below a folder; no label is read, and nothing is kept.

    Args:
        study: what is not done of it yet, up to its heads, is done first.
        options: where things are kept, and on what machine images are encoded.
        folder: of images, whatever its folders are called.
        run: runs the study.

    Raises:
        StudyError: there is no such folder, it has no file, or the study has no encoder for it.
    """
    files = _files(folder)
    if not isinstance(study.encoder, OpenClipEncoder):
        raise StudyError(
            "the study's vectors are precomputed, so there is no encoder to make vectors of new "
            "images with. Name the encoder they were made with."
        )
    published, head = explained_head(study, options, run)
    encoder = same_encoder(study.encoder, options.machine, published.facts.encoder)
    verified = list(
        verify_images(
            map(ImageFile, files),
            root=folder,
            keep=lambda _: "",
            max_pixels=study.dataset.max_pixels,
            workers=decoding_threads(options.machine),
            advance=lambda _: None,
        )
    )
    names = [path.relative_to(folder).as_posix() for path in files]
    kept = [i for i, found in enumerate(verified) if isinstance(found, Verified)]
    vectors = _encode([files[i] for i in kept], encoder, options.machine)
    told = dict(zip(kept, _decide(published, head, vectors), strict=True))
    return tuple(
        _refused(names[i], found) if isinstance(found, Refusal) else replace(told[i], file=names[i])
        for i, found in enumerate(verified)
    )


def write_predictions(predictions: Sequence[Prediction], out: Path) -> None:
    """Write them as CSV; never over another file.

    Raises:
        StudyError: there is such a file already, or it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(
        [
            *("file", "class", "probability", "runner_up"),
            *(f"reason_{i + 1}" for i in range(_REASONS)),
            *("nearest_cosine", "unlike_training", "refused"),
        ]
    )
    for p in predictions:
        reasons = [*map(protect, p.reasons), *[""] * (_REASONS - len(p.reasons))]
        numbers = ("", "") if p.refused else (round(p.probability, 4), round(p.nearest_cosine, 4))
        writer.writerow(
            [
                *(protect(p.file), protect(p.class_name), numbers[0], protect(p.runner_up)),
                *reasons,
                *(numbers[1], "" if p.refused else "yes" if p.unlike else "no", p.refused),
            ]
        )
    try:
        with out.open("xb") as file:
            file.write(text.getvalue().encode("utf-8-sig"))
    except FileExistsError:
        raise StudyError(f"{out} is there already: remove it, or name another file") from None
    except OSError as error:
        raise StudyError(f"cannot write {out}: {error.strerror}") from None


def tell(predictions: Sequence[Prediction], out: Path) -> Iterator[Text]:
    """Yield what was said, in a few lines."""
    said = [p for p in predictions if not p.refused]
    for name in sorted({p.class_name for p in said}):
        yield Text(f"  {sum(p.class_name == name for p in said):6} {printable(name)}")
    unlike = sum(p.unlike for p in said)
    if unlike:
        yield Text(
            f"{unlike} of {len(said)} are unlike anything that the head was trained on "
            f"({UNLIKE_SHARE:.0%} would be, of images like those): do not rely on what is said of "
            "them.",
            style="bold",
        )
    if refused := len(predictions) - len(said):
        yield Text(f"{refused} files are refused; each row says why.")
    yield Text("Probabilities are the softmax of the logits, not calibrated.")
    yield Text(f"predictions: {out}")


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise StudyError(f"{folder} is no folder; give one that holds images")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not files:
        raise StudyError(f"{folder} holds no file; give a folder of images")
    return files


def _encode(
    files: Sequence[Path], encoder: ClipEncoder, machine: Machine
) -> Float32[np.ndarray, "image dim"]:
    if not files:
        return np.zeros((0, encoder.identity.dim), np.float32)
    batches = encode_in_batches(
        files,
        lambda path: encoder.prepare_image(path.read_bytes()),
        encoder.stack,
        encoder.encode_images,
        machine.batch_size or DEFAULT_BATCH[encoder.device],
        decoding_threads(machine),
    )
    return np.concatenate(list(batches))


def _decide(
    published: ConceptDataset, head: Head, vectors: Float32[np.ndarray, "image dim"]
) -> Iterator[Prediction]:
    train = published.rows("train")
    known = published.vectors[train]
    rows = published.pool_rows(c.concept_id for c in head.facts.candidates)
    scores = head_inputs(head.facts.inputs, vectors, published.pool_vectors[rows])
    said = decide(head.weights, head.bias, head.center, scores, _REASONS)
    cosines, _ = nearest_cosines(known, vectors)
    usual = least_usual_cosine(known, published.images["group"].to_numpy()[train])
    classes = [c.name for c in published.facts.classes]
    for i, cosine in enumerate(cosines):
        yield Prediction(
            file="",
            class_name=classes[said.decided[i]],
            probability=float(said.probability[i]),
            runner_up=classes[said.runner_up[i]],
            reasons=tuple(head.facts.candidates[j].text for j in said.reasons[i] if j >= 0),
            nearest_cosine=float(cosine),
            unlike=bool(cosine < usual),
        )


def _refused(file: str, refusal: Refusal) -> Prediction:
    return Prediction(file, refused=f"{refusal.reason}: {printable(refusal.detail)}")
