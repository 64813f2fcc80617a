"""Are the concepts that speak for a decision seen in the lesion (CLM)?

Lesions lie mostly in the middle, and where a concept speaks they may be larger or smaller than
elsewhere. How far its heat is ahead of others' is therefore asked among the images that its CLM is
of, so that heat which knows that much and nothing of this image is ahead by nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped

from curette.schemas.heat_maps import HeatMaps
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.schemas.questions.location import (
    ConceptLocation,
    HeatExample,
    LocatedConcept,
    LocatedReasons,
    LocatedTruth,
)
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.evaluate.labelled_concepts import LabelledConcepts, concept_heads
from curette.tasks.methods.statistics.concept_tests import reasons, weighted_mean
from curette.tasks.methods.statistics.localisation import (
    hottest,
    lead_over_others,
    location_metric,
    peak_in_lesion,
)

REGION = 3 / 12
"""The hottest share of an image that CLM looks at; its paper gives it in twelfths."""
_REASONS = (1, 3, 5)
_FEWEST = 10  # images on which a concept must speak to be listed
_FEWEST_OTHERS = 5  # groups besides an image's own to be ahead of
_EXAMPLES = 6
_BLOCK = 2**22  # numbers held at a time

_OfImages = Float64[np.ndarray, " image"]


def measure(exam: Exam) -> ConceptLocation:
    """Hold the heat of concepts that speak for decisions against the lesions' masks.

    A concept speaks for a decision where its score lies above that of the average training image
    and raises the logit. Heads on grounding functions are left out: what they read is not what the
    heat is of.
    """
    maps = exam.heat_maps
    if maps is None:
        return ConceptLocation(not_computable="the study asks for no heat maps (`locate: null`)")
    if maps.not_computable:
        return ConceptLocation(not_computable=maps.not_computable, left_out=maps.left_out)
    seen = _Seen.of(maps, exam.images)
    heads = [head for head in concept_heads(exam.probe) if head.directions is None]
    said = [_speaking_for(exam, head) for head in heads]
    return ConceptLocation(
        images=len(maps.image_ids),
        left_out=maps.left_out,
        grid=(maps.lesion.shape[1], maps.lesion.shape[2]),
        view=maps.view,
        region=REGION,
        most=_most(maps),
        lesion=float(maps.lesion.mean(dtype=np.float64)),
        heads=tuple(
            line
            for head, of_head in zip(heads, said, strict=True)
            for line in _of_head(exam, head, of_head, seen)
        ),
        concepts=tuple(_of_concepts(exam, said[0], seen)),
        by_truth=tuple(_by_truth(exam, seen)),
        examples=tuple(_examples(exam, said[0], seen, maps)),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """How each concept's heat lies on each test image; NaN where there is no heat map."""

    clm: Float64[np.ndarray, "image concept"]
    peak: Float64[np.ndarray, "image concept"]
    at: Int[np.ndarray, " map"]
    """Which test image each map is of."""
    groups: Shaped[np.ndarray, " map"]
    lesion: Float64[np.ndarray, "map place"]
    regions: Float32[np.ndarray, "map concept place"]
    """What CLM looks at."""

    @classmethod
    def of(cls, maps: HeatMaps, images: ExaminedImages) -> "_Seen":
        """Measure all maps, some images at a time."""
        place_of = {image_id: i for i, image_id in enumerate(images.ids)}
        at = np.array([place_of[image_id] for image_id in maps.image_ids])
        lesion = maps.lesion.astype(np.float64).reshape(len(at), -1)
        shape = (len(images.ids), len(maps.concept_ids))
        clm, peak = np.full(shape, np.nan), np.full(shape, np.nan)
        regions = np.empty((*maps.heat.shape[:2], lesion.shape[1]), dtype=np.float32)
        for some in np.array_split(np.arange(len(at)), -(-maps.heat.size // _BLOCK)):
            heat = maps.heat[some].astype(np.float64)
            heat = heat.reshape(*heat.shape[:2], -1)
            hot = hottest(heat, REGION * heat.shape[-1])
            clm[at[some]] = location_metric(hot, lesion[some])
            peak[at[some]] = peak_in_lesion(heat, lesion[some])
            regions[some] = hot
        return cls(clm, peak, at, images.groups[at], lesion, regions)

    def means(self, counted: Bool[np.ndarray, "image concept"]) -> tuple[_OfImages, ...]:
        """Return each image's mean CLM, lead over others and peak, over its counted concepts."""
        columns = (self.clm, self.ahead(counted), self.peak)
        return tuple(_mean_where(counted, values) for values in columns)

    def ahead(
        self, counted: Bool[np.ndarray, "image concept"]
    ) -> Float64[np.ndarray, "image concept"]:
        """Return each concept's lead over the other images on which it counts.

        NaN where it does not, and where those are of too few groups.
        """
        found = np.full(self.clm.shape, np.nan)
        for concept in range(counted.shape[1]):
            rows = np.flatnonzero(counted[self.at, concept])
            groups = self.groups[rows]
            if len(np.unique(groups)) > _FEWEST_OTHERS:
                regions = self.regions[rows, concept].astype(np.float64)
                lead = lead_over_others(regions, self.lesion[rows], groups)
                found[self.at[rows], concept] = lead
        return found


def _most(maps: HeatMaps) -> float:
    """Return the CLM of heat that is the mask itself."""
    lesion = maps.lesion.astype(np.float64).reshape(len(maps.lesion), -1)
    regions = hottest(lesion[:, None], REGION * lesion.shape[1])
    return float(location_metric(regions, lesion).mean())


def _speaking_for(exam: Exam, head: Head) -> Float64[np.ndarray, "image concept"]:
    """Return how much each concept speaks for the decision about each test image, else 0."""
    scores = exam.features(head)
    above = scores - head.center
    added = head.weights[head.logits(scores).argmax(1)] * above
    return np.where(above > 0, np.maximum(added, 0.0), 0.0)


def _of_head(
    exam: Exam, head: Head, said: Float64[np.ndarray, "image concept"], seen: _Seen
) -> Iterator[LocatedReasons]:
    """Yield one line for each number of reasons that is looked at."""
    for count in _REASONS:
        clm, ahead, peak = seen.means(_among(reasons(said, count), said.shape[1]))
        columns = (clm, ahead, peak, clm - seen.clm.mean(1))
        value, ahead_of_others, at_peak, ahead_of_any = _estimates(exam, columns)
        if value and at_peak and ahead_of_any:
            yield LocatedReasons(
                head=head.facts.name,
                head_kind=head.facts.kind,
                reasons=count,
                images=int((~np.isnan(clm)).sum()),
                clm=value,
                ahead_of_others=ahead_of_others,
                ahead_of_any=ahead_of_any,
                peak=at_peak,
            )


def _among(
    reason: Int[np.ndarray, "image reason"], concepts: int
) -> Bool[np.ndarray, "image concept"]:
    """Return which concepts are among each image's reasons; -1 is none."""
    counted = np.zeros((len(reason), concepts + 1), dtype=bool)
    np.put_along_axis(counted, reason, True, axis=1)
    return counted[:, :-1]


def _of_concepts(
    exam: Exam, said: Float64[np.ndarray, "image concept"], seen: _Seen
) -> Iterator[LocatedConcept]:
    """Yield one line for each concept that speaks often enough, the best located first."""
    published = exam.published
    counted: Bool[np.ndarray, "image concept"] = (said > 0) & ~np.isnan(seen.clm)
    often = np.flatnonzero(counted.sum(0) >= _FEWEST)
    ahead_of_others = seen.ahead(counted)
    columns = [
        np.where(counted[:, j], values[:, j], np.nan)
        for j in often
        for values in (seen.clm, ahead_of_others, seen.peak)
    ]
    estimates = iter(_estimates(exam, columns))
    denied = {x.concept_id for x in published.facts.labelled if x.denied}
    lines = []
    for j, clm, ahead, peak in zip(often, estimates, estimates, estimates, strict=True):
        if clm and peak:
            lines.append(
                LocatedConcept(
                    concept_id=published.concepts[j].concept_id,
                    text=published.concepts[j].text,
                    denied=published.concepts[j].concept_id in denied,
                    images=int(counted[:, j].sum()),
                    clm=clm,
                    ahead_of_others=ahead,
                    peak=peak,
                )
            )
    yield from sorted(lines, key=lambda line: -line.clm.value)


def _by_truth(exam: Exam, seen: _Seen) -> Iterator[LocatedTruth]:
    """Yield one line of the images that show a concept, and one of those that do not.

    Concepts that deny their attribute are left out: where they are true nothing is to be seen. So
    are those that only a language model's reading of reports decides: that is no ground truth.
    """
    labelled = LabelledConcepts.of(exam.published)
    claimed = [
        j
        for j, label in enumerate(labelled.labels)
        if label.source == "column" and not label.denied
    ]
    places = labelled.places[claimed]
    present, known = labelled.truth.present[:, claimed], labelled.truth.known[:, claimed]
    for shown in (True, False):
        counted = np.zeros(seen.clm.shape, dtype=bool)
        counted[:, places] = (present == shown) & known
        counted &= ~np.isnan(seen.clm)
        clm, ahead, peak = _estimates(exam, seen.means(counted))
        if clm and peak:
            yield LocatedTruth(
                shown=shown,
                concepts=int(counted.any(0).sum()),
                images=int(counted.any(1).sum()),
                clm=clm,
                ahead_of_others=ahead,
                peak=peak,
            )


def _mean_where(
    counted: Bool[np.ndarray, "image concept"], values: Float64[np.ndarray, "image concept"]
) -> _OfImages:
    """Return the mean over each image's counted concepts that have a value; NaN without any."""
    counted = counted & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counted, values, 0.0).sum(1) / counted.sum(1))


