"""A form in the Prefect UI, in which a person decides about what gates were unsure of.

There a person also names what was found among images without words: its pictures are an artifact of
the run for as long as the form is open.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import cast
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout, ObjectNotFound
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
from curette.tasks.review.form import (
    Nameless,
    form_fields,
    open_names,
    open_questions,
    read_form,
)
from curette.tasks.review.pictures import picture_page

_PICTURES = "unnamed-concepts"
_POLL_S = 2  # between two looks at whether the form was sent


def ask_in_ui(
    screened: ScreenedSet,
    spec: ReviewSpec,
    classes: Sequence[ClassLabel],
    decisions: Decisions,
    read: Callable[[str], bytes],
) -> tuple[Decision, ...]:
    """Pause the flow run until a person has filled in a form about what gates were unsure of.

    What was found among images and has no name is asked about, too. Nothing is asked, and nothing
    waited for, where everything has a decision. What is left undecided stays as it is, and the next
    run asks again.

    Args:
        screened: what the gates left.
        spec: who is asked, about how many, and how long.
        classes: the study's.
        decisions: those that there are.
        read: image id -> bytes, for the pictures of what has no name.

    Raises:
        StudyError: the run has no UI, or nobody answered in time.
    """
    questions, nameless = open_questions(screened, decisions), open_names(screened, decisions)
    asked = questions[: spec.max_asked]
    names = nameless[: spec.max_asked - len(asked)]
    if not (asked or names):
        return ()
    if only_remembered.get():
        raise NotRemembered("review", Recipe(stage="review", code=""), asked=True)
    _require_ui()
    print(f"review: waiting for the form at {flow_run.ui_url}", file=sys.stderr)
    form: type[RunInput] = create_model(
        "Review", __base__=RunInput, **form_fields(asked, classes, spec, names)
    )
    concepts = [*(q.concept for q in asked), *(n.concept for n in names)]
    ids = " ".join(c.concept_id for c in concepts)
    try:
        with _shown(names, read) as pictures:
            answer = pause_flow_run(
                wait_for_input=form.with_initial_data(
                    description=f"Gates were unsure of {len(questions)} concepts; here are "
                    f"{len(asked)}, the least sure first.{_about_names(names, nameless, pictures)} "
                    "What is left undecided stays as it is."
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
    return read_form(answer.model_dump(), asked, spec, date.today().isoformat(), names)


def _about_names(names: Sequence[Nameless], all_of_them: Sequence[Nameless], pictures: str) -> str:
    if not names:
        return ""
    return (
        f" {len(all_of_them)} directions found among images have no name; here are {len(names)}, "
        f"the most frequent first. Their pictures: {pictures} (the run's artifact {_PICTURES})."
    )


@contextmanager
def _shown(names: Sequence[Nameless], read: Callable[[str], bytes]) -> Iterator[str]:
    """Keep the pictures of what is to be named as an artifact of the run; yield its address."""
    if not names:
        yield ""
        return
    made = cast(
        UUID,
        create_markdown_artifact(
            key=_PICTURES,
            markdown=picture_page(names, read),
            description="Training images that show most of what has no name yet.",
        ),
    )
    try:
        yield f"{(flow_run.ui_url or '').partition('/runs/')[0]}/artifacts/artifact/{made}"
    finally:
        with get_client(sync_client=True) as client, suppress(ObjectNotFound):
            client.delete_artifact(made)


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
