"""The flow that forgets a patient, an image or a class, and removes every trace from a store."""

from pathlib import Path

from prefect import flow

from curette.flows.asked import Asked, run_name
from curette.flows.forgetting import forget_one, read_order, tell_all
from curette.flows.outcome import Told, on_its_page
from curette.flows.study import study as whole_study
from curette.flows.workplace import Changes, OtherMachine, StoreFolder, opened


@flow(name="forget", flow_run_name=run_name)
def forget(
    order: Path,
    study: Asked = "demo",
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> str:
    """Forget patients, images or a class of a study; return the pages of the certificates.

    Whom is read from a file and not given here: Prefect would keep it.

    Args:
        order: a text file on the worker's machine; each line is `subject ID`, `image SHA256` or
            `class KEY`. Delete it afterwards.
        study: where they are known under these ids; purged is the whole store.
    """

    def run() -> Told[str]:
        whole, options = opened(study, changes, store, machine)
        return tell_all(
            [forget_one(whole, options, wanted, whole_study) for wanted in read_order(order)]
        )

    return on_its_page(run)
