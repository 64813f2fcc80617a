"""The whole study as a deployment: what a person fills in, the short first."""

from typing import Annotated

from prefect import flow
from pydantic import AfterValidator, WithJsonSchema

from curette.flows.asked import Asked, run_name
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult
from curette.flows.sequence import whole_study
from curette.flows.stages import RunName, RunOptions, stages_from
from curette.flows.workplace import Changes, OtherMachine, Refreshed, StoreFolder, opened
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
    refresh: Refreshed = (),
    until: RunName = "report",
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> RunResult:
    """Curate concepts for one dataset and measure how well they explain its labels.

    Args:
        study: which study; what is done of it already is not done again.
        from_stage: do this stage and all that follow anew, whatever there is.
        until: end after this stage.
    """
    from_there = () if from_stage == _AS_NEEDED else stages_from(from_stage)

    def run() -> RunResult:
        given = RunOptions(until=until, refresh=(*refresh, *from_there))
        return whole_study(*opened(study, changes, store, machine, given))

    return on_its_page(lambda: tell(run()))
