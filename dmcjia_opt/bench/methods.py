"""Names of methods in a benchmark: ``"placer + allocator"``, queries over the registry, classes of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import cast

from dmcjia_opt.bench.machine import source_of
from dmcjia_opt.errors import BackendMissing, InputError
from dmcjia_opt.protocols import Allocator, Placer
from dmcjia_opt.registry import METHODS, build_allocator, build_placer, spec_of, specs, why_not
from dmcjia_opt.spec import Kind, Spec

#: The allocator of a placer that names none.
ALLOCATOR = "waterfilling"
#: In a list of methods: every registered method of the kind that searches and is not in the list yet.
EVERY = "*"


def full_name(kind: Kind, name: str) -> str:
    """Return the name as rows have it: a placer always with its allocator."""
    name = name.strip()
    return f"{name} + {ALLOCATOR}" if kind == "placer" and " + " not in name else name


def parts(kind: Kind, name: str) -> tuple[str | None, str]:
    """Return the placer, None for an allocator's benchmark, and the allocator of a full name."""
    placer, plus, allocator = name.partition(" + ")
    return (placer.strip(), allocator.strip()) if plus and kind == "placer" else (None, name)


def expand(kind: Kind, names: Sequence[str], *, exact: bool) -> tuple[str, ...]:
    """Return full names, `EVERY` replaced by what the registry has beyond the names given.

    Parameters
    ----------
    kind
        What is compared.
    names
        Names, `EVERY` among them or not.
    exact
        Placers that `EVERY` stands for: those that end with the optimum, or the heuristics. Rules and methods whose
        library is not installed are left out.
    """
    listed = {_base(part) for name in names for part in parts(kind, full_name(kind, name))[:1] if part}
    listed |= {_base(name) for name in names if kind == "allocator"}
    found: list[str] = []
    for name in names:
        if name == EVERY:
            found += [full_name(kind, spec.name) for spec in specs(kind) if _stands_for(spec, listed, exact)]
        else:
            found.append(full_name(kind, name))
    return tuple(dict.fromkeys(found))


def check(kind: Kind, name: str) -> None:
    """Raise InputError unless a full name is of registered methods, or of classes that can be imported."""
    placer, allocator = parts(kind, name)
    for what, part in (("placer", placer), ("allocator", allocator)):
        if part is not None and not is_own(part):
            spec_of(cast(Kind, what), part)


def build(kind: Kind, name: str) -> tuple[Placer | None, Allocator]:
    """Return new objects for a full name; ``module:Class`` is a class of one's own, built without arguments.

    Raises
    ------
    InputError, BackendMissing
        If there is no such method, or its library is not installed.
    """
    placer, allocator = parts(kind, name)
    chosen = cast(Allocator, _load(allocator)()) if is_own(allocator) else build_allocator(allocator)
    if placer is None:
        return None, chosen
    return cast(Placer, _load(placer)()) if is_own(placer) else build_placer(placer), chosen


def sources(kind: Kind, name: str) -> dict[str, str]:
    """Return a hash for each class of one's own in a full name, by module or file: it counts as a version."""
    modules = [_base(part) for part in parts(kind, name) if part and not is_registered(part)]
    return {module: digest for module in modules if (digest := source_of(module))}


def spec_or_none(kind: Kind, name: str) -> Spec | None:
    """Return the registry's row, or None for a class of one's own."""
    try:
        return spec_of(kind, name)
    except InputError:
        return None


def _base(name: str) -> str:
    return name.partition(":")[0]


def _stands_for(spec: Spec, listed: set[str], exact: bool) -> bool:
    fits = spec.kind == "allocator" or (not spec.baseline and spec.exact == exact and (exact or not spec.proves))
    return fits and spec.name not in listed and why_not(spec) is None


def is_own(name: str) -> bool:
    """Return whether a name is ``module:Class``, a class of one's own, and not a registered method's."""
    module, colon, attribute = name.partition(":")
    if not (colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        return False
    return not is_registered(module)


def is_registered(name: str) -> bool:
    """Return whether the part of a name before its first colon is a registered method's."""
    return any(("placer", _base(name)) == key or ("allocator", _base(name)) == key for key in METHODS)


def _load(name: str) -> type:
    module, _, attribute = name.partition(":")
    try:
        return cast(type, getattr(importlib.import_module(module), attribute))
    except ModuleNotFoundError as error:
        raise BackendMissing(f'"{name}" cannot be imported: no module {error.name}') from None
    except AttributeError:
        raise InputError(f'module "{module}" has no class "{attribute}"') from None
