"""The options of a method: the fields of its class with type, default and meaning, and their values from text."""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, PydanticUserError, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated
from pydantic_core import CoreSchema, core_schema

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import explain
from dmcjia_opt.base.suggesting import did_you_mean

_LONGEST = 60
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_CONFIG = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
Class = TypeVar("Class", bound=type)

#: At least one.
Count = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
#: A finite number above 0.
Factor = Annotated[float, Field(gt=0, lt=math.inf)]
#: A finite number of at least 1.
AtLeastOne = Annotated[float, Field(ge=1, lt=math.inf)]


@dataclass(frozen=True, slots=True)
class OneOf:
    """In the annotation of an option, as in ``Annotated[str, OneOf(TABLE)]``: it is one of the table's names.

    A function in place of the table returns the names that this machine has; they are not checked beforehand.
    """

    names: Collection[str] | Callable[[], Collection[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """Return what pydantic checks."""
        return core_schema.str_schema() if callable(self.names) else core_schema.literal_schema(list(self.names))


@typing.dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def method(cls: Class) -> Class:
    """Make a class a method: a frozen dataclass with slots, whose options are its fields, checked by their types.

    What types cannot say, such as options that do not go together, is checked in ``__post_init__``. A value that is
    refused is an InputError which names the class, the option and what it may be.
    """
    made: Any = validated(cls, frozen=True, slots=True, config=_CONFIG)
    check = made.__init__

    @wraps(check)
    def begin(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        try:
            check(self, *args, **kwargs)
        except ValidationError as error:
            raise InputError(f"{cls.__name__}: {_why(error, made)}") from None

    made.__init__ = begin
    return cast(Class, made)


def _why(error: ValidationError, method: type) -> str:
    first = error.errors(include_url=False)[0]
    if "error" in first.get("ctx", {}):
        return str(first["ctx"]["error"])  # of __post_init__
    for k, option in enumerate(options_of(method)):
        if first["loc"][0] in (k, option.name) and first["type"] != "missing":
            return f"{option.name} must be {option.type}, got {_quoted(first['input'])}"
    return explain(error)


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
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return ()
    docs = _parameter_docs(method)
    fields = {f.name: f for f in dataclasses.fields(method)} if dataclasses.is_dataclass(method) else {}
    hints = _hints(method if fields else method.__init__)  # type: ignore[misc]
    found = []
    for name, default in ((p.name, p.default) for p in parameters if p.kind in _NAMED and p.name not in fixed):
        if name in fields and fields[name].default_factory is not dataclasses.MISSING:
            default = fields[name].default_factory()  # type: ignore[operator]
        required = default is inspect.Parameter.empty
        annotation = hints.get(name, str if default is None or required else type(default))
        doc = docs.get(name, "").replace("``", "")
        found.append(Option(name, type_in_words(annotation), "" if required else _shown(default), doc, annotation))
    return tuple(found)


def names_of(option: Option) -> tuple[str, ...]:
    """Return the names among which an option chooses, on this machine."""
    return _choices(option.annotation)


def _choices(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever type the field has
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    for note in get_args(annotation):
        if isinstance(note, OneOf):
            return tuple(note.names() if callable(note.names) else note.names)
    return ()


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
            raise InputError(f'{method} has no option "{name}"{did_you_mean(name, by_name)}; {known}')
        option = by_name[name]
        try:
            found[name] = from_text(option.annotation, text)
        except (ValueError, TypeError, PydanticUserError):
            hint = did_you_mean(text, _choices(option.annotation))
            raise InputError(f'{method}: {name} must be {option.type}, got "{text}"{hint}') from None
    return found


def from_text(annotation: Any, text: str) -> Any:  # noqa: ANN401 - whatever type the field has
    """Return `text` as a value of the type `annotation`.

    Raises
    ------
    ValueError
        If it is none.
    """
    adapter = TypeAdapter(annotation)
    if text.lower() == "none":
        with suppress(ValidationError):
            return adapter.validate_python(None)
    with suppress(ValidationError):
        return adapter.validate_json(text)
    return adapter.validate_strings(text)


def type_in_words(annotation: Any) -> str:  # noqa: ANN401 - whatever type the field has
    """Return a type as one would write it: ``int``, ``float or none``, ``"gray" or "binary"``."""
    if annotation in (None, type(None)):
        return "none"
    if get_origin(annotation) is Annotated:
        base, *notes = get_args(annotation)
        names = next((note.names for note in notes if isinstance(note, OneOf)), base)
        return _limited(type_in_words(base if callable(names) else Literal[tuple(names)]), notes)
    if get_origin(annotation) is Literal:
        *most, last = (f'"{m}"' if isinstance(m, str) else str(m) for m in get_args(annotation))
        return f"{', '.join(most)} or {last}" if most else last
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(type_in_words(member) for member in get_args(annotation))
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _limited(name: str, notes: Sequence[Any]) -> str:
    """Return a type with the limits in its notes: ``float >= 0 and <= 1``, ``finite float > 0``."""
    flat = [limit for note in notes for limit in getattr(note, "metadata", [note])]
    found = {key: getattr(limit, key) for key in _SIGNS for limit in flat if hasattr(limit, key)}
    if found.get("lt") == math.inf:
        name = f"finite {name}"
        del found["lt"]
    return " ".join([name, " and ".join(f"{_SIGNS[key]} {most}" for key, most in found.items())]).rstrip()


def _list(options: Sequence[Option]) -> str:
    return "; ".join(map(str, options))


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else _shown(value)


def _shown(default: object) -> str:
    text = str(default)
    if default is None or isinstance(default, bool):
        text = text.lower()  # as it would be typed
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


def _hints(owner: Any) -> dict[str, Any]:  # noqa: ANN401 - a class or a function
    try:
        return typing.get_type_hints(owner, include_extras=True)
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
