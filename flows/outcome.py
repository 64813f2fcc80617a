"""What a run's own page says in the Prefect UI: first what came out, or why nothing did."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

from curette.flows.runs import RunResult
from curette.schemas.artifact import ConceptDatasetRejected, CuretteError, Ref, StudyError
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.store import ArtifactStore, StoreError
from curette.tasks.methods.llm.budget import BudgetReached
from curette.tasks.methods.markdown import escape

T = TypeVar("T")
PAGES_VARIABLE = "CURETTE_PAGES"
"""Environment variable with the address at which `curette pages` serves the store."""
_MOST_TOLD = 300  # characters of a state's message


@dataclass(frozen=True)
class Told(Generic[T]):
    """What a flow's own work came to, and how its page tells it."""

    headline: str
    """In one line; the state's message."""
    page: str
    """Markdown."""
    result: T
    """What the flow returns."""
    key: str = "result"
    """Of the artifact."""
    lines: tuple[str, ...] = ()
    """What else stands in the log."""


def on_its_page(run: Callable[[], Told[T]]) -> T:
    """Run a flow's own work; tell on the page of its run what came out, or why it failed.

    A mistake that a person can mend becomes the state's message, without frames of a program that
    are no help in mending it: the flow returns such a state, from which Prefect raises the error
    for whoever called the flow. Anything else is raised as it is.

    Args:
        run: the work.

    Raises:
        Exception: what `run` raises, if it is no `CuretteError`.
    """
    from prefect.artifacts import create_markdown_artifact
    from prefect.logging import get_run_logger
    from prefect.states import Completed, Failed

    log = get_run_logger()
    try:
        told = run()
    except Exception as error:
        create_markdown_artifact(
            key="why-it-failed",
            markdown=why_it_failed(error, _pages()),
            description=escape(_cut(_lines(error)[0])),
        )
        if not isinstance(error, CuretteError):
            raise
        log.error(str(error))
        return cast(T, Failed(name=_state_of(error), message=_message_of(error), data=error))
    create_markdown_artifact(
        key=told.key, markdown=told.page, description=escape(_cut(told.headline))
    )
    for line in (told.headline, *told.lines):
        log.info(line)
    return cast(T, Completed(message=_cut(told.headline), data=told.result))


def tell(result: RunResult) -> Told[RunResult]:
    """Return what the page of a study's run says."""
    pages = _pages()
    places = [f"{name}: {_address(place, pages) or place}" for name, place in _places(result)]
    return Told(headline(result), page_of(result, pages), result, lines=tuple(places))


def headline(result: RunResult) -> str:
    """Return what a run found in one line."""
    if result.metrics:
        first = [h for h in ("concept bottleneck", "linear probe") if h in result.metrics]
        others = [h for h in result.metrics if h not in first]
        return "Balanced accuracy: " + "; ".join(
            f"{head} {_number(result, head)}" for head in (first or others[:2])
        )
    ran = sum(s.state == "ran" for s in result.stages)
    last = f", up to {result.stages[-1].title}" if result.stages else ""
    count = f"{len(result.stages)} stage{'s' * (len(result.stages) != 1)}"
    return f"{count}{last}: {ran} ran, {len(result.stages) - ran} cached"


def page_of(result: RunResult, pages: str) -> str:
    """Return the Markdown of a run that ended well: the result, links, the stages."""
    lines = [f"# {escape(result.study)}", "", escape(headline(result)), ""]
    lines += [escape(result.since), ""] if result.since else []
    places = list(_places(result))
    lines += [f"- {page_link(name, place, pages)}" for name, place in places]
    if places and not pages:
        served = "`curette pages` serves these: set Prefect's variable `curette_pages` to its "
        lines += ["", f"{served}address, and they are links here."]
    if result.metrics:
        lines += ["", "| head | balanced accuracy | |", "| --- | --- | --- |"]
        for head in result.metrics:
            number, _, interval = _number(result, head).partition(" ")
            lines.append(f"| {escape(head)} | {number} | {escape(interval)} |")
    lines += ["", "| stage | | seconds | why it ran |", "| --- | --- | --- | --- |"]
    for s in result.stages:
        why = escape("; ".join(s.why))
        lines.append(f"| {escape(s.title)} | {s.state} | {s.seconds:.1f} | {why} |")
    return "\n".join(lines)


