"""A form in the Prefect UI, in which a person decides about what gates were unsure of."""

import hashlib
import sys
from collections.abc import Sequence
from datetime import date

from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import create_model

from curette.flows.stages import NotRemembered, only_remembered
from curette.schemas.artifact import Recipe, StudyError
from curette.schemas.images import ClassLabel
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.review import ReviewSpec
from curette.tasks.review.form import form_fields, open_questions, read_form

_POLL_S = 2  # between two looks at whether the form was sent


def ask_in_ui(
    screened: ScreenedSet, spec: ReviewSpec, classes: Sequence[ClassLabel], decisions: Decisions
) -> tuple[Decision, ...]:
    """Pause the flow run until a person has filled in a form about what gates were unsure of.

    Nothing is asked, and nothing waited for, where everything unsure has a decision. What is left
    undecided stays as the gates left it, and the next run asks again.

    Raises:
        StudyError: the run has no UI, or nobody answered in time.
    """
    questions = open_questions(screened, decisions)
    asked = questions[: spec.max_asked]
    if not asked:
        return ()
    if only_remembered.get():
        raise NotRemembered("review", Recipe(stage="review", code=""), asked=True)
    _require_ui()
    print(f"review: waiting for the form at {flow_run.ui_url}", file=sys.stderr)
    form: type[RunInput] = create_model(
        "Review", __base__=RunInput, **form_fields(asked, classes, spec)
    )
    ids = " ".join(q.concept.concept_id for q in asked)
    try:
        answer = pause_flow_run(
            wait_for_input=form.with_initial_data(
                description=f"Gates were unsure of {len(questions)} concepts; here are "
                f"{len(asked)}, the least sure first. What is left undecided stays as it is."
            ),
            timeout=spec.timeout_s,
            poll_interval=_POLL_S,
            key=f"review-{hashlib.sha256(ids.encode()).hexdigest()[:20]}",
        )
    except FlowPauseTimeout:
        raise StudyError(
            f"review: nobody filled in the form within {spec.timeout_s} s (review.timeout_s). "
            "Finished stages are kept; run the study again to be asked again."
        ) from None
    return read_form(answer.model_dump(), asked, spec, date.today().isoformat())


def _require_ui() -> None:
    """Refuse where the run's server shows nobody a form."""
    with get_client(sync_client=True) as client:
        if client.server_type == ServerType.CLOUD:
            return
        settings = client.request("GET", "/admin/settings").json()
    if not settings["server"]["ui"]["enabled"]:
        raise StudyError(
            "review: ui needs a run that is started from the Prefect UI or by a worker (make ui); "
            "use review: {mode: file} on the command line"
        )
