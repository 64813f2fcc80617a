"""The command line: `curette run STUDY.yaml` and what goes with it."""

import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from curette.schemas.artifact import ConceptDatasetRejected, CuretteError, StudyError
from curette.schemas.machine import Machine
from curette.storage.bucket import bucket_of, local_folder
from curette.tasks.stage import named_run, named_stage

if TYPE_CHECKING:  # --help and wrong studies need none of it
    from rich.console import Console

    from curette.flows.runs import RunResult
    from curette.flows.stages import RunOptions
    from curette.schemas.images import ImageDataset
    from curette.schemas.settings.annotate import AnnotateSpec
    from curette.schemas.study import Study

DONE, FAILED, WRONG, REJECTED = 0, 1, 2, 3


def _version() -> str:
    from importlib.metadata import version

    return version("curette")


COMMANDS = App(
    name="curette",
    help="Curates concept datasets from labelled medical images and measures them.",
    help_epilogue="Exit code: 0 done; 2 the study or the command line is wrong; 3 the validation "
    "gate rejected the concept dataset; 1 anything else.",
    help_format="plaintext",
    version=_version,
)
REVIEW = App(name="review", help="Let a person decide about the screened concepts.")
COMMANDS.command(REVIEW)
EDIT = App(name="edit", help="Change what trained heads make of single concepts.")
COMMANDS.command(EDIT)


@contextmanager
def _all_stays() -> Iterator[None]:
    """Look for no garbage meanwhile: libraries and settings are read, of which nothing goes.

    To look took a sixth of a run with nothing to do.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()


def _is_run(_: object, value: str | None) -> None:
    if value is not None:
        named_run(value)


def _are_stages(_: object, value: Sequence[str]) -> None:
    for name in value:
        named_stage(name)


StudyFile = Annotated[Path, Parameter(help="the study file.")]
Count = Annotated[int | None, Parameter(validator=Number(gte=1))]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Words = Parameter(consume_multiple=True, negative=(), show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What every command takes that runs stages, so that all of them mean the same study."""

    store: Annotated[Path, Parameter(env_var="CURETTE_STORE")] = Path(".curette")
    """folder for everything kept between runs, or s3://bucket/prefix (gs://, az://)"""
    overrides: Annotated[tuple[str, ...], Words, Parameter(name="--set")] = ()
    """change the study: dotted.key=value, the value in YAML"""
    finding: str | None = None
    """which of `dataset.findings`, where there are several"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """of the encoder"""
    batch_size: Count = None
    """images encoded at once"""
    threads: Count = None
    """threads that compute, in every stage"""
    workers: Count = None
    """threads that decode images"""
    ray: str | None = None
    """compute on the Ray cluster at HOST:PORT; without an address one is started here"""

    @property
    def folder(self) -> Path:
        """The store's folder on this machine."""
        return local_folder(self.store)

    @_all_stays()
    def load(self, study: Path, *, several: bool = False) -> "Study":
        """Return the study as it was changed; of several findings that of the one named.

        Args:
            study: the file.
            several: where none is named, that of all of them will do.
        """
        from curette.flows.study_file import load_study, one_study

        loaded = load_study(study, self.overrides)
        whole = several and self.finding is None
        return loaded if whole else one_study(loaded, self.finding)

    def options(self, until: str | None = None, refresh: Sequence[str] = ()) -> "RunOptions":
        """Return how it is run."""
        from curette.flows.stages import RunOptions

        return RunOptions(
            store=self.folder,
            until=until,
            refresh=tuple(refresh),
            machine=Machine(
                device=self.device,
                batch_size=self.batch_size,
                workers=self.workers,
                threads=self.threads,
                engine="local" if self.ray is None else "ray",
                ray_address=self.ray or None,
            ),
        )


USUAL = Settings()


