"""What a person at the terminal sees while a study runs: one line a stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from curette.flows.runs import RunResult
from curette.flows.stages import StageRecord, Watcher, stage_watcher
from curette.tasks.stage import watcher

if TYPE_CHECKING:  # most runs are of one label an image
    from curette.flows.family import FamilyResult

_TITLE = 26
"""Characters: the longest title of a study's own stages, `embed_texts (round 2)`, and room for the
names of encoders and other datasets."""


@contextmanager
def live_display(console: Console) -> Iterator[None]:
    """Show each stage as it starts, goes on and ends; plain lines where there is no terminal."""
    with Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.fields[stage]:<" + str(_TITLE) + "}"),
        TextColumn("{task.fields[state]:<7}", style="green"),
        _Seconds(),
        BarColumn(bar_width=24),
        TextColumn("{task.description}", style="dim"),
        console=console,
        disable=not console.is_terminal,
    ) as bars:
        lines: dict[str, int] = {}
        now = ""

        def start(title: str) -> None:
            nonlocal now
            now = title
            lines[title] = bars.add_task("", total=None, stage=title, state="running")

        def end(record: StageRecord) -> None:
            bars.update(
                lines[record.title],  # type: ignore[arg-type] # rich's TaskID is an int
                description="",
                state=record.state,
                total=1,
                completed=1,
            )
            if not console.is_terminal:
                _show(console, record)

        def advance(description: str, done: int, total: int) -> None:
            if now in lines:
                of_total = f"/{total:,}" if total else ""  # asking ends when little new comes
                bars.update(
                    lines[now],  # type: ignore[arg-type]
                    description=f"{escape(description)} {done:,}{of_total}",
                    completed=done,
                    total=total or None,
                )

        watched = stage_watcher.set(Watcher(start, end))
        watching = watcher.set(advance)
        try:
            yield
        finally:
            watcher.reset(watching)
            stage_watcher.reset(watched)


def show_stages(console: Console, result: RunResult) -> None:
    """Show each stage of a run that is over, a line each."""
    for record in result.stages:
        _show(console, record)


def _show(console: Console, record: StageRecord) -> None:
    line = f"{record.title:<{_TITLE}} {record.state:<7} {record.seconds:7.1f} s"
    console.print(line, highlight=False)


class _Seconds(ProgressColumn):
    """Seconds since the stage started."""

    def render(self, task: Task) -> Text:
        """Return the seconds, right-aligned."""
        return Text(f"{task.finished_time or task.elapsed or 0:6.1f} s", style="dim")


def print_summary(console: Console, result: RunResult, started: float) -> None:
    """Print how it went, the headline numbers, and where the results are."""
    ran = sum(r.state == "ran" for r in result.stages)
    elsewhere = sum(bool(r.external) for r in result.stages)
    more = f" and {elsewhere} of other datasets or encoders" if elsewhere else ""
    console.print(
        f"\n{result.study}: {len(result.stages) - elsewhere} stages{more}, {ran} ran, "
        f"{len(result.stages) - ran} cached, "
        f"{time.monotonic() - started:.0f} s in all",
        highlight=False,
    )
    for head, metrics in result.metrics.items():
        if head_number := metrics.get("balanced_accuracy"):
            interval = (
                "(reusable holdout)"
                if head_number.low is None
                else f"[{head_number.low:.3f}, {head_number.high:.3f}]"
            )
            console.print(
                f"  {escape(head):<34} balanced accuracy {head_number.value:.3f} {interval}",
                highlight=False,
                markup=False,
            )
    if result.since:
        console.print(result.since, soft_wrap=True, highlight=False, markup=False)
    if result.concept_dataset:
        console.print(f"concept dataset: {result.concept_dataset}", soft_wrap=True, markup=False)
    if result.report:
        console.print(f"report:          {result.report}", soft_wrap=True, markup=False)


def print_findings(console: Console, result: "FamilyResult", started: float) -> None:
    """Print what heads reached at every finding, and where the page about all of them is."""
    runs = result.findings
    from curette.flows.family import auroc_by_finding

    aurocs = auroc_by_finding(result)
    titles = [title for by_head in aurocs.values() for title in by_head][:3]
    lines = [
        (key, *(m.told if m else "–" for m in by_head.values())) for key, by_head in aurocs.items()
    ]
    stages = [record for run in runs.values() for record in run.stages]
    ran = sum(record.state == "ran" for record in stages)
    console.print(
        f"\n{result.study}: {len(runs)} findings, {len(stages)} stages, {ran} ran, "
        f"{len(stages) - ran} cached, {time.monotonic() - started:.0f} s in all",
        highlight=False,
    )
    for name, *cells in [("AUROC", *titles), *lines] if lines else []:
        line = f"  {name:<32}" + "".join(f"{cell:<22}" for cell in cells)
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if result.page:
        console.print(f"findings:        {result.page}", soft_wrap=True, markup=False)
