"""Where do the encoders of a study disagree, and does that tell of mistakes?

Heads of one kind are trained on each encoder's vectors, on the same images. That they disagree
about an image is a sign of doubt, if it finds mistakes that the head's own confidence does not, and
if it is more than the disagreement of any second head: so the same is asked of heads of the study's
own encoder that resampled training images trained, as many at a time as there are further encoders.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
from jaxtyping import Float64

from curette.schemas.heads import EXPLAINED, REFERENCE, HeadKind
from curette.schemas.metrics import Estimate
from curette.schemas.questions.encoders import (
    DoubtedImage,
    DoubtSign,
    EncoderAnswer,
    EncoderDoubt,
    EncoderFacts,
    EncoderTable,
    SharedConcept,
    TellingSign,
)
from curette.tasks.evaluate.encoders import FurtherEncoder
from curette.tasks.evaluate.exam import Exam, estimate
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Statistic, doubted
from curette.tasks.methods.statistics.calibration import at_temperature
from curette.tasks.methods.statistics.disagreement import jensen_shannon
from curette.tasks.methods.statistics.metrics import METRICS, metrics_of, stratified_auroc
from curette.tasks.methods.statistics.rank_correlation import rank_correlations_of
from curette.tasks.methods.statistics.selective import area_by_order_of

_SIGNS: tuple[DoubtSign, ...] = get_args(DoubtSign)
_SHOWN = 8
_OWN = "the study's own"
_Probabilities = Float64[np.ndarray, "image class"]
_Doubts = Float64[np.ndarray, " image"]


def measure(exam: Exam) -> EncoderTable | None:
    """Return what disagreement of encoders tells; None where the study has but one."""
    if not exam.encoders:
        return None
    heads: list[EncoderDoubt] = []
    refused: dict[str, str] = {}
    for kind in (EXPLAINED, REFERENCE):
        name = exam.probe.head(kind).facts.name
        others = [encoder for encoder in exam.encoders if encoder.has(kind)]
        if not others:
            refused[name] = "no further encoder has vectors of the selected concepts"
        elif (told := _doubt(exam, kind, others)) is None:
            refused[name] = "hardly any test image tells mistakes from right decisions"
        else:
            heads.append(told)
    return EncoderTable(
        encoders=tuple(
            EncoderFacts(
                name=encoder.name,
                encoder=encoder.identity.name,
                digest=encoder.identity.digest,
                dim=encoder.identity.dim,
                concepts=encoder.concepts,
            )
            for encoder in exam.encoders
        ),
        heads=tuple(heads),
        not_computable=refused,
        concepts=tuple(c for encoder in exam.encoders for c in _shared(exam, encoder)),
        examples=_examples(exam),
    )


def _doubt(exam: Exam, kind: HeadKind, others: Sequence[FurtherEncoder]) -> EncoderDoubt | None:
    own = exam.answers(kind).draws[0]
    said = [encoder.probabilities(exam.published, kind) for encoder in others]
    sets = _resampled(exam, kind, len(others))
    if not sets:
        return None
    wrong = own.argmax(1) != exam.images.labels
    differing = np.any([answer.argmax(1) != own.argmax(1) for answer in said], axis=0)
    doubts: dict[DoubtSign, list[_Doubts]] = {
        "confidence": [-own.max(1)],
        "encoders": [_apart(own, said)],
        "resamples": [_apart(own, few) for few in sets],
        "encoders together": [_unlikely(own, said)],
        "resamples together": [_unlikely(own, few) for few in sets],
    }
    estimates = exam.estimates(_telling(wrong, [doubts[sign] for sign in _SIGNS]))
    found = [e for e in estimates if e is not None]
    if len(found) < len(estimates):
        return None
    count = len(_SIGNS)
    auroc, aurc, differences = found[:count], found[count : 2 * count], found[2 * count : -2]
    return EncoderDoubt(
        head=exam.answers(kind).name,
        head_kind=kind,
        encoders=tuple(encoder.name for encoder in others),
        resamples=len(sets),
        images=len(wrong),
        mistakes=int(wrong.sum()),
        differing=int(differing.sum()),
        mistakes_differing=int((wrong & differing).sum()),
        wrong_differing=_wrong_among(exam, wrong, differing),
        wrong_elsewhere=_wrong_among(exam, wrong, ~differing),
        signs=tuple(
            TellingSign(sign=sign, auroc=a, aurc=b, difference=c)
            for sign, a, b, c in zip(_SIGNS, auroc, aurc, (None, *differences), strict=True)
        ),
        beyond_resamples=found[-2],
        in_any_order=found[-1],
        answers=_answers(exam, own, dict(zip((e.name for e in others), said, strict=True)), sets),
    )


def _resampled(exam: Exam, kind: HeadKind, together: int) -> list[list[_Probabilities]]:
    """Return what resampled heads answer, so many together, each head as often as the others."""
    if exam.resampled is None:
        return []
    heads = [head for head in exam.resampled.heads if head.facts.kind == kind]
    said = [at_temperature(head.logits(exam.features(head)), 1.0) for head in heads]
    return [[said[(first + i) % len(said)] for i in range(together)] for first in range(len(said))]


def _apart(own: _Probabilities, others: Sequence[_Probabilities]) -> _Doubts:
    return jensen_shannon(np.stack([own, *others]))


def _unlikely(own: _Probabilities, others: Sequence[_Probabilities]) -> _Doubts:
    """Return how little the heads together think of the class that the first one says."""
    return -np.mean([own, *others], axis=0)[np.arange(len(own)), own.argmax(1)]


def _telling(wrong: np.ndarray, doubts: Sequence[Sequence[_Doubts]]) -> Statistic:
    """Return what computes AUROC and AURC of every sign, and the differences of the latter.

    Of a sign that chance has a part in, they are means over what it dealt.
    """
    everyone = [np.arange(len(wrong))]
    areas = [[area_by_order_of(-doubt, wrong) for doubt in of_sign] for of_sign in doubts]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        columns = np.ascontiguousarray(weights.T)
        auroc = [
            np.mean([stratified_auroc(d, wrong, everyone, columns) for d in of_sign], axis=0)
            for of_sign in doubts
        ]
        aurc = [np.mean([area(weights)[:, 0] for area in of_sign], axis=0) for of_sign in areas]
        beyond = aurc[1] - aurc[2]
        differences = [area - aurc[0] for area in aurc[1:]]
        return np.stack(
            [*auroc, *aurc, *differences, beyond, weights @ wrong / weights.sum(1)], axis=1
        )

    return statistic


def _wrong_among(exam: Exam, wrong: np.ndarray, images: np.ndarray) -> Estimate | None:
    """Return the share of wrong decisions among some images; None where there are none of these."""
    if not images.any():
        return None

    def share(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        with np.errstate(invalid="ignore"):
            return (weights @ (wrong & images) / (weights @ images))[:, None]

    method, confidence = exam.spec.interval, exam.spec.confidence
    [interval] = exam.bootstrap.replicate(share, method).intervals(method, confidence)
    groups = len(np.unique(exam.bootstrap.membership[images]))
    return estimate(doubted(interval, groups, confidence))


def _answers(
    exam: Exam,
    own: _Probabilities,
    others: dict[str, _Probabilities],
    sets: Sequence[Sequence[_Probabilities]],
) -> tuple[EncoderAnswer, ...]:
    """Return what each encoder's head reaches, and what the mean of their probabilities does."""
    answers: dict[str, list[_Probabilities]] = {
        _OWN: [own],
        **{name: [said] for name, said in others.items()},
        "mean of all encoders": [np.mean([own, *others.values()], axis=0)],
        "mean with resampled heads": [np.mean([own, *few], axis=0) for few in sets],
    }
    measures = [[metrics_of(exam.images.labels, p) for p in draws] for draws in answers.values()]
    columns = [METRICS.index("balanced_accuracy"), METRICS.index("log_loss")]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        found = np.stack(
            [np.mean([m(weights)[:, columns] for m in draws], axis=0) for draws in measures], axis=1
        )
        both = np.concatenate([found, found - found[:, :1]], axis=2)
        return both.reshape(len(weights), -1)

    estimates = exam.estimates(statistic)
    rows = []
    for number, name in enumerate(answers):
        accuracy, loss, difference, more_loss = estimates[4 * number : 4 * number + 4]
        if accuracy is None or loss is None:
            continue
        rows.append(
            EncoderAnswer(
                name=exam.published.facts.encoder.name if name == _OWN else name,
                balanced_accuracy=accuracy,
                log_loss=loss,
                difference=None if name == _OWN else difference,
                log_loss_difference=None if name == _OWN else more_loss,
            )
        )
    return tuple(rows)


