"""Editing the heads of a probe by what they say of concepts."""

import difflib
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.edits import Edit, Edits
from curette.schemas.heads import EXPLAINED, UNEDITED, card_of
from curette.schemas.probe import Head, Heads
from curette.tasks.methods.editing import ColumnEdit, LinearWeights, edit_weights


def edit_probe(
    published: ConceptDataset, probe: Heads, edits: Edits, refitted: Heads | None = None
) -> Heads:
    """Return the probe with every head edited that weighs an edited concept.

    Heads on random or shuffled things stay as they are: they are what others are held against.
    The concept bottleneck stands there as it was, too, as a head of its own.

    Args:
        published: what the heads were trained on; labels are not looked at.
        probe: the trained heads.
        edits: in their order, those that forbid first.
        refitted: the heads as they are trained without the forbidden concepts; needed where there
            are any.

    Raises:
        StudyError: an edit names a concept that no head weighs, or a class that is not there.
        ValueError: concepts are forbidden and no heads were trained without them.
    """
    if not edits.edits:
        return probe
    check_edits(published, probe, edits)
    if edits.forbidden and refitted is None:
        raise ValueError("edits forbid concepts, which takes heads trained without them")
    anew = {head.facts.name: head for head in refitted.heads} if refitted else {}
    vectors = published.vectors[published.rows("train")].astype(np.float64)
    heads = tuple(
        _edited(published, head, anew.get(head.facts.name), edits, vectors.mean(axis=0))
        for head in probe.heads
    )
    explained = probe.head(EXPLAINED)
    title = card_of(UNEDITED).title
    facts = explained.facts.model_copy(update={"kind": UNEDITED, "name": title, "family": title})
    place = probe.heads.index(explained) + 1
    return replace(probe, heads=(*heads[:place], replace(explained, facts=facts), *heads[place:]))


def idle_edits(published: ConceptDataset, probe: Heads, edits: Edits) -> tuple[Edit, ...]:
    """Return the edits that change no head: those of a concept that says no more than they allow.

    Raises:
        StudyError: an edit names a concept that no head weighs, or a class that is not there.
    """
    idle = []
    for edit in (e for e in edits.edits if e.operation != "forbid"):
        made = edit_probe(published, probe, Edits(study=edits.study, edits=(edit,)))
        edited = tuple(head for head in made.heads if head.facts.kind != UNEDITED)
        if all(
            np.allclose(after.weights, before.weights, rtol=0, atol=1e-12)
            for before, after in zip(probe.heads, edited, strict=True)
        ):
            idle.append(edit)
        probe = replace(probe, heads=edited)
    return tuple(idle)


def _edited(
    published: ConceptDataset,
    head: Head,
    refitted: Head | None,
    edits: Edits,
    mean_vector: Float64[np.ndarray, " dim"],
) -> Head:
    """Return a head with the edits of its own concepts; the head itself where there are none.

    One that cannot be trained without the forbidden concepts has them neutralised.
    """
    facts = head.facts
    places = {c.concept_id: place for place, c in enumerate(facts.candidates)}
    own = [edit for edit in edits.edits if edit.concept_id in places]
    if card_of(facts.kind).role != "concepts" or not own or facts.inputs == "unit scores":
        return head
    if refitted is None:
        own = [_neutralising(edit) for edit in own]
    else:
        head, facts = refitted, refitted.facts
    changing = [edit for edit in own if edit.operation != "forbid"]
    count = len(facts.candidates)
    rows = published.pool_rows(c.concept_id for c in facts.candidates)
    directions = head.directions
    if directions is None:
        directions = published.pool_vectors[rows].astype(np.float64)
    hybrid = facts.inputs == "scores and vectors"
    made = edit_weights(
        LinearWeights(
            head.weights[:, :count], head.bias, head.weights[:, count:] if hybrid else None
        ),
        [_of_column(edit, places[edit.concept_id], published.class_keys) for edit in changing],
        head.center[:count],
        mean_vector,
        directions,
    )
    weights = made.concepts
    if made.residual is not None:
        weights = np.hstack([weights, made.residual])
    nec = int((weights != 0).sum()) / len(weights)
    told = tuple(edit.told for edit in own)
    return replace(
        head,
        facts=facts.model_copy(update={"nec": nec, "edits": told}),
        weights=weights,
        bias=made.bias,
    )


def _neutralising(edit: Edit) -> Edit:
    forbids = edit.operation == "forbid"
    return edit.model_copy(update={"operation": "neutralise"}) if forbids else edit


def _of_column(edit: Edit, place: int, class_keys: tuple[str, ...]) -> ColumnEdit:
    class_index = class_keys.index(edit.class_key) if edit.class_key else None
    return ColumnEdit(place, edit.operation, class_index, edit.amount)


def check_edits(published: ConceptDataset, probe: Heads, edits: Edits) -> None:
    """Refuse edits that cannot be done.

    Raises:
        StudyError: an edit names a concept that no head weighs, or a class that is not there, or
            nothing is left to look at.
    """
    weighed = {c.concept_id: c.text for c in probe.head(EXPLAINED).facts.candidates}
    for edit in edits.edits:
        if edit.concept_id not in weighed:
            near = difflib.get_close_matches(edit.text, weighed.values(), n=3, cutoff=0.4)
            meant = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
            raise StudyError(
                f"edit: no head weighs the concept {edit.text!r} ({edit.concept_id}); usually it "
                f"is no longer selected.{meant} Take the edit back, or edit what is there: "
                "`curette edit export` lists it."
            )
        if edit.class_key and edit.class_key not in published.class_keys:
            raise StudyError(
                f"edit: {edit.told!r} names a class that is not there; there are "
                f"{', '.join(published.class_keys)}"
            )
    if len(edits.forbidden) == len(weighed):
        raise StudyError(
            "edit: every concept is forbidden, so no head is left; let one be looked at"
        )
