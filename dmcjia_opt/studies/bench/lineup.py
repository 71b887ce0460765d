"""Names of methods in a benchmark: ``"placer + allocator"``, queries over the registry, classes of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from dmcjia_opt.base.machine import source_of
from dmcjia_opt.solving import plugins
from dmcjia_opt.solving.contract import Allocator, Kind, Spec
from dmcjia_opt.solving.registry import KINDS, METHODS, build_allocator, build_placer, spec_of, specs, why_not
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.studies.bench.rows import Compared
from dmcjia_opt.studies.online.policies import build_policy

#: The allocator of a placer that names none.
ALLOCATOR = "waterfilling"
#: In a list of methods: every registered method of the kind that searches and is not in the list yet.
EVERY = "*"


def full_name(kind: Compared, name: str) -> str:
    """Return the name as rows have it: a placer always with its allocator."""
    name = name.strip()
    return f"{name} + {ALLOCATOR}" if kind == "placer" and " + " not in name else name


def parts(kind: Compared, name: str) -> tuple[str | None, str]:
    """Return the placer, None where none is compared, and the allocator or policy of a full name."""
    placer, plus, allocator = name.partition(" + ")
    return (placer.strip(), allocator.strip()) if plus and kind == "placer" else (None, name)


def expand(kind: Compared, names: Sequence[str], *, exact: bool) -> tuple[str, ...]:
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
            every = () if kind == "policy" else specs(kind)
            found += [full_name(kind, spec.name) for spec in every if _stands_for(spec, listed, exact)]
        else:
            found.append(full_name(kind, name))
    return tuple(dict.fromkeys(found))


def check(kind: Compared, name: str) -> None:
    """Raise InputError unless a full name is of registered methods, or looks like one of classes of one's own.

    A policy must be one that `build_policy` knows.
    """
    if kind == "policy":
        build_policy(name)
        return
    placer, allocator = parts(kind, name)
    for what, part in (("placer", placer), ("allocator", allocator)):
        if part is not None and not is_own(part):
            spec_of(cast(Kind, what), part)


def build(kind: Compared, name: str) -> tuple[Placer | None, Allocator]:
    """Return new objects for a full name.

    Raises
    ------
    InputError, BackendMissing, BackendFailed
        If there is no such method, its library is not installed, or it cannot be imported.
    """
    placer, allocator = parts(kind, name)
    return None if placer is None else build_placer(placer), build_allocator(allocator)


def sources(kind: Compared, name: str) -> dict[str, str]:
    """Return a hash for each class of one's own in a full name, by module or file: it counts as a version."""
    named = () if kind == "policy" else parts(kind, name)
    modules = [_base(part) for part in named if part and is_own(part)]
    return {module: digest for module in modules if (digest := source_of(module))}


def spec_or_none(kind: Kind, name: str) -> Spec | None:
    """Return the registry's row, or None for a class of one's own, which only a child imports."""
    return None if is_own(name) else spec_of(kind, name)


def _base(name: str) -> str:
    return name.partition(":")[0]


def _stands_for(spec: Spec, listed: set[str], exact: bool) -> bool:
    fits = spec.kind == "allocator" or (not spec.baseline and spec.exact == exact and (exact or not spec.proves))
    return fits and spec.name not in listed and why_not(spec) is None


def is_own(name: str) -> bool:
    """Return whether a name is ``module:Class``, ``file.py:Class`` or an installed plug-in, none of it imported yet."""
    if any((kind, _base(name)) in METHODS for kind in KINDS):
        return False
    return plugins.split_target(name) is not None or any(_base(name) in plugins.names(kind) for kind in KINDS)
