"""The run-time checker of types and array shapes; an int will do where a float is asked for."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from inspect import isfunction
from types import CodeType, FunctionType
from typing import Any

import jaxtyping
import numpy as np
from beartype import BeartypeConf, beartype
from jaxtyping import config, install_import_hook, jaxtyped

check = beartype(conf=BeartypeConf(is_pep484_tower=True))

_passed: dict[CodeType, dict[Hashable, set[Hashable]]] = {}
"""Forms of arguments that a function was called with, and those of what it returned then."""


def check_shapes(modules: Sequence[str]) -> None:
    """Check what the functions of modules are given and return, from their import on."""
    install_import_hook(modules, "tests.shapes.check")
    vars(jaxtyping)["jaxtyped"] = _checking  # where such a module looks for it


def _checking(typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a decorator that checks a function as `jaxtyped` does, but each form once.

    Types, dtypes and shapes decide whether arguments fit their annotations (which words a `Literal`
    allows is checked beforehand), and a solver asks with the same ones thousands of times. A
    function that is made anew in each call of another is one function here.
    """

    def decorate(made: Any) -> Any:
        checked: Any = jaxtyped(typechecker=typechecker)
        if not isfunction(made):
            return checked(made)
        passed = _passed.setdefault(made.__code__, {})
        made_checked = cache(lambda: checked(made))  # compiled where a form is new, and once

        @wraps(made)
        def once(*args: Any, **kwargs: Any) -> Any:
            if config.jaxtyping_disable:
                return made(*args, **kwargs)
            form = _form(args), *((name, _form(value)) for name, value in kwargs.items())
            if form not in passed:
                value = made_checked()(*args, **kwargs)
                passed[form] = {_form(value)}
                return value
            value = made(*args, **kwargs)
            if (returned := _form(value)) not in passed[form]:
                checked(_returning(value, made))(*args, **kwargs)
                passed[form].add(returned)
            return value

        return once

    return decorate


def _returning(value: object, like: FunctionType) -> Callable[..., object]:
    """Return a function of the same signature that returns a value which is there already."""

    def give(*_: object, **__: object) -> object:
        return value

    same: Any = FunctionType(give.__code__, like.__globals__, like.__name__, None, give.__closure__)
    returning: Callable[..., object] = wraps(like)(same)
    return returning


def _form(value: Any) -> Hashable:
    """Return what a check of a value looks at: of an array what it is, of others their class."""
    kind: Any = type(value)
    if kind is np.ndarray or kind.__name__ == "Tensor":
        return kind, value.dtype, value.shape
    if kind is tuple:
        return tuple(map(_form, value))
    if kind is list:
        return kind, frozenset(map(_form, value))
    if kind is dict:
        return kind, frozenset(map(_form, value.items()))
    return kind


@contextmanager
def unchecked() -> Iterator[None]:
    """Call functions as they are: whole studies are quicker, and each part is checked alone."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", value=True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)
