"""From a published concept dataset to numbers and a report."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from curette.flows.asked import Asked, run_name
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult, finish, start
from curette.flows.sequence import borrow, measure_concepts
from curette.flows.stages import RunName, RunOptions
from curette.flows.workplace import Changes, OtherMachine, Refreshed, StoreFolder, opened
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset


@flow(name="probe", flow_run_name=run_name)
def probe(
    concept_dataset: Annotated[str, Field(pattern=r"^(concept-dataset/)?[0-9a-f]{20}$")],
    study: Asked = "demo",
    refresh: Refreshed = (),
    until: RunName = "report",
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> RunResult:
    """Train and measure heads on a concept dataset that was published earlier.

    Args:
        concept_dataset: digest of a published concept dataset in the store.
        study: the study that it was published in, or one of the same classes.
        until: end after this stage.
    """
    published: Ref[ConceptDataset] = Ref(
        ConceptDataset.kind, concept_dataset.removeprefix("concept-dataset/")
    )

    def run() -> RunResult:
        given = RunOptions(until=until, refresh=refresh)
        whole, options = opened(study, changes, store, machine, given)
        stages = start(whole, options)
        with stages.under_way():
            measure_concepts(whole, published, stages, borrow(whole, stages))
        return finish(whole, stages, published)

    return on_its_page(lambda: tell(run()))
