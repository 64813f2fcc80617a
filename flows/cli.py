"""The command line: `curette run STUDY.yaml` and what goes with it."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.machine import Machine
from curette.schemas.validation import ConceptDatasetRejected
from curette.tasks.stage import runs_by_name, stage_names

if TYPE_CHECKING:  # --help and wrong studies need none of it
    from curette.flows.runs import RunResult
    from curette.flows.stages import RunOptions
    from curette.schemas.images import ClassLabel
    from curette.schemas.study import Study

DONE, FAILED, WRONG, REJECTED = 0, 1, 2, 3
_WHOLE = {"until": None, "refresh": ()}


def app(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 done, 2 wrong study or command line, 3 rejected, 1 else."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.command(given))
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
    from curette.flows.study_file import load_study

    started = time.monotonic()
    loaded = load_study(given.study, given.set)
    with _prefect():
        from rich.console import Console

        from curette.flows.display import live_display, print_summary
        from curette.flows.runs import RunResult
        from curette.flows.study import study

        console = Console(stderr=given.json)
        with live_display(console):
            result: RunResult = study(loaded, _options(given))
    if given.json:
        print(result.model_dump_json())
    else:
        print_summary(console, result, started)
    return DONE


def estimate(given: argparse.Namespace) -> int:
    """Say what a study will ask a language model, and what that will cost; ask nothing."""
    from rich.console import Console

    from curette.flows.estimate import estimate, print_estimate
    from curette.flows.study_file import load_study
    from curette.storage.responses import ResponseShelf

    loaded = load_study(given.study, given.set)
    take_in = cache(lambda: _taken_in(loaded, given))
    shelf = ResponseShelf(given.store.resolve())
    made = estimate(loaded, shelf, lambda: take_in()[0], lambda: take_in()[1])
    if given.json:
        print(made.model_dump_json())
    else:
        print_estimate(Console(), loaded, made)
    return DONE


def review(given: argparse.Namespace) -> int:
    """Write a study's concepts into a sheet, or take the decisions of one in."""
    from curette.flows.study_file import load_study

    loaded = load_study(given.study, given.set)
    with _prefect():
        from curette.flows.review import export_sheet, import_sheet

        act = export_sheet if given.direction == "export" else import_sheet
        print(act(loaded, _options(given), given.sheet.resolve(), partial(_run_until, "screen")))
    return DONE


def explain(given: argparse.Namespace) -> int:
    """Say what the concept bottleneck decides about one image, and why; draw it."""
    from curette.flows.study_file import load_study

    loaded = load_study(given.study, given.set)
    with _prefect():
        from rich.console import Console

        from curette.flows.explain import explain, picture_path, save_picture, tell

        path = picture_path(given.image, given.out)
        explained = explain(loaded, _options(given), given.image, partial(_run_until, "probe"))
    console = Console()
    for line in tell(explained):
        console.print(line, soft_wrap=True, highlight=False)
    save_picture(explained.picture, path)
    console.print(f"picture: {path}", soft_wrap=True, markup=False, highlight=False)
    return DONE


def _run_until(stage: str, study: "Study", options: "RunOptions") -> "RunResult":
    from rich.console import Console

    from curette.flows.display import live_display
    from curette.flows.study import study as whole

    with live_display(Console(stderr=True)):
        return whole(study, options.model_copy(update={"until": stage}))


def _taken_in(
    study: "Study", given: argparse.Namespace
) -> "tuple[Sequence[ClassLabel], Sequence[str]]":
    """Take the images in, and return their classes and reports."""
    with _prefect():
        from curette.schemas.images import ImageDataset, Reports
        from curette.storage.store import ArtifactStore

        options = _options(given)
        ingested = _run_until("ingest", study, options).made[ImageDataset.kind]
        store = ArtifactStore(options.store)
        dataset = store.load(ImageDataset, ingested)
        reports = store.load(Reports, dataset.reports) if dataset.reports else Reports(texts={})
        return dataset.classes, tuple(reports.texts.values())


