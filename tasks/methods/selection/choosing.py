"""Choosing concepts: by any method, as many as are asked for or are enough.

The selection, its draws of fewer images and the evaluation all take this way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate
from curette.schemas.concepts import (
    ClassSelection,
    Concept,
    ConceptSet,
    Pick,
    Sizes,
    SizeStep,
    Stability,
    ToldTogether,
)
from curette.schemas.images import METADATA
from curette.schemas.metadata import UnusableColumn
from curette.schemas.review import Decision
from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.metadata import read_column
from curette.tasks.methods.selection.avoidance import avoided_column
from curette.tasks.methods.selection.exchanging import exchange_picks, find_exchanges
from curette.tasks.methods.selection.explained_variance import (
    RIDGE,
    ClassVariance,
    EachClass,
    Quotas,
    class_variance,
    rank_greedily,
)
from curette.tasks.methods.selection.judging import (
    Choose,
    Judge,
    SizeCurve,
    measure_stability,
    resample_groups,
    size_curve,
)
from curette.tasks.methods.selection.labo import (
    PoolSelection,
    choose_by_class,
    deal_quotas,
    score_candidates,
)
from curette.tasks.methods.selection.relaxation import upper_bound

SIZES = (*range(1, 9), 10, 12, 14, 16, 20, 24, 28, 32, 40, 50, 64, 80, 100, 128, 160, 200, 256, 320)
_RESAMPLES = 20
_MOST_RESAMPLED = 20_000  # candidates

_Links = Bool[np.ndarray, "candidate class"]
_Vectors = Float[np.ndarray, "candidate dim"]


@dataclass(frozen=True, eq=False)
class Known:
    """Images whose classes may be looked at."""

    vectors: Float[np.ndarray, "image dim"]
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"] | None = None
    """Who must not be parted; needed where it is asked how many concepts are enough."""
    avoided: tuple[Int[np.ndarray, " image"], ...] = ()
    """What each avoided column says: a number from 0, or -1 where it says nothing."""

    def take(self, rows: Int[np.ndarray, " row"]) -> "Known":
        """Return some of the images."""
        return Known(
            self.vectors[rows],
            self.labels[rows],
            None if self.groups is None else self.groups[rows],
            tuple(levels[rows] for levels in self.avoided),
        )


def read_avoided(
    images: pd.DataFrame, columns: Sequence[str], rows: Int[np.ndarray, " row"]
) -> tuple[Int[np.ndarray, " row"], ...]:
    """Return what each avoided column says of some images, as `Known.avoided`.

    Raises:
        StudyError: there is no such column, or nothing can be made of it.
    """
    levels = []
    for column in columns:
        if METADATA + column not in images.columns:
            known = [str(c).removeprefix(METADATA) for c in images if str(c).startswith(METADATA)]
            raise StudyError(
                f"select.avoid or shifts name the column {column}, and the images have no such "
                f"metadata; they have {', '.join(sorted(known)) or 'none'}."
            )
        read = read_column(column, images[METADATA + column], None)
        if isinstance(read, UnusableColumn):
            raise StudyError(f"select.avoid: the column {column} {read.reason}")
        of_image = read.of_image[rows].astype(np.int64)
        levels.append(np.where(of_image == len(read.names) - 1, -1, of_image))  # the last: missing
    return tuple(levels)


def link_table(candidates: Sequence[Candidate], class_keys: Sequence[str]) -> _Links:
    """Tell which candidate was proposed for which class."""
    links = [[key in c.classes for key in class_keys] for c in candidates]
    return np.array(links, dtype=bool).reshape(len(candidates), len(class_keys))


def choose_in_order(
    vectors: _Vectors, links: _Links, train: Known, spec: SelectSpec, most: int
) -> Choose:
    """Return a way of choosing any number of candidates up to `most`, by the settings' method.

    Where all classes choose together, fewer are the first of more: what ensures every class its
    concept looks at the whole order alone.
    """
    if spec.method == "explained_variance":
        problem = state_problem(vectors, links, train, spec)
        rule = EachClass(links, min(most, len(links)))
        order = rank_greedily(problem, most, rule, spec.most_correlated).indices
        return lambda size: order[:size]
    scores = score_candidates(vectors, train.vectors, train.labels, links.shape[1])

    def choose(size: int) -> Int64[np.ndarray, " pick"]:
        chosen = deal_quotas(vectors, links, scores, size, spec)
        return np.array(_in_turn([part.rows for part in chosen])[:size], dtype=np.int64)

    return choose


def state_problem(
    vectors: _Vectors, links: _Links, train: Known, spec: SelectSpec
) -> ClassVariance:
    """State what candidates explain of the classes, and what telling avoided columns costs."""
    return class_variance(
        vectors,
        train.vectors,
        train.labels,
        links.shape[1],
        links=links,
        avoided=train.avoided,
        prior_images=spec.prior_images,
    )


def choose_concepts(
    candidates: tuple[Candidate, ...],
    candidate_vectors: _Vectors,
    train_vectors: Float[np.ndarray, "image dim"],
    train_labels: Int[np.ndarray, " image"],
    class_keys: tuple[str, ...],
    spec: SelectSpec,
    *,
    avoided: tuple[Int[np.ndarray, " image"], ...] = (),
    known: Known | None = None,
    exchanges: Sequence[Decision] = (),
) -> ConceptSet:
    """Choose concepts from training images, by the settings' method and in the number they say.

    Args:
        candidates: what can be chosen.
        candidate_vectors: their unit vectors.
        train_vectors: of the training images.
        train_labels: theirs.
        class_keys: the classes in the order of their integer labels.
        spec: method and number.
        avoided: what the avoided columns say of the training images (`read_avoided`).
        known: all images whose classes may be looked at, with their groups; with them it is told
            how many are enough, what could be exchanged and how stable the choice is.
        exchanges: what a person wants in the place of picks; only where all classes choose
            together.

    Raises:
        StudyError: a class has no candidate, `enough` is asked and nothing is known of groups, or
            what a person wants cannot be had.
    """
    links = link_table(candidates, class_keys)
    _check_classes(links, class_keys)
    train = Known(train_vectors, train_labels, avoided=avoided)
    judge = curve = None
    if known is not None and known.groups is not None:
        judge = Judge.of(known.vectors, known.labels, known.groups, len(class_keys), spec.seed)
    if spec.size.enough:
        if judge is None or known is None:
            raise StudyError("select.size is `enough`, and these images cannot say how many")
        curve = _curve(judge, candidate_vectors, links, known, spec)
        # At least one of every class, so at least as many as there are classes.
        spec = spec.of(min(max(curve.enough, len(class_keys)), len(candidates)))
    scores = score_candidates(candidate_vectors, train_vectors, train_labels, len(class_keys))
    if spec.method == "explained_variance":
        problem = state_problem(candidate_vectors, links, train, spec)
        picks, exchanged = exchange_picks(
            candidates,
            candidate_vectors,
            links,
            rank(problem, links, spec),
            exchanges,
            judge,
        )
        selections = _together(candidates, class_keys, problem, links, picks)
        selected_for = {row: candidates[row].classes for row in picks.tolist()}
    else:
        problem = None
        selected_for, selections = _apart(
            candidates, candidate_vectors, class_keys, links, scores, spec
        )
    alone, together = _told(candidates, candidate_vectors, train, list(selected_for), spec)
    chosen = ConceptSet(
        method=spec.method,
        scope="per_class" if problem is None else "jointly",
        concepts=tuple(
            Concept(
                concept_id=candidates[i].concept_id,
                text=candidates[i].text,
                classes=candidates[i].classes,
                selected_for=keys,
                discriminability=float(scores[i]),
                origins=candidates[i].origins,
            )
            for i, keys in selected_for.items()
        ),
        selections=selections,
        sizes=_sizes(curve, judge),
        avoided=alone,
        avoided_together=together,
    )
    if problem is None:
        return chosen.model_copy(update={"scope": spec.scope})
    if judge is None or known is None:
        return chosen
    return chosen.model_copy(
        update={
            "exchanged": exchanged,
            "loss": judge.mean(judge.losses(lambda _: candidate_vectors[picks])),
            "exchanges": find_exchanges(
                candidates, candidate_vectors, links, problem, picks, judge
            ),
            "stability": _stability(candidates, candidate_vectors, links, known, picks, spec),
        }
    )


def _check_classes(links: _Links, class_keys: tuple[str, ...]) -> None:
    for key, size in zip(class_keys, links.sum(axis=0), strict=True):
        if size == 0:
            raise StudyError(
                f"no candidate of the class `{key}` passed the screen, so nothing can be "
                "selected for it: propose more, or loosen `screen`."
            )


def _curve(
    judge: Judge, vectors: _Vectors, links: _Links, known: Known, spec: SelectSpec
) -> SizeCurve:
    most = min(spec.most, len(links))
    sizes = sorted({*(size for size in SIZES if size < most), most})
    return size_curve(
        judge,
        vectors,
        lambda rows: choose_in_order(vectors, links, known.take(rows), spec, most),
        sizes,
    )


def _sizes(curve: SizeCurve | None, judge: Judge | None) -> Sizes | None:
    if curve is None or judge is None:
        return None
    asked = judge.fold >= 0
    return Sizes(
        steps=tuple(
            SizeStep(
                concepts=size,
                loss=loss,
                excess=excess.loss,
                standard_error=excess.standard_error,
            )
            for size, loss, excess in zip(curve.sizes, curve.losses, curve.excesses, strict=True)
        ),
        enough=curve.enough,
        images=int(asked.sum()),
        groups=len(np.unique(judge.groups[asked])),
    )


def rank(problem: ClassVariance, links: _Links, spec: SelectSpec) -> Int64[np.ndarray, " pick"]:
    """Choose all classes' concepts together; the number must be said."""
    if spec.size.per_class is not None:
        quotas = np.minimum(spec.size.per_class, links.sum(axis=0))
        return rank_greedily(
            problem, int(quotas.sum()), Quotas(links, quotas), spec.most_correlated
        ).indices
    count = min(spec.size.total or 0, len(links))
    return rank_greedily(problem, count, EachClass(links, count), spec.most_correlated).indices


