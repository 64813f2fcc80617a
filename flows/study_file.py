"""Reading a study file: every problem at once, each with its place and what would be right."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from curette.schemas.artifact import StudyError
from curette.schemas.study import Study

M = TypeVar("M", bound=BaseModel)
_SHOWN = 60
_MOST_VALUES = 100_000
STUDIES: Final = Path(__file__).parent / "studies"


def load_study(file: Path, overrides: Sequence[str] = ()) -> Study:
    """Return the study of a YAML file, its paths made absolute.

    Args:
        file: the study, or the bare name of one that comes with curette, such as `demo`; relative
            paths in it start at its folder.
        overrides: `dotted.key=value`, the value in YAML; relative paths in them start at the
            study's folder too, as if they had been written into it.

    Raises:
        StudyError: the file cannot be read, or anything in it is wrong: all of it is listed.
    """
    file = _with_its_place(file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"cannot read the study {file}: {error}") from None
    tree, content = _parse(file, text)
    for override in overrides:
        _override(content, override)
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        problems = [
            p for _, p in sorted(_explain(file, tree, overrides, e) for e in error.errors())
        ]
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise StudyError("\n".join([f"{count} in the study {file}:", *problems])) from None
    return _absolute(study, file.resolve().parent)


def settings_of(model: BaseModel) -> dict[str, Any]:
    """Return what a study file would have to say for this study, and no more.

    What is as usual is left out: a whole number that stands for a usual fraction would be read as
    20.0 where the study has 20, and the stage would not know its answer again.
    """
    settings: dict[str, Any] = {}
    for name, value in model.model_dump(mode="json").items():
        field = type(model).model_fields[name]
        own = getattr(model, name)
        if name != "kind" and not field.is_required():
            usual = type(model).model_construct(
                **{name: field.get_default(call_default_factory=True)}
            )
            as_usual = usual.model_dump(mode="json", include={name})
            if json.dumps({name: value}) == json.dumps(as_usual):
                continue
        settings[field.alias or name] = _settings(own, value)
    return settings


def _settings(own: object, dumped: Any) -> Any:
    if isinstance(own, BaseModel):
        return settings_of(own)
    if isinstance(own, tuple):
        return [_settings(o, d) for o, d in zip(own, dumped, strict=True)]
    return dumped


def one_study(study: Study, finding: str | None = None) -> Study:
    """Return the study itself, or that of one of its findings.

    Args:
        study: as it was written.
        finding: key of one of `dataset.findings`; empty: it has none, or names one itself.

    Raises:
        StudyError: it has several findings and none is named, or it has no such finding.
    """
    each = study.by_finding
    if finding is None or finding == study.dataset.finding:
        if each:
            raise StudyError(
                f"{study.name} has {len(each)} findings, and each is a study of its own: name one "
                f"with --finding ({', '.join(each)}). `curette run` without it runs them all."
            )
        return study
    if finding not in each:
        named = ", ".join(each) or study.dataset.finding
        there = f"it has {named}" if named else "`dataset.findings` names none"
        raise StudyError(f"{study.name} has no finding {finding}; {there}")
    return each[finding]


def _with_its_place(file: Path) -> Path:
    """Return the file; a bare name that is no file here means a study that comes with curette."""
    if len(file.parts) != 1 or file.suffix or file.is_file():
        return file
    coming = {study.stem: study for study in sorted(STUDIES.glob("*.yaml"))}
    if file.name not in coming:
        raise StudyError(
            f"there is no study file {file} here, and none of that name comes with curette: name a "
            f".yaml file, or one of {', '.join(coming)}"
        )
    return coming[file.name]


def _parse(file: Path, text: str) -> tuple[yaml.Node, dict[str, Any]]:
    """Return the YAML as nodes, which know their lines, and as plain values."""
    tree, content = _loaded(text, f"the study {file}", str(file))
    if not isinstance(tree, yaml.MappingNode):
        raise StudyError(f"the study {file} must be a mapping such as `name: my-study`")
    twice = list(_duplicates(tree))
    if twice:
        raise StudyError("\n".join(f"{file}:{line}: `{key}` stands twice" for key, line in twice))
    return tree, content


def _loaded(text: str, about: str, place: str) -> tuple[yaml.Node | None, Any]:
    """Return the nodes and the values of a YAML text.

    Raises:
        StudyError: it is no YAML, or a value is none of the kind it says it is: its loader raises
            almost anything then.
    """
    tree = None
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_aliases(tree, about)
        return tree, yaml.safe_load(text)
    except StudyError:
        raise
    except yaml.YAMLError as error:
        raise StudyError(f"{about} is not YAML: {error}") from None
    except RecursionError:
        raise StudyError(f"{about} is not read: it is nested too deeply") from None
    except Exception as error:
        for node in _nodes(tree):
            if isinstance(node, yaml.ScalarNode) and not _can_be_built(node):
                kind = node.tag.rpartition(":")[2]
                shown = node.value if len(node.value) <= _SHOWN else node.value[:_SHOWN] + "…"
                raise StudyError(
                    f"{place}:{node.start_mark.line + 1}: {shown!r} is no {kind}, which YAML takes "
                    "it for; correct it, or put it between quotes"
                ) from None
        said = " ".join(str(error).split()) or type(error).__name__
        raise StudyError(f"{about} is not YAML: {said}") from None


def _check_aliases(tree: yaml.Node | None, about: str) -> None:
    """Refuse aliases that repeat themselves: nine lines of ten can stand for a billion values.

    Raises:
        StudyError: they do, or one stands within what it is an alias of.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            line = node.start_mark.line + 1
            raise StudyError(f"{about} is not read: the alias of line {line} stands within itself")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            pairs = isinstance(node, yaml.MappingNode)
            parts = [p for pair in node.value for p in pair] if pairs else node.value
            inner = parts if isinstance(node, yaml.CollectionNode) else []
            sizes[id(node)] = 1 + sum(map(size, inner))
            open_nodes.remove(id(node))
        return sizes[id(node)]

    if tree is not None and size(tree) > _MOST_VALUES:
        raise StudyError(
            f"{about} is not read: with its aliases written out it has {size(tree):,} values, and "
            f"at most {_MOST_VALUES:,} are read. Write less, or fewer aliases."
        )


