"""Running one stage of an earlier run again, as a deployment: which run, which stage, one press."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import TypeAdapter, ValidationError

from curette.flows.asked import Asked, open_asked
from curette.flows.outcome import on_its_page, tell
from curette.flows.runs import RunResult
from curette.flows.sequence import whole_study
from curette.flows.stages import RunOptions, StageName, stages_from
from curette.flows.workplace import OtherMachine, StoreFolder, lend_key, settled
from curette.schemas.artifact import StudyError
from curette.schemas.study import Study

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ASKED: TypeAdapter[Any] = TypeAdapter(Asked)


def run_name() -> str:
    """Return the name of the current flow run: what is run again, and from where."""
    from prefect.runtime import flow_run

    given = flow_run.parameters
    return f"rerun {given['stage']} of {str(given['run']).rpartition('/')[2]}"


@flow(name="rerun", flow_run_name=run_name)
def rerun(
    run: str = "demo",
    stage: StageName = "report",
    and_all_after: bool = False,
    machine: OtherMachine = None,
    store: StoreFolder = "",
) -> RunResult:
    """Run a stage of an earlier run again; the page of the run says what was recomputed and why.

    Args:
        run: the name of a study, whose last run in the store is meant; or the address or the id
            of a flow run.
        stage: the stage to do again.
        and_all_after: do all that follow again too, whatever they are given; else only those that
            are given something new.
    """

    def run_again() -> RunResult:
        given = RunOptions(refresh=stages_from(stage) if and_all_after else (stage,))
        options = settled(given, store, machine)
        study = study_of(run, options.store.resolve())
        lend_key(study.llm)
        return whole_study(study, options)

    return on_its_page(lambda: tell(run_again()))


def study_of(run: str, root: Path) -> Study:
    """Return the study that an earlier run was of.

    Args:
        run: a study's name, or the address or id of a flow run.
        root: the store.

    Raises:
        StudyError: there is no such study or run, or the run was of no study.
    """
    found = _ID.search(run)
    if found is None:
        return open_asked(run.strip(), root)
    with get_client(sync_client=True) as client:
        try:
            parameters = client.read_flow_run(UUID(found[0])).parameters
        except ObjectNotFound:
            raise StudyError(
                f"this Prefect server knows no flow run {found[0]}: copy the address of the run's "
                "page, or name a study that was run in this store"
            ) from None
    if "study" not in parameters:
        again = parameters.get("run")
        if isinstance(again, str):  # it ran something again itself
            return study_of(again, root)
        raise StudyError(f"the flow run {found[0]} was of no study: choose one of a study")
    try:
        asked = _ASKED.validate_python(parameters["study"])
    except ValidationError as error:
        raise StudyError(
            f"the flow run {found[0]} was of a study that this version of curette does not read "
            f"({error.errors()[0]['msg']}): run it from its file again"
        ) from None
    return open_asked(asked, root, tuple(parameters.get("changes") or ()))
