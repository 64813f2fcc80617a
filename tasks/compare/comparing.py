"""What differs between finished studies: answers, concepts, settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float64, Int

from curette.schemas.artifact import Manifest
from curette.schemas.candidates import ReviewOrigin
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.schemas.questions.metrics import Metric
from curette.tasks.methods.explanation import centred_weights
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import balanced_accuracies

_RESAMPLES = 2000
_CONFIDENCE = 0.95
_ALIKE = 0.7
"""Correlation of scores over training images from which one concept stands in for another."""
_ANYWHERE = "code"


@dataclass(frozen=True, eq=False)
class FinishedStudy:
    """A study that was evaluated, as far as others are held against it."""

    name: str
    published: ConceptDataset
    head: Head
    """The concept bottleneck."""
    evaluation: Evaluation
    lineage: tuple[Manifest, ...]
    """Of everything that the evaluation rests on, first made first."""

    @cached_property
    def weights(self) -> Float64[np.ndarray, "class concept"]:
        """What a standard deviation of each score adds to a class more than to the mean class."""
        return centred_weights(self.published, self.head)

    @cached_property
    def metrics(self) -> dict[tuple[str, str], Metric]:
        """(head, metric) -> its value."""
        return {(m.head, m.name): m for m in self.evaluation.metrics}


def same_test(first: FinishedStudy, other: FinishedStudy) -> bool:
    """Return whether both answered the same test images, labelled alike."""
    a, b = ({p.image_id: p.label for p in study.evaluation.predictions} for study in (first, other))
    return a == b


def paired_difference(first: FinishedStudy, other: FinishedStudy, head: str) -> Estimate | None:
    """Return how far a head's balanced accuracy in `other` is above that in `first`.

    Both are weighed by the same resamples of the groups of images, so that what both find hard
    cancels.

    Args:
        first: what is subtracted.
        other: a study that answered the same test images.
        head: a head's name.

    Returns:
        The difference with its 95 % interval; None where the test images differ, or one of the
        studies has no single head of that name.
    """
    if not same_test(first, other):
        return None
    ids = [p.image_id for p in first.evaluation.predictions]
    keys = {key: k for k, key in enumerate(first.evaluation.class_keys)}
    labels = np.array([keys[p.label] for p in first.evaluation.predictions])
    answers = [_answers(study, head, ids, keys) for study in (first, other)]
    if any(answer is None for answer in answers):
        return None
    right = np.stack([answer == labels for answer in answers])
    images = first.published.images.set_index("image_id")
    groups = images.loc[ids, "group"].to_numpy()

    def lead(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        accuracy = balanced_accuracies(right, labels, weights)
        return accuracy[:, [1]] - accuracy[:, [0]]

    replicates = ClusterBootstrap.of(groups, _RESAMPLES, 0).replicate(lead, "percentile")
    (interval,) = replicates.intervals("percentile", _CONFIDENCE)
    return interval.estimate


def _answers(
    study: FinishedStudy, head: str, ids: Sequence[str], keys: Mapping[str, int]
) -> Int[np.ndarray, " image"] | None:
    said = {p.image_id: p.predicted.get(head) for p in study.evaluation.predictions}
    answers = [keys.get(said[image] or "", -1) for image in ids]
    return None if None in said.values() else np.array(answers)


@dataclass(frozen=True)
class ConceptChange:
    """What became of one concept from the first study to another."""

    state: Literal["kept", "reworded", "exchanged", "added", "dropped"]
    before: str
    """Its statement in the first study; empty where it is added."""
    after: str
    """Its statement in the other; empty where it is dropped."""
    alike: float | None = None
    """Of one that was exchanged: how far both scores correlate over training images."""
    why: str = ""
    """What the other study did with a statement that only one of them has."""
    links: str = ""
    """Classes that it was proposed for in only one of them, where both have it."""


def concept_changes(first: FinishedStudy, other: FinishedStudy) -> list[ConceptChange]:
    """Return what became of every concept: kept ones first, then those in other words.

    Exchanged, dropped and added ones follow, with what became of them in the other study.
    Two statements count as exchanged where each is the other's most like among what is left and
    their scores correlate by .7 at least over training images that both studies have.
    """
    before = [c.text for c in first.published.concepts]
    after = [c.text for c in other.published.concepts]
    kept = [text for text in before if text in after]
    gone = [text for text in before if text not in after]
    new = [text for text in after if text not in before]
    reworded = list(_reworded(first, other, gone, new))
    rest = [{x.before for x in reworded}, {x.after for x in reworded}]
    exchanged = _exchanged(
        first, other, [t for t in gone if t not in rest[0]], [t for t in new if t not in rest[1]]
    )
    changed = [
        *reworded,
        *(replace(x, why=f"{_fate(other, x.before)}; {_fate(first, x.after)}") for x in exchanged),
    ]
    paired = {x.before for x in changed} | {x.after for x in changed}
    return [
        *(ConceptChange("kept", text, text, links=_relinked(first, other, text)) for text in kept),
        *changed,
        *(
            ConceptChange("dropped", text, "", why=_fate(other, text))
            for text in gone
            if text not in paired
        ),
        *(
            ConceptChange("added", "", text, why=_fate(first, text))
            for text in new
            if text not in paired
        ),
    ]


def _reworded(
    first: FinishedStudy, other: FinishedStudy, gone: Sequence[str], new: Sequence[str]
) -> Iterator[ConceptChange]:
    """Yield concepts of which a reviewer chose other words."""
    for study, texts, others in ((other, new, gone), (first, gone, new)):
        for concept in study.published.concepts:
            for origin in concept.origins:
                if isinstance(origin, ReviewOrigin) and concept.text in texts:
                    words = origin.reworded_from, concept.text
                    if words[0] in others:
                        before, after = words if study is other else words[::-1]
                        why = "a reviewer chose other words"
                        yield ConceptChange("reworded", before, after, why=why)


def _fate(study: FinishedStudy, text: str) -> str:
    """Return what a study did with a statement that it has not among its concepts."""
    published = study.published
    for drop in published.dropped:
        if drop.candidate.text == text:
            return f"{study.name} dropped it ({drop.gate}: {drop.reason})"
    if text in {c.text for c in published.pool}:
        return f"{study.name} let it through and did not choose it"
    return f"{study.name} did not have it proposed"


def _relinked(first: FinishedStudy, other: FinishedStudy, text: str) -> str:
    """Return the classes that a concept was proposed for in one of two studies alone."""
    here, there = (
        next(set(c.classes) for c in study.published.concepts if c.text == text)
        for study in (first, other)
    )
    told = [("no longer ", here - there), ("newly ", there - here)]
    return "; ".join(f"{word}proposed for {', '.join(sorted(x))}" for word, x in told if x)


def _exchanged(
    first: FinishedStudy, other: FinishedStudy, gone: Sequence[str], new: Sequence[str]
) -> Iterator[ConceptChange]:
    if not gone or not new:
        return
    ids = [
        s.published.images["image_id"].to_numpy()[s.published.rows("train")] for s in (first, other)
    ]
    common, *rows = np.intersect1d(*ids, return_indices=True)
    if len(common) < 3:  # a correlation of two points is always one
        return
    scores = [
        study.published.scores[study.published.rows("train")][of][:, _columns(study, texts)]
        for study, of, texts in ((first, rows[0], gone), (other, rows[1], new))
    ]
    alike = _correlations(*scores)
    while alike.size and (highest := alike.max()) >= _ALIKE:
        i, j = map(int, np.unravel_index(alike.argmax(), alike.shape))
        yield ConceptChange("exchanged", gone[i], new[j], float(highest))
        alike[i], alike[:, j] = -1, -1


def _columns(study: FinishedStudy, texts: Sequence[str]) -> list[int]:
    places = {c.text: j for j, c in enumerate(study.published.concepts)}
    return [places[text] for text in texts]


def _correlations(
    a: Float[np.ndarray, "image one"], b: Float[np.ndarray, "image other"]
) -> Float64[np.ndarray, "one other"]:
    standard = []
    for scores in (a, b):
        centred = scores - scores.mean(axis=0)
        length = np.linalg.norm(centred, axis=0)
        standard.append(centred / np.where(length > 0, length, 1))
    return np.asarray(standard[0].T @ standard[1], dtype=np.float64)


@dataclass(frozen=True)
class SettingChange:
    """A setting, or the code, of a stage that differs between two studies."""

    stage: str
    setting: str
    before: str
    after: str


def setting_changes(first: FinishedStudy, other: FinishedStudy) -> list[SettingChange]:
    """Return every setting of a stage that differs, in the order of the stages.

    A stage that only one of the studies ran is named without its settings. Where settings are the
    same but the code that ran is not, that is told in their place.
    """
    a, b = _recipes(first), _recipes(other)
    changes: list[SettingChange] = []
    for stage in [*a, *(stage for stage in b if stage not in a)]:
        if stage not in a or stage not in b:
            changes.append(SettingChange(stage, "", *("run" if stage in x else "" for x in (a, b))))
            continue
        different = [
            SettingChange(stage, key, a[stage].get(key, ""), b[stage].get(key, ""))
            for key in [*a[stage], *(key for key in b[stage] if key not in a[stage])]
            if a[stage].get(key) != b[stage].get(key)
        ]
        told = [x for x in different if x.setting != _ANYWHERE]
        changes += told or different
    return changes


def _recipes(study: FinishedStudy) -> dict[str, dict[str, str]]:
    """Return stage -> setting -> value, of the first run of each stage."""
    recipes: dict[str, dict[str, str]] = {}
    for manifest in study.lineage:
        recipe = manifest.recipe
        if recipe.stage not in recipes:
            recipes[recipe.stage] = dict(_flat("", recipe.spec)) | {_ANYWHERE: recipe.code[:12]}
    return recipes


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), part)
    else:
        yield prefix, str(value)
