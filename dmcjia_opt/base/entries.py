"""Tables of files that people also write in Python: told as one sentence what is wrong, and lenient about types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from dmcjia_opt.base.errors import InputError, shortened
from dmcjia_opt.base.files import explain
from dmcjia_opt.base.showing import called, described

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

Made = TypeVar("Made")
_SHOWN = 60


@dataclass_transform(kw_only_default=False, field_specifiers=(Field,))
class _Called(ModelMetaclass):
    """Makes a table when called; files are read past it, with all their mistakes told at once."""

    def __call__(cls: type[Made], *values: object, **keys: object) -> Made:  # noqa: N805 - of a metaclass
        fields = list(cls.model_fields)  # type: ignore[attr-defined]
        if len(values) > len(fields):
            raise InputError(f"{cls.__name__} takes {len(fields)} values, got {len(values)}; name them as keywords")
        for key, value in zip(fields, values, strict=False):
            if key in keys:
                raise InputError(f"{cls.__name__}: {key} is given twice, {value!r} and {keys[key]!r}; keep one")
            keys[key] = value
        try:
            made: Made = super().__call__(**{key: _plain(value) for key, value in keys.items()})  # type: ignore[misc]
        except ValidationError as error:
            name = keys.get("name")
            which = f' "{shortened(name, _SHOWN)}"' if isinstance(name, str) else ""
            raise InputError(f"{cls.__name__}{which}: {explain(error, cls)}") from None
        return made


class TableEntry(BaseModel, metaclass=_Called):
    """A table of a file, made in Python by calling it: ``Link("cell-3", mbps=50)``.

    Values may be in the order of the keys, of NumPy's types, and tuples in place of lists.

    Raises
    ------
    InputError
        When called with keys or values that the file could not have.
    """

    def __repr__(self) -> str:
        said = (f"{key}={value!r}" for key, value in self if key in self.model_fields_set)
        return called(type(self).__name__, *said)

    __str__ = __repr__


def _plain(value: Any) -> Any:  # noqa: ANN401 - anything
    """Return a value as TOML would have it: numbers of NumPy are Python's, and what is NaN is left out."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value != value:
        return None
    return list(map(_plain, value)) if isinstance(value, tuple | np.ndarray) else value


def all_of(kind: type[Made], given: object, what: str) -> tuple[Made, ...]:
    """Return entries as a tuple, or refuse what is none, in words that begin with `what`.

    Raises
    ------
    InputError
        If `given` is no sequence of `kind`.
    """
    one = f"{kind.__name__}(…)"
    if isinstance(given, str | bytes | kind) or not isinstance(given, Iterable):
        raise InputError(f"{what} must be a list of {one}, got {described(given)}; write {what}=[{one}]")
    entries = tuple(given)
    for k, entry in enumerate(entries):
        if not isinstance(entry, kind):
            raise InputError(f"{what}[{k}] must be a {one}, got {described(entry)}")
    return entries
