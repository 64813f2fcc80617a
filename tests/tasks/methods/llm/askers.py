"""One run against one server, with a store that outlives it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from curette.schemas.llm import Usage
from curette.schemas.settings.llm import LlmSpec
from curette.storage.responses import ResponseShelf
from curette.tasks.methods.llm.asking import Answered, AnswerForm, Question, ask
from curette.tasks.methods.llm.patience import Patience
from tests.servers import Answer, Behaviour, ChatServer, chat_server

QUICK = Patience(first_retry_s=0.001, longest_retry_s=0.01, first_poll_s=0.001, longest_poll_s=0.01)


class Concepts(BaseModel):
    """This docstring is ours and reaches no server."""

    concepts: tuple[str, ...] = Field(min_length=1, description="nor does this")


def listed(text: str) -> Concepts | None:
    lines = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
    return Concepts(concepts=tuple(lines)) if len(lines) > 1 else None


FORM = AnswerForm(
    name="concepts", model=Concepts, example='{"concepts": ["a statement"]}', from_text=listed
)
GOOD = Answer('{"concepts": ["dark brown", "round shape"]}')
CONCEPTS = Concepts(concepts=("dark brown", "round shape"))


class Asker:
    """One study's settings; every `ask` is a run of its own."""

    def __init__(self, server: ChatServer, folder: Path, **settings: Any) -> None:
        self.server = server
        self.shelf = ResponseShelf(folder)
        self.told: list[int] = []
        self.patience = QUICK
        given = {"concurrency": 4, "max_retries": 1, "api_key_variable": "SOME_KEY", **settings}
        self.llm = LlmSpec(model="tiny", base_url=server.base_url, **given)

    def ask(self, *prompts: str, spent: Usage | None = None) -> list[Answered[Concepts]]:
        questions = [Question(prompt, FORM) for prompt in prompts]
        used = spent or Usage()
        return ask(questions, self.llm, self.shelf, used, self.told.append, self.patience)


@contextmanager
def asking(behave: Behaviour, folder: Path, **settings: Any) -> Iterator[Asker]:
    with chat_server(behave) as server:
        yield Asker(server, folder, **settings)


def kept(folder: Path) -> str:
    return "".join(p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file())
