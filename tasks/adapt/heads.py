"""Adapting a head of a probe, and measuring what that did at the site."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from jaxtyping import Float32, Float64

from curette.schemas.adaptation import (
    Adaptation,
    AdaptationFacts,
    AdaptationResult,
    RungTried,
    SupportImage,
)
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import card_of
from curette.schemas.probe import Head, Heads
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.adapt.support import notes_of
from curette.tasks.methods.adaptation import Home, Weights, adapt
from curette.tasks.methods.features import features_of
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import balanced_accuracies


@dataclass(frozen=True)
class Asked:
    """Who wants which head adapted to what, and why."""

    study: str
    site: str
    head: str
    editor: str
    reason: str
    on: str


@dataclass(frozen=True, eq=False)
class SiteImages:
    """The images of a site, their labels not among them."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    vectors: Float32[np.ndarray, "image dim"]


def adapt_head(
    published: ConceptDataset,
    probe: Heads,
    probe_ref: Ref[Heads],
    site: SiteImages,
    support: Sequence[SupportImage],
    asked: Asked,
) -> Adaptation:
    """Return the head for the site, which is the trained one where that had better be left alone.

    Raises:
        StudyError: the probe has no such head, or a class has too few validation images.
    """
    head = head_of(probe, asked.head)
    order = {key: k for k, key in enumerate(published.class_keys)}
    rows = {image: row for row, image in enumerate(site.ids)}
    vectors = site.vectors[[rows[x.image_id] for x in support]]
    labels = np.array([order[x.class_key] for x in support], dtype=np.int64)
    validation = published.vectors[published.rows("validation")]
    try:
        home = Home(
            Weights(head.weights, head.bias),
            features_of(published, head, validation),
            published.labels("validation"),
        )
        choice = adapt(
            home,
            features_of(published, head, vectors),
            labels,
            concepts=card_of(head.facts.kind).weighs_concepts,
        )
    except ValueError as error:
        raise StudyError(f"{asked.head} cannot be adapted to {asked.site}: {error}") from None
    facts = AdaptationFacts(
        study=asked.study,
        site=asked.site,
        head=head.facts.kind,
        rung=choice.rung,
        p_value=choice.p_value,
        offset=dict(zip(published.class_keys, choice.offset.tolist(), strict=True)),
        tried=tuple(
            RungTried.model_validate(
                {
                    name: None if isinstance(value, float) and isnan(value) else value
                    for name, value in dataclasses.asdict(tried).items()
                }
            )
            for tried in choice.tried
        ),
        support=tuple(support),
        notes=notes_of(support, len(order)),
        editor=asked.editor,
        reason=asked.reason,
        adapted_on=asked.on,
    )
    return Adaptation(facts, probe_ref, choice.head.weights, choice.head.bias)


def head_of(probe: Heads, kind: str) -> Head:
    """Return the head that is to be adapted.

    Raises:
        StudyError: there is none, or it is no linear head on scores or vectors.
    """
    known = dict.fromkeys(
        h.facts.kind
        for h in probe.heads
        if card_of(h.facts.kind).role in ("concepts", "probe") and h.facts.inputs != "unit scores"
    )
    if kind not in known:
        raise StudyError(
            f"no head {kind!r} was trained that could be adapted; {', '.join(known)} were"
        )
    return probe.head(kind)


def measure_adaptation(
    published: ConceptDataset,
    probe: Heads,
    adaptation: Adaptation,
    ref: Ref[Adaptation],
    site: SiteImages,
    labels: Mapping[str, str],
    spec: EvaluateSpec,
    readings: str,
) -> AdaptationResult:
    """Return balanced accuracy before and after, on images of no support image's group.

    Raises:
        StudyError: fewer than two classes or groups are left to measure on.
    """
    seen = {x.group for x in adaptation.facts.support}
    rest = np.array([i for i, group in enumerate(site.groups) if group not in seen], dtype=np.int64)
    order = {key: k for k, key in enumerate(published.class_keys)}
    truth = np.array([order[labels[site.ids[i]]] for i in rest], dtype=np.int64)
    groups = np.array([site.groups[i] for i in rest])
    if len(np.unique(truth)) < 2 or len(np.unique(groups)) < 2:
        raise StudyError(
            f"nothing is left to measure on: the support images are of {len(seen)} groups, and of "
            f"all others at {adaptation.facts.site} there are {len(rest)} images. Name fewer "
            "support images, or of fewer subjects. The adaptation is kept."
        )
    head = head_of(probe, adaptation.facts.head)
    features = features_of(published, head, site.vectors[rest])
    right = np.stack(
        [h.logits(features).argmax(axis=1) == truth for h in (head, adaptation.applied_to(head))]
    )

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        both = balanced_accuracies(right, truth, weights)
        return np.column_stack([both, both[:, 1] - both[:, 0]])

    bootstrap = ClusterBootstrap.of(groups, spec.resamples, spec.seed)
    before, after, gain = (
        interval.estimate
        for interval in bootstrap.replicate(statistic, "percentile").intervals(
            "percentile", spec.confidence
        )
    )
    return AdaptationResult(
        adaptation=str(ref),
        images=len(rest),
        groups=len(np.unique(groups)),
        left_out=len(site.ids) - len(rest),
        classes=tuple(published.class_keys[k] for k in np.unique(truth)),
        before=before,
        after=after,
        gain=gain,
        confidence=spec.confidence,
        readings=readings,
    )