def _shared(exam: Exam, encoder: FurtherEncoder) -> Iterator[SharedConcept]:
    """Yield how alike it and the study's own encoder rank validation images by each concept.

    Scores of most statements have something in common, such as how much of the image is lesion, so
    that a rank correlation stands beside those with its scores of the other concepts.
    """
    published, spec = exam.published, exam.spec
    rows = published.rows("validation")
    places, theirs = encoder.scores(published, "validation")
    groups = published.images["group"].to_numpy()[rows]
    if not places or len(np.unique(groups)) < 2:
        return
    correlate = rank_correlations_of(published.scores[rows][:, places], theirs)
    count = len(places)

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        found = correlate(weights)
        alike = np.diagonal(found, axis1=1, axis2=2)
        with np.errstate(invalid="ignore"):
            others = (found.sum(2) - alike) / np.float64(count - 1)
        return np.concatenate([alike, others, alike - others], axis=1)

    bootstrap = ClusterBootstrap.of(groups, spec.resamples, spec.seed)
    made = bootstrap.replicate(statistic, spec.interval)
    found = [estimate(x) for x in made.intervals(spec.interval, spec.confidence)]
    for number, place in enumerate(places):
        alike, others, difference = found[number::count]
        if alike is not None:
            yield SharedConcept(
                encoder=encoder.name,
                concept_id=published.concepts[place].concept_id,
                text=published.concepts[place].text,
                alike=alike,
                others=others,
                difference=difference,
            )


def _examples(exam: Exam) -> tuple[DoubtedImage, ...]:
    """Return the images about which linear probes of the encoders are furthest apart."""
    own = exam.answers(REFERENCE).draws[0]
    said = [encoder.probabilities(exam.published, REFERENCE) for encoder in exam.encoders]
    doubt = _apart(own, said)
    differing = np.any([answer.argmax(1) != own.argmax(1) for answer in said], axis=0)
    order = np.argsort(-doubt, kind="stable")
    keys = exam.images.class_keys
    return tuple(
        DoubtedImage(
            image_id=exam.images.ids[image],
            label=keys[exam.images.labels[image]],
            doubt=float(doubt[image]),
            says=tuple(keys[answer[image].argmax()] for answer in (own, *said)),
            probabilities=tuple(float(answer[image].max()) for answer in (own, *said)),
        )
        for image in order[differing[order]][:_SHOWN]
    )
