"""From labelled images to a published concept dataset."""

from prefect import flow

from curette.flows.asked import Asked, run_name
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult, finish, start
from curette.flows.sequence import curate_concepts
from curette.flows.stages import RunOptions, StageName
from curette.flows.workplace import OtherMachine, opened


@flow(name="curate", flow_run_name=run_name)
def curate(
    study: Asked = "demo",
    refresh: tuple[StageName, ...] = (),
    changes: tuple[str, ...] = (),
    machine: OtherMachine = None,
    store: str = "",
) -> RunResult:
    """Make a validated, published concept dataset out of a labelled image dataset and an LLM.

    Args:
        study: which study; what is done of it already is not done again.
        refresh: do these stages anew, and what follows only as far as it is given something new.
        changes: settings that are to be other in this run, each as `dotted.key=value`, such as
            `select.size=12`.
        machine: device, batch size and threads; else as the variable `curette_machine` says.
        store: the folder for everything that is kept between runs; empty: as the variable
            `curette_store` says, or `.curette` where the worker runs.
    """

    def run() -> RunResult:
        whole, options = opened(study, changes, store, machine, RunOptions(refresh=refresh))
        stages = start(whole, options)
        with stages.under_way():
            curate_concepts(whole, stages)
        return finish(whole, stages)

    return on_its_page(lambda: tell(run()))
