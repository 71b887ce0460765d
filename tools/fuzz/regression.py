"""A problem on which something failed, as a small file; and how it is made small."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent
from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.base.files import read_json, write_text
from dmcjia_opt.model.delay import DelayCurve, delay_curve
from dmcjia_opt.model.problem import TABLES, Problem
from dmcjia_opt.model.queues import OVERLAP
from dmcjia_opt.model.resources import CLOUD, Resource

#: Tables of a problem by what a file calls them.
_KEYS = {
    "local_delay": "fixed_delay",
    "cloud_time": "service",
    "arrival_rate": "arrival_rate",
    "weight": "weight",
    "least_rate": "least_rate",
    "upstream_wait": "wait",
    "n_layers": "last",
    "resource": "resource",
}
_MOST_TRIES = 150


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A problem, the invariant that it broke, and how.

    Parameters
    ----------
    problem
        As small as it could be made.
    invariant, message
        What failed.
    seed, number
        Which problem of which series it was made from.
    """

    problem: Problem
    invariant: str
    message: str
    seed: int
    number: int

    def save(self, path: Path) -> None:
        """Write the file; numbers are written so that they are read back as they are."""
        problem = self.problem
        curves = problem.use_curves
        scvs = [2.0 * curve.pieces()[0].b - 1.0 if curve.name == "mg1" else 0.0 for curve in curves]
        one = problem.n_uses == 1
        content: dict[str, Any] = {
            "format": "dmcjia-problem-1",
            "invariant": self.invariant,
            "message": self.message,
            "seed": self.seed,
            "number": self.number,
            "delay": curves[0].name if one else [curve.name for curve in curves],
            "service_scv": scvs[0] if one else scvs,
        }
        for key, name in _KEYS.items():
            table = getattr(problem, name)
            table = table[..., 0] if table.ndim == 3 and one else table
            content[key] = None if table.strides[0] == 0 else _finite(table.tolist())
        content["resources"] = (
            None if problem.resources == (CLOUD,) else [resource.name for resource in problem.resources]
        )
        write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


_Index = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Numbers = Annotated[list[float], FailFast()]
#: By node and option; where an option has several uses, a list of one entry for each.
_Menus = Annotated[list[Annotated[list[float | list[float]], FailFast()]], FailFast()]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    format: Literal["dmcjia-problem-1"]
    invariant: str
    message: str
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)]
    number: Annotated[int, Field(ge=0, le=2**63 - 1)]
    delay: str | list[str]
    service_scv: float | list[float]
    local_delay: Annotated[list[Annotated[list[float | None], FailFast()]], FailFast()]
    cloud_time: _Menus
    arrival_rate: _Numbers
    weight: _Numbers
    least_rate: list[list[float | list[float]]] | None
    upstream_wait: list[list[float]] | None
    n_layers: list[_Index] | None
    resource: list[list[_Index | list[_Index]]] | None = None
    resources: list[str] | None = None


def load_regression(path: Path) -> Regression:
    """Read a file of `Regression.save`.

    Raises
    ------
    InputError
        If it is missing, is not one, or holds no problem.
    """
    read = read_json(path, "the problem", _File)
    try:
        local = [[math.inf if value is None else value for value in row] for row in read.local_delay]
        problem = Problem(
            fixed_delay=np.array(local),
            service=np.array(read.cloud_time),
            arrival_rate=np.array(read.arrival_rate),
            weight=np.array(read.weight),
            curves=_curves(read),
            least_rate=np.array(read.least_rate or []),
            wait=np.array(read.upstream_wait or []),
            last=np.array(read.n_layers or [], dtype=np.int64),
            name="regression",
            resource=_by_use(read.resource or []),
            resources=tuple(Resource(name) for name in read.resources or ()),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except ValueError:
        raise InputError(f"{path}: a table's rows differ in length; give every node one entry an option") from None
    return Regression(problem, read.invariant, read.message, read.seed, read.number)


def _by_use(table: list[list[int | list[int]]]) -> IntArray:
    array = np.array(table, dtype=np.int64)
    return array[..., None] if array.ndim == 2 else array


def _curves(read: _File) -> tuple[DelayCurve, ...]:
    names = [read.delay] if isinstance(read.delay, str) else read.delay
    scvs = read.service_scv if isinstance(read.service_scv, list) else [read.service_scv] * len(names)
    if len(scvs) != len(names):
        raise InputError(f"service_scv has {len(scvs)} numbers; give one for each of the {len(names)} of delay")
    return tuple(
        OVERLAP if name == OVERLAP.name else delay_curve(name, scv) for name, scv in zip(names, scvs, strict=True)
    )


def shrink(problem: Problem, fails: Callable[[Problem], bool]) -> Problem:
    """Return a smaller, rounder problem that still `fails`: fewer nodes, options and uses, tables and digits."""
    tries = 0
    smaller = True
    while smaller and tries < _MOST_TRIES:
        smaller = False
        for make in _simpler(problem):
            tries += 1
            try:
                other = make()
            except DmcjiaError:
                continue
            if fails(other):
                problem, smaller = other, True
                break
            if tries >= _MOST_TRIES:
                break
    return problem


def _simpler(problem: Problem) -> Iterator[Callable[[], Problem]]:
    for axis, length in enumerate(problem.service.shape):
        for size in sorted({length // 2, 1} - {0, length}, reverse=True):
            for start in range(0, length, size):
                yield partial(_without, problem, start, size, axis)
    if problem.n_resources > 1:
        yield partial(_fewer, problem)
        for unused in range(1, problem.n_resources):
            yield partial(_with, problem, "resource", np.where(problem.resource == unused, 0, problem.resource))
    for key in ("least_rate", "wait"):
        if getattr(problem, key).strides[0] != 0:
            yield partial(_with, problem, key, absent())
    for key in ("fixed_delay", "service", "arrival_rate"):
        table = getattr(problem, key)
        rounded = np.array([float(f"{value:.1g}") for value in table.ravel()]).reshape(table.shape)
        if not np.array_equal(rounded, table):
            yield partial(_with, problem, key, rounded)


def _with(problem: Problem, key: str, table: FloatArray | IntArray) -> Problem:
    changed: dict[str, Any] = {key: table}
    return replace(problem, **changed)


def _without(problem: Problem, start: int, size: int, axis: int) -> Problem:
    gone = slice(start, start + size)
    tables: dict[str, Any] = {"last": np.empty(0, dtype=np.int64)}
    for key in set(TABLES) - set(tables):
        table = getattr(problem, key)
        tables[key] = table if table.ndim <= axis else np.delete(table, gone, axis)
    tables["weight"] = tables["weight"] / tables["weight"].sum()
    if axis == 2:
        tables["curves"] = tuple(curve for k, curve in enumerate(problem.use_curves) if not start <= k < start + size)
    return replace(problem, **tables, uplinks=None)


def _fewer(problem: Problem) -> Problem:
    """Return a problem without the resources that nothing uses."""
    used, index = np.unique(problem.resource, return_inverse=True)
    if len(used) == problem.n_resources:
        raise InputError("every resource is used")
    names = tuple(problem.resources[r] for r in used)
    return replace(problem, resource=index.reshape(problem.resource.shape), resources=names)


def _finite(values: Any) -> Any:  # noqa: ANN401  nested lists of numbers
    if isinstance(values, list):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and math.isinf(values) else values
