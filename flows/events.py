"""What curette tells Prefect's automations: events about a study's data and heads."""

from typing import Any

from curette.flows.server import is_server_named

NEW_DATA = "curette.data.new"
PAST_LIMIT = "curette.drift.past-limit"


def tell_automations(event: str, study: str, payload: dict[str, Any]) -> bool:
    """Emit an event about a study, where a Prefect server is there to hear it; return whether.

    Args:
        event: one of the names above; `prefect.yaml` says what follows it.
        study: the study's name; the event's resource is `curette.study.<name>`.
        payload: what an automation may use.
    """
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None and not is_server_named():
        return False
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"curette.study.{study}", "prefect.resource.name": study}
    emit_event(event, resource, payload=payload)
    return True
