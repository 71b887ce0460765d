"""Methods of others: registered here, by entry points of installed packages, or named by module or file and class.

A plug-in is a class that follows the protocol of a placer or an allocator. Nothing of it is imported before it is
asked for or listed, and one that cannot be imported is an entry in the list with its error, and breaks nothing.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from dmcjia_opt.base.call import reading
from dmcjia_opt.base.errors import BackendFailed, BackendMissing, DmcjiaError, InputError, in_one_line
from dmcjia_opt.solving.contract import Kind, Spec

#: Entry-point group of each kind.
GROUPS: Mapping[Kind, str] = MappingProxyType(
    {"allocator": "dmcjia_opt.allocators", "placer": "dmcjia_opt.placers"},
)
_METHODS_OF: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {"allocator": ("supports", "allocate"), "placer": ("supports", "search")}
)
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_TARGET = re.compile(r"(?P<home>.+?\.py|[A-Za-z_][\w.]*):(?P<attribute>[A-Za-z_][\w.]*)(?::(?P<rest>.*))?")
#: What the decorators registered in this process.
_HERE: dict[tuple[Kind, str], type] = {}
Class = TypeVar("Class", bound=type)


def register(kind: Kind, name: str, built_in: Mapping[tuple[Kind, str], Spec]) -> Callable[[Class], Class]:
    """Return a decorator that makes a class known in this process as the method `name`.

    Raises
    ------
    InputError
        When it decorates: if the name cannot be one or is taken, or the class lacks a method.
    """

    def decorate(method: Class) -> Class:
        if why := _no_name(name) or what_is_missing(kind, method):
            raise InputError(f'{_of(method)} cannot be registered as the {kind} "{name}": {why}')
        if (kind, name) in built_in:
            raise InputError(f'the {kind} "{name}" is built in; register {_of(method)} under another name')
        known = _HERE.get((kind, name))
        if known is not None and _of(known) != _of(method):  # the same class again is a cell run twice
            raise InputError(f'the {kind} "{name}" is {_of(known)} already; register {_of(method)} under another name')
        _HERE[kind, name] = method
        return method

    return decorate


def what_is_missing(kind: Kind, method: object) -> str | None:
    """Return None if `method` is a class of this kind, or in a sentence what it lacks."""
    if not isinstance(method, type):
        return f"it is no class but {a(type(method).__name__)}"
    missing = [name for name in _METHODS_OF[kind] if not callable(getattr(method, name, None))]
    if missing:
        return f"it has no method {' and no method '.join(missing)}, which every {kind} needs"
    return None


def find(kind: Kind, name: str) -> Spec | None:
    """Return the plug-in called `name`, registered in this process or by an installed package, or None."""
    if (kind, name) in _HERE:
        return _of_class(kind, name)
    for point in _points()[kind]:
        if point.name == name:
            return _of_point(kind, point)
    return None


def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of all plug-ins of one kind, importing none of them."""
    here = [name for k, name in _HERE if k == kind]
    return tuple(dict.fromkeys([*here, *(point.name for point in _points()[kind])]))


def distributions() -> list[str]:
    """Return the names of the installed packages that bring plug-ins."""
    return sorted({point.dist.name for points in _points().values() for point in points if point.dist is not None})


def conflicts(built_in: Mapping[tuple[Kind, str], Spec]) -> dict[tuple[Kind, str], str]:
    """Return a sentence for each name that more than one method claims; the built-in one is used, then the local."""
    found: dict[tuple[Kind, str], str] = {}
    for kind, points in _points().items():
        claimed: dict[str, str] = {name: f"it is registered by {_of(m)}" for (k, name), m in _HERE.items() if k == kind}
        claimed |= {spec.name: "this name is built in" for k, spec in built_in.items() if k[0] == kind}
        for point in points:
            if why := claimed.get(point.name):
                found[kind, point.name] = (
                    f'the {kind} "{point.name}" of {_distribution(point)} is not used: {why}; '
                    "it needs another name in that package's entry points"
                )
            claimed.setdefault(point.name, f"{_distribution(point)} has one of the same name")
    return found


def split_target(name: str) -> tuple[str, str] | None:
    """Return ``module:Class`` or ``file.py:Class`` and what follows another colon, or None if `name` is neither."""
    match = _TARGET.fullmatch(name)
    if match is None:
        return None
    return f"{match['home']}:{match['attribute']}", match["rest"] or ""


def of_target(kind: Kind, target: str) -> Spec | None:
    """Return what ``module:Class`` or ``file.py:Class`` says of itself, or None if there is no such top-level module.

    Raises
    ------
    InputError
        If there is no such file, module or class, or the class is not of this kind.
    BackendMissing, BackendFailed
        If importing it fails.
    """
    home = target.partition(":")[0]
    if not home.endswith(".py"):
        _make_importable(Path.cwd())
        if "." not in home and home not in sys.modules and find_spec(home) is None:
            return None
    method = _load(kind, target)
    if why := what_is_missing(kind, method):
        raise InputError(f'"{target}" is no {kind}: {why}')
    return _describe(Spec(kind, target, target, "", origin=home), method)


