"""Restricting training and validation images to those of a shift, which select for themselves.

A shift never moves an image between the study's splits: it leaves images out of each. So whoever is
tested was not trained on, whatever the shift. What is restricted here is restricted by labels and
metadata of training and validation images; test images are parted during the evaluation, where
their labels may be read.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.images import METADATA
from curette.schemas.settings.draw import ConfoundedShift, DomainShift, ShiftSpec
from curette.schemas.settings.select import SelectSpec
from curette.schemas.shifts import ShiftPart, ShiftPlan, UnusableDraw
from curette.tasks.methods.confounding import (
    describe_part,
    draw_confounded,
    label_table,
    lacking_cells,
    pair_by_majority,
)
from curette.tasks.methods.metadata import MOST_VALUES, name_values
from curette.tasks.methods.selection.choosing import choose_concepts, read_avoided

_Split = Literal["train", "validation"]
_SPLITS: tuple[_Split, ...] = ("train", "validation")


class _Unusable(Exception):
    """These images cannot show the shift."""


def draw(published: ConceptDataset, select: SelectSpec, shifts: Sequence[ShiftSpec]) -> Draws:
    """Choose the training and validation images of each shift, and concepts by them alone.

    Raises:
        StudyError: a shift names a column, value or class that the dataset does not have.
    """
    draws: list[Draw] = []
    unusable: list[UnusableDraw] = []
    for shift in shifts:
        try:
            draws.append(_restrict(published, select, shift))
        except _Unusable as reason:
            unusable.append(UnusableDraw(title=shift.title, reason=str(reason)))
    return Draws(protocol="shifts", draws=tuple(draws), unusable=tuple(unusable))


def _restrict(published: ConceptDataset, select: SelectSpec, shift: ShiftSpec) -> Draw:
    said = _named(published, shift)
    named = {split: said[published.rows(split)] for split in _SPLITS}
    plan = _plan(published, shift, named)
    levels = {split: plan.positions(named[split]) for split in _SPLITS}
    plan = _leave_out(published, plan, levels["train"])
    kept = {split: _kept(published, plan, split, levels[split]) for split in _SPLITS}
    rows = {split: published.rows(split)[kept[split]] for split in _SPLITS}
    _check(published, kept)
    parts = tuple(
        _describe(published, plan, split, kept[split], levels[split]) for split in _SPLITS
    )
    chosen = choose_concepts(
        published.pool,
        published.pool_vectors,
        published.vectors[rows["train"]],
        published.labels("train")[kept["train"]],
        published.class_keys,
        select.of(len(published.concepts)) if select.size.enough else select,
        avoided=read_avoided(published.images, select.avoid or (), rows["train"]),
    )
    ids = published.images["image_id"].to_numpy()
    return Draw(
        title=shift.title,
        plan=plan.model_copy(update={"parts": parts}),
        image_ids=tuple(ids[rows["train"]].tolist()),
        validation_ids=tuple(ids[rows["validation"]].tolist()),
        concept_ids=chosen.ids,
    )


def _named(published: ConceptDataset, shift: ShiftSpec) -> Shaped[np.ndarray, " image"]:
    """Return what the shift's column says of every image; of the test it is no label."""
    columns = [str(c) for c in published.images.columns]
    known = sorted(c.removeprefix(METADATA) for c in columns if c.startswith(METADATA))
    if shift.column not in known:
        raise StudyError(
            f"shifts names the column {shift.column}, and the images have no such metadata; they "
            f"have {', '.join(known) or 'none'}. Columns that are read as labels, ids, subjects or "
            "attributes are not among them."
        )
    return name_values(shift.column, published.images[METADATA + shift.column], shift.below)


def _plan(
    published: ConceptDataset, shift: ShiftSpec, named: dict[_Split, Shaped[np.ndarray, " image"]]
) -> ShiftPlan:
    known = sorted({name for of_split in named.values() for name in of_split if name is not None})
    if shift.below is not None:
        known = [f"under {shift.below:g}", f"{shift.below:g} and over"]
    if isinstance(shift, DomainShift):
        _check_values(shift, shift.train_on, known)
        if shift.below is None:
            known = [", ".join(shift.train_on), f"other than {' or '.join(shift.train_on)}"]
        return ShiftPlan(spec=shift, values=tuple(known), parts=())
    _check_values(shift, tuple(shift.pairing.values()), known)
    if not shift.pairing and len(known) > MOST_VALUES:
        raise StudyError(
            f"shifts: the metadata column {shift.column} has {len(known)} values, each rare; "
            "declare a `pairing`, or part numbers with `below`"
        )
    plan = ShiftPlan(spec=shift, values=tuple(known), parts=())
    pairing = _pair(published, shift, plan, named["train"])
    if len(set(pairing)) < 2:
        raise _Unusable(
            f"every class would go with {shift.column} {pairing[0]}, so nothing could be reversed; "
            "declare a pairing with two values"
        )
    return plan.model_copy(update={"pairing": pairing})