def app(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 done, 2 wrong study or command line, 3 rejected, 1 else.

    Prefect logs every failure with its traceback; this says in one message what is wrong, so that
    Prefect's log, which is set up as Prefect is imported, keeps to what is critical. Whoever wants
    more of it sets the variable.
    """
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    try:
        command, bound, _ = COMMANDS.parse_args(
            _ray_alone(given) or ["--help"], exit_on_error=False, print_error=False
        )
    except CycloptsError as error:
        print(f"curette: {error}", file=sys.stderr)
        sys.exit(WRONG)
    try:
        command(*bound.args, **bound.kwargs)
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
    if not given:  # which was answered with the help
        sys.exit(WRONG)
    return DONE


def _ray_alone(arguments: list[str]) -> list[str]:
    """Let `--ray` stand without an address."""
    following = [*arguments, "--"][1:]
    return [
        "--ray=" if word == "--ray" and after.startswith("-") else word
        for word, after in zip(arguments, following, strict=False)
    ]


@COMMANDS.command
def run(
    study: StudyFile,
    /,
    *,
    json: Flag = False,
    until: Annotated[str | None, Parameter(validator=_is_run)] = None,
    refresh: Annotated[tuple[str, ...], Words, Parameter(validator=_are_stages)] = (),
    settings: Settings = USUAL,
) -> None:
    """Run a study, or what of it is not done yet; of several findings the study of each in turn.

    Args:
        json: print one JSON object at the end, nothing else.
        until: end after this stage.
        refresh: repeat these stages even where nothing changed.
    """
    started = time.monotonic()
    loaded, options = settings.load(study, several=True), settings.options(until, refresh)
    from rich.console import Console

    from curette.flows.display import print_findings, print_summary

    console = Console(stderr=json)
    if loaded.by_finding:
        from curette.flows.family import run_findings

        family = run_findings(loaded, options, partial(_run_each, console=console))
        if json:
            print(family.model_dump_json())
        else:
            print_findings(console, family, started)
        return
    result = _run(loaded, options, console)
    if json:
        print(result.model_dump_json())
    else:
        print_summary(console, result, started)


@COMMANDS.command
def why(study: StudyFile, /, *, json: Flag = False, settings: Settings = USUAL) -> None:
    """Say which stage a run would begin with, and what changed since its last answer; run nothing.

    Args:
        json: print one JSON object, or null where nothing would be run.
    """
    from dataclasses import asdict
    from json import dumps

    from curette.flows.why import why
    from curette.tasks.ingest.listing import printable

    reason = why(settings.load(study), settings.options())
    if json:
        print(dumps(reason and asdict(reason)))
    elif reason is None:
        print("nothing would be run: every answer is in the store")
    else:
        print(f"a run would begin with {reason.title}, since")
        for change in reason.changes:
            print(f"  {printable(change)}")
        print("What takes its answer runs too, unless that comes out the same.")


@COMMANDS.command
def estimate(study: StudyFile, /, *, json: Flag = False, settings: Settings = USUAL) -> None:
    """Say what a study will ask a language model and what that costs; ask nothing.

    Args:
        json: print one JSON object at the end, nothing else.
    """
    from rich.console import Console

    from curette.flows.estimate import estimate, print_estimate
    from curette.storage.responses import ResponseShelf

    loaded = settings.load(study)
    take_in = cache(lambda: _taken_in(loaded, settings))
    shelf = ResponseShelf(settings.folder)
    made = estimate(
        loaded,
        shelf,
        lambda: take_in().classes,
        lambda spec: _read_by_a_model(take_in(), settings, spec),
    )
    if json:
        print(made.model_dump_json())
    else:
        print_estimate(Console(), loaded, made)


@COMMANDS.command
def init(
    source: Path,
    /,
    *,
    out: Path = Path("study.yaml"),
    name: str | None = None,
    label: str | None = None,
    image_folder: Path | None = None,
) -> None:
    """Write a study file for new images, with what was found by looking and what is doubtful.

    Args:
        source: a folder of images, one folder a class or with a metadata table; a table; or a
            dataset of the Hugging Face hub, user/dataset, or a folder in its layout.
        out: the study file to write, a .yaml.
        name: of the study; if you say nothing, that of the folder or table.
        label: the column with the class, where looking does not find it.
        image_folder: where a table's images lie, where looking does not find them.
    """
    from curette.flows.init import draft_study
    from curette.flows.new_files import new_file, write_new
    from curette.tasks.ingest.listing import printable

    path = new_file(out, ".yaml", ".yml")
    draft = draft_study(source, path.absolute().parent, name, label, image_folder)
    write_new(path, draft.text.encode())
    for line in (*draft.found, *(f"doubtful: {doubt}" for doubt in draft.doubts)):
        print(printable(line))
    print(f"study: {path}\nnext: curette check {quote(str(path))}")


@COMMANDS.command
def check(study: StudyFile, /, *, json: Flag = False, settings: Settings = USUAL) -> None:
    """Say what would stop a run of a study, as far as it can be known for nothing.

    Takes the images in, which the run then need not do again. Of the language model's server it is
    asked which models there are, and nothing else.

    Args:
        json: print one JSON array, nothing else.
    """
    from curette.flows.check import check, print_findings

    findings = check(
        settings.options(),
        lambda: settings.load(study),
        lambda loaded: _taken_in(loaded, settings),
        lambda dataset, spec: _read_by_a_model(dataset, settings, spec),
    )
    stopping = print_findings(findings, as_json=json)
    if stopping:
        raise StudyError(f"{stopping} of these would stop a run of {study}")


@COMMANDS.command
def explain(
    study: StudyFile,
    /,
    *images: str,
    out: Path | None = None,
    adapted: str = "",
    correct: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    head: str = "concept_bottleneck",
    settings: Settings = USUAL,
) -> None:
    """Say what is decided about images, and why; write a page that shows it.

    Args:
        images: each an image id of the dataset, or a file.
        out: the page to write, an .html.
        adapted: explain the head as it was adapted to a site: the name that `curette adapt` gave.
        correct: what a person sees and the head may not, "CONCEPT=yes" or "CONCEPT=no", as often as
            there are such concepts: says what else moves, and the new answer.
        head: which head, of those that decide by statements alone.
    """
    from curette.flows.new_files import new_file, write_new

    loaded = settings.load(study)
    if not images:
        raise StudyError("name at least one image: an image id of the dataset, or a file")
    from rich.console import Console

    from curette.flows.explain import explain, page_path, tell

    path = new_file(out or page_path(images), ".html")
    said = explain(loaded, settings.options(), images, _run, adapted, correct, head)
    write_new(path, said.html.encode())
    console = Console()
    for line in tell(said):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"page: {path}", soft_wrap=True, markup=False, highlight=False)


@COMMANDS.command
def predict(
    study: StudyFile,
    folder: Path,
    /,
    *,
    out: Path = Path("predictions.csv"),
    adapted: str = "",
    head: str = "concept_bottleneck",
    settings: Settings = USUAL,
) -> None:
    """Say what is decided about every image of a folder, and why; write a table or a page.

    Args:
        folder: new images, without labels.
        out: what to write: a table, .csv, or a page, .html.
        adapted: decide by the head as it was adapted to a site: the name that `curette adapt` gave.
        head: which head, of those that decide by statements alone.
    """
    loaded = settings.load(study)
    from rich.console import Console

    from curette.flows.predict import predict, predictions_file, tell, write_predictions

    predictions_file(out)
    said = predict(loaded, settings.options(), folder.resolve(), _run, adapted, head)
    written = write_predictions(said, out)
    console = Console()
    for line in tell(said):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(written, soft_wrap=True, markup=False, highlight=False)


@COMMANDS.command
def adapt(
    study: StudyFile,
    /,
    *,
    to: str,
    support: Path,
    head: str = "concept_bottleneck",
    by: str = "",
    reason: str = "",
    out: Path | None = None,
    settings: Settings = USUAL,
) -> None:
    """Adapt a trained head to another site by a few of its labelled images, or leave it alone.

    Args:
        to: the name of one of its external datasets.
        support: a table with the ids of 1 to 8 images of it a class, .csv.
        head: which head.
        by: who wants it.
        reason: why.
        out: the page to write, an .html.
    """
    from curette.flows.new_files import new_file, write_new

    loaded = settings.load(study)
    path = new_file(out or Path(f"{loaded.name}-at-{to}.html"), ".html")
    from curette.flows.adaptation import Wanted, adapt_to_site, open_support

    wanted = Wanted(to, open_support(support), head, by, reason)
    made = adapt_to_site(loaded, settings.options(), wanted, _run)
    write_new(path, made.html.encode())
    print(f"{made.told}\npage: {path}")


@COMMANDS.command
def compare(
    *studies: str,
    out: Path = Path("comparison.html"),
    settings: Settings = USUAL,
) -> None:
    """Write a page about what differs between finished studies, and what it is worth.

    Args:
        studies: study files, or evaluations in the store as `curette runs` lists them; the others
            are held against the first.
        out: the page to write, an .html.
    """
    from curette.flows.new_files import new_file, write_new

    path = new_file(out, ".html")
    from curette.flows.compare import compare

    page = compare(studies, settings.options(), settings.load, _run)
    write_new(path, page.encode())
    print(f"page: {path}")


@COMMANDS.command
def diff(*studies: str, settings: Settings = USUAL) -> None:
    """Say what differs between two finished studies or runs: concepts and why, accuracy, settings.

    Args:
        studies: two study files, or evaluations as `curette runs` lists them; or one study file, of
            which the last finished run is held against the one before.
    """
    from curette.flows.compare import difference

    for line in difference(studies, settings.options(), settings.load, _run):
        print(line)


@COMMANDS.command
def drift(
    study: StudyFile,
    folder: Path | None = None,
    /,
    *,
    subjects: Path | None = None,
    one_each: Flag = False,
    json: Flag = False,
    out: Path | None = None,
    settings: Settings = USUAL,
) -> None:
    """Say what new images show more or less of than those that the head learned from; write a page.

    Args:
        folder: new images without labels; without it, the images of the study's own dataset that
            its last finished run did not know.
        subjects: which of the folder's images are of one patient: a table with the columns file and
            subject, .csv.
        one_each: each image of the folder is of another patient.
        json: print one JSON object, nothing else.
        out: the page to write, an .html.
    """
    from curette.flows.new_files import new_file, write_new

    loaded = settings.load(study)
    path = new_file(out or Path(f"{loaded.name}-drift.html"), ".html")
    from curette.flows.drifting import Wanted, look_for_drift, tell_if_past_limit
    from curette.tasks.drift.page import tell

    wanted = Wanted(folder, subjects, one_each)
    found = look_for_drift(loaded, settings.options(), wanted, _run)
    tell_if_past_limit(found, loaded, str(settings.store), str(study))
    write_new(path, found.drift.html.encode())
    if json:
        print(found.drift.facts.model_dump_json())
        return
    for line in tell(found.drift.facts):
        print(line)
    print(f"kept as {found.ref}\npage: {path}")


@COMMANDS.command
def watch(*studies: Path, settings: Settings = USUAL) -> None:
    """Say whether studies' datasets have anything new since they were looked at; run nothing.

    Where a Prefect server is named, what is new is an event there, `curette.data.new`.

    Args:
        studies: study files.
    """
    if not studies:
        raise StudyError("name the study files whose datasets are looked at")
    from curette.flows.watching import watch_each
    from curette.tasks.ingest.listing import printable

    watched = watch_each(studies, settings.load, settings.folder, str(settings.store))
    for study, news in watched:
        print(f"{study}: {printable(news.told)}")


@COMMANDS.command
def look(
    study: StudyFile,
    /,
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 0,
    settings: Settings = USUAL,
) -> None:
    """Serve a finished study's pages on this machine: images, search by text, decisions.

    Args:
        port: of 127.0.0.1; 0: any that is free.
    """
    from curette.flows.look import open_site, serve

    site = open_site(settings.load(study), settings.options())
    serve(site, port, partial(print, flush=True))


@COMMANDS.command
def export(
    study: StudyFile,
    folder: Path,
    /,
    *,
    kind: Annotated[
        Literal["dataset", "fiftyone", "label-studio"], Parameter(name="--as")
    ] = "dataset",
    copy_images: Flag = False,
    push: Flag = False,
    settings: Settings = USUAL,
) -> None:
    """Write a finished study in a format that other programs read.

    Args:
        folder: to be written; it must not be there, or be empty.
        kind: the dataset as it was published, with its heads as one safetensors file; or its images
            with what is known and decided of them, for FiftyOne or for Label Studio.
        copy_images: copy the images' pixels, without the metadata of their files, where they would
            be links to these.
        push: lay the dataset with its heads into `publish.push.repo` of the hub too.
    """
    loaded = settings.load(study)
    from curette.flows.exporting import export

    options = settings.options()
    print(export(loaded, options, kind, folder, copy_images=copy_images, push=push))


@COMMANDS.command
def answers(
    study: Path,
    answers: Path,
    /,
    *,
    out: Path = Path("answers.csv"),
    settings: Settings = USUAL,
) -> None:
    """Write what people answered in Label Studio into a table, for the study's own data.

    Args:
        study: the study file, whose images `curette export --as label-studio` wrote.
        answers: Label Studio's export in its format JSON.
        out: the table to write, a .csv.
    """
    loaded = settings.load(study)
    from curette.flows.exporting import take_answers

    print(take_answers(loaded, settings.options(), answers, out))


@COMMANDS.command
def pages(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 4300,
    host: str = "127.0.0.1",
    settings: Settings = USUAL,
) -> None:
    """Serve the store's reports, Data Docs and cards, so that links in the Prefect UI lead there.

    Args:
        port: 0: any that is free.
        host: the address of this machine at which they are served; to anybody who reaches it.
        settings: of every command; all but the store mean nothing here.
    """
    from curette.flows.pages import serve_pages

    serve_pages(settings.folder, host, port, partial(print, flush=True))


@COMMANDS.command
def notify(
    webhook: str = "",
    /,
    *,
    mail: tuple[str, ...] = (),
    smtp: str = "",
    sender: str = "",
    user: str = "",
    security: Literal["starttls", "tls", "none"] = "starttls",
) -> None:
    """Have Prefect's server tell somebody when a run fails, is rejected, or waits for them.

    The password of `--user` is asked for, or read from CURETTE_MAIL_PASSWORD, and is kept in a
    block of the server's.

    Args:
        webhook: its address, such as an incoming webhook of Slack or Teams.
        mail: who is to get mail.
        smtp: the server that sends it, HOST or HOST:PORT.
        sender: from whom it is.
        user: who logs in to the server; empty: nobody has to.
        security: how the connection is kept secret.
    """
    from curette.flows.server import is_server_named

    if not is_server_named():
        raise StudyError(
            "no Prefect server is named that could tell: set PREFECT_API_URL to one that runs "
            "(`make ui`)"
        )
    if bool(webhook) == bool(mail):
        raise StudyError("name a webhook, or --mail with --smtp and --sender")
    from curette.flows.notify import mail_of, notify_by_mail, notify_by_webhook, ui_address

    made = (
        notify_by_mail(mail_of(mail, smtp, sender, user, _mail_password(user), security))
        if mail
        else notify_by_webhook(webhook)
    )
    for name in made:
        print(name)
    address, is_told = ui_address()
    doubt = (
        ", as the server is reached from here: it does not know where browsers reach it, which its "
        "setting PREFECT_UI_URL says"
    )
    print(f"messages about runs link to {address}{'' if is_told else doubt}")


def _mail_password(user: str) -> str:
    """Return a password that stands neither on the command line nor in a history of commands."""
    if not user:
        return ""
    from getpass import getpass

    return os.environ.get("CURETTE_MAIL_PASSWORD") or getpass(f"password of {user}: ")


@COMMANDS.command
def runs(*, json: Flag = False, settings: Settings = USUAL) -> None:
    """List the finished studies of the store, the latest first.

    Args:
        json: print one JSON array, nothing else.
    """
    from curette.flows.finished import finished_runs

    rows = list(finished_runs(settings.folder))
    if json:
        from json import dumps

        print(dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(f"no study was finished in {settings.store}")
        return
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*map(Text, row.values()))
    Console().print(table)


@COMMANDS.command
def clean(
    *,
    keep: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    older_than: Annotated[float, Parameter(validator=Number(gte=0))] = 7,
    dry_run: Flag = False,
    settings: Settings = USUAL,
) -> None:
    """Remove old artifacts that the last finished runs do not rest on.

    Vectors, image bytes, answers of language models, decisions, edits, and the record of who read
    test labels are never removed.

    Args:
        keep: finished runs of every study that are kept, with all they rest on.
        older_than: days; what was made or found by a run since is kept.
        dry_run: remove nothing, only say what would be.
        settings: of every command; all but the store mean nothing here.
    """
    from curette.flows.finished import study_of
    from curette.storage.retention import forget, forgettable
    from curette.storage.store import ArtifactStore

    store = ArtifactStore(settings.folder)
    if not store.root.is_dir():
        raise StudyError(f"there is no store {store.root}; name it with --store")
    found = partial(forgettable, store, partial(study_of, store), keep, older_than)
    gone = found() if dry_run else forget(store, found)
    for x in gone:
        print(f"{x.ref!s:<48} {x.size_bytes / 2**20:9.1f} MiB  {x.days:6.1f} days")
    of_all = f"{len(gone):,} artifacts, {sum(x.size_bytes for x in gone) / 2**20:,.1f} MiB"
    print(f"{of_all} {'would be removed' if dry_run else 'removed'}")


@COMMANDS.command(name="forget")
def forget_something(
    study: StudyFile,
    /,
    *,
    subject: str | None = None,
    image: str | None = None,
    class_: Annotated[str | None, Parameter(name="--class")] = None,
    settings: Settings = USUAL,
) -> None:
    """Leave out a patient's images, one image, or a class, and remove every trace from the store.

    The study is made anew without them, the whole store is searched, and a certificate is written.
    A purge that was stopped goes on when the same is asked again.

    Args:
        subject: a patient's id, as the data has it.
        image: sha256 of an image's bytes.
        class_: a class key; the images stay in the store's other studies.
    """
    loaded = settings.load(study)
    from curette.flows.forgetting import choose_wanted, forget_one

    wanted = choose_wanted(subject, image, class_)
    with _prefect():
        print(forget_one(loaded, settings.options(), wanted, _run).told)


@EDIT.command(name="export")
def export_edits(study: StudyFile, sheet: Path, /, *, settings: Settings = USUAL) -> None:
    """Write every concept that heads weigh into a sheet, with the edits so far.

    Args:
        sheet: the sheet to write.
    """
    loaded = settings.load(study)
    from curette.flows.edits import export_edits

    print(export_edits(loaded, settings.options(), sheet.resolve(), _until("probe")))


@EDIT.command(name="apply")
def apply_edits(study: StudyFile, sheet: Path, /, *, settings: Settings = USUAL) -> None:
    """Let the edits of a sheet, and no others, count; the next run does them.

    Args:
        sheet: the sheet to read.
    """
    loaded = settings.load(study)
    from curette.flows.edits import keep_edits, open_sheet

    edits = open_sheet(sheet.resolve())
    print(keep_edits(loaded, settings.options(), edits, _until("probe")))


@REVIEW.command(name="export")
def export_sheet(
    study: StudyFile,
    sheet: Path,
    /,
    *,
    picks: Flag = False,
    settings: Settings = USUAL,
) -> None:
    """Write every screened concept into a sheet.

    Args:
        sheet: the sheet to write.
        picks: also choose, and say what could stand in for each chosen concept at no measurable
            loss.
    """
    loaded = settings.load(study)
    from curette.flows.review import export_sheet

    screen, select = (_until(_in_last_round(stage, loaded)) for stage in ("screen", "select"))
    options = settings.options()
    print(export_sheet(loaded, options, sheet.resolve(), screen, select if picks else None))


@REVIEW.command(name="import")
def import_sheet(
    study: StudyFile,
    sheet: Path,
    /,
    *,
    settings: Settings = USUAL,
) -> None:
    """Take the decisions of a sheet in; the next run applies them.

    Args:
        sheet: the sheet to read.
    """
    loaded = settings.load(study)
    from curette.flows.review import import_sheet

    screen = _until(_in_last_round("screen", loaded))
    print(import_sheet(loaded, settings.options(), sheet.resolve(), screen))


@_all_stays()
def _remembered(study: "Study", options: "RunOptions") -> "RunResult | None":
    """Return what earlier runs made, where nothing is left to do; None where something is.

    For that neither Prefect nor a server of it is needed, which would take most of the time of a
    run with nothing to do. Where a server is named the run is to be seen there.
    """
    from curette.flows.server import is_server_named

    last = (options.until or "report").partition(" (")[0]
    here = bucket_of(options.store) or any((options.store / "answers").glob(f"{last}-*"))
    if is_server_named() or not here:
        return None
    from curette.flows.sequence import remembered

    return remembered(study, options)


def _in_last_round(stage: str, study: "Study") -> str:
    """Return what a stage is called in the last round of proposing that the study may come to."""
    from curette.tasks.stage import round_title

    title = round_title(study.propose.rounds)
    return f"{stage} ({title})" if title else stage


def _until(stage: str) -> "Callable[[Study, RunOptions], RunResult]":
    return partial(_run_until, stage)


def _run_until(stage: str, study: "Study", options: "RunOptions") -> "RunResult":
    return _run(study, options.model_copy(update={"until": stage}))


def _run(study: "Study", options: "RunOptions", console: "Console | None" = None) -> "RunResult":
    """Run what is left to do of a study; what is done is listed on a console that is given."""
    return _run_each({study.name: study}, options, console)[study.name]


def _run_each(
    studies: "Mapping[str, Study]", options: "RunOptions", console: "Console | None" = None
) -> "dict[str, RunResult]":
    """Run what is left to do of each study, with one server for all."""
    from rich.console import Console

    from curette.flows.display import live_display, show_stages

    results = {}
    with ExitStack() as held:
        served = False
        for name, study in studies.items():
            if console and len(studies) > 1:
                console.print(f"\n{study.name}", highlight=False, markup=False)
            result = _remembered(study, options)
            if result is None:
                if not served:
                    held.enter_context(_prefect())
                    served = True
                from curette.flows.study import study as whole

                with live_display(console or Console(stderr=True)):
                    result = whole(study, options)
            elif console:
                show_stages(console, result)
            results[name] = result
    return results


def _taken_in(study: "Study", settings: Settings) -> "ImageDataset":
    """Return the study's images, taken in now where they were not before."""
    from curette.schemas.images import ImageDataset
    from curette.storage.store import ArtifactStore

    options = settings.options("ingest")
    result = _run(study, options)
    return ArtifactStore(options.store).load(ImageDataset, result.made[ImageDataset.kind])


def _read_by_a_model(
    dataset: "ImageDataset", settings: Settings, spec: "AnnotateSpec"
) -> "Sequence[str]":
    """Return the texts of the images' reports, or the sha256 of the images that are looked at."""
    from curette.schemas.images import Reports
    from curette.storage.store import ArtifactStore
    from curette.tasks.annotate.annotations import images_asked_about

    if spec.reads == "images":
        return images_asked_about(dataset, spec)
    if dataset.reports is None:
        return ()
    reports = ArtifactStore(settings.folder).load(Reports, dataset.reports)
    return tuple(reports.texts.values())


@contextmanager
def _prefect() -> Iterator[None]:
    """Have a Prefect server of our own, unless one is named."""
    from curette.flows.server import server_for_one_run

    with server_for_one_run() as wait_for_server:
        import curette.flows.study  # noqa: F401 - imported while the server comes up

        wait_for_server()
        yield


def _tell(error: CuretteError, code: int) -> int:
    print(f"curette: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    app()
