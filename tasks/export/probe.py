"""Trained heads as one safetensors file, and how to decide by it in a few lines of Python.

Nothing of curette is needed to read it: tensors, and what they mean as JSON in the file's metadata
(https://huggingface.co/docs/safetensors: `__metadata__`, from texts to texts).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED, card_of
from curette.schemas.probe import Head, Heads
from curette.tasks.methods.features import head_features

PROBE = "probe.safetensors"
METADATA = "curette"
"""Under which of the metadata the JSON stands."""
_ROLES = ("concepts", "probe")
_FEATURES = {
    "vectors": "`vector`",
    "scores": "`scores`",
    "unit scores": "`scores`, of unit length",
    "scores and vectors": "`scores`, then `vector`",
}
_EXAMPLE = f"""\
import json
from datasets import load_dataset
from safetensors import safe_open

with safe_open("path/to/this/folder/{PROBE}", "numpy") as probe:
    about = json.loads(probe.metadata()["{METADATA}"])
    weights, bias = (probe.get_tensor(f"{EXPLAINED}.{{x}}") for x in ("weights", "bias"))
test = load_dataset("path/to/this/folder", split="test").with_format("numpy")[:]
logits = test["scores"][:, about["heads"]["{EXPLAINED}"]["columns"]] @ weights.T + bias
decided = [about["classes"][i] for i in logits.argmax(axis=1)]
"""


def exported_heads(heads: Heads) -> dict[str, Head]:
    """Return kind -> head of those that answer by concepts and of the probes they stand beside.

    Controls, floors and other baselines measure these; nobody decides by them.
    """
    kinds = dict.fromkeys(h.facts.kind for h in heads.heads)
    return {kind: heads.head(kind) for kind in kinds if card_of(kind).role in _ROLES}


def write_probe(path: Path, published: ConceptDataset, heads: Heads, text_template: str) -> None:
    """Write the heads of one dataset into one file.

    For each kind there are `<kind>.weights` (class, feature) and `<kind>.bias` (class), so that
    `logits = features @ weights.T + bias`; `<kind>.mean` and `<kind>.scale` (feature) are the mean
    and standard deviation of the features over the training images, which decisions do not need.
    Where features are scores, `<kind>.directions` (concept, dim) is what they are products of image
    vectors with.

    Args:
        path: of the file.
        published: what they were trained on.
        heads: trained on all images.
        text_template: the sentence that each concept was put into; empty: there is none.
    """
    tensors: dict[str, np.ndarray] = {}
    told: dict[str, Any] = {}
    for kind, head in exported_heads(heads).items():
        train = head.train_features
        if train is None:
            train = head_features(published, head, published.rows("train"))
        tensors |= {
            f"{kind}.weights": head.weights,
            f"{kind}.bias": head.bias,
            f"{kind}.mean": head.center,
            f"{kind}.scale": train.std(axis=0),
        }
        if candidates := head.facts.candidates:
            rows = published.pool_rows(c.concept_id for c in candidates)
            of_text = published.pool_vectors[rows]
            tensors[f"{kind}.directions"] = of_text if head.directions is None else head.directions
        told[kind] = _told(published, head)
    encoder = published.facts.encoder.model_dump(mode="json")
    about = {
        "version": 1,
        "study": published.facts.name,
        "classes": list(published.class_keys),
        "class_names": [c.name for c in published.facts.classes],
        "encoder": encoder
        | {"text_template": text_template}
        | ({"reference": reference} if (reference := published.facts.reference) else {}),
        "erased": [column.column for column in erasure.columns]
        if (erasure := published.facts.erasure)
        else [],
        "heads": told,
    }
    content = save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        metadata={METADATA: json.dumps(about, sort_keys=True, allow_nan=False)},
    )
    path.write_bytes(content)  # `save_file` would let only its owner read it


def probe_section(published: ConceptDataset, heads: Heads, measured: Mapping[str, str]) -> str:
    """Return what a card says of the file: the heads, how good they are, and how to use them.

    Args:
        published: what they were trained on.
        heads: as of `write_probe`.
        measured: head's name -> its balanced accuracy on test images with its interval; none of
            those that nobody told.
    """
    rows = "\n".join(
        f"| `{kind}` | {_FEATURES[head.facts.inputs]} | {len(head.facts.candidates) or ''} "
        f"| {measured.get(head.facts.name, 'not told')} |"
        for kind, head in exported_heads(heads).items()
    )
    erased = (
        "\nVectors of other images go through the map `erasure` of `facts.json` first.\n"
        if published.facts.erasure
        else ""
    )
    return f"""
## The probe

`{PROBE}` holds heads that were trained on this dataset after it was published: on its
training images, their settings chosen by its validation images. Each is linear:
`logits = features @ weights.T + bias`. This decides about the test images as the study's
evaluation did:

```python
{_EXAMPLE}```

| head | features | concepts | balanced accuracy on test images |
| --- | --- | ---: | --- |
{rows}

The metadata of the file names, as JSON, the classes, the encoder and the concepts of each head.
`directions` are what scores are products of image vectors with, so that a new image needs its
vector alone; `mean` and `scale` are those of the features over the training images.
{erased}
The softmax of the logits is not calibrated. Not for diagnosis, nor for any decision about a
patient.
"""


def _told(published: ConceptDataset, head: Head) -> dict[str, Any]:
    """Return what is said of one head; `columns` where its features are columns of `scores`."""
    facts = head.facts
    told: dict[str, Any] = {
        "name": facts.name,
        "features": facts.inputs,
        "concepts": [{"concept_id": c.concept_id, "text": c.text} for c in facts.candidates],
        "edits": list(facts.edits),
    }
    places = {c.concept_id: i for i, c in enumerate(published.concepts)}
    columns = [places.get(c.concept_id) for c in facts.candidates]
    if facts.inputs == "scores" and head.directions is None and None not in columns:
        told["columns"] = columns
    return told