@contextmanager
def _prefect() -> Iterator[None]:
    """Have a Prefect server of our own, and its log say only what is critical.

    Prefect logs every failure with its traceback; this command says in one message what is wrong.
    Whoever wants Prefect's log sets the variable.
    """
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")

    from curette.flows.server import server_for_one_run

    with server_for_one_run() as wait_for_server:
        import curette.flows.study  # noqa: F401 - imported while the server comes up

        wait_for_server()
        yield


def _options(given: argparse.Namespace) -> "RunOptions":
    from curette.flows.stages import RunOptions

    return RunOptions(
        store=given.store.resolve(),
        until=given.until,
        refresh=tuple(given.refresh),
        machine=Machine(
            device=given.device,
            batch_size=given.batch_size,
            workers=given.workers,
            threads=given.threads,
            engine="local" if given.ray is None else "ray",
            ray_address=given.ray or None,
        ),
    )


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
    _add_run(commands.add_parser("run", help="run a study, or what of it is not done yet"))
    asking = commands.add_parser(
        "estimate", help="say what a study will ask a language model and what that costs"
    )
    _add_study(asking)
    _add_json(asking)
    _add_machine(asking)
    asking.set_defaults(command=estimate, **_WHOLE)
    why = commands.add_parser("explain", help="say what is decided about one image, and why")
    _add_study(why)
    why.add_argument("image", metavar="IMAGE_OR_ID", help="an image id of the dataset, or a file")
    why.add_argument("--out", type=Path, metavar="FILE.png", help="the picture to write")
    _add_machine(why)
    why.set_defaults(command=explain, **_WHOLE)
    person = commands.add_parser("review", help="let a person decide about the screened concepts")
    directions = person.add_subparsers(required=True, dest="direction", metavar="export|import")
    for direction, does in (
        ("export", "write every screened concept into a sheet"),
        ("import", "take the decisions of a sheet in; the next run applies them"),
    ):
        sheet = directions.add_parser(direction, help=does)
        _add_study(sheet)
        sheet.add_argument("sheet", type=Path, metavar="SHEET.csv", help="the sheet")
        _add_machine(sheet)
        sheet.set_defaults(command=review, **_WHOLE)
    return parser


def _add_run(command: argparse.ArgumentParser) -> None:
    _add_study(command)
    _add_json(command)
    stages = runs_by_name()
    command.add_argument("--until", choices=stages, metavar="STAGE", help="end after this stage")
    command.add_argument(
        "--refresh",
        choices=stages,
        nargs="+",
        action="extend",
        default=[],
        metavar="STAGE",
        help=f"repeat these stages even where nothing changed: {', '.join(stage_names())}",
    )
    _add_machine(command)
    command.set_defaults(command=run)


def _add_machine(command: argparse.ArgumentParser) -> None:
    """Add what every command that runs stages takes, so that all of them mean the same study."""
    devices = get_args(Machine.model_fields["device"].annotation)
    command.add_argument("--device", choices=devices, default="auto", help="of the encoder")
    for name, what in (
        ("--batch-size", "images encoded at once"),
        ("--threads", "threads that compute, in every stage"),
        ("--workers", "threads that decode images"),
    ):
        command.add_argument(name, type=_positive, default=None, metavar="N", help=what)
    command.add_argument(
        "--ray",
        nargs="?",
        const="",
        default=None,
        metavar="HOST:PORT",
        help="encode images on this Ray cluster; without an address one is started here",
    )


def _add_study(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file, or `demo`")
    command.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("CURETTE_STORE", ".curette")),
        metavar="DIR",
        help="folder for everything kept between runs (default: $CURETTE_STORE or .curette)",
    )
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change the study: dotted.key=value, the value in YAML",
    )


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--json", action="store_true", help="print one JSON object at the end, nothing else"
    )


if __name__ == "__main__":
    app()
