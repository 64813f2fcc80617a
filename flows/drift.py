"""The flow that holds new images against those that a study's head learned from."""

from pathlib import Path

from prefect import flow

from curette.flows.asked import Asked, run_name
from curette.flows.drifting import Wanted, look_for_drift, tell_if_past_limit
from curette.flows.outcome import Told, on_its_page, page_link
from curette.flows.study import study as whole_study
from curette.flows.workplace import Changes, OtherMachine, StoreFolder, opened
from curette.tasks.drift.page import tell
from curette.tasks.methods.markdown import escape


@flow(name="drift", flow_run_name=run_name)
def drift(
    study: Asked = "demo",
    folder: str = "",
    subjects: str = "",
    one_each: bool = False,
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> str:
    """Hold new images against those that a head learned from; return the artifact's address.

    Args:
        study: which study; of a folder's images what is not done of it yet, up to its heads, is
            done first.
        folder: new images without labels, on the worker's machine; empty: the images of the
            study's own dataset that its last finished run did not know.
        subjects: a table, file,subject: which of the folder's images are of one patient.
        one_each: each image of the folder is of another patient.
    """

    def run() -> Told[str]:
        wanted = Wanted(
            Path(folder) if folder else None, Path(subjects) if subjects else None, one_each
        )
        chosen, options = opened(study, changes, store, machine)
        found = look_for_drift(chosen, options, wanted, whole_study)
        named = study if isinstance(study, str) else chosen.name
        tell_if_past_limit(found, chosen, str(options.store), named)
        facts, place = found.drift.facts, options.store.resolve() / str(found.ref) / "drift.html"
        headline, *details = tell(facts)
        told = "\n".join(f"- {escape(detail)}" for detail in details)
        page = f"{told}\n\n{page_link('The page', place)}"
        return Told(headline, page, str(found.ref), "drift")

    return on_its_page(run)
