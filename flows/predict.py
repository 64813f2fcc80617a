"""What a study's concept bottleneck says of a folder of new images: `curette predict`."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from rich.text import Text

from curette.flows.explain import RunStudy, explained_head
from curette.flows.new_files import new_file, write_new
from curette.flows.new_images import encode_files, files_below
from curette.flows.stages import RunOptions
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import HeadFacts
from curette.schemas.study import Study
from curette.tasks.explain.page import changed_since_training
from curette.tasks.explain.predictions import (
    REASONS,
    Prediction,
    predict_images,
    predictions_page,
)
from curette.tasks.ingest.listing import Refusal
from curette.tasks.methods.explanation import Explainer, printable
from curette.tasks.methods.filled_tables import protect
from curette.tasks.methods.page.decision import more_or_less
from curette.tasks.methods.page.sprites import Sprites, squared
from curette.tasks.methods.predictions import UNLIKE_SHARE

IN_ONE_FILE = 2000
"""Images whose thumbnails the page holds itself; those of more lie in a folder beside it."""
_THUMBNAIL_PX = 56


@dataclass(frozen=True)
class Predictions:
    """What is said of a folder's images."""

    folder: Path
    published: ConceptDataset
    rows: tuple[Prediction, ...]
    """One a file."""
    thumbnails: dict[str, Image.Image]
    """File -> what it looks like, of those that are not refused."""
    head: HeadFacts


def predict(
    study: Study,
    options: RunOptions,
    folder: Path,
    run: RunStudy,
    adapted: str = "",
    kind: str = EXPLAINED,
) -> Predictions:
    """Decide about every image below a folder; no label is read, and nothing is kept.

    Args:
        study: what is not done of it yet, up to its heads, is done first.
        options: where things are kept, and on what machine images are encoded.
        folder: of images, whatever its folders are called.
        run: runs the study.
        adapted: as `explained_head` has it.
        kind: of the head.

    Raises:
        StudyError: there is no such folder, it has no file, or the study has no encoder for it.
    """
    files = files_below(folder)
    published, head = explained_head(study, options, run, adapted, kind)
    thumbnails: dict[str, Image.Image] = {}

    def look(name: str, pixels: Image.Image) -> None:
        thumbnails[name] = squared(pixels, _THUMBNAIL_PX)

    found, kept, vectors = encode_files(study, options, published, folder, files, look)
    told = {p.file: p for p in predict_images(Explainer(published, head), list(kept), vectors)}
    rows = tuple(
        Prediction(name, refused=f"{one.reason}: {printable(one.detail)}")
        if isinstance(one, Refusal)
        else told[name]
        for name, one in found.items()
    )
    shown = {name: thumbnails[name] for name in kept}
    return Predictions(folder, published, rows, shown, head.facts)


def predictions_file(out: Path) -> Path:
    """Return the path of a table or a page that is to be written.

    Raises:
        StudyError: it cannot be, or what would lie beside the page is there already.
    """
    if out.suffix.lower() == ".html" and _beside(out).exists():
        raise StudyError(
            f"{_beside(out)}, where thumbnails of {out} may have to lie, is there already: remove "
            "it, or name another page with --out"
        )
    return new_file(out, ".csv", ".html")


def write_predictions(said: Predictions, out: Path) -> str:
    """Write a table or a page, as the file's name ends, never over another file; say what is there.

    Raises:
        StudyError: there is such a file already, or it cannot be written.
    """
    if out.suffix.lower() != ".html":
        write_new(out, _table(said.rows))
        return f"predictions: {out}"
    beside = _beside(out).name if len(said.thumbnails) > IN_ONE_FILE else ""
    sprites = Sprites(said.thumbnails, _THUMBNAIL_PX, beside)
    page = predictions_page(
        said.published, said.rows, sprites, said.folder.name, said.head
    ).encode()
    if not beside:
        write_new(out, page)
        return f"predictions: {out} ({_size(len(page))}, everything in one file)"
    try:
        _beside(out).mkdir()
    except OSError as error:
        raise StudyError(f"cannot make the folder {_beside(out)}: {error.strerror}") from None
    for name, content in sprites.sheets.items():
        write_new(_beside(out) / name, content)
    write_new(out, page)
    sheets = sum(map(len, sprites.sheets.values()))
    return (
        f"predictions: {out} ({_size(len(page))}); thumbnails of more than {IN_ONE_FILE:,} images "
        f"lie beside it in {beside}/ ({_size(sheets)}): keep the two together"
    )


def tell(said: Predictions) -> Iterator[Text]:
    """Yield what was said, in a few lines."""
    if said.head.edits:
        yield Text(changed_since_training(said.head.edits), style="bold")
    decided = [p for p in said.rows if not p.refused]
    for name in sorted({p.class_name for p in decided}):
        yield Text(f"  {sum(p.class_name == name for p in decided):6} {printable(name)}")
    unlike = sum(p.unlike for p in decided)
    if unlike:
        yield Text(
            f"{unlike} of {len(decided)} are unlike anything that the head was trained on "
            f"({UNLIKE_SHARE:.0%} would be, of images like those): do not rely on what is said of "
            "them.",
            style="bold",
        )
    if refused := len(said.rows) - len(decided):
        yield Text(f"{refused} files are refused; each row says why.")
    yield Text("Probabilities are the softmax of the logits, not calibrated.")


def _table(rows: Sequence[Prediction]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(
        [
            *("file", "class", "probability", "runner_up"),
            *(f"reason_{i + 1}" for i in range(REASONS)),
            *("nearest_cosine", "unlike_training", "refused"),
        ]
    )
    for p in rows:
        said = map(more_or_less, p.shown_more, p.reasons)
        reasons = [*map(protect, said), *[""] * (REASONS - len(p.reasons))]
        numbers = ("", "") if p.refused else (round(p.probability, 4), round(p.nearest_cosine, 4))
        writer.writerow(
            [
                *(protect(p.file), protect(p.class_name), numbers[0], protect(p.runner_up)),
                *reasons,
                *(numbers[1], "" if p.refused else "yes" if p.unlike else "no", p.refused),
            ]
        )
    return text.getvalue().encode("utf-8-sig")


def _beside(page: Path) -> Path:
    """Return the folder in which a page's thumbnails lie where it cannot hold them."""
    return page.with_name(f"{page.stem}_files")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
