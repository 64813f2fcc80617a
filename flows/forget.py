"""The flow that forgets a patient, an image or a class, and removes every trace from a store."""

from contextlib import nullcontext
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from curette.flows.forgetting import forget_one, read_order
from curette.flows.runs import StudyChoice, open_study, run_name
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.study import study as whole_study


@flow(name="forget", flow_run_name=run_name)
def forget(study: StudyChoice, order: Path, options: RunOptions = DEFAULT_OPTIONS) -> str:
    """Forget patients, images or a class of a study; return the pages of the certificates.

    Whom is read from a file and not given here: Prefect would keep it.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        order: a text file on the worker's machine; each line is `subject ID`, `image SHA256` or
            `class KEY`. Delete it afterwards.
        options: where things are kept, on what machine.
    """
    made = [
        forget_one(open_study(study), options, wanted, whole_study, nullcontext)
        for wanted in read_order(order)
    ]
    pages = [one.page for one in made if one.page]
    for page in pages:
        create_markdown_artifact(page.read_text(encoding="utf-8"), key="forget")
    return "\n".join(map(str, pages)) or "nothing was left to be forgotten"
