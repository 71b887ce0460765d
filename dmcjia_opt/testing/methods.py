"""How a suite gets at the method it tests, here and in two other processes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any, ClassVar

import numpy as np

from dmcjia_opt.model.problem import TABLES, Problem


class Conformance:
    """Base of the suites.

    Attributes
    ----------
    method
        The method that is tested: an object, or a class or function without arguments that makes one.
    exact
        Whether it must find the optimum; None: what the attribute `exact` of the method's class says, or False.
    """

    method: ClassVar[Any]
    exact: ClassVar[bool | None] = None
    _made: ClassVar[Any]

    @classmethod
    def make(cls) -> Any:  # noqa: ANN401 - a placer or an allocator
        """Return the method, a new one where `method` makes them."""
        method = inspect.getattr_static(cls, "method")
        if isinstance(method, staticmethod):
            method = method.__func__
        return method() if isinstance(method, type) or not hasattr(method, "supports") else method

    @classmethod
    def used(cls) -> Any:  # noqa: ANN401 - a placer or an allocator
        """Return one method for all tests of the suite."""
        if "_made" not in vars(cls):
            cls._made = cls.make()
        return cls._made

    @classmethod
    def is_exact(cls) -> bool:
        """Return whether the method must find the optimum."""
        return getattr(type(cls.used()), "exact", False) is True if cls.exact is None else cls.exact


@cache
def workers() -> ProcessPoolExecutor:
    """Return two processes that all suites share; `end_workers` ends them, or the interpreter."""
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


def end_workers() -> None:
    """End the shared processes if there are any."""
    if workers.cache_info().currsize:
        workers().shutdown()
        workers.cache_clear()


def in_two_processes(function: Callable[..., Any], *arguments: object) -> list[Any]:
    """Return what `function`, which can be pickled, returns in either of two other processes at the same time."""
    return [future.result() for future in [workers().submit(function, *arguments) for _ in range(2)]]


def contents(problem: Problem) -> dict[str, Any]:
    """Return copies of a problem's tables and vectors."""
    return {key: np.array(getattr(problem, key)) for key in TABLES}


def assert_same_contents(problem: Problem, before: dict[str, Any]) -> None:
    """Fail if a table or vector of `problem` is not what it was."""
    for key, table in before.items():
        np.testing.assert_array_equal(getattr(problem, key), table, err_msg=f"{key} was changed")


def assert_equal_if_comparable(twin: object, method: object) -> None:
    """Fail if a pickled copy differs, by the method's own idea of being equal."""
    if type(method).__eq__ is not object.__eq__:
        assert twin == method
