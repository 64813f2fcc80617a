"""The flow that edits a study's trained heads, in the Prefect UI."""

from prefect import flow

from curette.flows.edits import keep_edits
from curette.flows.outcome import on_its_page
from curette.flows.runs import RunResult, StudyChoice, open_study, run_name
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.study import study as whole_study
from curette.flows.workplace import lend_key, settled
from curette.schemas.edits import Edit
from curette.schemas.study import Study


@flow(name="edit", flow_run_name=run_name)
def edit(study: StudyChoice, edits: list[Edit], options: RunOptions = DEFAULT_OPTIONS) -> RunResult:
    """Edit a study's trained heads, and measure and report them anew.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        edits: all that are to count from now on; an empty list takes every edit back.
        options: where things are kept, which stages are repeated, on what machine.
    """

    def run_until_probe(study: Study, options: RunOptions) -> RunResult:
        return whole_study(study, options.model_copy(update={"until": "probe"}))

    def run() -> RunResult:
        whole, here = open_study(study), settled(options)
        lend_key(whole.llm)
        keep_edits(whole, here, edits, run_until_probe)
        return whole_study(whole, here)

    return on_its_page(run)