def _can_be_built(node: yaml.ScalarNode) -> bool:
    try:
        yaml.constructor.SafeConstructor().construct_object(node)
    except Exception:
        return False
    return True


def _nodes(tree: yaml.Node | None) -> Iterator[yaml.Node]:
    """Yield every node once, however often the text refers to it."""
    seen: set[int] = set()
    waiting = [tree] if tree is not None else []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)


def _duplicates(tree: yaml.Node) -> Iterator[tuple[str, int]]:
    """Yield the keys that stand twice in one mapping, which YAML would silently merge."""
    for node in _nodes(tree):
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                name = str(key.value)
                if name in seen:
                    yield name, key.start_mark.line + 1
                seen.add(name)


def _override(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not all(key.split(".")):
        raise StudyError(f"--set {override}: write it as dotted.key=value")
    _, parsed = _loaded(value, f"--set {override}: the value", f"--set {override}")
    *parents, last = key.split(".")
    place: Any = content
    for parent in parents:
        if isinstance(place, dict):
            place.setdefault(parent, {})
        place = place[_step(place, parent, override)]
        if not isinstance(place, dict | list):
            raise StudyError(f"--set {override}: `{parent}` has no keys of its own")
    place[_step(place, last, override)] = parsed


def _step(place: dict[str, Any] | list[Any], part: str, override: str) -> Any:
    """Return what part of a dotted key leads on: a key, or a number from 0 in a list."""
    if isinstance(place, dict):
        return part
    if not part.isdecimal() or int(part) >= len(place):
        raise StudyError(
            f"--set {override}: `{part}` is no place in a list of {len(place)}, counted from 0"
        )
    return int(part)


def _explain(
    file: Path, tree: yaml.Node, overrides: Sequence[str], error: ErrorDetails
) -> tuple[int, str]:
    """Return the line, and one text: place, key, what is wrong, what would be right."""
    path, line = _locate(tree, error["loc"])
    key = ".".join(path) or "the study"
    overridden = next((o for o in overrides if o.partition("=")[0] == key), None)
    place = f"--set {overridden}" if overridden else f"{file}:{line}: {key}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = f"there is no such key{_did_you_mean(error['loc'])}"
    elif error["type"] == "missing":
        message = f"must be given{_meaning(error['loc'])}"
    elif error["type"] == "string_pattern_mismatch":
        shown = "this" if _may_be_secret(key) else repr(error["input"])
        message = f"cannot be {shown}{_meaning(error['loc'])}"
    elif not _may_be_secret(key) and not isinstance(error.get("input"), Mapping | list):
        message += f", not {error['input']!r}"
    return line, f"  {place}: {message}"


def _may_be_secret(key: str) -> bool:
    """Return whether what was written there may be a key or an address with a password."""
    return key.endswith(("url", "api_key_variable"))


def _locate(tree: yaml.Node, loc: tuple[int | str, ...]) -> tuple[list[str], int]:
    """Follow an error's location through the YAML; the tags of unions are not in the file."""
    node: yaml.Node | None = tree
    path, line = [], tree.start_mark.line + 1
    for part in loc:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        if any(k.value == "kind" and v.value == part for k, v in entries):
            continue
        path.append(str(part))
        key = next(((k, v) for k, v in entries if k.value == str(part)), None)
        if key is not None:
            node, line = key[1], key[0].start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and node.value[part:]:
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            node = None  # not in the file: it was left out, or came from the command line
    return path, line


def _models(loc: Sequence[int | str]) -> list[type[BaseModel]]:
    """Return the models that a location leads to, from `Study` down."""
    models: list[type[BaseModel]] = [Study]
    for part in loc:
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        if fields:
            models = [m for f in fields for m in _of_annotation(f.annotation)]
        else:  # the tag of a union
            models = [
                m
                for m in models
                if "kind" in m.model_fields and part in get_args(m.model_fields["kind"].annotation)
            ] or models
    return models


def _of_annotation(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        heirs = annotation.__subclasses__()  # gates are known by what they are below
        return [annotation, *(m for heir in heirs for m in _of_annotation(heir))]
    if get_origin(annotation) in (Union, UnionType, dict, tuple) or get_args(annotation):
        return [m for a in get_args(annotation) for m in _of_annotation(a)]
    return []


def _did_you_mean(loc: Sequence[int | str]) -> str:
    known = sorted({name for m in _models(loc[:-1]) for name in m.model_fields})
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; there are {', '.join(known)}"


def _meaning(loc: Sequence[int | str]) -> str:
    for model in _models(loc[:-1]):
        field = model.model_fields.get(str(loc[-1]))
        if field is not None and field.description:
            return f" ({field.description})"
    return ""


def _is_folder(model: BaseModel, name: str, value: object, folder: Path) -> bool:
    """Return whether a name that could be one of the hub is that of a folder beside the study.

    A model's is one only if it holds one: `ViT-B-32` stays a name beside a folder of results.
    """
    kinds = get_args(type(model).model_fields[name].annotation)
    if not isinstance(value, str) or Path not in kinds or value in ("", "demo"):
        return False
    place = folder / value
    try:
        return (place / "open_clip_config.json").is_file() if name == "model" else place.is_dir()
    except (OSError, ValueError):  # too long for a file, or with null bytes
        return False


def _absolute(model: M, folder: Path) -> M:
    """Return the model with every relative path starting at `folder`."""
    changed: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            changed[name] = _absolute(value, folder)
        elif isinstance(value, Path) or _is_folder(model, name, value, folder):
            changed[name] = (folder / value).resolve()
        elif isinstance(value, tuple) and any(isinstance(v, BaseModel) for v in value):
            changed[name] = tuple(_absolute(v, folder) for v in value)
    return model.model_copy(update=changed)
