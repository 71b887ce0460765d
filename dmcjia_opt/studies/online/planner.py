"""Plans for speeds of links, each begun at the last one; and one plan for all that a trace holds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Stop
from dmcjia_opt.solving.registry import build_allocator, build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.studies.online.conditions import Conditions

_SAME = "service", "wait", "arrival_rate"


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A plan, and what is proved where it was made.

    Parameters
    ----------
    options, shares
        (n_nodes,) and (n_nodes, n_uses).
    lower_bound
        Of every plan at those speeds, s.
    speeds
        (n_names,) the speeds it is for, Mbit/s; of one for a whole trace, their harmonic means.
    seconds
        How long it took to make.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.studies.online.conditions import Conditions, links_of
    >>> from dmcjia_opt.studies.online.planner import Planner
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> trace = links_of("markov:10", scenario)
    >>> Planner(Conditions(scenario, trace)).at(trace.values[0]).options
    array([0, 0, 0])
    """

    options: IntArray
    shares: FloatArray
    lower_bound: float
    speeds: FloatArray
    seconds: float

    __repr__ = brief


@dataclass
class Planner:
    """What makes plans for speeds of links.

    Parameters
    ----------
    conditions
        The fleet, and what changes.
    placer, allocator
        How it plans.
    stop
        The budget of each plan.
    known
        Plans that there are already, by the bytes of their speeds.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.studies.online.conditions import Conditions, links_of
    >>> from dmcjia_opt.studies.online.planner import Planner
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> trace = links_of("markov:10", scenario)
    >>> round(Planner(Conditions(scenario, trace)).at(trace.values[0]).lower_bound, 3)
    0.338
    """

    conditions: Conditions
    placer: Placer = field(default_factory=lambda: build_placer("exact"))
    allocator: Allocator = field(default_factory=lambda: build_allocator("waterfilling"))
    stop: Stop = field(default_factory=Stop)
    known: Mapping[bytes, Planned | None] = field(default_factory=dict)
    _near: FloatArray | None = field(default=None, init=False)

    __repr__ = brief

    def at(self, speeds: FloatArray) -> Planned | None:
        """Return a plan for speeds (n_names,), Mbit/s; None if there is none."""
        key = speeds.tobytes()
        return self.known[key] if key in self.known else self.of(self.conditions.problem(speeds), speeds)

    def of(self, problem: Problem, speeds: FloatArray) -> Planned | None:
        """Return a plan of a problem that is for some speeds."""
        started = time.perf_counter()
        dual = BestPrice(problem, self._near)
        found = place(self.placer, problem, self.allocator, stop=self.stop, dual=dual)
        if found.shares is None:
            return None
        self._near = dual.point.prices
        return Planned(found.options, found.shares, found.lower_bound, speeds, time.perf_counter() - started)

    def for_all(self, speeds: FloatArray, weight: Sequence[float] | FloatArray) -> Planned | None:
        """Return the plan whose mean delay over several speeds (n_states, n_names) is least.

        A node's fixed delay becomes its mean; what is shared is the same in all of them.

        Raises
        ------
        InputError
            If more changes than that.
        """
        part = np.asarray(weight, dtype=np.float64) / np.sum(weight)
        mean: FloatArray | None = None
        base: Problem | None = None
        for row, w in zip(speeds, part.tolist(), strict=True):
            problem = self.conditions.problem(row)
            base = base or problem
            if not all(np.array_equal(getattr(problem, key), getattr(base, key)) for key in _SAME):
                raise InputError(
                    "one plan for all speeds is made where only nodes' own uplinks change, and not what is shared or "
                    'waited before; leave robust out, or write uplink = "delay"'
                )
            mean = w * problem.fixed_delay if mean is None else mean + w * problem.fixed_delay
        if base is None or mean is None:
            raise InputError("one plan for all speeds needs some")
        return self.of(replace(base, fixed_delay=mean, uplinks=None), 1.0 / (part @ (1.0 / speeds)))
