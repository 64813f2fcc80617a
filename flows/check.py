"""What would stop a study, as far as it can be known for nothing: `curette check`."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from filecmp import cmp
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from curette.flows.beforehand import asking_stages, check_columns, must_ask
from curette.flows.estimate import estimate
from curette.flows.stages import RunOptions
from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.images import SPLITS, ImageDataset
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.encoder import (
    EncoderSpec,
    OpenClipEncoder,
    PrecomputedEncoder,
    TransformersEncoder,
)
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import FileSource
from curette.schemas.study import Study
from curette.storage.bucket import bucket_address
from curette.storage.responses import ResponseShelf
from curette.tasks.ingest.listing import printable, quoted
from curette.tasks.methods.llm.client import find_key, is_loopback
from curette.tasks.methods.llm.manners import manners_of

State = Literal["ok", "warning", "error"]
_PATIENCE_S: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_ROOM: Final = 1 << 30
"""Bytes that a study of some ten thousand images may fill, vectors of places included."""
_LEAST_ROOM: Final = 1 << 26
_LOOKED_AT: Final = 1000
"""Files of a dataset whose endings are looked at."""
_FEW: Final = 10
"""Images of a class, under which an interval tells next to nothing."""
_COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what to do about it where something is wrong."""

    what: str
    state: State
    said: str
    cure: str = ""


def check(
    options: RunOptions,
    load: Callable[[], Study],
    take_in: Callable[[Study], ImageDataset],
    find_read: Callable[[ImageDataset, AnnotateSpec], Sequence[str]],
) -> Iterator[Finding]:
    """Yield what is found, each as soon as it is known.

    Args:
        options: where things would be kept, on what machine.
        load: reads the study file.
        take_in: takes the images in, or finds them taken in.
        find_read: the reports, or names of images, that a model is to read.
    """
    try:
        study = load()
    except StudyError as error:
        yield Finding("study", "error", str(error))
        return
    yield Finding("study", "ok", f"{study.name} can be read, and every setting in it is known")
    yield _packages(study, options)
    yield _room(options.store)
    yield _files(study)
    yield from _encoders(study, options)
    yield from _language_model(study, options)
    try:
        dataset = take_in(study)
    except (CuretteError, OSError) as error:
        yield Finding("images", "error", str(error))
        return
    yield from _images(study, dataset)
    yield from _concepts(study, dataset)
    if study.llm and asking_stages(study, options):
        yield _requests(study, study.llm, options, dataset, find_read)


