"""From a published concept dataset to numbers and a report."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from curette.flows.outcome import on_its_page
from curette.flows.runs import RunResult, StudyChoice, finish, open_study, run_name, start
from curette.flows.sequence import measure_concepts
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.workplace import lend_key, settled
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset


@flow(name="probe", flow_run_name=run_name)
def probe(
    concept_dataset: Annotated[
        str,
        Field(
            pattern=r"^(concept-dataset/)?[0-9a-f]{20}$",
            description="digest of a published concept dataset in the store",
        ),
    ],
    study: StudyChoice,
    options: RunOptions = DEFAULT_OPTIONS,
) -> RunResult:
    """Train and measure heads on a concept dataset that was published earlier.

    Args:
        concept_dataset: digest of a published concept dataset in the store.
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        options: where things are kept, which stages are repeated, on what machine.
    """
    published: Ref[ConceptDataset] = Ref(
        ConceptDataset.kind, concept_dataset.removeprefix("concept-dataset/")
    )

    def run() -> RunResult:
        whole = open_study(study)
        lend_key(whole.llm)
        stages = start(whole, settled(options))
        with stages.under_way():
            measure_concepts(whole, published, stages)
        return finish(whole, stages, published)

    return on_its_page(run)
