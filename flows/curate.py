"""From labelled images to a published concept dataset."""

from prefect import flow

from curette.flows.asked import Asked, run_name
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult, finish, start
from curette.flows.sequence import curate_concepts
from curette.flows.stages import RunOptions
from curette.flows.workplace import Changes, OtherMachine, Refreshed, StoreFolder, opened


@flow(name="curate", flow_run_name=run_name)
def curate(
    study: Asked = "demo",
    refresh: Refreshed = (),
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> RunResult:
    """Make a validated, published concept dataset out of a labelled image dataset and an LLM.

    Args:
        study: which study; what is done of it already is not done again.
    """

    def run() -> RunResult:
        whole, options = opened(study, changes, store, machine, RunOptions(refresh=refresh))
        stages = start(whole, options)
        with stages.under_way():
            curate_concepts(whole, stages)
        return finish(whole, stages)

    return on_its_page(lambda: tell(run()))