def print_findings(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print findings, one line each as they come; return how many would stop a run."""
    console = Console(highlight=False, soft_wrap=True)
    seen = []
    for finding in findings:
        seen.append(finding)
        if not as_json:
            line = Text(f"{finding.state:<8}", style=_COLOURS[finding.state])
            console.print(line + Text(f"{finding.what}: {_one_line(finding)}"))
    if as_json:
        print(json.dumps([asdict(finding) for finding in seen]))
    return sum(finding.state == "error" for finding in seen)


def _one_line(finding: Finding) -> str:
    told = "\n".join(printable(line) for line in finding.said.split("\n"))
    return f"{told}. {printable(finding.cure)}" if finding.cure else told


# --- this machine ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Package:
    """What is imported only where a study asks for it."""

    name: str
    why: str
    install: str


def _packages(study: Study, options: RunOptions) -> Finding:
    """Look for the packages that this study imports and that an installation may lack."""
    return lacking(list(_needed(study, options)))


def lacking(needed: Sequence[Package]) -> Finding:
    """Return what is to be said of the packages that something needs."""
    absent = [package for package in needed if find_spec(package.name) is None]
    if absent:
        said = "; ".join(f"{p.name} is not installed, which {p.why} needs" for p in absent)
        cure = f"pip install {' '.join(sorted({repr(p.install) for p in absent}))}"
        return Finding("packages", "error", said, f"Install it: {cure}.")
    shown = ", ".join(f"{p.name} ({p.why})" for p in needed)
    said = f"all that only some studies need are there: {shown}" if shown else "no extra is needed"
    return Finding("packages", "ok", said)


def _needed(study: Study, options: RunOptions) -> Iterator[Package]:
    transformers = "curette[transformers]"
    for encoder in (study.encoder, *(further.encoder for further in study.encoders)):
        if isinstance(encoder, TransformersEncoder):
            yield Package("transformers", "encoder.kind: transformers", transformers)
        elif isinstance(encoder, OpenClipEncoder) and _reads_text_by_transformers(encoder):
            yield Package("transformers", f"the text tower of {encoder.model}", transformers)
    if options.machine.engine == "ray":
        for name in ("ray", "prefect_ray"):
            yield Package(name, "machine.engine: ray", "curette[ray]")
    if (url := bucket_address(options.store)) is not None:
        yield Package("obstore", f"the store {url}", "curette[s3]")
    if any(path.suffix.lower() in (".dcm", ".dicom") for path in _images_of(study)):
        yield Package("pydicom", "images in DICOM files", "pydicom>=3,<4")


def _reads_text_by_transformers(encoder: OpenClipEncoder) -> bool:
    """Return whether weights that lie here say so; those that are still to be fetched cannot."""
    from curette.tasks.methods.encoder.encoder import find_weights

    try:
        weights = find_weights(encoder)
        config = (weights.parent if weights else Path()) / "open_clip_config.json"
        text = json.loads(config.read_text())["model_cfg"]["text_cfg"]
        return bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))
    except (CuretteError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _images_of(study: Study) -> Iterator[Path]:
    """Yield some files of a study's dataset: a mixed folder has a DICOM file among the first."""
    source = study.kept_dataset.source
    for place in (getattr(source, "image_folder", None), getattr(source, "path", None)):
        if isinstance(place, Path) and place.is_dir():
            yield from islice((p for p in place.rglob("*") if p.is_file()), _LOOKED_AT)


def _room(store: Path) -> Finding:
    """Look whether the store can be written to, and how much room is left there."""
    place = next(p for p in (store, *store.parents) if p.exists())
    cure = "Name another folder with --store."
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("store", "error", f"{place} cannot be written to", cure)
    free = shutil.disk_usage(place).free
    said = f"{free / 2**30:,.1f} GiB are free at {store}"
    if free < _ROOM:
        return Finding("store", "error" if free < _LEAST_ROOM else "warning", said, cure)
    return Finding("store", "ok", said)


def _files(study: Study) -> Finding:
    """Look for the files that stages read; the images' are looked at as these are taken in."""
    named = study.model_copy(update={"dataset": None})
    paths = dict(_paths(named))
    absent = [f"{path} ({where})" for where, path in paths.items() if not path.exists()]
    if absent:
        cure = "Correct the paths: relative ones start at the study file."
        return Finding("files", "error", f"not there: {', '.join(absent)}", cure)
    said = f"all {len(paths)} besides the images are there" if paths else "none but the images"
    return Finding("files", "ok", said)


def _paths(model: BaseModel, where: str = "") -> Iterator[tuple[str, Path]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        for number, part in enumerate(value if isinstance(value, tuple) else (value,)):
            key = f"{where}{name}" + f".{number}" * isinstance(value, tuple)
            if isinstance(part, BaseModel):
                yield from _paths(part, f"{key}.")
            elif isinstance(part, Path):
                yield key, part


def _encoders(study: Study, options: RunOptions) -> Iterator[Finding]:
    """Look for the weights of every encoder; the same ones in two places would be no second one."""
    seen: dict[Path, str] = {}
    named = {f"encoder {further.name}": further.encoder for further in study.encoders}
    for what, spec in {"encoder": study.encoder, **named}.items():
        found, weights = _encoder(what, spec, options)
        if weights is not None:
            same = [other for place, other in seen.items() if cmp(weights, place, shallow=False)]
            if same:
                said = f"its weights in {weights} are those of the {same[0]} to the byte"
                cure = "It could only agree: name other weights under `encoders`, or leave it out."
                found = Finding(what, "error", said, cure)
            seen[weights] = what
        yield found


def _encoder(what: str, spec: EncoderSpec, options: RunOptions) -> tuple[Finding, Path | None]:
    """Return what is to be said of an encoder, and the file of its weights or vectors."""
    if isinstance(spec, PrecomputedEncoder):
        there = spec.path if spec.path.is_file() else None
        return Finding(what, "ok", f"vectors are read from {spec.path}"), there
    from huggingface_hub.constants import HF_HUB_OFFLINE

    from curette.tasks.methods.encoder.encoder import find_weights
    from curette.tasks.methods.encoder.precision import choose_device

    try:
        device, weights = choose_device(options.machine), find_weights(spec)
    except StudyError as error:
        return Finding(what, "error", str(error)), None
    if weights is None:
        missing = Finding(
            what,
            "error" if HF_HUB_OFFLINE else "warning",
            f"the weights of {spec.model} are not on this machine"
            + ("" if HF_HUB_OFFLINE else ", and are fetched by the first run"),
            "Load it once where there is a network, or name a local folder in encoder.model.",
        )
        return missing, None
    said = f"weights lie in {weights}; images are encoded by {device}"
    return Finding(what, "ok", said), weights


# --- the language model ---------------------------------------------------------------------------


def _language_model(study: Study, options: RunOptions) -> Iterator[Finding]:
    llm = study.llm
    if llm is None or not asking_stages(study, options):
        yield Finding("language model", "ok", "none is asked")
        return
    needed = must_ask(study, options)
    trouble: State = "error" if needed else "warning"
    kept = "" if needed else " (the store holds answers, which may do)"
    try:
        key = find_key(llm).get_secret_value()
    except StudyError as error:
        yield Finding("key", trouble, f"{error}{kept}")
        return
    given = bool(os.environ.get(llm.api_key_variable, "").strip())
    name = llm.api_key_variable
    yield Finding("key", "ok", f"in {name}" if given else "none, which servers here do not need")
    found = _server(llm, key)
    worst = trouble if found.state == "error" else found.state
    yield Finding(found.what, worst, found.said + kept * (found.state == "error"), found.cure)


def _server(llm: LlmSpec, key: str) -> Finding:
    """Ask a server once which models it has; a redirect is not followed, since the key would be."""
    import httpx2

    manners = manners_of(None, llm.server, llm.model)
    header = {"api-key": key} if manners.is_azure else {"authorization": f"Bearer {key}"}
    header["accept-encoding"] = "identity"
    # As where it is asked: no proxy reaches this machine.
    direct = dict.fromkeys(("all://", "http://", "https://")) if is_loopback(llm.server) else {}
    address = f"{manners.base_url.rstrip('/')}/models"
    until = time.monotonic() + 2 * _PATIENCE_S
    content = b""
    try:
        with (
            httpx2.Client(timeout=_PATIENCE_S, mounts=direct) as client,
            client.stream("GET", address, params=manners.query, headers=header) as answer,
        ):
            status = answer.status_code
            for part in answer.iter_raw():
                content += part
                if len(content) > _MOST_BYTES or time.monotonic() > until:
                    break
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        why = str(error).replace(key, "[key]") or type(error).__name__
        cure = "Start it, or correct llm.base_url."
        return Finding("server", "error", f"{llm.server} does not answer: {why}", cure)
    if status in (401, 403):
        cure = f"Check the environment variable {llm.api_key_variable}."
        return Finding("server", "error", f"{llm.server} refuses the key (HTTP {status})", cure)
    if status >= 500:
        return Finding(
            "server", "warning", f"{llm.server} answers with HTTP {status}", "Look there."
        )
    models = _models(content) if status == 200 else []
    if not models:
        said = f"{llm.server} answers, and does not tell its models (HTTP {status})"
        return Finding("server", "ok", said)
    if llm.model not in models:
        said = f"{llm.server} answers, and has no model {llm.model}, but {len(models)} others"
        shown = ", ".join(map(quoted, models[:5]))
        return Finding("server", "warning", said, f"Correct llm.model: there are {shown}.")
    return Finding("server", "ok", f"{llm.server} answers, and has the model {llm.model}")


def _models(content: bytes) -> list[str]:
    """Return the names of models in a server's answer; none where it is another answer."""
    try:
        return [str(model["id"]) for model in json.loads(content)["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _requests(
    study: Study,
    llm: LlmSpec,
    options: RunOptions,
    dataset: ImageDataset,
    find_read: Callable[[ImageDataset, AnnotateSpec], Sequence[str]],
) -> Finding:
    try:
        made = estimate(
            study,
            ResponseShelf(options.store),
            lambda: dataset.classes,
            lambda spec: find_read(dataset, spec),
        )
    except (CuretteError, OSError) as error:
        return Finding("requests", "error", str(error))
    said = f"likely {made.likely_requests:,}, from {made.fewest_requests:,} to "
    said += f"{made.most_requests:,}; {made.stored_requests:,} are answered already"
    said += "" if made.likely_usd is None else f"; likely ${made.likely_usd:.2f}"
    state: State = "ok"
    limited = [
        (llm.max_requests, made.fewest_requests, made.likely_requests),
        (llm.max_cost_usd, made.least_usd, made.likely_usd),
    ]
    for limit, least, likely in limited:
        if limit is not None and least is not None and least > limit:
            state = "error"
        elif limit is not None and likely is not None and likely > limit and state == "ok":
            state = "warning"
    cure = "Raise llm.max_requests or llm.max_cost_usd, or ask less." if state != "ok" else ""
    return Finding("requests", state, said, cure)


# --- the images -----------------------------------------------------------------------------------


def _images(study: Study, dataset: ImageDataset) -> Iterator[Finding]:
    """Tell what was taken in, and what the gate would reject of it."""
    refused = len(dataset.rejected)
    said = f"{len(dataset):,} of {dataset.source}, {refused:,} rows refused"
    if refused:
        first = dataset.rejected[0]
        said += f", such as {quoted(first.row)}: {first.reason}"
    yield Finding("images", "warning" if refused else "ok", said)
    for label in dataset.classes:
        counts = dataset.class_counts[label.key]
        said = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
        least = study.validation.min_images_per_class
        if counts["train"] < least or not counts["validation"]:
            cure = f"A class needs {least} to train on (validation.min_images_per_class), and one "
            cure += "to validate on: merge it with another under dataset.labels, or leave it out."
            yield Finding(f"class {quoted(label.key)}", "error", said, cure)
        elif min(counts.values()) < _FEW:
            cure = f"Under {_FEW} its intervals are too wide to tell anything."
            yield Finding(f"class {quoted(label.key)}", "warning", said, cure)
        else:
            yield Finding(f"class {quoted(label.key)}", "ok", said)
    yield _patients(dataset)
    yield _columns(study, dataset)


def _concepts(study: Study, dataset: ImageDataset) -> Iterator[Finding]:
    """Read the files of concepts, whose classes must be those of the images."""
    from curette.tasks.propose.files import read_file

    for source in study.propose.sources:
        if isinstance(source, FileSource):
            what = f"concepts {quoted(source.path.name)}"
            try:
                found = read_file(source, dataset.classes)
            except StudyError as error:
                yield Finding(what, "error", str(error))
                continue
            if found.proposals:
                yield Finding(what, "ok", f"{len(found.proposals):,} texts")
            else:
                yield Finding(what, "warning", "it holds no text", "Write some, or leave it out.")


def _patients(dataset: ImageDataset) -> Finding:
    groups = dataset.images["group"].nunique()
    named = [
        name
        for name in ("subject", "lesion")
        if name in dataset.images and (dataset.images[name].fillna("") != "").any()
    ]
    said = f"{groups:,} groups of images that stay together"
    cure = "Name the column that tells them apart in dataset.subject_column."
    if parted := int((dataset.images.groupby("group")["split"].nunique() > 1).sum()):
        said = f"{parted:,} of {said} stand in two splits or more, as the data gives them"
        one = "give all images of a patient, a lesion or equal bytes to one split"
        cure = f"The gate rejects that: {one}, or name no dataset.split_column."
        return Finding("patients", "error", said, cure)
    if dataset.unnamed_subject:
        return Finding("patients", "warning", dataset.unnamed_subject.removesuffix("."), cure)
    if not named and not dataset.synthetic:
        said = "no subject or lesion is known: each image counts as another patient's"
        return Finding("patients", "warning", said, cure)
    return Finding("patients", "ok", f"{said}, by {' and '.join(named)}" if named else said)


def _columns(study: Study, dataset: ImageDataset) -> Finding:
    """Look for columns that stages miss, and for those that the gate lets nobody publish."""
    from curette.tasks.validate.privacy import FINDINGS
    from curette.tasks.validate.tables import metadata_table

    try:
        check_columns(study, dataset)
        table = metadata_table(dataset, study.validation.cleared)
    except StudyError as error:
        return Finding("columns", "error", str(error))
    if telling := [said for kind in FINDINGS for said in table[kind].dropna()]:
        cure = "The gate rejects what identifies a patient: take it out of the study, or say "
        cure += "under validation.cleared why it does not."
        return Finding("columns", "error", "; ".join(telling), cure)
    return Finding("columns", "ok", f"all are there; {len(table):,} of metadata are published")
