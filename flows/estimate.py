"""What a study will ask a language model, and what that will cost: `curette estimate`."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final

from pydantic import BaseModel, Field
from rich.console import Console
from rich.table import Table

from curette.schemas.artifact import StudyError
from curette.schemas.images import ClassLabel
from curette.schemas.llm import RequestForecast
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.study import Study
from curette.storage.responses import ResponseShelf
from curette.tasks.annotate.asking import forecast_annotating
from curette.tasks.methods.llm.completion import ATTEMPTS
from curette.tasks.methods.llm.tokens import how_counted
from curette.tasks.priors.asking import forecast_priors
from curette.tasks.propose.forecast import forecast_proposing, most_candidates
from curette.tasks.screen.gates.judge import forecast_judging

ROUNDS: Final = 3
"""In which asking for the same usually ends: less than a fifth of a later round is new."""
DISTINCT: Final = 0.5
"""Share of what is said in these rounds that is said for the first time."""
KEPT: Final = 0.6
"""Share of candidates that the screen keeps."""
REPAIRS: Final = 0.1
"""Share of questions that are asked once more, since the first answer is of no use."""


class Estimate(BaseModel, frozen=True):
    """What will be asked, and what it costs in US dollars where prices are given."""

    study: str
    model: str
    forecasts: tuple[RequestForecast, ...]
    fewest_requests: int
    likely_requests: int = Field(
        description="three rounds, half of what they say new, six in ten candidates kept, and one "
        "question in ten asked once more"
    )
    most_requests: int = Field(description="every question asked as often as one is at most")
    stored_requests: int = Field(
        description="known to be answered already: these cost nothing again"
    )
    least_usd: float | None
    likely_usd: float | None
    most_usd: float | None
    counted: str = Field(description="how tokens were counted")


def estimate(
    study: Study,
    answers: ResponseShelf,
    find_classes: Callable[[], Sequence[ClassLabel]],
    find_read: Callable[[AnnotateSpec], Sequence[str]] = lambda _: (),
) -> Estimate:
    """Return what the study will ask, without asking anything.

    Args:
        study: the study.
        answers: what was answered already.
        find_classes: takes the images in; called only where the study does not list its classes.
        find_read: takes the images in; the reports, or names of images, that a model is to read.
            Called only where the study has any annotated.

    Raises:
        StudyError: the study asks no language model, or its files cannot be read.
    """
    llm = study.llm
    if llm is None:
        raise StudyError("the study asks no language model, so there is nothing to estimate")
    listed = [
        ClassLabel(key=key, name=spec.name, synonyms=spec.synonyms)
        for key, spec in study.dataset.classes.items()
    ]
    classes = listed or list(find_classes())
    asked = [_with_rounds(f) for f in forecast_proposing(classes, study.propose, llm, answers)]
    most = most_candidates(classes, study.propose, asked, len(study.dataset.attributes))
    in_rounds = [f.model_copy(update={"most": f.likely}) for f in asked]
    likely = ceil(
        DISTINCT * most_candidates(classes, study.propose, in_rounds, len(study.dataset.attributes))
    )
    reports = find_read(study.annotate) if study.annotate else ()

    def later(candidates: int, kept: int) -> list[RequestForecast]:
        selected = min(kept, study.select.at_most(len(classes)))
        modality = study.propose.modality
        made = (
            forecast_judging(candidates, study.screen, llm),
            forecast_priors(kept, len(classes), study.priors, llm),
            forecast_annotating(reports, selected, study.annotate, modality, llm)
            if study.annotate
            else None,
        )
        return [forecast for forecast in made if forecast]

    following = zip(later(most, most), later(likely, ceil(KEPT * likely)), strict=True)
    forecasts = [*asked, *(f.model_copy(update={"likely": usual.most}) for f, usual in following)]
    counts = [_to_come(f) for f in forecasts]
    costs = [_each_usd(f, llm) for f in forecasts]
    fewest, expected, at_most = (sum(c[place] for c in counts) for place in range(3))
    usd = [
        sum(c[place] * each for c, each in zip(counts, costs, strict=True)) for place in range(3)
    ]
    known = llm.prices is not None
    return Estimate(
        study=study.name,
        model=llm.model,
        forecasts=tuple(forecasts),
        fewest_requests=fewest,
        likely_requests=expected,
        most_requests=at_most,
        stored_requests=sum(f.stored or 0 for f in forecasts),
        least_usd=usd[0] if known else None,
        likely_usd=usd[1] if known else None,
        most_usd=usd[2] if known else None,
        counted=how_counted(llm.model),
    )


def print_estimate(console: Console, study: Study, made: Estimate) -> None:
    """Print the estimate as a table, with the study's limits under it."""
    table = Table("asked for", "requests", "likely", "stored", "tokens each", "likely cost")
    llm = study.llm
    for f in made.forecasts:
        fewest, likely, most = _to_come(f)
        table.add_row(
            f.name,
            _span(fewest, most),
            f"{likely:,}",
            "not known" if f.stored is None else str(f.stored),
            f"{f.prompt_tokens_each:.0f} + {f.completion_tokens_each:.0f}",
            f"${likely * _each_usd(f, llm):.2f}" if llm and llm.prices else "no prices",
        )
    console.print(table)
    for f in made.forecasts:
        console.print(f"{f.name}: {f.note}", highlight=False, markup=False, soft_wrap=True)
    cost = (
        f", ${made.likely_usd:.2f} (${made.least_usd:.2f} to ${made.most_usd:.2f})"
        if made.likely_usd is not None
        else ""
    )
    console.print(
        f"{made.study} on {made.model}: likely {made.likely_requests:,} requests to come "
        f"({_span(made.fewest_requests, made.most_requests)}){cost}; {made.stored_requests} "
        f"answers are stored. Likely is: {ROUNDS} rounds, {DISTINCT:.0%} of what they say new, "
        f"{KEPT:.0%} of it kept, {REPAIRS:.0%} of the questions asked once more; at most is each "
        f"of them {ATTEMPTS} times. Nothing was asked; {made.counted}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for name in ("max_requests", "max_cost_usd"):
        if (limit := getattr(llm, name)) is not None:
            console.print(f"limit: llm.{name} = {limit:g}", highlight=False)


def _with_rounds(forecast: RequestForecast) -> RequestForecast:
    """Return a forecast of what is asked in rounds, the fewest being one, with a likely number."""
    if forecast.likely is not None:
        return forecast
    likely = max(forecast.fewest, min(forecast.most, ROUNDS * forecast.fewest))
    return forecast.model_copy(update={"likely": likely})


def _to_come(forecast: RequestForecast) -> tuple[int, int, int]:
    """Return the fewest, likely and most requests for what is not stored, repairs included."""
    stored = forecast.stored or 0
    fewest, likely, most = (
        max(n - stored, 0) for n in (forecast.fewest, forecast.likely or 0, forecast.most)
    )
    return fewest, ceil((1 + REPAIRS) * likely), ATTEMPTS * most


def _each_usd(forecast: RequestForecast, llm: LlmSpec) -> float:
    """Return what one request costs."""
    if llm.prices is None:
        return 0.0
    each = (
        forecast.prompt_tokens_each * llm.prices.prompt_usd
        + forecast.completion_tokens_each * llm.prices.completion_usd
    ) / 1e6
    return each * (llm.prices.batch_factor if llm.delivery == "batch" else 1.0)


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
