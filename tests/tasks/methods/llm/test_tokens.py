import hashlib
import inspect
from pathlib import Path

import pytest
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from curette.tasks.methods.llm.tokens import _TABLES, _URL, count_tokens, how_counted


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_without_a_table_four_characters_are_a_token_and_it_is_said(tables: Path) -> None:
    assert count_tokens("", "gpt-4o") == 0
    assert count_tokens("12345", "gpt-4o") == 2
    assert count_tokens("x" * 400, "some/local-model") == 100
    for model in ("gpt-4o", "some/local-model"):
        assert how_counted(model) == (
            f"tokens estimated as characters / 4: there is no table for {model} on this machine"
        )
    assert not list(tables.iterdir())


def test_a_damaged_table_is_left_alone_and_not_fetched_anew(tables: Path) -> None:
    """tiktoken itself would delete it and ask the web."""
    url = _URL.format("o200k_base")
    file = tables / hashlib.sha1(url.encode()).hexdigest()
    file.write_text("damaged")
    assert count_tokens("12345678", "gpt-4o") == 2
    assert file.read_text() == "damaged"


def test_a_folder_that_is_switched_off_has_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert "estimated" in how_counted("gpt-4o")


@pytest.mark.parametrize("name", sorted(_TABLES))
def test_the_tables_are_those_of_the_installed_library(name: str) -> None:
    """With another address or content it would fetch where we think it reads."""
    source = inspect.getsource(getattr(openai_public, name))
    assert _URL.format(name) in source
    assert _TABLES[name] in source


def test_a_table_on_this_machine_is_used() -> None:
    if "estimated" in how_counted("gpt-4o"):
        pytest.skip("the table o200k_base is not on this machine")
    assert how_counted("gpt-4o") == "tokens counted by tiktoken (o200k_base)"
    assert count_tokens("hello world", "gpt-4o") == 2
    assert count_tokens("<|endoftext|>", "gpt-4o") > 1  # text, never a control token
