"""Automations of a Prefect server that tell somebody when a run needs them: `curette notify`.

They are made once and live in the server; making them again changes the address. Slack's and Teams'
incoming webhooks take the message as it is; mail is sent by the server itself, through Apprise.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal
from urllib.parse import quote, urlencode

from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events.actions import ActionTypes, CallWebhook, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_UI_URL
from pydantic import BaseModel, Field, SecretStr

from curette.flows.events import PAST_LIMIT
from curette.flows.server import LOOPBACK
from curette.schemas.artifact import StudyError

BLOCK: Final = "curette-notifications"
MAIL_BLOCK: Final = "curette-mail"
FLOWS: Final = (
    *("study", "rerun", "curate", "probe", "edit", "adapt", "findings", "forget"),
    *("drift", "watch", "export"),
)
OCCASIONS: Final = {
    "a run failed": ("Failed", "Crashed", "TimedOut"),
    "the gate rejected": ("Rejected",),
    "a run waits for review": ("Paused", "Suspended"),
    "a budget is reached": ("BudgetReached",),
}
"""What is told, and the states of a flow run that say so."""
DRIFT: Final = "drift is past its limit"
"""What is told too, by an event of its own."""
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_MODES = {"starttls": "starttls", "tls": "ssl", "none": "insecure"}
_OF_RUN = (
    "flow_run.name ~ ' is ' ~ flow_run.state.name ~ '. ' ~ "
    "(flow_run.state.message or '') ~ ' ' ~ ((flow_run|ui_url) or {run} ~ flow_run.id)"
)
_OF_DRIFT = "event.payload.study ~ ': ' ~ event.payload.sentence"

Security = Literal["starttls", "tls", "none"]
Action = Callable[[str, str], ActionTypes]
"""Is given what is told, and an expression that the server fills in."""


class Mail(BaseModel, frozen=True):
    """A server of mail, and to whom it is to send."""

    to: tuple[str, ...] = Field(min_length=1)
    sender: str
    host: str
    port: int | None = Field(default=None, gt=0, lt=65536)
    security: Security = "starttls"
    user: str = ""
    password: SecretStr = SecretStr("")

    @property
    def address(self) -> SecretStr:
        """Return it as an address of Apprise, https://appriseit.com/services/email/."""
        scheme = "mailto" if self.security == "none" else "mailtos"
        secret = self.password.get_secret_value()
        login = f"{quote(self.user, safe='')}:{quote(secret, safe='')}@" if self.user else ""
        port = self.port or _PORTS[self.security]
        asked = {
            **{"smtp": self.host, "from": self.sender, "to": ",".join(self.to)},
            **{"mode": _MODES[self.security], "format": "text"},
        }
        return SecretStr(f"{scheme}://{login}{self.host}:{port}/?{urlencode(asked)}")


def mail_of(
    to: tuple[str, ...], smtp: str, sender: str, user: str, password: str, security: Security
) -> Mail:
    """Return how mail is to be sent.

    Raises:
        StudyError: something is missing, or is no address.
    """
    host, _, port = smtp.rpartition(":") if re.search(r":\d+$", smtp) else (smtp, "", "")
    if not host or re.search(r"[/@\s]", host):
        raise StudyError("--smtp names the server that sends mail, HOST or HOST:PORT")
    if wrong := [a for a in (*to, sender) if not re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+", a)]:
        raise StudyError(f"{wrong[0]!r} is no address of mail; --mail and --sender take NAME@HOST")
    if user and not password:
        raise StudyError(f"the password of {user} is empty")
    if not (user + password).isascii():
        raise StudyError(
            "the mail server's user and password have to be of ASCII letters: Python's `smtplib`, "
            "by which Prefect sends, logs in by no others"
        )
    if user and security == "none" and host not in LOOPBACK:
        raise StudyError(
            "--security none would send the password as it is; take starttls or tls, or no --user"
        )
    return Mail(
        **{"to": to, "sender": sender, "host": host, "port": port or None, "user": user},
        security=security,
        password=SecretStr(password),
    )


def notify_by_webhook(address: str) -> list[str]:
    """Have a webhook called on every occasion; return the names of the automations.

    Args:
        address: of the webhook, on the network or on this machine. It is kept as a secret of the
            server's, since whoever has it can write there.
    """
    block = Webhook(method="POST", url=SecretStr(address), allow_private_urls=True)
    block_id = block.save(BLOCK, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def call(told: str, expression: str) -> ActionTypes:
        text = f"('{told}: ' ~ {expression})"
        payload = f'{{"text": {{{{ {text} | tojson }}}}}}'  # the server escapes what it fills in
        return CallWebhook(block_document_id=block_id, payload=payload)

    return _make("curette", f"Calls the webhook {BLOCK}", call)


def notify_by_mail(mail: Mail) -> list[str]:
    """Have mail sent on every occasion; return the names of the automations.

    Of Prefect's own blocks that its server can send by, the one for Slack hands any address that is
    not Slack's on to Apprise, which speaks SMTP. The address, password and all, is its secret.

    Args:
        mail: by what server, and to whom.
    """
    block = SlackWebhook(url=mail.address)
    block_id = block.save(MAIL_BLOCK, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def send(told: str, expression: str) -> ActionTypes:
        body = f"{{{{ {expression} }}}}"
        return SendNotification(block_document_id=block_id, subject=f"curette: {told}", body=body)

    return _make("curette, by mail", f"Sends mail by the block {MAIL_BLOCK}", send)


def ui_address() -> tuple[str, bool]:
    """Return where messages link to, and whether the server itself knows that.

    Its setting PREFECT_UI_URL is the only thing that it makes links of. Where it has none, they
    lead to where it is reached from here.
    """
    with get_client(sync_client=True) as client:
        told = client.request("GET", "/admin/settings")
        known = told.raise_for_status().json().get("ui_url")
    return str(known or PREFECT_UI_URL.value()), bool(known)


def _make(prefix: str, does: str, action: Action) -> list[str]:
    """Make an automation for every occasion, in place of those of the same name."""
    runs: dict[str, object] = {
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": [*FLOWS]},
    }
    of_run = _OF_RUN.format(run=json.dumps(f"{ui_address()[0].rstrip('/')}/runs/flow-run/"))
    wanted = [
        (told, {f"prefect.flow-run.{state}" for state in states}, runs, of_run)
        for told, states in OCCASIONS.items()
    ]
    studies: dict[str, object] = {"match": {"prefect.resource.id": "curette.study.*"}}
    made = [
        AutomationCore(
            name=f"{prefix}: {told}",
            description=f"{does}; made by `curette notify`.",
            trigger=EventTrigger.model_validate(
                {
                    **which,
                    "expect": expected,
                    "for_each": {"prefect.resource.id"},
                    "posture": Posture.Reactive,
                    "threshold": 1,
                    "within": timedelta(0),
                }
            ),
            actions=[action(told, expression)],
        )
        for told, expected, which, expression in (
            *wanted,
            (DRIFT, {PAST_LIMIT}, studies, _OF_DRIFT),
        )
    ]
    with get_client(sync_client=True) as client:
        for automation in made:
            for earlier in client.read_automations_by_name(automation.name):
                client.delete_automation(earlier.id)
            client.create_automation(automation)
    return [automation.name for automation in made]
