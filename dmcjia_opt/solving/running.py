"""Methods of others under supervision: whatever they do, the budget is kept, the count is ours and errors are named.

A placer gets, in the place of the allocator, a `Meter` that counts distinct plans, looks at the time and remembers
the best plan; it closes when the budget is spent. What a plug-in returns is looked at before it is used, and whatever
it raises is one sentence that names it. Methods of this package run without any of this.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, frozen_int, over_uses
from dmcjia_opt.base.errors import BackendFailed, InputError, in_one_line
from dmcjia_opt.bounds.certificate import judge, overload_of
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Allocator, Callback, Placement, Placer, Status, Stop, TracePoint
from dmcjia_opt.solving.meter import Ended, Meter, alarm, latest
from dmcjia_opt.solving.plugins import what_is_missing
from dmcjia_opt.solving.search import BudgetSpent

_OURS = ("dmcjia_opt.methods.",)
_NOTHING = object()
_CLAIMS_A_PLAN = (Status.OPTIMAL, Status.FEASIBLE)


def is_ours(method: object) -> bool:
    """Return whether a method's class is one of this package's, and runs no code of others.

    An adapter of ours that does run such code says so with ``supervised = True`` in its class.
    """
    kind = type(method)
    home = sys.modules.get(kind.__module__)
    ours = kind.__module__.startswith(_OURS) and getattr(home, kind.__qualname__, None) is kind
    return ours and not getattr(kind, "supervised", False)


def guarded_placer(method: Placer, name: str, nodes: Sequence[str]) -> Placer:
    """Return the placer itself if it is ours, or one that supervises it.

    Parameters
    ----------
    method, name
        The placer, and what messages call it.
    nodes
        (n_nodes,) names of the nodes, for messages.

    Raises
    ------
    InputError
        If it is no placer.
    """
    if is_ours(method):
        return method
    _refuse_strangers(f'placer "{name}"', what_is_missing("placer", type(method)), method)
    return SupervisedPlacer(method, name, nodes)


def guarded_allocator(method: Allocator, name: str) -> Allocator:
    """Return the allocator itself if it is ours, or one that checks its answers (see `guarded_placer`)."""
    if is_ours(method):
        return method
    _refuse_strangers(f'allocator "{name}"', what_is_missing("allocator", type(method)), method)
    return CheckedAllocator(method, name)


def _refuse_strangers(who: str, missing: str | None, method: object) -> None:
    if isinstance(method, type):
        raise InputError(f"{who} is a class; hand over an object of it, {method.__name__}()")
    if missing:
        raise InputError(f"{who} cannot be used: {missing}")


class CheckedAllocator:
    """Another's allocator: it gets splits it cannot change, and its answer is looked at.

    Parameters
    ----------
    inner, name
        The allocator, and what messages call it.
    """

    def __init__(self, inner: Allocator, name: str) -> None:
        self.inner = inner
        self.who = f'allocator "{name}"'

    def supports(self, problem: Problem) -> str | None:
        """Return what the allocator says, if that is None or a sentence."""
        return _refusal(self.inner.supports, problem, self.who)

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        """Return the allocator's shares, once it is known that they are some.

        Raises
        ------
        BackendFailed
            If the allocator fails, or returns something else than one row of shares, price and status a plan, or
            shares that break a constraint for a plan that it calls optimal or feasible.
        """
        with _blaming(self.who):
            given = self.inner.allocate(problem, frozen_int(splits))
        if not isinstance(given, Allocation):
            raise BackendFailed(f"{self.who} returned {_a(given)} instead of an Allocation")
        n = len(splits)
        shares = _numbers(given.shares, f"{self.who} returned shares", (*splits.shape, problem.n_uses))
        prices = _numbers(given.prices, f"{self.who} returned prices", (n, problem.n_resources))
        codes = _numbers(given.status, f"{self.who} returned statuses", (n,))
        if not np.isin(codes, list(Status)).all():
            raise BackendFailed(f"{self.who} returned a status that is none; use {', '.join(s.name for s in Status)}")
        status = codes.astype(np.int8)
        claimed = np.flatnonzero(np.isin(status, _CLAIMS_A_PLAN) & (problem.overload(splits) == 0))
        broken = claimed[~problem.residuals(splits[claimed], shares[claimed]).feasible]
        if broken.size:
            row = int(broken[0])
            raise BackendFailed(
                f"{self.who} calls shares {Status(status[row])} that are none: "
                f"{judge(problem, splits[row], shares[row]).violation}"
            )
        return Allocation(shares, prices, status)


class SupervisedPlacer:
    """Another's placer, held to its budget.

    Parameters
    ----------
    inner, name
        The placer, and what messages call it.
    nodes
        (n_nodes,) names of the nodes, for messages.
    """

    def __init__(self, inner: Placer, name: str, nodes: Sequence[str]) -> None:
        self.inner = inner
        self.who = f'placer "{name}"'
        self.nodes = nodes

    def supports(self, problem: Problem) -> str | None:
        """Return what the placer says, if that is None or a sentence."""
        return _refusal(self.inner.supports, problem, self.who)

    def place(
        self,
        problem: Problem,
        allocator: Allocator,
        *,
        stop: Stop,
        rng: np.random.Generator,
        callback: Callback | None = None,
    ) -> Placement:
        """Return the placer's plan with our count and trace, or the best it met where it had to be stopped.

        Raises
        ------
        BackendFailed
            If the placer fails, returns something else than a plan, or overran its time without having met one.
        """
        meter = Meter(self.who, problem, allocator, stop, callback)
        returned: object = _NOTHING
        notes: list[str] = []
        try:
            with alarm(stop.seconds, meter):
                returned = self.inner.place(
                    problem, meter, stop=stop, rng=rng, callback=None if callback is None else _unheard
                )
        except KeyboardInterrupt:
            if meter.evaluation.splits is None:
                raise
            notes.append(f"{self.who} was interrupted")
        except BaseException as error:
            chain = list(_chain(error))
            if meter.fault is not None and any(cause is meter.fault for cause in chain):
                raise meter.fault from None
            if returned is _NOTHING and not any(isinstance(cause, BudgetSpent | Ended) for cause in chain):
                raise _failure(self.who, error) from error
        finally:
            meter.close()
        seconds = meter.evaluation.seconds
        late = stop.seconds is not None and seconds > latest(stop.seconds)
        if meter.reason:
            notes.append(f"{self.who} {meter.reason}")
        elif late:
            verb = "was ended" if returned is _NOTHING else "returned"
            notes.append(f"{self.who} {verb} after {seconds:.3g} s of a limit of {stop.seconds:g} s")
        if returned is not _NOTHING:
            return self._proper(problem, allocator, returned, meter, notes)
        if meter.evaluation.evaluations == 0:
            raise BackendFailed(f"{notes[0] if notes else self.who + ' ended'} without having had one plan evaluated")
        return replace(meter.evaluation.placement(Status.LIMIT), notes=tuple(notes))

    def _proper(
        self, problem: Problem, allocator: Allocator, returned: object, meter: Meter, notes: list[str]
    ) -> Placement:
        """Return the placer's plan if it is one, with the count, the trace and the best plan that are ours."""
        if not isinstance(returned, Placement):
            raise BackendFailed(f"{self.who} returned {_a(returned)} instead of a Placement")
        best = meter.evaluation
        try:
            splits = problem.check_splits(np.asarray(returned.splits))
            status = Status(returned.status)
        except (InputError, ValueError, TypeError) as error:
            raise BackendFailed(f"{self.who} returned a plan that is none: {error}") from None
        if splits.shape != (problem.n_nodes,):
            raise BackendFailed(f"{self.who} returned splits of shape {splits.shape} for {problem.n_nodes} nodes")
        splits, shares, price = frozen_int(splits), None, np.nan
        if returned.shares is not None:
            shares = _numbers(returned.shares, f"{self.who} returned shares", splits.shape)
        elif best.splits is not None and np.array_equal(best.splits, splits):
            shares, price = best.shares, best.price
        elif problem.overload(splits) == 0:
            answer = allocator.allocate(problem, splits[None])
            if np.isfinite(answer.shares).all():
                shares, price = over_uses(answer.shares[0]), float(answer.prices[0, 0])
        verdict = None if shares is None else judge(problem, splits, shares, self.nodes)
        broken = overload_of(problem, splits, self.nodes) if verdict is None else verdict.violation
        if broken and (status in _CLAIMS_A_PLAN or (shares is not None and status != Status.INFEASIBLE)):
            raise BackendFailed(f"{self.who} returned a plan that is none: {broken}")
        value = np.inf if verdict is None else verdict.objective
        if meter.stopped and best.objective < value:
            return replace(best.placement(Status.LIMIT), notes=tuple(notes))
        if best.objective < value * (1 - 1e-9) and value < np.inf:
            notes.append(f"{self.who} returned a plan of {value:.6g} s after one of {best.objective:.6g} s")
        if isinstance(returned.price, int | float | np.number) and np.isfinite(returned.price):
            price = float(returned.price)
        trace = tuple(best.trace)
        return Placement(
            splits, shares, status=status, trace=trace, evaluations=best.evaluations, price=price, notes=tuple(notes)
        )


