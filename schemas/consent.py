"""Consent to send what is patients' to a language model: the study writes out the address."""

from typing import Literal

from curette.schemas.settings.llm import LlmSpec

Sent = Literal["reports", "images"]
_WHOSE = {"reports": "patients' text", "images": "pictures of patients"}


def why_not_sent(sent: Sent, allowed: str, setting: str, llm: LlmSpec) -> str:
    """Return why nothing may be sent to a model; empty where the study allows it.

    Args:
        sent: what would be.
        allowed: the address that the study writes out; empty where it writes none.
        setting: which setting that is, as it stands in a study: `annotate: {...}`.
        llm: the model that would get it.
    """
    server, allowed = llm.server, allowed.rstrip("/")
    if not allowed:
        return (
            f"{sent} are {_WHOSE[sent]}, and the study does not say that they may leave this "
            f"machine. If they may be sent to {server}, write "
            f"`{setting}: {{{sent}_may_be_sent_to: {server}}}`. Nothing was sent"
        )
    if allowed != server:
        return (
            f"{sent}_may_be_sent_to is {allowed}, but the study's language model is at "
            f"{server}: {sent} go nowhere else than where the study says. Nothing was sent"
        )
    if llm.delivery == "batch":
        return (
            "llm.delivery is `batch`, which leaves files of what is asked and answered at the "
            f"server for as long as it keeps them. {sent.capitalize()} are asked about live "
            "alone: write `delivery: live`. Nothing was sent"
        )
    return ""