def _together(
    candidates: tuple[Candidate, ...],
    class_keys: tuple[str, ...],
    problem: ClassVariance,
    links: _Links,
    picks: Int64[np.ndarray, " pick"],
) -> tuple[ClassSelection, ...]:
    """Return for each class the picks that were proposed for it."""
    value, bound = problem.value(picks), upper_bound(problem, picks)
    return tuple(
        ClassSelection(
            class_key=key,
            pool=int(links[:, number].sum()),
            picks=tuple(
                Pick(concept_id=candidates[row].concept_id, gain=float(gain))
                for row, gain in zip(picks.tolist(), problem.steps(picks), strict=True)
                if links[row, number]
            ),
            value=value,
            upper_bound=bound,
        )
        for number, key in enumerate(class_keys)
    )


def _apart(
    candidates: tuple[Candidate, ...],
    vectors: _Vectors,
    class_keys: tuple[str, ...],
    links: _Links,
    scores: Float64[np.ndarray, " candidate"],
    spec: SelectSpec,
) -> tuple[dict[int, tuple[str, ...]], tuple[ClassSelection, ...]]:
    """Return for which classes each pick was chosen, and what each class chose.

    A concept that two classes pick stands once and names both; one that was chosen jointly names
    all classes that it was proposed for.
    """
    if spec.size.per_class is not None:
        quotas = [spec.size.per_class] * len(class_keys)
        parts = choose_by_class(vectors, links, scores, quotas, spec)
        order = [row for part in parts for row in part.rows.tolist()]
    else:
        parts = deal_quotas(vectors, links, scores, spec.size.total or 0, spec)
        order = _in_turn([part.rows for part in parts])
    selected_for: dict[int, tuple[str, ...]] = dict.fromkeys(order, ())
    for part in parts:
        of_part = [class_keys[k] for k in part.pool.classes]
        for row in part.rows.tolist():
            named = [key for key in of_part if key in candidates[row].classes]
            selected_for[row] = (*selected_for[row], *named)
    selections = {s.class_key: s for part in parts for s in _of_part(candidates, class_keys, part)}
    empty = {
        key: ClassSelection(class_key=key, pool=int(size), picks=(), value=0.0, upper_bound=0.0)
        for key, size in zip(class_keys, links.sum(axis=0), strict=True)
    }
    return selected_for, tuple((empty | selections)[key] for key in class_keys)


