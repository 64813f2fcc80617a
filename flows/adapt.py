"""The flow that adapts a trained head to another site by a few of its images."""

from typing import Annotated

from prefect import flow
from pydantic import WithJsonSchema

from curette.flows.adaptation import Wanted, adapt_to_site, tell_adapted
from curette.flows.asked import Asked, run_name
from curette.flows.outcome import Told, on_its_page
from curette.flows.study import study as whole_study
from curette.flows.workplace import Changes, OtherMachine, StoreFolder, opened
from curette.schemas.heads import CARDS, EXPLAINED
from curette.tasks.adapt.support import Listed, check_listed

_HEADS = [kind for kind, card in CARDS.items() if card.role in ("concepts", "probe")]
HeadKind = Annotated[str, WithJsonSchema({"type": "string", "enum": _HEADS})]


@flow(name="adapt", flow_run_name=run_name)
def adapt(
    to: str,
    support: tuple[str, ...],
    study: Asked = "demo",
    head: HeadKind = EXPLAINED,
    editor: str = "",
    reason: str = "",
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> str:
    """Adapt a trained head to another site by a few of its images; return the artifact's address.

    Args:
        to: name of one of the study's external datasets.
        support: ids of 1 to 8 of its images a class.
        study: which study; what is not done of it yet, up to its heads, is done first.
        head: kind of the head.
        editor: who wants it.
        reason: why.
    """

    def run() -> Told[str]:
        listed = check_listed([Listed(image, "") for image in support], "support")
        wanted = Wanted(to, listed, head, editor, reason)
        made = adapt_to_site(*opened(study, changes, store, machine), wanted, whole_study)
        return tell_adapted(made)

    return on_its_page(run)
