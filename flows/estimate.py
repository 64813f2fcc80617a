"""What a study will ask a language model, and what that will cost: `curette estimate`."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, Field
from rich.console import Console
from rich.table import Table

from curette.schemas.artifact import StudyError
from curette.schemas.images import ClassLabel
from curette.schemas.llm import RequestForecast
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.study import Study
from curette.storage.responses import ResponseShelf
from curette.tasks.annotate.asking import forecast_annotating
from curette.tasks.methods.llm.tokens import how_counted
from curette.tasks.priors.asking import forecast_priors
from curette.tasks.propose.forecast import forecast_proposing, most_candidates
from curette.tasks.screen.gates.judge import forecast_judging


class Estimate(BaseModel, frozen=True):
    """What will be asked, and what it costs in US dollars where prices are given."""

    study: str
    model: str
    forecasts: tuple[RequestForecast, ...]
    fewest_requests: int
    most_requests: int
    stored_requests: int = Field(
        description="known to be answered already: these cost nothing again"
    )
    least_usd: float | None
    most_usd: float | None
    counted: str = Field(description="how tokens were counted")


def estimate(
    study: Study,
    answers: ResponseShelf,
    find_classes: Callable[[], Sequence[ClassLabel]],
    find_reports: Callable[[], Sequence[str]] = tuple,
) -> Estimate:
    """Return what the study will ask, without asking anything.

    Args:
        study: the study.
        answers: what was answered already.
        find_classes: takes the images in; called only where the study does not list its classes.
        find_reports: takes the images in; called only where the study has reports annotated.

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
    forecasts = forecast_proposing(classes, study.propose, llm, answers)
    candidates = most_candidates(classes, study.propose, forecasts)
    selected = min(candidates, study.select.at_most(len(classes)))
    modality = study.propose.modality
    later = (
        forecast_judging(candidates, study.screen, llm),
        forecast_priors(candidates, len(classes), study.priors, llm),
        forecast_annotating(find_reports(), selected, study.annotate, modality, llm)
        if study.annotate
        else None,
    )
    forecasts += [forecast for forecast in later if forecast]
    fewest = sum(max(f.fewest - (f.stored or 0), 0) for f in forecasts)
    costs = [_cost(f, llm) for f in forecasts]
    known = llm.prices is not None
    return Estimate(
        study=study.name,
        model=llm.model,
        forecasts=tuple(forecasts),
        fewest_requests=fewest,
        most_requests=sum(f.most - (f.stored or 0) for f in forecasts),
        stored_requests=sum(f.stored or 0 for f in forecasts),
        least_usd=sum(low for low, _ in costs) if known else None,
        most_usd=sum(high for _, high in costs) if known else None,
        counted=how_counted(llm.model),
    )


def print_estimate(console: Console, study: Study, made: Estimate) -> None:
    """Print the estimate as a table, with the study's limits under it."""
    table = Table("asked for", "requests", "stored", "tokens each", "cost")
    llm = study.llm
    for f in made.forecasts:
        table.add_row(
            f.name,
            _span(f.fewest, f.most),
            "not known" if f.stored is None else str(f.stored),
            f"{f.prompt_tokens_each:.0f} + {f.completion_tokens_each:.0f}",
            _dollars(*_cost(f, llm)) if llm and llm.prices else "no prices",
        )
    console.print(table)
    for f in made.forecasts:
        console.print(f"{f.name}: {f.note}", highlight=False, markup=False, soft_wrap=True)
    cost = (
        f", {_dollars(made.least_usd, made.most_usd)}"
        if made.least_usd is not None and made.most_usd is not None
        else ""
    )
    console.print(
        f"{made.study} on {made.model}: {_span(made.fewest_requests, made.most_requests)} requests "
        f"to come{cost}; {made.stored_requests} answers are stored. Nothing was asked; "
        f"{made.counted}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for name in ("max_requests", "max_cost_usd"):
        if (limit := getattr(llm, name)) is not None:
            console.print(f"limit: llm.{name} = {limit:g}", highlight=False)


def _cost(forecast: RequestForecast, llm: LlmSpec) -> tuple[float, float]:
    """Return the cost of what is not stored, for the fewest and the most requests."""
    if llm.prices is None:
        return 0.0, 0.0
    each = (
        forecast.prompt_tokens_each * llm.prices.prompt_usd
        + forecast.completion_tokens_each * llm.prices.completion_usd
    ) / 1e6
    each *= llm.prices.batch_factor if llm.delivery == "batch" else 1.0
    stored = forecast.stored or 0
    fewest, most = max(forecast.fewest - stored, 0), forecast.most - stored
    return each * fewest, each * most


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _dollars(low: float, high: float) -> str:
    shown = f"{low:.2f}", f"{high:.2f}"
    return f"${shown[0]}" if shown[0] == shown[1] else f"${shown[0]} to ${shown[1]}"
