"""The dataset card: what the dataset is, what made it, what was dropped, what it is not for.

Sections follow Hugging Face's dataset cards, which go back to Gebru et al., "Datasheets for
Datasets" (2021).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import yaml

from curette.schemas.candidates import (
    Candidate,
    CaptionOrigin,
    DocumentOrigin,
    FileOrigin,
    LlmOrigin,
)
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import SPLITS
from curette.schemas.llm import Usage
from curette.schemas.settings.publish import PublishSpec
from curette.tasks.publish.inputs import PublishInputs
from curette.tasks.publish.markdown import Markdown, indented, render

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_EXAMPLES = 3


def write_card(dataset: ConceptDataset, inputs: PublishInputs, spec: PublishSpec) -> str:
    """Return the card, a YAML head and Markdown; equal datasets get equal cards."""
    title = " ".join((spec.title or dataset.facts.name).split())
    origins = [origin for c in inputs.candidates.candidates for origin in c.origins]
    answered = [o for o in origins if isinstance(o, LlmOrigin | DocumentOrigin | CaptionOrigin)]
    body = render(
        "dataset_card.md",
        title=title,
        facts=dataset.facts,
        images=len(dataset.images),
        dim=dataset.vectors.shape[1],
        classes=_class_rows(dataset, inputs),
        totals=[sum(n.get(s, 0) for n in dataset.facts.class_counts.values()) for s in SPLITS],
        rejected_images=_counted(r.reason for r in inputs.dataset.rejected),
        notes_on_images=inputs.dataset.notes,
        attributes=inputs.dataset.attributes,
        models=sorted({o.model for o in answered}),
        prompts=len({o.prompt_sha256 for o in answered}),
        requests=len({o.request_sha256 for o in answered}),
        documents=len({o.document for o in origins if isinstance(o, DocumentOrigin)}),
        files=sorted({o.file for o in origins if isinstance(o, FileOrigin)}),
        usage=_spent(inputs),
        annotations=dataset.facts.annotations,
        judge=inputs.screened.judge,
        agreement=inputs.priors.agreement,
        failures=len(inputs.candidates.failures),
        proposed=len(inputs.candidates.candidates),
        dropped=_counted(d.gate for d in dataset.dropped),
        pool=len(dataset.pool),
        named=dataset.class_vectors is not None,
        selected=len(dataset.concepts),
        jointly=inputs.concepts.scope == "jointly",
        neighbours=sorted({s.neighbours for s in inputs.concepts.selections if s.neighbours}),
        review=inputs.screened.review,
        priors=len(dataset.priors),
        settings=[
            *(("screen", *setting) for setting in _flat(inputs.screen_settings)),
            *(("select", *setting) for setting in _flat(inputs.select_settings)),
        ],
        report=inputs.report,
        lineage=[(str(ref).split("/", 1)) for ref in _lineage(inputs)],
        licence=spec.licence,
        organisation=spec.organisation,
        citation=indented(spec.citation),
        notes=Markdown(spec.notes.strip()),
    )
    return f"---\n{_head(dataset, title, spec)}---\n\n{body}"


def _head(dataset: ConceptDataset, title: str, spec: PublishSpec) -> str:
    """Return the card's YAML: what the hub shows, and what `load_dataset` needs."""
    tables = {"classes": "classes.parquet"} if dataset.class_vectors is not None else {}
    tables |= {
        "concepts": "concepts.parquet",
        "pool": "pool.parquet",
        "priors": "priors.parquet",
    }
    if dataset.dropped:  # `datasets` cannot load a table without rows
        tables["dropped"] = "dropped.parquet"
    images = {
        "config_name": "images",
        "default": True,
        "data_files": [{"split": s, "path": f"data/{s}.parquet"} for s in SPLITS],
    }
    others = [
        {"config_name": name, "data_files": [{"split": "train", "path": path}]}
        for name, path in tables.items()
    ]
    head = {
        "pretty_name": title,
        "license": spec.licence,
        "task_categories": ["image-classification"],
        "tags": [
            "concept-bottleneck",
            "interpretability",
            "medical",
            *(["synthetic"] if dataset.facts.synthetic_images else []),
        ],
        "size_categories": [
            next((name for most, name in _SIZES if len(dataset.images) < most), "n>1M")
        ],
        "configs": [images, *others],
        "dataset_info": [{"config_name": "images", "features": _features(dataset)}],
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True)


def _features(dataset: ConceptDataset) -> list[dict[str, Any]]:
    """Return the image table's columns as `datasets` writes them, the label with its classes."""
    from datasets import ClassLabel, DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    features = Features.from_arrow_schema(dataset.image_table().schema)
    features["label"] = ClassLabel(names=list(dataset.class_keys))
    data = DatasetCardData()
    DatasetInfosDict(images=DatasetInfo(features=features)).to_dataset_card_data(data)
    return data["dataset_info"]["features"]


def _class_rows(dataset: ConceptDataset, inputs: PublishInputs) -> list[dict[str, object]]:
    """Return one row a class: its images, its candidates, its concepts and the first of them."""
    picks = {s.class_key: s for s in inputs.concepts.selections}
    texts = {c.concept_id: c.text for c in dataset.concepts}
    rows = []
    for label in dataset.facts.classes:
        chosen = [texts[p.concept_id] for p in picks[label.key].picks] if label.key in picks else []
        counts = dataset.facts.class_counts.get(label.key, {})
        rows.append(
            {
                "key": label.key,
                "name": label.name,
                "counts": [counts.get(split, 0) for split in SPLITS],
                "pool": _proposed_for(label.key, dataset.pool),
                "selected": len(chosen),
                "examples": chosen[:_EXAMPLES],
                "more": len(chosen[_EXAMPLES:]),
                "certified": f"{picks[label.key].certificate:.1%}" if label.key in picks else "",
            }
        )
    return rows


def _spent(inputs: PublishInputs) -> Usage:
    annotated = inputs.annotations.facts.usage if inputs.annotations else Usage()
    return inputs.candidates.usage + inputs.screened.usage + inputs.priors.usage + annotated


def _proposed_for(key: str, candidates: Iterable[Candidate]) -> int:
    return sum(key in c.classes for c in candidates)


def _counted(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Return how often each reason was given, the most frequent first."""
    return sorted(Counter(reasons).items(), key=lambda pair: (-pair[1], pair[0]))


def _flat(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return names and values; of a list of kinds the kinds, then each one's own settings."""
    flat = []
    for name, value in settings.items():
        if isinstance(value, dict) and "kind" not in value:
            told = {key: v for key, v in value.items() if v is not None}
            flat += [(f"{name}.{key}", v) for key, v in _flat(told)]
            continue
        listed = value if isinstance(value, list) else [value]
        kinds = [entry for entry in listed if isinstance(entry, dict) and "kind" in entry]
        shown = [entry["kind"] for entry in kinds] or listed
        flat.append((name, ", ".join(map(str, shown))))
        for entry in kinds:
            own = {key: v for key, v in entry.items() if key != "kind"}
            flat += [(f"{entry['kind']}.{key}", told) for key, told in _flat(own)]
    return flat


def _lineage(inputs: PublishInputs) -> list[object]:
    validated = inputs.validated
    return [
        validated.dataset_ref,
        validated.candidates_ref,
        validated.screened_ref,
        validated.concepts_ref,
        validated.priors_ref,
        validated.embeddings_ref,
        validated.index_ref,
        validated.report_ref,
    ]
