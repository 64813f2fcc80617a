"""What is decided about a folder of images, as a page that sorts and filters itself."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import HeadFacts
from curette.tasks.explain.page import TEMPLATES, notices
from curette.tasks.methods.explanation import Explainer, printable
from curette.tasks.methods.page.decision import more_or_less
from curette.tasks.methods.page.numbers import counted, signed
from curette.tasks.methods.page.render import render
from curette.tasks.methods.page.sprites import Sprites
from curette.tasks.methods.predictions import UNLIKE_SHARE, decide, nearest_cosines

REASONS = 3


@dataclass(frozen=True)
class Prediction:
    """What is said of one image, or why nothing is."""

    file: str
    class_name: str = ""
    probability: float = float("nan")
    runner_up: str = ""
    reasons: tuple[str, ...] = ()
    ahead: tuple[float, ...] = ()
    """By how much of the logit each reason sets the class ahead of the runner-up."""
    shown_more: tuple[bool, ...] = ()
    """Whether it counts because the image scores higher on it than the average training image."""
    nearest_cosine: float = float("nan")
    """With the training image most like it."""
    unlike: bool = False
    """Whether nothing that the head was trained on is as like it as training images are."""
    refused: str = ""


def predict_images(
    explainer: Explainer, files: Sequence[str], vectors: Float32[np.ndarray, "file dim"]
) -> Iterator[Prediction]:
    """Yield what is decided about images, in their order."""
    head, published = explainer.head, explainer.published
    scores = explainer.scores(vectors)
    said = decide(head.weights, head.bias, head.center, scores, REASONS)
    cosines, _ = nearest_cosines(published.vectors[published.rows("train")], vectors)
    classes = [c.name for c in published.facts.classes]
    for i, (file, cosine) in enumerate(zip(files, cosines, strict=True)):
        reasons = [j for j in said.reasons[i] if j >= 0]
        yield Prediction(
            file=file,
            class_name=classes[said.decided[i]],
            probability=float(said.probability[i]),
            runner_up=classes[said.runner_up[i]],
            reasons=tuple(head.facts.candidates[j].text for j in reasons),
            ahead=tuple(said.ahead[i, : len(reasons)].tolist()),
            shown_more=tuple((scores[i, reasons] > head.center[reasons]).tolist()),
            nearest_cosine=float(cosine),
            unlike=bool(cosine < explainer.least_usual),
        )


def predictions_page(
    published: ConceptDataset,
    predictions: Sequence[Prediction],
    sprites: Sprites,
    folder: str,
    head: HeadFacts,
) -> str:
    """Return the page.

    Args:
        published: what the head was trained on.
        predictions: one a file.
        sprites: a thumbnail of each file that is not refused, under its name.
        folder: what the images' folder is called.
        head: what is known of the head.
    """
    said = [p for p in predictions if not p.refused]
    unlike = sum(p.unlike for p in said)
    counts = Counter(p.class_name for p in said)
    page = {
        "name": printable(published.facts.name),
        "head": head.name,
        "folder": printable(folder),
        "notices": notices(published, head.edits),
        "sentence": _sentence(len(said), unlike, len(predictions) - len(said)),
        "unlike": unlike,
        "unlike_share": f"{UNLIKE_SHARE:.0%}",
        "refused": len(predictions) - len(said),
        "classes": [
            {
                "name": printable(name),
                "count": f"{count:,}",
                "share": f"{count / len(said):.0%}",
                "width": 100 * count / max(counts.values()),
            }
            for name, count in counts.most_common()
        ],
        "rows": [_row(p, sprites) for p in predictions],
    }
    return render(
        "predictions.html.j2",
        [TEMPLATES],
        page=page | {"pictures": sprites.shown, "beside": sprites.beside},
    )


def _sentence(said: int, unlike: int, refused: int) -> str:
    parts = [f"{counted(said, 'image')} decided"]
    if unlike:
        parts.append(f"{unlike:,} of them unlike anything that the head was trained on")
    if refused:
        parts.append(f"{counted(refused, 'file')} refused")
    return ", ".join(parts) + "."


def _row(p: Prediction, sprites: Sprites) -> dict[str, Any]:
    decided, file = printable(p.class_name), printable(p.file)
    sprite = sprites.of(p.file)
    return {
        "file": file,
        "css": sprite.css if sprite else "",
        "place": sprite.place if sprite else "",
        "alt": f"{decided or 'refused'}: {file}",
        "decided": decided,
        "probability": f"{p.probability:.0%}" if not p.refused else "",
        "sureness": f"{p.probability:.4f}" if not p.refused else "",
        "runner_up": printable(p.runner_up),
        "reasons": [
            {"text": more_or_less(more, printable(text)), "ahead": signed(ahead, 2)}
            for text, more, ahead in zip(p.reasons, p.shown_more, p.ahead, strict=True)
        ],
        "state": "refused" if p.refused else "unlike" if p.unlike else "usual",
        "refused": printable(p.refused),
    }
