"""The flow that holds new images against those that a study's head learned from."""

from pathlib import Path

from prefect import flow

from curette.flows.drifting import Wanted, look_for_drift, tell_if_past_limit
from curette.flows.outcome import on_its_page, page_link
from curette.flows.runs import StudyChoice, open_study, run_name
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.study import study as whole_study
from curette.flows.workplace import lend_key, settled
from curette.tasks.drift.page import sentence, tell
from curette.tasks.publish.markdown import escape
from curette.tasks.stage import leave_markdown


@flow(name="drift", flow_run_name=run_name)
def drift(
    study: StudyChoice,
    folder: str = "",
    subjects: str = "",
    one_each: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
) -> str:
    """Hold new images against those that a head learned from; return the artifact's address.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        folder: new images without labels; empty: the images of the study's own dataset that its
            last finished run did not know.
        subjects: a table, file,subject: which of the folder's images are of one patient.
        one_each: each image of the folder is of another patient.
        options: where things are kept, on what machine.
    """

    def run() -> str:
        wanted = Wanted(
            Path(folder) if folder else None, Path(subjects) if subjects else None, one_each
        )
        chosen, given = open_study(study), settled(options)
        lend_key(chosen.llm)
        found = look_for_drift(chosen, given, wanted, whole_study)
        named = study if isinstance(study, str) else chosen.name
        tell_if_past_limit(found, chosen, str(given.store), named)
        facts, place = found.drift.facts, given.store.resolve() / str(found.ref) / "drift.html"
        lines = [*map(escape, tell(facts)), page_link("The page", place)]
        leave_markdown("drift", "\n\n".join(lines), sentence(facts))
        return str(found.ref)

    return on_its_page(run)