def why_it_failed(error: Exception, pages: str) -> str:
    """Return the Markdown of a run that failed: what is wrong, where, and what to do."""
    where = "; ".join(getattr(error, "__notes__", ()))
    head, *more = [_linked(line, pages) for line in _lines(error)]
    if not isinstance(error, CuretteError):
        head = f"{escape(type(error).__name__)}: {head}"
    return "\n\n".join(
        [
            f"# {_heading(error)}",
            *([f"Where: {escape(where)}."] if where else []),
            head,
            *(["\n".join(f"- {line}" for line in more)] if more else []),
            "## What to do",
            _cure(error),
        ]
    )


def _heading(error: Exception) -> str:
    if isinstance(error, ConceptDatasetRejected):
        return "The gate rejected the concept dataset"
    if isinstance(error, BudgetReached):
        return "The budget is reached"
    if isinstance(error, StudyError):
        return "The study, or what it points to, is wrong"
    if isinstance(error, CuretteError):
        return "The run cannot go on"
    return "Something failed that curette did not foresee"


def _cure(error: Exception) -> str:
    kept = "What is finished is kept, so the next run goes on from there."
    if isinstance(error, ConceptDatasetRejected):
        return (
            "Look at the findings: the page that is named above, and the table `checks` among this "
            f"run's artifacts. Mend the data or the study, and run it again. {kept}"
        )
    if isinstance(error, BudgetReached):
        return f"Raise the limit in the study, or ask for less, and run it again. {kept}"
    if isinstance(error, StoreError):
        return f"Do what the message says about the disk, and run the study again. {kept}"
    if isinstance(error, CuretteError):
        return f"Mend what the message names, and run it again. {kept}"
    return (
        "The log has the whole of it. Where a network or a disk was at fault the stage has been "
        f"tried again already. Run it again once it may have passed. {kept} If it fails in the "
        "same way, it is a fault of curette: report it with the log."
    )


def _state_of(error: CuretteError) -> str:
    """Return the name of the state, which automations can listen to."""
    if isinstance(error, ConceptDatasetRejected):
        return "Rejected"
    return "BudgetReached" if isinstance(error, BudgetReached) else "Failed"


def _message_of(error: Exception) -> str:
    """Return the first line that says something, and where the others are."""
    first, *more = _lines(error)
    while first.endswith(":") and more:  # it only says that something follows
        first = f"{first} {more.pop(0)}"
    return f"{_cut(first)} (all of it: the artifact why-it-failed)" if more else _cut(first)


def _lines(error: Exception) -> list[str]:
    lines = (line.strip().removeprefix("- ") for line in str(error).splitlines())
    return [line for line in lines if line] or [type(error).__name__]


def _cut(line: str) -> str:
    return line if len(line) <= _MOST_TOLD else f"{line[: _MOST_TOLD - 1]}…"


def _number(result: RunResult, head: str) -> str:
    metric = result.metrics[head].get("balanced_accuracy")
    return metric.told if metric else "not measured"


def _places(result: RunResult) -> Iterator[tuple[str, Path]]:
    """Yield what a person reads of a run, with its place."""
    card = result.concept_dataset and Path(result.concept_dataset)
    if result.report:
        yield "The report, with cards and pictures", Path(result.report)
        yield "Data Docs of the validation", Path(result.report).with_name("data_docs.html")
    elif card and (checked := next((s for s in result.stages if s.name == "validate"), None)):
        store = ArtifactStore(card.parents[1])
        report = store.load(ValidatedConceptDataset, Ref.parse(checked.ref)).report_ref
        yield "Data Docs of the validation", store.path(report) / "data_docs.html"
    if card:
        yield "Card of the concept dataset", card / "README.md"


def page_link(name: str, place: Path, pages: str | None = None) -> str:
    """Return Markdown that leads to a page of a store, or says where it lies.

    Args:
        name: of the link.
        place: of the page.
        pages: address at which the store's pages are served; None: as the environment says.
    """
    address = _address(place, _pages() if pages is None else pages)
    return f"[{name}]({address})" if address else f"{name}: `{place}`"


def _pages() -> str:
    return os.environ.get(PAGES_VARIABLE, "")


def _address(place: Path, pages: str) -> str:
    """Return where a page of a store is served: at its kind, its digest and its name."""
    return "/".join([pages.rstrip("/"), *place.parts[-3:]]) if pages else ""


def _linked(line: str, pages: str) -> str:
    """Return a line as Markdown, pages of a store that it names being links."""
    parts = re.split(r"(/[^\s]*/[a-z-]+/[0-9a-f]{20}/[\w.-]+\.html)", line)
    return "".join(
        (f"[the page]({_address(Path(part), pages)})" if pages else f"`{part}`")
        if number % 2
        else (" " * part.startswith(" ")) + escape(part) + (" " * part.endswith(" "))
        for number, part in enumerate(parts)
    )