def class_of(spec: Spec) -> type:
    """Return the class of a plug-in.

    Raises
    ------
    InputError, BackendMissing, BackendFailed
        If it cannot be loaded.
    """
    if (spec.kind, spec.name) in _HERE:
        return _HERE[spec.kind, spec.name]
    method: type = _load(spec.kind, spec.target)
    return method


def build(spec: Spec, method: type, options: Mapping[str, Any]) -> object:
    """Return ``method(**options)``.

    Raises
    ------
    DmcjiaError
        The constructor's own, or BackendFailed in one sentence for any other error.
    """
    try:
        return method(**options)
    except DmcjiaError:
        raise
    except (Exception, SystemExit) as error:
        raise BackendFailed(f'{spec.kind} "{spec.name}" cannot be made: {in_one_line(error)}') from error


def _of_class(kind: Kind, name: str) -> Spec:
    method = _HERE[kind, name]
    return _describe(Spec(kind, name, _of(method), "", origin=method.__module__), method)


def _of_point(kind: Kind, point: EntryPoint) -> Spec:
    spec = Spec(kind, point.name, point.value, "", origin=_distribution(point))
    why = _no_name(point.name)
    if why is None:
        try:
            method = _load(kind, point.value)
        except DmcjiaError as error:
            return replace(spec, broken=str(error))
        why = what_is_missing(kind, method)
    return _describe(spec, method) if why is None else replace(spec, broken=f'"{point.value}" is no {kind}: {why}')


def _describe(spec: Spec, method: type) -> Spec:
    own = getattr(method, "summary", None)
    doc = inspect.cleandoc(method.__doc__ or "").partition("\n")[0].rstrip(".")
    return replace(
        spec,
        summary=own if isinstance(own, str) else doc or "(it has no docstring)",
        exact=getattr(method, "exact", False) is True,
        baseline=getattr(method, "baseline", False) is True,
    )


def _points() -> dict[Kind, list[EntryPoint]]:
    found = entry_points()  # which reads what every installed package says of itself
    return {
        kind: sorted(found.select(group=group), key=lambda point: (point.name, _distribution(point)))
        for kind, group in GROUPS.items()
    }


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _load(kind: Kind, target: str) -> Any:  # noqa: ANN401 - whatever the module holds there
    home, _, attribute = target.partition(":")
    with _importing(f'{kind} "{target}"', home):
        module = _from_file(Path(home)) if home.endswith(".py") else importlib.import_module(home)
    found: Any = module
    for part in attribute.split(" ")[0].split("."):
        if not hasattr(found, part):
            there = [n for n, c in vars(module).items() if isinstance(c, type) and what_is_missing(kind, c) is None]
            hint = f"; its {kind}s are {', '.join(there)}" if there else f", and no {kind} at all"
            raise InputError(f'{kind} "{target}": {home} has no class {attribute}{hint}')
        found = getattr(found, part)
    return found


@contextmanager
def _importing(what: str, home: str) -> Iterator[None]:
    """Turn whatever an import raises into one sentence; what it prints goes to standard error."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except DmcjiaError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (home == error.name or home.startswith(f"{error.name}.")):
            raise InputError(
                f'{what}: there is no module "{error.name}"; install it, run in the folder that holds it, '
                "or name its file, as in ./file.py:Class"
            ) from None
        raise BackendMissing(
            f'{what} cannot be imported: it needs "{error.name}", which is not installed; install it'
        ) from error
    except (Exception, SystemExit) as error:
        raise BackendFailed(f"{what} cannot be imported: {in_one_line(error)}") from error


def _from_file(path: Path) -> ModuleType:
    """Import a file, under its own name where that is free, so that other processes find what is pickled."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; name one that is there, as in ./file.py:Class")
    reading(path, "the method")
    path = path.resolve()
    _make_importable(path.parent)
    if path.stem.isidentifier() and _file_of(path.stem) == str(path):
        return importlib.import_module(path.stem)
    name = f"{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: this cannot be imported as a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _file_of(module: str) -> str | None:
    """Return the file that importing a top-level module would give."""
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    spec = find_spec(module)
    return None if spec is None else spec.origin


def _make_importable(folder: Path) -> None:
    """Put a folder last on the path, where it hides no library."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _no_name(name: str) -> str | None:
    if _NAME.fullmatch(name):
        return None
    return "a name starts with a letter or digit and holds only these and . _ + -"


def _of(method: object) -> str:
    return f"{getattr(method, '__module__', '?')}:{getattr(method, '__qualname__', repr(method))}"


def a(noun: str) -> str:
    """Return a noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