def _check_values(shift: ShiftSpec, said: tuple[str, ...], known: Sequence[str]) -> None:
    if strange := sorted(set(said) - set(known)):
        more = f" and {len(known) - MOST_VALUES} more" * (len(known) > MOST_VALUES)
        raise StudyError(
            f"shifts: no training or validation image has {shift.column} {', '.join(strange)}; "
            f"the column says {', '.join(known[:MOST_VALUES])}{more}. Numbers can be parted with "
            "`below`."
        )


def _pair(
    published: ConceptDataset,
    shift: ConfoundedShift,
    plan: ShiftPlan,
    named: Shaped[np.ndarray, " image"],
) -> tuple[str, ...]:
    keys = published.class_keys
    if shift.pairing:
        rest = [value for value in plan.values if value not in shift.pairing.values()]
        missing = [key for key in keys if key not in shift.pairing]
        if set(shift.pairing) - set(keys) or (missing and len(rest) != 1):
            raise StudyError(
                f"shifts: the pairing of {shift.column} names {', '.join(shift.pairing)}; it must "
                f"name classes ({', '.join(keys)}), and all of them unless exactly one value is "
                f"left for the others (left are: {', '.join(rest) or 'none'})"
            )
        return tuple(shift.pairing.get(key) or rest[0] for key in keys)
    table = label_table(
        published.labels("train"), plan.positions(named), len(keys), len(plan.values)
    )
    return tuple(plan.values[level] for level in pair_by_majority(table))


def _leave_out(
    published: ConceptDataset, plan: ShiftPlan, levels: Int[np.ndarray, " image"]
) -> ShiftPlan:
    """Return the plan without the classes of which no training image has a value that they need."""
    if not isinstance(plan.spec, ConfoundedShift):
        return plan
    labels, keys = published.labels("train"), published.class_keys
    lacking = lacking_cells(labels, levels, plan.paired, plan.spec.correlation)
    left_out = {int(k) for k, _ in lacking}
    left = {value for k, value in enumerate(plan.pairing) if k not in left_out}
    if len(left) < 2:
        cells = ", ".join(f"{keys[k]} with {plan.spec.column} {plan.values[a]}" for k, a in lacking)
        raise _Unusable(
            f"there is no training image of {cells}, and the other classes do not go with two "
            "different values, so label and attribute cannot be taken apart"
        )
    return plan.model_copy(update={"left_out": tuple(keys[k] for k in sorted(left_out))})


def _kept(
    published: ConceptDataset, plan: ShiftPlan, split: _Split, levels: Int[np.ndarray, " image"]
) -> Bool[np.ndarray, " image"]:
    """Return which images of a split the shift leaves in."""
    if not isinstance(plan.spec, ConfoundedShift):
        return levels == 0
    labels, spec = published.labels(split), plan.spec
    aside = np.isin(published.class_keys, plan.left_out)
    return draw_confounded(labels, levels, plan.paired, spec.correlation, spec.seed, aside)


def _check(published: ConceptDataset, kept: dict[_Split, Bool[np.ndarray, " image"]]) -> None:
    """Raise _Unusable where a class cannot be trained, or nothing can be chosen on."""
    counts = np.bincount(
        published.labels("train")[kept["train"]], minlength=len(published.class_keys)
    )
    if (counts == 0).any():
        raise _Unusable(
            f"no training image of {published.class_keys[int(counts.argmin())]} is left"
        )
    if not kept["validation"].any():
        raise _Unusable("no validation image is left")


def _describe(
    published: ConceptDataset,
    plan: ShiftPlan,
    split: _Split,
    kept: Bool[np.ndarray, " image"],
    levels: Int[np.ndarray, " image"],
) -> ShiftPart:
    groups = published.images["group"].to_numpy()[published.rows(split)]
    labels = published.labels(split)
    aside = np.isin(published.class_keys, plan.left_out)
    return describe_part(
        plan,
        "training" if split == "train" else split,
        labels,
        np.where(aside[labels], -1, levels),
        groups,
        kept.astype(np.float64),
    )
