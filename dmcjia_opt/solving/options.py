"""The options of a method: the fields of its class with type, default and meaning, and their values from text."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from dmcjia_opt.base.errors import InputError

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Option:
    """One field that a method's name may set.

    Parameters
    ----------
    name, type, default, doc
        As shown; the default is empty where a value must be given.
    annotation
        The type itself.
    """

    name: str
    type: str
    default: str
    doc: str
    annotation: Any = dataclasses.field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.type}{', ' + self.default if self.default else ', required'})"


def options_of(method: type, fixed: Sequence[str] = ()) -> tuple[Option, ...]:
    """Return the options of a class: its fields if it is a dataclass, or the arguments of its constructor.

    Parameters
    ----------
    method
        The class.
    fixed
        Names that cannot be set because the method's own name fixes them.
    """
    docs = _parameter_docs(method)
    found = []
    for name, annotation, default in _dataclass_fields(method) or _arguments(method):
        if name not in fixed:
            shown = "" if default is inspect.Parameter.empty else _shown(default)
            found.append(
                Option(name, type_in_words(annotation), shown, docs.get(name, "").replace("``", ""), annotation)
            )
    return tuple(found)


def settings(rest: str, options: Sequence[Option], method: str, variant: str = "") -> tuple[str, dict[str, str]]:
    """Return the variant and the options that follow a method's name: ``variant:option=value:option=value``.

    Parameters
    ----------
    rest
        What follows the first colon. A value may hold colons, but nothing that looks like ``option=``.
    options, method
        The options there are, and whose they are, for messages.
    variant
        The option that the variant stands for; empty if there is none.

    Raises
    ------
    InputError
        If a part is neither, or an option is set twice.
    """
    chosen, texts = "", dict[str, str]()
    last = ""
    for k, part in enumerate(rest.split(":") if rest else []):
        name, equals, text = part.partition("=")
        if equals and (name in texts or (chosen and name == variant)):
            raise InputError(f"{method}: {name} is set twice")
        if equals:
            texts[name], last = text, name
        elif last:
            texts[last] += f":{part}"
        elif k == 0 and variant:
            chosen = part
        else:
            if not options:
                raise InputError(f'{method} takes nothing after a colon, got "{part}"')
            raise InputError(f'{method} takes option=value after a colon, got "{part}"; it has {_list(options)}')
    return chosen, texts


def values(options: Sequence[Option], texts: Mapping[str, str], method: str) -> dict[str, Any]:
    """Return the values that `texts` stand for, by the type of each option.

    Raises
    ------
    InputError
        If there is no such option, or its type does not admit the value; `method` says whose.
    """
    by_name = {option.name: option for option in options}
    found = {}
    for name, text in texts.items():
        if name not in by_name:
            known = f"it has {_list(options)}" if options else "it has no options at all"
            raise InputError(f'{method} has no option "{name}"; {known}')
        option = by_name[name]
        try:
            found[name] = from_text(option.annotation, text)
        except (ValidationError, ValueError, TypeError, PydanticUserError):
            raise InputError(f'{method}: {name} must be {option.type}, got "{text}"') from None
    return found


def from_text(annotation: Any, text: str) -> Any:  # noqa: ANN401 - whatever type the field has
    """Return `text` as a value of the type `annotation`.

    Raises
    ------
    ValueError
        If it is none.
    """
    if annotation in (None, type(None)):
        if text.lower() == "none":
            return None
        raise ValueError(text)
    members = get_args(annotation)
    if get_origin(annotation) is Literal:
        for member in members:
            if text == str(member):
                return member
        raise ValueError(text)
    if get_origin(annotation) in (Union, types.UnionType):
        for member in sorted(members, key=lambda m: (m is str) - (m is type(None))):  # none first, any text last
            try:
                return from_text(member, text)
            except ValueError:
                continue
        raise ValueError(text)
    return TypeAdapter(annotation).validate_strings(text)


def type_in_words(annotation: Any) -> str:  # noqa: ANN401 - whatever type the field has
    """Return a type as one would write it: ``int``, ``float or none``, ``"gray" or "binary"``."""
    if annotation in (None, type(None)):
        return "none"
    if get_origin(annotation) is Literal:
        return " or ".join(f'"{m}"' if isinstance(m, str) else str(m) for m in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(type_in_words(member) for member in get_args(annotation))
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _list(options: Sequence[Option]) -> str:
    return "; ".join(map(str, options))


def _shown(default: object) -> str:
    text = str(default)
    if default is None or isinstance(default, bool):
        text = text.lower()  # as it would be typed
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


def _dataclass_fields(method: type) -> list[tuple[str, Any, Any]]:
    if not dataclasses.is_dataclass(method):
        return []
    hints = _hints(method)
    found: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(method):
        if field.init:
            default: Any = inspect.Parameter.empty
            if field.default is not dataclasses.MISSING:
                default = field.default
            elif field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            found.append((field.name, hints.get(field.name, str), default))
    return found


def _arguments(method: type) -> list[tuple[str, Any, Any]]:
    if dataclasses.is_dataclass(method):
        return []
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return []
    hints = _hints(method.__init__)  # type: ignore[misc]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found: list[tuple[str, Any, Any]] = []
    for parameter in parameters:
        if parameter.kind in named:
            default = parameter.default
            guess = str if default is None or default is inspect.Parameter.empty else type(default)
            found.append((parameter.name, hints.get(parameter.name, guess), default))
    return found


def _hints(owner: Any) -> dict[str, Any]:  # noqa: ANN401 - a class or a function
    try:
        return get_type_hints(owner, include_extras=True)
    except Exception:  # noqa: BLE001 - the annotations of a plug-in may name anything
        return {}


def _parameter_docs(method: type) -> dict[str, str]:
    """Return what the sections "Parameters" of a class's NumPy docstring, and of its bases', say of each."""
    docs: dict[str, str] = {}
    for base in reversed(method.__mro__):
        lines = inspect.cleandoc(base.__doc__ or "").splitlines()
        heads = [i for i in range(len(lines) - 1) if lines[i + 1] and not lines[i + 1].strip("-")]
        for start in (i for i in heads if lines[i].strip() == "Parameters"):
            end = min((i for i in heads if i > start), default=len(lines))
            names: list[str] = []
            for line in lines[start + 2 : end]:
                if line and not line[0].isspace():
                    names = [name.strip() for name in line.partition(":")[0].split(",")]
                    docs.update(dict.fromkeys(names, ""))
                elif line.strip():
                    docs.update({name: f"{docs[name]} {line.strip()}".strip() for name in names})
    return docs
