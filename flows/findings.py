"""The flow that runs the study of every finding, and the page about them all."""

from collections.abc import Mapping

from prefect import flow

from curette.flows.family import FamilyResult, run_findings
from curette.flows.runs import RunResult, StudyChoice, open_study, run_name
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.study import study as whole_study
from curette.schemas.study import Study


@flow(name="findings", flow_run_name=run_name)
def findings(study: StudyChoice, options: RunOptions = DEFAULT_OPTIONS) -> FamilyResult:
    """Run the study of every finding of `dataset.findings`, and write the page about them all.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """

    def run_each(studies: Mapping[str, Study], options: RunOptions) -> dict[str, RunResult]:
        return {key: whole_study(one, options) for key, one in studies.items()}

    return run_findings(open_study(study), options, run_each)
