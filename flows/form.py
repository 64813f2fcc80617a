"""The whole study as a deployment: what a person fills in, the short first."""

from typing import Annotated

from prefect import flow
from pydantic import AfterValidator, WithJsonSchema

from curette.flows.asked import Asked, run_name
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult
from curette.flows.sequence import whole_study
from curette.flows.stages import RunName, RunOptions, StageName, stages_from
from curette.flows.workplace import OtherMachine, opened
from curette.tasks.stage import named_stage, stage_names

_AS_NEEDED = "only what is not done yet"


def _or_as_needed(name: str) -> str:
    return name if name == _AS_NEEDED else named_stage(name)


FromStage = Annotated[
    str,
    AfterValidator(_or_as_needed),
    WithJsonSchema({"type": "string", "enum": [_AS_NEEDED, *stage_names()]}),
]


@flow(name="study", flow_run_name=run_name)
def study(
    study: Asked = "demo",
    from_stage: FromStage = _AS_NEEDED,
    refresh: tuple[StageName, ...] = (),
    until: RunName = "report",
    changes: tuple[str, ...] = (),
    machine: OtherMachine = None,
    store: str = "",
) -> RunResult:
    """Curate concepts for one dataset and measure how well they explain its labels.

    Args:
        study: which study; what is done of it already is not done again.
        from_stage: do this stage and all that follow anew, whatever there is.
        refresh: do these stages anew, and what follows only as far as it is given something new.
        until: end after this stage.
        changes: settings that are to be other in this run, each as `dotted.key=value`, such as
            `select.size=12`.
        machine: device, batch size and threads; else as the variable `curette_machine` says.
        store: the folder for everything that is kept between runs; empty: as the variable
            `curette_store` says, or `.curette` where the worker runs.
    """
    from_there = () if from_stage == _AS_NEEDED else stages_from(from_stage)

    def run() -> RunResult:
        given = RunOptions(until=until, refresh=(*refresh, *from_there))
        return whole_study(*opened(study, changes, store, machine, given))

    return on_its_page(lambda: tell(run()))