def _of_part(
    candidates: tuple[Candidate, ...], class_keys: tuple[str, ...], part: PoolSelection
) -> list[ClassSelection]:
    """Return the picks that took up each class's quota, with the certificate of their pool."""
    chosen = part.selection
    return [
        ClassSelection(
            class_key=class_keys[k],
            pool=int(part.pool.problem.membership[:, number].sum()),
            picks=tuple(
                Pick(concept_id=candidates[row].concept_id, gain=float(gain))
                for row, gain, group in zip(
                    part.rows.tolist(), chosen.gains, chosen.groups, strict=True
                )
                if group == number
            ),
            value=chosen.value,
            upper_bound=chosen.upper_bound,
            neighbours=part.pool.neighbours,
        )
        for number, k in enumerate(part.pool.classes)
    ]


def _in_turn(orders: Sequence[Int[np.ndarray, " _"]]) -> list[int]:
    """Return the first of each, then the second of each, and so on; each row once."""
    most = max((len(order) for order in orders), default=0)
    return list(
        dict.fromkeys(
            int(order[turn]) for turn in range(most) for order in orders if turn < len(order)
        )
    )


def _told(
    candidates: tuple[Candidate, ...],
    vectors: _Vectors,
    train: Known,
    rows: list[int],
    spec: SelectSpec,
) -> tuple[dict[str, dict[str, float]], dict[str, ToldTogether]]:
    """Return what each pick tells about each avoided column, and what all tell where images say."""
    count, chosen = int(train.labels.max()) + 1, vectors[rows]
    alone, together = {}, {}
    for name, levels in zip(spec.avoid or (), train.avoided, strict=False):
        column = avoided_column(chosen, train.vectors, train.labels, count, levels, ridge=RIDGE)
        shares = np.zeros(len(rows)) if column is None else column.told_alone()
        alone[name] = {
            candidates[row].concept_id: float(share)
            for row, share in zip(rows, shares, strict=True)
        }
        if column is not None:
            together[name] = ToldTogether(
                told=float(column.told_by_first(np.arange(len(rows)))[-1]),
                by_chance=column.by_chance(len(rows)),
            )
    return alone, together


def _stability(
    candidates: tuple[Candidate, ...],
    vectors: _Vectors,
    links: _Links,
    known: Known,
    picks: Int64[np.ndarray, " pick"],
    spec: SelectSpec,
) -> Stability | None:
    """Choose again from resampled groups; None where that would take too long."""
    if len(candidates) > _MOST_RESAMPLED or known.groups is None:
        return None
    generator = np.random.default_rng(spec.seed)
    choices = []
    for _ in range(_RESAMPLES):
        drawn = known.take(resample_groups(known.labels, known.groups, generator))
        choices.append(rank(state_problem(vectors, links, drawn, spec), links, spec))
    steady = measure_stability(choices, len(candidates))
    return Stability(
        resamples=_RESAMPLES,
        index=steady.index,
        shares={candidates[row].concept_id: float(steady.chosen[row]) for row in picks.tolist()},
    )
