"""The command line: `curette run STUDY.yaml`."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from schemas.artifact import CuretteError, StudyError
from schemas.machine import Machine
from schemas.study import StageName
from schemas.validation import ConceptDatasetRejected

DONE, FAILED, WRONG, REJECTED = 0, 1, 2, 3


def app(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 done, 2 wrong study or command line, 3 rejected, 1 else."""
    given = _parser().parse_args(arguments)
    try:
        return run(given)
    except StudyError as error:
        return _tell(error, WRONG)
    except ConceptDatasetRejected as error:
        return _tell(error, REJECTED)
    except CuretteError as error:
        return _tell(error, FAILED)
    except KeyboardInterrupt:
        print("stopped; finished stages are kept, run the study again to go on", file=sys.stderr)
        return FAILED
    except Exception:
        traceback.print_exc()
        return FAILED


def run(given: argparse.Namespace) -> int:
    """Run one study."""
    from flows.study_file import load_study

    started = time.monotonic()
    loaded = load_study(given.study, given.set)
    # Prefect logs every failure with its traceback; this command says in one message what is
    # wrong. Whoever wants Prefect's log sets the variable.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")

    from flows.server import server_for_one_run

    with server_for_one_run() as wait_for_server:
        from rich.console import Console

        from flows.display import live_display, print_summary
        from flows.runs import RunResult
        from flows.stages import RunOptions
        from flows.study import study

        options = RunOptions(
            store=given.store.resolve(),
            until=given.until,
            refresh=tuple(given.refresh),
            machine=Machine(device=given.device, batch_size=given.batch_size),
        )
        console = Console(stderr=given.json)
        wait_for_server()
        with live_display(console):
            result: RunResult = study(loaded, options)
    if given.json:
        print(result.model_dump_json())
    else:
        print_summary(console, result, started)
    return DONE


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _tell(error: CuretteError, code: int) -> int:
    print(f"curette: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="curette",
        description="Curates concept datasets from labelled medical images and measures them.",
        epilog="Exit code: 0 done; 2 the study or the command line is wrong; 3 the validation "
        "gate rejected the concept dataset; 1 anything else.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("run", help="run a study, or what of it is not done yet")
    stages = get_args(StageName)
    command.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file")
    command.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("CURETTE_STORE", ".curette")),
        metavar="DIR",
        help="folder for everything kept between runs (default: $CURETTE_STORE or .curette)",
    )
    command.add_argument("--until", choices=stages, metavar="STAGE", help="end after this stage")
    command.add_argument(
        "--refresh",
        choices=stages,
        nargs="+",
        action="extend",
        default=[],
        metavar="STAGE",
        help=f"repeat these stages even where nothing changed: {', '.join(stages)}",
    )
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change the study: dotted.key=value, the value in YAML",
    )
    command.add_argument(
        "--json", action="store_true", help="print one JSON object at the end, nothing else"
    )
    devices = get_args(Machine.model_fields["device"].annotation)
    command.add_argument("--device", choices=devices, default="auto", help="of the encoder")
    command.add_argument(
        "--batch-size", type=_positive, default=None, metavar="N", help="images encoded at once"
    )
    return parser


if __name__ == "__main__":
    app()
