"""A study's images as tasks of Label Studio, and the interface in which they are labelled.

Tasks are in its JSON (https://labelstud.io/guide/tasks#Basic-Label-Studio-JSON-format), with what
the head decides as a prediction (https://labelstud.io/guide/predictions). Pictures are found
through its local file serving (https://labelstud.io/guide/storage#Local-storage): an address is a
path below the document root, which is the folder that this folder lies in.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from curette.schemas.artifact import write_json
from curette.schemas.concept_dataset import ConceptDataset
from curette.tasks.export.shown import Shown

PICTURES = "images"
CLASS, CONCEPTS, _IMAGE = "class", "concepts", "image"
NONE_OF_THEM = "none of these"
"""Tells who saw no concept from who did not look for any."""


def write_label_studio(
    folder: Path, called: str, published: ConceptDataset, images: Sequence[Shown], version: str
) -> None:
    """Write `tasks.json` and `label_config.xml`.

    The class that the head decides for is chosen beforehand, no concept is: a score does not say
    whether a concept is there, and whoever sees an answer tends to give it.

    Args:
        folder: where they go, and the pictures lie below `images/`.
        called: the folder's name, once it is complete.
        published: the dataset.
        images: what is shown of it.
        version: of the head, which predictions carry.
    """
    names = class_names(published)
    tasks = [_task(image, called, names, version) for image in images]
    write_json(folder / "tasks.json", tasks)
    (folder / "label_config.xml").write_text(_config(published, names), encoding="utf-8")


def class_names(published: ConceptDataset) -> dict[str, str]:
    """Return class key -> what it is called, which no other class is."""
    names = {c.key: c.name for c in published.facts.classes}
    alike = len(set(names.values())) < len(names)
    return {key: key for key in names} if alike else names


def _task(image: Shown, called: str, names: dict[str, str], version: str) -> dict[str, Any]:
    decided = {
        "id": CLASS,
        "from_name": CLASS,
        "to_name": _IMAGE,
        "type": "choices",
        "value": {"choices": [names[image.decided]]},
    }
    return {
        "data": {
            _IMAGE: f"/data/local-files/?d={quote(f'{called}/{image.file}')}",
            "image_id": image.known["image_id"],
            "split": image.known["split"],
            "label": names[image.label] if image.label is not None else "",
            "why": "; ".join(image.reasons),
        },
        "predictions": [
            {"model_version": version, "score": image.probability, "result": [decided]}
        ],
    }


def _config(published: ConceptDataset, names: dict[str, str]) -> str:
    """Return the labelling interface."""

    def choices(values: Sequence[str]) -> str:
        return "\n".join(f"    <Choice value={quoteattr(value)}/>" for value in values)

    return f"""<View>
  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true"/>
  <Header value="Class"/>
  <Choices name="{CLASS}" toName="{_IMAGE}" choice="single" required="true">
{choices(list(names.values()))}
  </Choices>
  <Header value="What can be seen"/>
  <Choices name="{CONCEPTS}" toName="{_IMAGE}" choice="multiple">
{choices([*(c.text for c in published.concepts), NONE_OF_THEM])}
  </Choices>
</View>
"""