def _estimates(exam: Exam, columns: Sequence[_OfImages]) -> list[Estimate | None]:
    """Return the mean of each column over its images, all on the same resamples."""
    if not columns:
        return []

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        return np.column_stack([weighted_mean(column, weights) for column in columns])

    return exam.estimates(statistic)


def _examples(
    exam: Exam, said: Float64[np.ndarray, "image concept"], seen: _Seen, maps: HeatMaps
) -> Iterator[HeatExample]:
    """Yield strongest reasons from the worst located to the best, evenly over all images."""
    reason = reasons(said, 1)
    clm = _mean_where(_among(reason, said.shape[1]), seen.clm)
    order = np.argsort(clm, kind="stable")[: int((~np.isnan(clm)).sum())]
    row_of = {image_id: row for row, image_id in enumerate(maps.image_ids)}
    for i in _evenly(order, _EXAMPLES):
        image_id, concept = exam.images.ids[i], reason[i, 0]
        heat = maps.heat[row_of[image_id], concept].astype(np.float64)
        yield HeatExample(
            image_id=image_id,
            text=exam.published.concepts[concept].text,
            clm=float(clm[i]),
            heat=tuple(tuple(row) for row in heat.round(4).tolist()),
        )


def _evenly(items: Shaped[np.ndarray, " item"], count: int) -> Shaped[np.ndarray, " picked"]:
    """Return so many items at equal distances, or all where there are fewer."""
    if len(items) <= count:
        return items
    return items[((np.arange(count) + 0.5) * len(items) / count).astype(np.int64)]
