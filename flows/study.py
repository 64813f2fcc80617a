"""The whole study, as the command line and other flows run it: it was opened already."""

from prefect import flow

from curette.flows.asked import run_name
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult
from curette.flows.sequence import whole_study
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.schemas.study import Study


@flow(name="study", flow_run_name=run_name)
def study(study: Study, options: RunOptions = DEFAULT_OPTIONS) -> RunResult:
    """Curate concepts for one dataset and measure how well they explain its labels.

    Args:
        study: the study.
        options: where things are kept, which stages are repeated, on what machine.
    """
    return on_its_page(lambda: tell(whole_study(study, options)))
