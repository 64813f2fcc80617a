"""Every image that may be shown: what it is, what it is taken for, how surely, and why."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import REFERENCE
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.many_decisions import ManyDecisions, decide_many
from curette.tasks.methods.metadata import Subgroups
from curette.tasks.methods.page.decision import standing
from curette.tasks.methods.page.numbers import counted, signed
from curette.tasks.methods.plane import place_concepts
from curette.tasks.methods.subgroups import find_subgroups
from curette.tasks.report.map import draw_map, on_map
from curette.tasks.report.material import WALL_PX, Draft

_SPLITS = ("test", "validation", "train")
_SURE = (0.5, 0.7, 0.9)
_UNLIKE = "unlike"
HEAT_PX = 144
_PICTURE = {"css": "", "alt": "", "name": " ", "label": "", "text": ""}
_CARD = {
    "picture": _PICTURE,
    "level": "",
    "predicted": "",
    "probability": "",
    "second": "",
    "second_probability": "",
    "tags": [{"level": "", "text": ""}],
    "concepts": [{"text": "", "ahead": "", "for": True, "width": 0, "standing": ""}],
    "start": "",
    "rest": "",
    "rest_count": 1,
    "total": "",
    "heat": [_PICTURE],
    "nearest": [_PICTURE],
}
"""A decision's card with one of everything, which the script copies and fills in."""


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return the wall; None where the study wants none."""
    if not draft.spec.wall:
        return None
    table, names = draft.material.published.images, draft.class_names
    ids, splits = table["image_id"].astype(str).tolist(), table["split"].astype(str).tolist()
    labels = {i: list(names).index(key) for i, key in draft.labels.items()}
    rows = np.array([row for row, i in enumerate(ids) if i in labels], dtype=np.int64)
    many = decide_many(draft.explainer, rows)
    order = sorted(
        range(len(rows)),
        key=lambda k: (
            _SPLITS.index(splits[rows[k]]),
            labels[ids[rows[k]]],
            int(many.decided[k]),
            float(many.probability[k]),
        ),
    )
    place_of = {int(rows[k]): place for place, k in enumerate(order)}
    subgroups = list(_subgroups(draft))
    box = _black_box(draft)
    standings: dict[str, int] = {}
    classes = list(names.values())
    places = draft.material.places
    points = None if places is None else on_map(places)
    figures, cells = [], set[str]()
    for k in order:
        image_id, split = ids[rows[k]], splits[rows[k]]
        label, decided = labels[image_id], int(many.decided[k])
        cell = f"cell-{label}-{decided}" if split == "test" else ""
        sprite = draft.sprites.of(image_id)
        figures.append(
            {
                "anchor": "" if cell in cells else cell,
                "css": sprite.css if sprite else "absent",
                "place": sprite.place if sprite else "",
                "alt": f"{classes[label]}: {split} image {draft.image_name(image_id)}",
                "label": classes[label],
                "taken": classes[decided] if decided != label else "",
                "share": f"{many.probability[k]:.0%}",
                "data": {
                    "split": split,
                    "label": label,
                    "decided": decided,
                    "verdict": "right" if decided == label else "wrong",
                    "doubt": _doubt(many, k),
                    "groups": _groups(subgroups, int(rows[k])),
                    "box": box.get(image_id, ""),
                    "sure": f"{many.probability[k]:.4f}",
                    "decision": _decision(many, k, place_of, standings),
                    "at": " ".join(map(str, points[rows[k]])) if points is not None else "",
                },
            }
        )
        cells.add(cell)
    concepts = [printable(c.text) for c in draft.explainer.head.facts.candidates]
    known = {
        "classes": classes,
        "concepts": concepts,
        "standings": list(standings),
        "heat": _heat(draft, {ids[row]: place for row, place in place_of.items()}),
        "px": WALL_PX,
    }
    return {
        "note": _note(draft, len(rows)),
        "told": draft.evaluation is not None,
        "classes": classes,
        "splits": [s for s in _SPLITS if s in {splits[row] for row in rows}],
        "box": REFERENCE.replace("_", " ") if box else "",
        "doubts": _doubts(),
        "subgroups": [
            {
                "column": g.column.replace("_", " "),
                "named": [{"key": f"{i}-{j}", "name": name} for j, name in enumerate(g.names)],
            }
            for i, g in enumerate(subgroups)
        ],
        "figures": figures,
        "known": json.dumps(known),
        "map": None
        if places is None or points is None
        else _map(draft, places, points, rows, many, [labels[ids[row]] for row in rows], concepts),
        "card": _CARD,
    }


def _map(
    draft: Draft,
    places: Float64[np.ndarray, "image 2"],
    points: Int[np.ndarray, "image 2"],
    rows: Int[np.ndarray, " shown"],
    many: ManyDecisions,
    labels: Sequence[int],
    concepts: Sequence[str],
) -> dict[str, Any]:
    """Return the map of the images that are shown, and of the concepts."""
    published = draft.material.published
    scores = draft.explainer.scores(published.vectors)
    wrong = (many.decided != labels) & (published.images["split"] == "test").to_numpy()[rows]
    return draw_map(
        points[rows],
        labels,
        wrong,
        on_map(place_concepts(places, scores, published.rows("train"))),
        concepts,
        list(draft.class_names.values()),
    )


def _note(draft: Draft, count: int) -> str:
    """Say which images there are, and what of the page they take."""
    sheets = draft.sprites.sheets
    size = f"{sum(map(len, sheets.values())) / 1e6:.1f} MB"
    said = f"{counted(count, 'image')}. "
    if draft.evaluation is None:
        said += "Test images are left out: the reusable holdout tells nothing of single ones. "
    else:
        said += "Of test images it is told what the evaluation told. "
    said += "Training images are ones that the head has learned from."
    if draft.sprites.beside:
        return (
            f"{said} Their thumbnails ({size}) lie beside this page in {draft.sprites.beside}/, "
            f"since they are more than {draft.spec.in_one_file:,}: keep the two together."
        )
    return f"{said} Their thumbnails are in this page ({size})." if sheets else said


def _doubts() -> list[dict[str, str]]:
    """Return the steps of confidence, least sure first, and what is like nothing seen."""
    edges = [f"{edge:.0%}" for edge in _SURE]
    names = [f"under {edges[0]} sure"]
    names += [f"{low} to {high}" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]} and more")
    steps = [{"key": str(i), "name": name} for i, name in enumerate(names)]
    return [*steps, {"key": _UNLIKE, "name": "unlike any training image"}]


def _doubt(many: ManyDecisions, k: int) -> str:
    step = str(int(np.searchsorted(_SURE, many.probability[k], side="right")))
    return f"{step} {_UNLIKE}" if many.unlike[k] else step


def _subgroups(draft: Draft) -> Iterator[Subgroups]:
    """Yield the subgroups that the evaluation measured, of all images; none so small as to tell."""
    if draft.evaluation is None:
        return
    tables, published = draft.evaluation.subgroups, draft.material.published
    columns = list(dict.fromkeys(m.column for m in tables.metrics))
    metadata = published.images[[f"meta.{c}" for c in columns]].set_axis(columns, axis=1)
    found, _ = find_subgroups(
        metadata, published.images["group"].to_numpy(), _edges(draft), tables.smallest, columns
    )
    yield from found


def _edges(draft: Draft) -> Mapping[str, Sequence[float]]:
    """Return where the evaluation cut columns of numbers, as the study said."""
    specs = [m.recipe.spec for m in draft.material.lineage if m.kind == Evaluation.kind]
    cut = specs[-1].get("subgroup_edges", {}) if specs else {}
    return EvaluateSpec(subgroup_edges=cut).subgroup_edges


def _groups(subgroups: list[Subgroups], row: int) -> str:
    found = ((i, int(g.of_image[row])) for i, g in enumerate(subgroups))
    return " ".join(f"{i}-{j}" for i, j in found if j >= 0)


def _black_box(draft: Draft) -> dict[str, int]:
    """Return what the linear probe takes each test image for; empty where it was not trained."""
    heads = {h.facts.kind: h.facts.name for h in draft.material.probe.heads}
    if draft.evaluation is None or REFERENCE not in heads:
        return {}
    keys = list(draft.class_names)
    return {
        p.image_id: keys.index(p.predicted[heads[REFERENCE]])
        for p in draft.evaluation.predictions
        if heads[REFERENCE] in p.predicted
    }


def _decision(
    many: ManyDecisions, k: int, place_of: Mapping[int, int], standings: dict[str, int]
) -> str:
    """Return a card's numbers on one line, words as places in lists: 10,000 of them are a page."""
    parts = []
    for j, ahead, share in zip(many.concepts[k], many.ahead[k], many.standing[k], strict=True):
        if j >= 0:
            words = standings.setdefault(standing(float(share)), len(standings))
            parts.append(f"{j} {signed(ahead, 2)} {words}")
    near = " ".join(str(place_of[int(row)]) for row in many.nearest[k] if row >= 0)
    fields = (
        str(many.second[k]),
        f"{many.second_probability[k]:.0%}",
        *(signed(float(x[k]), 2) for x in (many.start, many.rest, many.lead)),
        ",".join(parts),
        near,
    )
    return "|".join(fields)


def _heat(draft: Draft, places: Mapping[str, int]) -> dict[int, list[dict[str, str]]]:
    """Return place -> where concepts are seen on that image, as far as the evaluation told."""
    if draft.evaluation is None:
        return {}
    location = draft.evaluation.location
    found: dict[int, list[dict[str, str]]] = {}
    for x in location.examples:
        css = draft.book.heat(x.image_id, x.heat, location.view, HEAT_PX)
        told = {"css": css or "absent", "text": printable(x.text)}
        found.setdefault(places[x.image_id], []).append(told)
    return found
