"""What a worker's run finds in Prefect: its store, its machine, and the keys of servers.

Each is set once, under Variables or Blocks in the UI, so that it stands in no parameter of a run;
what a run says itself goes before it.
"""

import os
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, ValidationError, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from curette.flows.asked import NewImages, open_asked
from curette.flows.outcome import PAGES_VARIABLE
from curette.flows.stages import RunOptions, StageName
from curette.schemas.artifact import StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.study import Study
from curette.storage.bucket import local_folder

STORE, MACHINE, PAGES = "curette_store", "curette_machine", "curette_pages"
"""Prefect's variables: a folder, JSON of a `Machine`, and the address of `curette pages`."""


@dataclass(frozen=True)
class Described:
    """What the form says of a parameter that many flows have.

    Prefect puts what a docstring says of a parameter, and be it nothing, over a `Field`.
    """

    description: str

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema with the description."""
        return handler(core_schema) | {"description": self.description}


Refreshed = Annotated[
    tuple[StageName, ...],
    Described("do these stages anew, and what follows only as far as it is given something new."),
]
Changes = Annotated[
    tuple[str, ...],
    Described(
        "settings that are to be other in this run, each as `dotted.key=value`, such as "
        "`select.size=12`."
    ),
]
AsTheWorker = Annotated[None, WithJsonSchema({"type": "null", "title": "as the worker's variable"})]
OtherMachine = Annotated[
    AsTheWorker | Machine,
    Described("device, batch size and threads; else as the variable `curette_machine` says."),
]
StoreFolder = Annotated[
    str,
    Described(
        "the folder for everything that is kept between runs; empty: as the variable "
        "`curette_store` says, or `.curette` where the worker runs."
    ),
]
USUAL = RunOptions()


def opened(
    study: str | NewImages | Study,
    changes: tuple[str, ...],
    store: str,
    machine: Machine | None,
    given: RunOptions = USUAL,
) -> tuple[Study, RunOptions]:
    """Return the study that a person asked for, and how it is run; lend it its server's key.

    Args:
        study: what was filled in.
        changes: `dotted.key=value`, the value in YAML.
        store: where it is kept; empty: as the variable says.
        machine: on what it is run; None: as the variable says.
        given: everything else.

    Raises:
        StudyError: there is no such study, or something in it or in a variable is wrong.
    """
    options = settled(given, store, machine)
    whole = open_asked(study, options.store.resolve(), changes)
    lend_key(whole.llm)
    return whole, options


def settled(options: RunOptions, store: str = "", machine: Machine | None = None) -> RunOptions:
    """Return options in which what nobody said is what Prefect's variables say.

    Args:
        options: what was said.
        store: goes before, where it is said.
        machine: as well.

    Raises:
        StudyError: a variable says what cannot be.
    """
    if pages := _variable(PAGES):
        os.environ[PAGES_VARIABLE] = str(pages)
    if not store and options.store == USUAL.store:
        store = str(_variable(STORE) or "")
    if machine is None and options.machine == USUAL.machine and (said := _variable(MACHINE)):
        try:
            machine = Machine.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            raise StudyError(
                f"Prefect's variable {MACHINE} is no machine: {'.'.join(map(str, first['loc']))}: "
                f'{first["msg"]}. Write it as JSON, such as {{"device": "cuda", "threads": 8}}.'
            ) from None
    found: dict[str, Any] = {"store": local_folder(store)} if store else {}
    return options.model_copy(update=found | ({"machine": machine} if machine else {}))


def lend_key(llm: LlmSpec | None) -> None:
    """Put the key of a language model's server, if a Secret block holds it, where it is looked for.

    The block is called as the variable is, in lower case with dashes: `openai-api-key`. A key in
    the worker's own environment goes before it.
    """
    if llm is None or os.environ.get(llm.api_key_variable):
        return
    from prefect.blocks.system import Secret

    try:
        secret: Any = Secret.load(block_of(llm))
    except ValueError:  # there is none
        return
    os.environ[llm.api_key_variable] = str(secret.get())


def block_of(llm: LlmSpec) -> str:
    """Return the name of the block that would hold the key."""
    return llm.api_key_variable.lower().replace("_", "-")


def _variable(name: str) -> Any:
    from prefect.variables import Variable

    return Variable.get(name, default=None)
