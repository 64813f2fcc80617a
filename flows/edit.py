"""The flow that edits a study's trained heads, in the Prefect UI."""

from prefect import flow
from prefect.logging import get_run_logger

from curette.flows.asked import Asked, run_name
from curette.flows.edits import edits_so_far, keep_edits
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study as whole_study
from curette.flows.workplace import Changes, OtherMachine, StoreFolder, opened
from curette.schemas.edits import Edit
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore


@flow(name="edit", flow_run_name=run_name)
def edit(
    study: Asked = "demo",
    edits: tuple[Edit, ...] = (),
    keep_earlier: bool = True,
    changes: Changes = (),
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> RunResult:
    """Edit a study's trained heads, and measure and report them anew.

    Args:
        study: which study; what is not done of it yet, up to its heads, is done first.
        edits: what concepts may say from now on; ids and texts are in the sheet that
            `curette edit export` writes, and in the report.
        keep_earlier: the edits that count already go on counting; else they are taken back, all
            of them where nothing is filled in above.
    """

    def run_until_probe(study: Study, options: RunOptions) -> RunResult:
        return whole_study(study, options.model_copy(update={"until": "probe"}))

    def run() -> RunResult:
        whole, options = opened(study, changes, store, machine)
        kept = ArtifactStore(options.store.resolve())
        earlier = edits_so_far(whole, kept) if keep_earlier else ()
        wanted = tuple(dict.fromkeys([*earlier, *edits]))
        get_run_logger().info(keep_edits(whole, options, wanted, run_until_probe))
        return whole_study(whole, options)

    return on_its_page(lambda: tell(run()))
