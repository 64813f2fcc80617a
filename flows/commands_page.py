"""Every command and its options, as a Markdown page: `python -m curette.flows.commands_page`."""

import re

from curette.flows.cli import COMMANDS

_INTRODUCTION = """# Commands

Every command with its arguments and options. This page is written from the command line itself:
`python -m curette.flows.commands_page` prints it, and `curette COMMAND --help` says the same.

Exit code: 0 done; 2 the study or the command line is wrong; 3 the validation gate rejected the
concept dataset (the report is saved and named); 1 anything else.

Give `explain`, `predict`, `review`, `edit`, `adapt`, `compare` and `estimate` the options that
`run` was given: with another `--store` or `--set` they mean another study.
"""


def commands_page() -> str:
    """Return the page: one section a command, in the order of the alphabet."""
    told = COMMANDS.generate_docs()
    # Under `python -m` cyclopts puts the module's name into each command's usage.
    told = re.sub(r"^(curette [a-z ]+) -m \S+", r"\1", told, flags=re.MULTILINE)
    _, *sections = told.split("\n## ")
    commands = sorted(s.strip() for s in sections if s.startswith("curette "))
    return "\n\n## ".join([_INTRODUCTION.strip(), *commands]) + "\n"


if __name__ == "__main__":
    print(commands_page(), end="")
