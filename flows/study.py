"""The whole study: from a labelled image dataset to a report on its concepts."""

from prefect import flow

from curette.flows.curate import curate_concepts
from curette.flows.probe import measure_concepts
from curette.flows.runs import RunResult, StudyChoice, finish, open_study, run_name, start
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions


@flow(name="study", flow_run_name=run_name)
def study(study: StudyChoice, options: RunOptions = DEFAULT_OPTIONS) -> RunResult:
    """Curate concepts for one dataset and measure how well they explain its labels.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """
    whole = open_study(study)
    stages = start(whole, options)
    with stages.under_way():
        published = curate_concepts(whole, stages)
        measure_concepts(whole, published, stages)
    return finish(whole, stages)
