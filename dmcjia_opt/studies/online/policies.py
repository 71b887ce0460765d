"""When to plan again, and for which speeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.studies.online.planner import Planned, Planner
from dmcjia_opt.studies.online.traces import LinkTrace

#: Speeds (n_names,) to expect next, Mbit/s, from those of the steps so far (n_steps, n_names), at least one.
Forecast: TypeAlias = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Now:
    """What a policy knows when a step begins.

    Parameters
    ----------
    step, seconds
        Which step it is, and when it begins.
    forecast
        (n_names,) what is expected of it, Mbit/s.
    current, since
        The plan so far, None at the start; and for how many seconds it has been in use.
    trace
        All of it, for those that look ahead.
    planner
        What makes plans.

    Examples
    --------
    >>> from dmcjia_opt import generate, replay
    >>> class EverySecond:
    ...     name = "every second"
    ...     def plan(self, now):
    ...         if now.current and now.seconds - now.since < 1:
    ...             return None
    ...         return now.planner.at(now.forecast)
    ...
    >>> [run.policy for run in replay(generate("paper", nodes=3, seed=1), "markov:5", [EverySecond()]).runs]
    ['every second']
    """

    step: int
    seconds: float
    forecast: FloatArray
    current: Planned | None
    since: float
    trace: LinkTrace
    planner: Planner

    __repr__ = brief


class Policy(Protocol):
    """Says at every step whether there is another plan.

    Examples
    --------
    >>> from dmcjia_opt import generate, replay
    >>> class Once:
    ...     name = "once"
    ...     def plan(self, now):
    ...         return None if now.current else now.planner.at(now.forecast)
    ...
    >>> [run.policy for run in replay(generate("paper", nodes=3, seed=1), "markov:5", [Once()]).runs]
    ['once']
    """

    @property
    def name(self) -> str:
        """What it is called in results."""
        ...

    def plan(self, now: Now) -> Planned | None:
        """Return another plan, or None to keep the one there is."""
        ...


@dataclass(frozen=True, slots=True)
class Static:
    """One plan for one speed of each link: the mean of the trace, its harmonic mean or a quantile of it.

    Parameters
    ----------
    of
        ``"mean"``, ``"harmonic"`` or a quantile in [0, 1].
    """

    of: str | float = "mean"

    @property
    def name(self) -> str:
        """``static`` and what it plans for."""
        return "static" if self.of == "mean" else f"static:{self.of}"

    def plan(self, now: Now) -> Planned | None:
        """Return a plan at the first step."""
        if now.step:
            return None
        part, mbps = now.trace.spans / now.trace.end, now.trace.values
        if self.of == "mean":
            return now.planner.at(part @ mbps)
        if self.of == "harmonic":
            return now.planner.at(1.0 / (part @ (1.0 / mbps)))
        return now.planner.at(_quantile(mbps, part, float(self.of)))


@dataclass(frozen=True, slots=True)
class Robust:
    """One plan whose mean delay over all speeds of the trace is least, or over those up to a quantile of the time.

    Parameters
    ----------
    quantile
        In (0, 1]: which part of the time counts, the slowest.
    """

    quantile: float = 1.0

    @property
    def name(self) -> str:
        """``robust`` and its quantile."""
        return "robust" if self.quantile == 1.0 else f"robust:{self.quantile:g}"

    def plan(self, now: Now) -> Planned | None:
        """Return a plan at the first step."""
        if now.step:
            return None
        spans, mbps = now.trace.spans, now.trace.values
        order = np.argsort(np.log(mbps).mean(axis=1), kind="stable")
        few = order[: max(int(np.searchsorted(np.cumsum(spans[order]), self.quantile * spans.sum())) + 1, 1)]
        return now.planner.for_all(mbps[few], spans[few])


@dataclass(frozen=True, slots=True)
class Periodic:
    """A plan every so many seconds, for what is expected next.

    Parameters
    ----------
    seconds
        Between two plans, > 0.
    """

    seconds: float

    @property
    def name(self) -> str:
        """``periodic`` and its seconds."""
        return f"periodic:{self.seconds:g}"

    def plan(self, now: Now) -> Planned | None:
        """Return a plan when it is time."""
        early = now.current is not None and now.since < self.seconds * (1.0 - 1e-9)
        return None if early else now.planner.at(now.forecast)


@dataclass(frozen=True, slots=True)
class Change:
    """A plan whenever some link is expected to differ from what was planned for, by more than a part of that.

    Parameters
    ----------
    fraction
        That part, ≥ 0; small changes around the planned speed change nothing.
    """

    fraction: float

    @property
    def name(self) -> str:
        """``change`` and its fraction."""
        return f"change:{self.fraction:g}"

    def plan(self, now: Now) -> Planned | None:
        """Return a plan when something has changed."""
        if now.current is not None:
            ratio = now.forecast / now.current.speeds
            if not (np.abs(ratio - 1.0) > self.fraction).any():
                return None
        return now.planner.at(now.forecast)


@dataclass(frozen=True, slots=True)
class Oracle:
    """The best plan of every step, whose speeds it knows; nothing is faster."""

    name: ClassVar[str] = "oracle"

    def plan(self, now: Now) -> Planned | None:
        """Return the plan of this step."""
        return now.planner.at(now.trace.values[now.step])


def last(seen: FloatArray) -> FloatArray:
    """Expect what was there last."""
    return np.asarray(seen[-1])


def smoothed(alpha: float) -> Forecast:
    """Return a forecast by exponential smoothing: each step counts `alpha`, and what was expected before the rest."""

    def forecast(seen: FloatArray) -> FloatArray:
        few = seen[-min(len(seen), int(np.ceil(40.0 / alpha))) :]
        weight = (1.0 - alpha) ** np.arange(len(few))[::-1]
        return np.asarray(weight @ few / weight.sum())

    return forecast


def build_forecast(name: str) -> Forecast:
    """Return the forecast that ``last`` or ``smooth:ALPHA`` describes.

    Raises
    ------
    InputError
        If there is no such forecast.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt.studies.online.policies import build_forecast
    >>> build_forecast("last")(np.array([[25.0], [5.0]]))
    array([5.])
    """
    if name == "last":
        return last
    kind, _, value = name.partition(":")
    if kind == "smooth":
        return smoothed(_number(name, value, 0.0, 1.0, "forecast", zero=False))
    raise InputError(
        f'forecast "{name}" is unknown{did_you_mean(kind, ("last", "smooth"))}; choose last or smooth:ALPHA'
    )


def build_policy(name: str) -> Policy:
    """Return the policy that a name describes: ``static``, ``change:0.3`` and so on.

    Raises
    ------
    InputError
        If there is no such policy, or its number is malformed.

    Examples
    --------
    >>> from dmcjia_opt.studies.online.policies import build_policy
    >>> build_policy("change:0.3").name
    'change:0.3'
    """
    kind, _, value = name.partition(":")
    if kind == "static":
        if value in ("", "mean", "harmonic"):
            return Static(value or "mean")
        return Static(_number(name, value, 0.0, 1.0))
    if kind == "robust":
        return Robust(_number(name, value, 0.0, 1.0, zero=False) if value else 1.0)
    if kind == "periodic":
        return Periodic(_number(name, value, 0.0, 1e9, zero=False))
    if kind == "change":
        return Change(_number(name, value, 0.0, 1e9))
    if kind == "oracle" and not value:
        return Oracle()
    known = ("static", "periodic", "change", "oracle", "robust")
    raise InputError(
        f'policy "{name}" is unknown{did_you_mean(kind, known)}; choose static[:mean|harmonic|QUANTILE], '
        "periodic:SECONDS, change:FRACTION, robust[:QUANTILE] or oracle"
    )


def _number(name: str, value: str, low: float, high: float, what: str = "policy", *, zero: bool = True) -> float:
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not (low <= number <= high) or (not zero and number == 0.0):
        raise InputError(f'{what} "{name}" needs a number {"from" if zero else "above"} {low:g} to {high:g} behind ":"')
    return number


def _quantile(mbps: FloatArray, part: FloatArray, quantile: float) -> FloatArray:
    """Return the speeds (n_names,) that are not reached for that part of the time."""
    order = np.argsort(mbps, axis=0, kind="stable")
    time_below = np.cumsum(part[order], axis=0)
    row = np.minimum((time_below < quantile * (1.0 - 1e-12)).sum(axis=0), len(mbps) - 1)
    columns = np.arange(mbps.shape[1])
    return np.asarray(mbps[order[row, columns], columns])
