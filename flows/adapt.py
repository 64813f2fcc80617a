"""The flow that adapts a trained head to another site by a few of its images."""

from prefect import flow

from curette.flows.adaptation import Wanted, adapt_to_site
from curette.flows.outcome import on_its_page
from curette.flows.runs import StudyChoice, open_study, run_name
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.study import study as whole_study
from curette.flows.workplace import lend_key, settled
from curette.schemas.heads import EXPLAINED
from curette.tasks.adapt.support import Listed, check_listed
from curette.tasks.stage import leave_table


@flow(name="adapt", flow_run_name=run_name)
def adapt(
    study: StudyChoice,
    to: str,
    support: list[str],
    head: str = EXPLAINED,
    editor: str = "",
    reason: str = "",
    options: RunOptions = DEFAULT_OPTIONS,
) -> str:
    """Adapt a trained head to another site by a few of its images; return the artifact's address.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        to: name of one of the study's external datasets.
        support: ids of 1 to 8 of its images a class.
        head: kind of the head.
        editor: who wants it.
        reason: why.
        options: where things are kept, which stages are repeated, on what machine.
    """

    def run() -> str:
        listed = check_listed([Listed(image, "") for image in support], "support")
        wanted = Wanted(to, listed, head, editor, reason)
        whole = open_study(study)
        lend_key(whole.llm)
        made = adapt_to_site(whole, settled(options), wanted, whole_study)
        rows: list[dict[str, object]] = [t.model_dump() for t in made.adaptation.facts.tried]
        leave_table("adaptation", rows, made.told)
        return str(made.ref)

    return on_its_page(run)
