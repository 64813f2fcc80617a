"""Automations of a Prefect server that call a webhook when a run needs somebody: `curette notify`.

They are made once and live in the server; making them again changes the address. Slack's and Teams'
incoming webhooks take the message as it is; for mail choose another block in the server's UI.
"""

from datetime import timedelta
from typing import Final

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from pydantic import SecretStr

BLOCK: Final = "curette-notifications"
FLOWS: Final = ("study", "rerun", "curate", "probe", "edit", "adapt", "findings", "forget")
OCCASIONS: Final = {
    "a run failed": ("Failed", "Crashed", "TimedOut"),
    "the gate rejected": ("Rejected",),
    "a run waits for review": ("Paused", "Suspended"),
    "a budget is reached": ("BudgetReached",),
}
"""What is told, and the states of a flow run that say so."""


def notify(address: str) -> list[str]:
    """Have a webhook called on every occasion; return the names of the automations.

    Args:
        address: of the webhook, on the network or on this machine. It is kept as a secret of the
            server's, since whoever has it can write there.
    """
    block = Webhook(method="POST", url=SecretStr(address), allow_private_urls=True)
    block_id = block.save(BLOCK, overwrite=True, _sync=True)  # type: ignore[call-arg]
    made = [_automation(occasion, states, block_id) for occasion, states in OCCASIONS.items()]
    with get_client(sync_client=True) as client:
        for automation in made:
            for earlier in client.read_automations_by_name(automation.name):
                client.delete_automation(earlier.id)
            client.create_automation(automation)
    return [automation.name for automation in made]


def _automation(occasion: str, states: tuple[str, ...], block: object) -> AutomationCore:
    return AutomationCore(
        name=f"curette: {occasion}",
        description=f"Calls the webhook {BLOCK}; made by `curette notify`.",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in states},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": list(FLOWS),
            },
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[CallWebhook(block_document_id=block, payload=_payload(occasion))],
    )


def _payload(occasion: str) -> str:
    """Return JSON with a text; the server fills it in, and escapes what it fills in."""
    text = (
        f"('{occasion}: ' ~ flow_run.name ~ ' is ' ~ flow_run.state.name ~ '. ' ~ "
        "(flow_run.state.message or '') ~ ' ' ~ ((flow_run|ui_url) or ''))"
    )
    return f'{{"text": {{{{ {text} | tojson }}}}}}'
