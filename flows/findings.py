"""The flow that runs the study of every finding, and the page about them all."""

from collections.abc import Mapping

from prefect import flow

from curette.flows.asked import Asked, run_name
from curette.flows.family import FamilyResult, run_findings, tell_family
from curette.flows.outcome import Told, on_its_page
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study as whole_study
from curette.flows.workplace import Changes, OtherMachine, Refreshed, StoreFolder, opened
from curette.schemas.artifact import CuretteError
from curette.schemas.study import Study


@flow(name="findings", flow_run_name=run_name)
def findings(
    study: Asked = "findings",
    refresh: Refreshed = (),
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> FamilyResult:
    """Run the study of every finding of `dataset.findings`, and write the page about them all.

    Args:
        study: which study, of several findings; what is done of it already is not done again.
    """

    def run_each(studies: Mapping[str, Study], options: RunOptions) -> dict[str, RunResult]:
        results = {}
        for key, one in studies.items():
            try:
                results[key] = whole_study(one, options)
            except CuretteError as error:
                error.add_note(f"the finding {key}")
                raise
        return results

    def run() -> Told[FamilyResult]:
        given = RunOptions(refresh=refresh)
        opened_study = opened(study, changes, store, machine, given)
        return tell_family(run_findings(*opened_study, run_each))

    return on_its_page(run)