@contextmanager
def unchanged(problem: Problem, *methods: tuple[object, str]) -> Iterator[None]:
    """Look whether the problem is the same afterwards, where a method is not ours.

    Parameters
    ----------
    problem
        What the methods are given.
    methods
        The methods that get it, and what messages call them.

    Raises
    ------
    BackendFailed
        If one of them changed it.
    """
    others = [who for method, who in methods if not is_ours(method)]
    before = _digest(problem) if others else None
    yield
    if others and _digest(problem) != before:
        raise BackendFailed(
            f"{' or '.join(others)} changed the problem it was given, so that no result can be trusted; "
            "it should change copies of the tables"
        )


def _digest(value: object) -> object:
    if isinstance(value, np.ndarray):
        rows = value[:1] if value.ndim > 1 and value.strides[0] == 0 else value  # one row that stands for all
        return value.shape, zlib.crc32(np.ascontiguousarray(rows).data)
    if is_dataclass(value):
        return tuple(_digest(getattr(value, field.name)) for field in fields(value))
    return value


@contextmanager
def _blaming(who: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    except Ended:
        raise
    except BaseException as error:
        raise _failure(who, error) from error


def _failure(who: str, error: BaseException) -> BackendFailed:
    text = str(error)
    if isinstance(error, FrozenInstanceError) or (
        isinstance(error, ValueError) and ("read-only" in text or "WRITEABLE" in text)
    ):
        return BackendFailed(
            f"{who} tried to change what it was given; splits and the problem are read-only, it should change copies "
            f"({in_one_line(error)})"
        )
    return BackendFailed(f"{who} failed: {in_one_line(error)}")


def _refusal(supports: Callable[[Problem], str | None], problem: Problem, who: str) -> str | None:
    with _blaming(who):
        why = supports(problem)
    if why is None or (isinstance(why, str) and why.strip()):
        return why
    raise BackendFailed(f"{who} answered supports() with {why!r}; it must be None, or a sentence that says why not")


def _numbers(values: object, what: str, shape: tuple[int, ...]) -> FloatArray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"numbers of type {array.dtype}")
    except (ValueError, TypeError) as error:
        raise BackendFailed(f"{what} that are no array of real numbers: {error}") from None
    if array.shape != shape:
        raise BackendFailed(f"{what} of shape {array.shape}; it must be {shape}")
    return array.astype(np.float64, copy=False)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _unheard(point: TracePoint) -> None:
    """Take the place of the caller's callback, which follows our own trace instead."""


def _a(thing: object) -> str:
    kind = type(thing).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
