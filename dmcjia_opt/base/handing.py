"""What people hand to public functions, held against the annotations: told in one sentence, before anything is done."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import described

_PLAIN: Mapping[object, tuple[tuple[type, ...], str]] = types.MappingProxyType(
    {
        float: ((int, float, np.integer, np.floating), "a number"),
        int: ((int, np.integer), "a whole number"),
        str: ((str,), "a text"),
        bool: ((bool, np.bool_), "True or False"),
        Path: ((Path,), "a path"),
    }
)
_UNIONS = (Union, types.UnionType)


def check_arguments(function: Callable[..., object], given: Mapping[str, object], *also_checked: str) -> None:
    """Refuse arguments that are not what a function's annotations say.

    Parameters
    ----------
    function
        Whose.
    given
        Its arguments by name, such as ``locals()`` on its first line.
    also_checked
        Arguments that something else looks at, with remedies of its own.

    Raises
    ------
    InputError
        With the name of the argument, what it must be and what it is.
    """
    for name, kind in _kinds(function).items():
        if name in given and name not in also_checked and not _is(given[name], kind):
            raise InputError(f"{name} must be {_words(kind)}, got {described(given[name])}")


@cache
def _kinds(function: Callable[..., object]) -> dict[str, Any]:
    """Return the annotations of a function's arguments, but for those of names that only type checkers know."""
    found = {}
    for name, written in function.__annotations__.items():
        try:
            found[name] = eval(written, function.__globals__) if isinstance(written, str) else written
        except NameError:
            continue
    found.pop("return", None)
    return found


def _is(value: object, kind: Any) -> bool:  # noqa: ANN401 - an annotation
    """Return whether a value is of a kind; True where the kind is none that is looked at."""
    if kind in _PLAIN:
        return isinstance(value, _PLAIN[kind][0]) and (kind is bool or not isinstance(value, bool))
    if kind is None or kind is type(None):
        return value is None
    origin, inside = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        return any(_is(value, one) for one in inside)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in inside)
    if origin is np.ndarray:
        return True
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is tuple:
        return isinstance(value, tuple)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        several = hasattr(value, "__iter__") and not isinstance(value, str | bytes | Mapping)
        return several and _all(value, inside[:1])
    if origin is not None and getattr(origin, "__name__", "") == "Callable":
        return callable(value)
    if not isinstance(kind, type):
        return True
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name in dir(kind) if not name.startswith("_"))
    return isinstance(value, kind)


def _all(values: Any, kind: tuple[Any, ...]) -> bool:  # noqa: ANN401 - anything that can be walked through
    """Return whether all of some values are of a kind; what can be walked through once only is left alone."""
    return not (kind and hasattr(values, "__len__")) or all(_is(value, kind[0]) for value in values)


def _words(kind: Any) -> str:  # noqa: ANN401 - an annotation
    if kind in _PLAIN:
        return _PLAIN[kind][1]
    origin, inside = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        one_of = [one for one in inside if one is not type(None) and not (one is str and Path in inside)]
        words = [_words(one) for one in one_of]
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if origin is Literal:
        return f"one of {', '.join(map(repr, inside))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if origin is tuple:
        return "a tuple"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return f"a list, each entry {_words(inside[0])}" if inside else "a list"
    if origin is not None and getattr(origin, "__name__", "") == "Callable":
        return "a function"
    name = getattr(kind, "__name__", str(kind))
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
