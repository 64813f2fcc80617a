"""What a person fills in to have a study run: a name, new images, or everything."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from curette.flows.study_file import STUDIES, load_study, settings_of
from curette.schemas.artifact import StudyError
from curette.schemas.study import Study
from curette.storage.studies import StudyShelf

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_STUDY = rf"\.ya?ml$|{_NAME}"


class AsTabs:
    """Has a JSON schema in which alternatives are `anyOf`.

    Of `anyOf` Prefect makes tabs with described fields; of `oneOf`, which pydantic writes where
    `kind` tells alternatives apart, an empty box for JSON. Each tab is called after its kind.
    """

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema, having changed what it refers to."""
        schema = handler(core_schema)
        generator: Any = handler
        for definition in generator.generate_json_schema.definitions.values():
            as_tabs(definition)
        handler.resolve_ref_schema(schema)["title"] = "every setting"
        return as_tabs(schema)


def as_tabs(schema: Any) -> Any:
    """Turn every `oneOf` of a JSON schema into `anyOf`, in place; return it."""
    if isinstance(schema, list):
        for part in schema:
            as_tabs(part)
    elif isinstance(schema, dict):
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
            schema.pop("discriminator", None)
        kind = schema.get("properties", {}).get("kind", {})
        if isinstance(kind, dict) and isinstance(kind.get("const"), str):
            schema["title"] = kind["const"].replace("_", " ")
        for part in list(schema.values()):
            as_tabs(part)
    return schema


StudyName = Annotated[
    str,
    Field(
        title="a study that there is",
        pattern=_STUDY,
        description="a study file on the worker's machine (a .yaml), one that comes with curette "
        "(demo, ham10000), or the name of one that was run in this store",
    ),
]


class NewImages(BaseModel, frozen=True, extra="forbid", title="new images"):
    """Labelled images that no study is about yet."""

    name: str = Field(pattern=_NAME, description="of the new study: lower-case letters, digits, -")
    images: Path = Field(
        description="on the worker's machine: a folder with a folder a class or with a table of "
        "metadata, or a table with a row an image; or user/dataset of the Hugging Face hub"
    )
    label_column: str = Field(
        default="", description="the column with the class; empty: it is found by looking"
    )
    image_folder: str = Field(
        default="", description="where a table's images lie; empty: it is found by looking"
    )
    template: str = Field(
        default="",
        pattern=rf"^$|{_STUDY}",
        description="a study whose language model, encoder and settings are taken over, all but "
        "its images, shifts and other datasets; empty: the usual settings",
    )


Asked = StudyName | NewImages | Annotated[Study, AsTabs()]


def run_name() -> str:
    """Return the name of the current flow run: the flow and the study."""
    from prefect.runtime import flow_run

    return f"{flow_run.flow_name} {name_of(flow_run.parameters['study'])}"


def name_of(asked: object) -> str:
    """Return what a run of it is called."""
    if isinstance(asked, str):
        return Path(asked).stem
    return str(asked["name"] if isinstance(asked, dict) else getattr(asked, "name", asked))


def open_asked(
    asked: str | NewImages | Study, root: Path, overrides: tuple[str, ...] = ()
) -> Study:
    """Return the study that a person asked for.

    Args:
        asked: what was filled in.
        root: the store, which knows the studies that were run in it.
        overrides: `dotted.key=value`, the value in YAML.

    Raises:
        StudyError: there is no such study, or something in it is wrong.
    """
    if isinstance(asked, NewImages):
        return _changed(_study_of(asked, root), overrides)
    if isinstance(asked, Study):
        return _changed(asked, overrides)
    known = StudyShelf(root)
    coming = [file.stem for file in sorted(STUDIES.glob("*.yaml"))]
    if Path(asked).suffix or Path(asked).is_file() or asked in coming:
        return load_study(Path(asked), overrides)
    if (kept := run_last(asked, root)) is None:
        raise StudyError(
            f"there is no study {asked}: none of that name comes with curette "
            f"({', '.join(coming)}), and none was run in the store {root} "
            f"({', '.join(known.names) or 'nothing was'}). Name a study file, a .yaml."
        )
    return _changed(kept, overrides)


def run_last(name: str, root: Path) -> Study | None:
    """Return the study of a name as it was run last in a store; None where none of it was.

    Raises:
        StudyError: it is of another version of curette, whose settings are no longer read.
    """
    kept = StudyShelf(root).get(name)
    return None if kept is None else _read(name, kept, ())


def _study_of(new: NewImages, root: Path) -> Study:
    from curette.flows.init import draft_study

    with TemporaryDirectory() as folder:
        beside = Path(folder)
        draft = draft_study(
            new.images,
            beside,
            new.name,
            new.label_column or None,
            Path(new.image_folder) if new.image_folder else None,
        )
        file = beside / "study.yaml"
        file.write_text(draft.text, encoding="utf-8")
        drafted = load_study(file)
    if not new.template:
        return drafted
    template = open_asked(new.template, root)
    of_images = {"name": drafted.name, "dataset": drafted.dataset, "shifts": (), "external": ()}
    fresh = {"description": "", "publish": drafted.publish, "validation": drafted.validation}
    return template.model_copy(update=of_images | fresh)


def _changed(study: Study, overrides: tuple[str, ...]) -> Study:
    if not overrides:
        return study
    return _read(study.name, json.dumps(settings_of(study)).encode(), overrides)


def _read(name: str, settings: bytes, overrides: tuple[str, ...]) -> Study:
    """Return the study of settings as JSON, which is YAML too."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_bytes(settings)
        return load_study(file, overrides)
