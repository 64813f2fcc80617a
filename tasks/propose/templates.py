"""Prompts: files with `${names}` to be filled in."""

import hashlib
from pathlib import Path
from string import Template

_PROMPTS = Path(__file__).parent / "prompts"


def template(*parts: str) -> str:
    """Return prompt files one after the other."""
    return "".join((_PROMPTS / f"{part}.md").read_text(encoding="utf-8") for part in parts)


def template_sha256(*parts: str) -> str:
    """Return the digest of a prompt before names are filled in."""
    return hashlib.sha256(template(*parts).encode()).hexdigest()


def fill(text: str, **values: str) -> str:
    """Return a template with its names filled in; every one must be given."""
    return Template(text).substitute(values)
