"""From labelled images to a published concept dataset."""

from prefect import flow

from curette.flows.outcome import on_its_page
from curette.flows.runs import RunResult, StudyChoice, finish, open_study, run_name, start
from curette.flows.sequence import curate_concepts
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.workplace import lend_key, settled


@flow(name="curate", flow_run_name=run_name)
def curate(study: StudyChoice, options: RunOptions = DEFAULT_OPTIONS) -> RunResult:
    """Make a validated, published concept dataset out of a labelled image dataset and an LLM.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """

    def run() -> RunResult:
        whole = open_study(study)
        lend_key(whole.llm)
        stages = start(whole, settled(options))
        with stages.under_way():
            curate_concepts(whole, stages)
        return finish(whole, stages)

    return on_its_page(run)
