"""The whole study: from a labelled image dataset to a report on its concepts."""

from prefect import flow

from curette.flows.outcome import on_its_page
from curette.flows.runs import RunResult, StudyChoice, open_study, run_name
from curette.flows.sequence import whole_study
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions


@flow(name="study", flow_run_name=run_name)
def study(study: StudyChoice, options: RunOptions = DEFAULT_OPTIONS) -> RunResult:
    """Curate concepts for one dataset and measure how well they explain its labels.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """
    return on_its_page(lambda: whole_study(open_study(study), options))
