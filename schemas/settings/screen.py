"""What a study says of its screen: which gates, in which order, each with its own settings."""

import importlib
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, Field, SerializeAsAny, TypeAdapter, model_validator

_GATES = "curette.tasks.screen.gates"
"""Where gates are defined. It is looked up by name when a study is read, as plug-ins are, so that
no schema, and no stage before the screen, depends on any gate."""


class GateSettings(BaseModel, frozen=True, extra="forbid"):
    """The settings of one gate; each gate has a class of its own, told apart by `kind`."""

    needs_images: ClassVar[bool] = False
    """Whether the training images are looked at."""
    merges: ClassVar[bool] = False
    """Whether a candidate that it keeps may stand for others that it drops."""
    about_names: ClassVar[bool] = False
    """Whether it judges names of what was found among images, too; it takes one at a time."""

    kind: str

    @property
    def asks(self) -> bool:
        """Whether the study's language model is needed."""
        return False


def gate_kinds() -> dict[str, type[GateSettings]]:
    """Return the settings of every gate that is defined, by its name."""
    importlib.import_module(_GATES)
    return {gate.model_fields["kind"].default: gate for gate in _leaves(GateSettings)}


def read_gate(given: object) -> GateSettings:
    """Return a gate from its bare name, its settings with a `kind`, or itself.

    Raises:
        ValidationError: there is no such gate, or it has no such setting.
    """
    if isinstance(given, GateSettings):
        return given
    named = {"kind": given} if isinstance(given, str) else given
    return _reader(tuple(gate_kinds().values())).validate_python(named)


_DEFAULT = (
    "form",
    "language",
    "class_leak",
    "visual",
    "exact_duplicate",
    "near_duplicate",
    "vacuity",
    "contradiction",
    "learnability",
)
_JUDGE_AFTER = "exact_duplicate"
_SHORT = {
    **dict.fromkeys(
        ("min_words", "max_words", "min_characters", "max_characters", "max_listed"), "form"
    ),
    "near_duplicate_cosine": "near_duplicate",
    "sentences": "near_duplicate",
    "min_share": "groundability",
    "activation_quantile": "groundability",
    "min_normalised_ap": "learnability",
    "max_jaccard": "co_occurrence",
}
_RENAMED = {"near_duplicate_cosine": "cosine"}


class ScreenSpec(BaseModel, frozen=True, extra="forbid"):
    """Which gates a candidate must pass, in which order, and their settings.

    A gate is its bare name or `{kind: name, setting: value}`. Beside `gates`, the settings that
    studies had before gates owned them are still read: `judge` and the names of `_SHORT`, each as
    a setting of the gate that it belongs to.
    """

    gates: tuple[Annotated[SerializeAsAny[GateSettings], BeforeValidator(read_gate)], ...] = Field(
        default_factory=lambda: tuple(map(read_gate, _DEFAULT)),
        description="the gates, in order; the first that drops a candidate gives the reason. "
        "`judge` (which asks the language model), `groundability` and `co_occurrence` are there "
        "to be added",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        """Put `judge: {...}` and settings that stand beside `gates` into their gates."""
        if not isinstance(given, Mapping) or given.keys().isdisjoint({*_SHORT, "judge"}):
            return given
        left = {k: v for k, v in given.items() if k not in _SHORT and k != "judge"}
        gates = [_as_mapping(gate) for gate in left.get("gates", _DEFAULT)]
        judge = given.get("judge")
        if judge is not None and "gates" not in left:
            gates.insert(_DEFAULT.index(_JUDGE_AFTER) + 1, {"kind": "judge"})
        settings = [
            (name, gate, {_RENAMED.get(name, name): given[name]})
            for name, gate in _SHORT.items()
            if name in given
        ]
        settings += [("judge", "judge", _as_mapping(judge))] if judge is not None else []
        for name, kind, values in settings:
            place = next((gate for gate in gates if gate.get("kind") == kind), None)
            if place is None:
                raise ValueError(
                    f"`{name}` is described but is not among `gates`"
                    if name == kind
                    else f"`{name}` is a setting of the gate {kind}, which is not among `gates`: "
                    f"add {kind}, or leave it out"
                )
            place.update(values)
        return {**left, "gates": gates}

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.names)) != len(self.gates):
            raise ValueError("a gate stands twice in `gates`")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The gates' names, in their order."""
        return tuple(gate.kind for gate in self.gates)

    @property
    def asks(self) -> bool:
        """Whether a language model is needed."""
        return any(gate.asks for gate in self.gates)

    @property
    def needs_images(self) -> bool:
        """Whether a gate looks at the training images."""
        return any(gate.needs_images for gate in self.gates)


def _as_mapping(gate: object) -> dict[str, Any]:
    """Return what was written of a gate as a mapping that may be added to."""
    if isinstance(gate, BaseModel):
        return gate.model_dump()
    return {**gate} if isinstance(gate, Mapping) else {"kind": gate}


@cache
def _reader(gates: tuple[type[GateSettings], ...]) -> TypeAdapter[GateSettings]:
    """Return what reads the settings of any of the gates, told apart by `kind`."""
    union: Any = Annotated[reduce(or_, gates), Field(discriminator="kind")]
    return TypeAdapter(union)


def _leaves(gate: type[GateSettings]) -> list[type[GateSettings]]:
    """Return the classes below one that have none below them."""
    below = [leaf for heir in gate.__subclasses__() for leaf in _leaves(heir)]
    return below or [gate]
