"""Who is told, and how: mail to a real server of mail, and a secret that stands nowhere."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.blocks.abstract import NotificationError
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import get_client
from prefect.events.actions import CallWebhook
from prefect.server.events.jinja_filters import all_filters
from prefect.server.schemas.core import FlowRun
from prefect.server.schemas.states import Failed
from prefect.server.utilities.user_templates import (
    register_user_template_filters,
    render_user_template_sync,
)
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from prefect.utilities.urls import url_for

from curette.flows.cli import main
from curette.flows.notify import (
    MAIL_BLOCK,
    mail_of,
    notify_by_mail,
    notify_by_webhook,
    ui_address,
)
from curette.schemas.artifact import StudyError
from tests.mail import mail_server

PASSWORD = "p/ss@w:rd?&%40"
WARD = ("ward@hospital.test", "it@hospital.test")


def test_mail_reaches_everybody_and_the_password_only_the_server() -> None:
    with mail_server(PASSWORD) as server:
        smtp = f"127.0.0.1:{server.port}"
        mail = mail_of(WARD, smtp, "curette@hospital.test", "us@er", PASSWORD, "none")
        SlackWebhook(url=mail.address).notify("demo is Failed. a < b & c", "curette: a run failed")
        wrong = mail_of(WARD, smtp, "curette@hospital.test", "us@er", "wrong", "none")
        refused = SlackWebhook(url=wrong.address)
        with pytest.raises(NotificationError) as told, refused.raise_on_failure():
            refused.notify("never")
    assert server.logins[0] == ("us@er", PASSWORD)
    assert sorted(to for tos, _ in server.taken for to in tos) == sorted(WARD)
    (_, first), *_ = server.taken
    assert first["Subject"] == "curette: a run failed"
    assert "curette@hospital.test" in first["From"]
    assert first.get_content().strip() == "demo is Failed. a < b & c"
    assert PASSWORD not in repr(mail)
    assert "wrong" not in str(told.value)


def test_a_server_that_asks_for_no_login_gets_none() -> None:
    with mail_server() as server:
        smtp = f"127.0.0.1:{server.port}"
        mail = mail_of(WARD[:1], smtp, "curette@hospital.test", "", "", "none")
        SlackWebhook(url=mail.address).notify("text")
    assert not server.logins
    assert [to for to, _ in server.taken] == [[WARD[0]]]


@pytest.mark.parametrize(
    ("smtp", "to", "user", "password", "said"),
    [
        ("", "a@b", "", "", "--smtp names the server"),
        ("smtp://mail.test", "a@b", "", "", "--smtp names the server"),
        ("mail.test", "nobody", "", "", "'nobody' is no address of mail"),
        ("mail.test", "a@b", "me", "", "the password of me is empty"),
        ("mail.test", "a@b", "me", "gehörig", "of ASCII letters"),
        ("mail.test", "a@b", "me", "secret", "would send the password as it is"),
    ],
)
def test_what_cannot_be_mailed_is_refused(
    smtp: str, to: str, user: str, password: str, said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        mail_of((to,), smtp, "c@d", user, password, "none")


@pytest.mark.usefixtures("prefect_server")
def test_every_occasion_has_an_automation_a_way_and_no_secret_in_it() -> None:
    mail = mail_of(WARD, "mail.test", "c@d", "me", PASSWORD, "starttls")
    assert notify_by_mail(mail) == notify_by_mail(mail), "again means in their place"
    made = [*notify_by_mail(mail), *notify_by_webhook("https://hooks.test/1")]
    assert len(made) == 10
    with get_client(sync_client=True) as client:
        kept = client.read_automations()
        assert sorted(a.name for a in kept) == sorted(made)
        assert PASSWORD not in "".join(a.model_dump_json() for a in kept)
        hidden = client.read_block_document_by_name(
            MAIL_BLOCK, "slack-webhook", include_secrets=False
        )
    assert hidden.data["url"] == "*" * 8


@pytest.mark.usefixtures("prefect_server")
def test_a_message_links_to_its_run_though_the_server_does_not_know_where_browsers_reach_it() -> (
    None
):
    address, _ = ui_address()
    failed = f"{notify_by_webhook('https://hooks.test/1')[0]}"
    with get_client(sync_client=True) as client:
        [made] = client.read_automations_by_name(failed)
    [action] = made.actions
    assert isinstance(action, CallWebhook)
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="demo", state=Failed(message='no "label"'))
    register_user_template_filters(all_filters)
    with temporary_settings({PREFECT_API_URL: None, PREFECT_UI_URL: None}):
        assert url_for(run) is None
        said = render_user_template_sync(action.payload, {"flow_run": run})
    text = json.loads(said)["text"]
    assert text == f'a run failed: demo is Failed. no "label" {address}/runs/flow-run/{run.id}'


def test_the_command_line_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.chdir(tmp_path)
    assert main(["notify"]) == 2
    assert "name a webhook, or --mail" in capsys.readouterr().err
