"""A base for solvers that take one plan at a time: it loops, and it checks what they claim.

A backend sees one plan's normal form with the floors taken out, v = floor + r·y with r = 1 − Σ t·floor, and the
objective divided by its value M at y = 1, which is always feasible:

    minimise Σ weight/(slope·y + rest), over one or two terms    subject to   Σ t·y ≤ 1,  y ≥ 0,

slope + rest = 1, Σ t = 1 and, without a wait, Σ weight = 1. Its multiplier is r/M times that of the normal form. A
node of a tandem costs the largest of its *parts*, each a combination of its terms less a constant.

With several resources a plan is one program all the same: every use has a y and every resource a budget, in which Σ t
is 1 as well. Of several stages of one tandem at most one is waited for, so that together they cost the largest of:
the last part of each, and that with one of them replaced by another of its parts.

Backends meet constraints up to their tolerances only, so an answer is first moved into the feasible set; then weak
duality at the backend's own multiplier says how far from optimal it can be, and a claim of optimality must pass that.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.jointly import Uses, is_optimal
from dmcjia_opt.methods.allocators.normal_form import NormalForm, normal_form
from dmcjia_opt.model.delay import TandemCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, Piece
from dmcjia_opt.solving.contract import Allocation, Status
from dmcjia_opt.solving.reserving import of_what_is_reserved

#: Relative duality gap above which an answer that claims to be optimal is called inaccurate.
CLAIM_TOLERANCE = 1e-8
_MODELS_KEPT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """Σ weight/(slope·y + rest) over the nodes with cloud work.

    Parameters
    ----------
    weight, slope, rest
        (n_busy,) dimensionless and ≥ 0; ``slope + rest = 1``, so the term is Σ weight at y = 1.
    """

    weight: FloatArray
    slope: FloatArray
    rest: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One piece of what a node costs: Σ factor·term − relief.

    Parameters
    ----------
    factors
        One for each term, ≥ 0.
    relief
        (n_busy,) dimensionless and ≥ 0.
    """

    factors: tuple[float, ...]
    relief: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class OnePlan:
    """The inner problem of one plan, of what is used only.

    Parameters
    ----------
    t
        (n_busy,) coefficients of the budgets, > 0; they sum to 1 in each.
    terms
        The queue's b-term first, then the a-term unless a = 0.
    parts
        Parts of which a use costs the largest; none where it costs the sum of its terms.
    rows
        (n_busy,) which budget each use is part of; all of one when left out.
    n_tandems, n_stages
        The first ``n_tandems·n_stages`` uses are the stages of so many tandems, one tandem after the other.
    """

    t: FloatArray
    terms: tuple[Term, ...]
    parts: tuple[Part, ...] = ()
    rows: IntArray | None = None
    n_tandems: int = 0
    n_stages: int = 1

    @property
    def budgets(self) -> FloatArray:
        """(n_budgets, n_busy) the coefficients of all budgets."""
        if self.rows is None:
            return self.t[None]
        matrix = np.zeros((int(self.rows.max()) + 1, len(self.t)))
        matrix[self.rows, np.arange(len(self.t))] = self.t
        return matrix

    @property
    def shared(self) -> tuple[int, ...]:
        """What the shape of a model with several resources depends on besides: budgets, tandems and their stages."""
        return () if self.rows is None else (int(self.rows.max()) + 1, self.n_tandems, self.n_stages)

    @property
    def factors(self) -> tuple[tuple[float, ...], ...]:
        """The factors of every part."""
        return tuple(part.factors for part in self.parts)

    @property
    def has_floor(self) -> bool:
        """Whether y ≥ 0 must be stated: without a floor the b-term's pole keeps y positive."""
        return bool(self.terms[0].rest.any())


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a backend says of one plan.

    Parameters
    ----------
    y
        (n_busy,) the solution.
    multiplier
        Of the budget Σ t·y ≤ 1, ≥ 0 at a solution; (n_budgets,) where there are several.
    status
        Its claim.
    """

    y: FloatArray
    multiplier: float | FloatArray
    status: Status


class Models(threading.local):
    """The solver models that `build` made, one for each shape and thread, the last 64 kept.

    Models of cvxpy and Pyomo can neither be shared between threads nor sent to another process: pickled, this is
    empty again.

    Parameters
    ----------
    build
        A function of module level, so that it can be pickled; its arguments are the shape.
    """

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build
        self.get = lru_cache(maxsize=_MODELS_KEPT)(build)

    def __reduce__(self) -> tuple[type[Models], tuple[Callable[..., Any]]]:
        return type(self), (self.build,)


class OneByOne(ABC):
    """An allocator that solves each plan on its own; a failure costs one row of the batch."""

    __slots__ = ()

    @abstractmethod
    def supports(self, problem: Problem) -> str | None:
        """Return None, or a sentence that says why this method cannot take `problem`."""

    @abstractmethod
    def solve_one(self, plan: OnePlan) -> Answer | None:
        """Return the backend's answer, or None if it has none."""

    @of_what_is_reserved
    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return shares and prices for `options` (n_plans, n_nodes).

        Raises
        ------
        InputError
            If `supports` refuses the problem.
        BackendMissing
            If the backend is not installed.
        """
        if (reason := self.supports(problem)) is not None:
            raise InputError(reason)
        if not problem.single:
            return self._all_resources(problem, options)
        form = normal_form(problem, options)
        v = np.ones_like(form.t)
        kappa = np.full(len(v), np.nan)
        status = form.status.copy()
        for row in np.flatnonzero(form.solvable):
            busy = form.t[row] > 0
            v[row, busy], kappa[row], status[row] = self._solve_row(form, int(row), busy)
        return form.allocation(v, kappa, status)

    def _solve_row(self, form: NormalForm, row: int, busy: BoolArray) -> tuple[FloatArray, float, Status]:
        curve, t, rho = form.curve, form.t[row, busy], form.rho[row, busy]
        floor, wait = form.floor[row, busy], form.wait[row, busy]
        scv = form.scv if isinstance(form.scv, float) else form.scv[row, busy]
        waits = np.broadcast_to(curve.waits(scv), t.shape)
        room = 1.0 - float(t @ floor)
        if room <= len(t) * EPS:
            if not floor[waits].all():
                return floor, np.nan, Status.FAILED
            return floor, float(curve.marginal(floor, rho, wait, scv).max()), Status.OPTIMAL
        level = float(t @ curve.delay(room + floor, rho, wait, scv))
        answer = self.solve_one(_one_plan(curve.pieces(scv), t, rho, wait, floor, room, level))
        if answer is None or not np.isfinite(answer.y).all():
            return floor, np.nan, Status.FAILED
        y = np.maximum(answer.y, 0.0)
        v = floor + room * (y / max(float(t @ y), 1.0))
        if not (v[waits] > 0).all():
            return floor, np.nan, Status.FAILED
        kappa = float(answer.multiplier) * level / room
        if not (np.isfinite(kappa) and kappa > 0):
            return v, np.nan, Status.INACCURATE
        value = float(t @ curve.delay(v, rho, wait, scv))
        best = np.maximum(curve.excess_at(np.asarray(kappa), rho, wait, scv), floor)
        bound = float(t @ (curve.delay(best, rho, wait, scv) + kappa * best)) - kappa
        proved = value - bound <= CLAIM_TOLERANCE * value
        claim = answer.status
        return v, kappa, Status.INACCURATE if claim == Status.OPTIMAL and not proved else claim

    def _all_resources(self, problem: Problem, options: IntArray) -> Allocation:
        shares = np.full((*options.shape, problem.n_uses), np.nan)
        prices = np.full((len(options), problem.n_resources), np.nan)
        status = np.full(len(options), Status.INFEASIBLE, dtype=np.int8)
        for row in np.flatnonzero(problem.overload(options) == 0):
            program = _Program.of(Uses.of(problem, options[row]))
            answer = None if program.plan is None else self.solve_one(program.plan)
            shares[row], prices[row], status[row] = program.judged(answer)
        return Allocation(shares, prices, status)


@dataclass(frozen=True, slots=True, eq=False)
class _Program:
    """One plan with several resources as a backend sees it.

    Parameters
    ----------
    uses
        What it uses.
    plan
        For the backend; None where there is nothing to decide.
    index
        Node and use of each entry of the plan, (n_busy,).
    least
        (n_nodes, n_uses) shares that leave no choice: the floors.
    unit
        (n_nodes, n_uses) share for each unit of y.
    open
        (n_resources,) which resources have a choice left, in the order of their budgets.
    level
        The objective at y = 1, s.
    """

    uses: Uses
    plan: OnePlan | None
    index: tuple[IntArray, IntArray]
    least: FloatArray
    unit: FloatArray
    open: BoolArray
    level: float

    @classmethod
    def of(cls, uses: Uses) -> _Program:
        problem, s = uses.problem, uses.s
        busy = s > 0
        least, root = uses.least(), np.sqrt(problem.weight[:, None] * s)
        total, spare = uses.total(root), 1.0 - uses.total(least)
        opened = uses.used & (spare > len(s) * EPS * uses.surplus)
        t = np.where(busy, root / np.where(uses.used, total, 1.0)[uses.resource], 0.0)
        unit = np.where(opened, spare, 0.0)[uses.resource] * t
        level = float(problem.weight @ problem.use_delay(uses.options, least + unit).sum(-1))
        if not (opened.any() and np.isfinite(level)):
            return cls(uses, None, (_NONE, _NONE), least, unit, opened, level)
        stages = [k for k, curve in enumerate(problem.use_curves) if isinstance(curve, TandemCurve) and problem.coupled]
        tandems = np.flatnonzero(busy[:, stages].any(axis=1))
        single = busy.copy()
        single[:, stages] = False
        alone = np.nonzero(single)
        node = np.concatenate([np.repeat(tandems, len(stages)), alone[0]])
        use = np.concatenate([np.tile(np.array(stages, dtype=np.int64), len(tandems)), alone[1]])
        at = node, use
        # stages that are not used and those without a choice have a budget of their own
        fixed = unit[at] == 0.0
        rows = np.where(fixed, opened.sum(), (np.cumsum(opened) - 1)[uses.resource[at]])
        coefficients = np.where(fixed, 1.0 / max(int(fixed.sum()), 1), t[at])
        terms, parts = _terms(uses, at, least, unit, level)
        plan = OnePlan(coefficients, terms, parts, rows, len(tandems), len(stages))
        return cls(uses, plan, at, least, unit, opened, level)

    def judged(self, answer: Answer | None) -> tuple[FloatArray, FloatArray, Status]:
        """Return shares (n_nodes, n_uses) and prices (n_resources,), and what an answer may be called."""
        uses, none = self.uses, np.full(len(self.open), np.nan)
        shares, prices, claim = self.least.copy(), self._floor_prices(), Status.OPTIMAL
        if self.plan is not None:
            if answer is None or not np.isfinite(answer.y).all():
                return np.full_like(shares, np.nan), none, Status.FAILED
            shares[self.index] += self.unit[self.index] * np.maximum(answer.y, 0.0)
            multipliers = np.atleast_1d(answer.multiplier)[: self.open.sum()]
            spare = (1.0 - uses.total(self.least))[self.open]
            prices[self.open] = multipliers * self.level / spare
            claim = answer.status
        shares = uses.on_budget(shares)
        if not uses.stable(shares):
            return np.full_like(shares, np.nan), none, Status.FAILED
        if not (np.isfinite(prices).all() and (prices[uses.used] > 0).all()):
            return shares, none, Status.INACCURATE
        proved = is_optimal(uses, shares, prices, CLAIM_TOLERANCE)
        return shares, prices, Status.INACCURATE if claim == Status.OPTIMAL and not proved else claim

    def _floor_prices(self) -> FloatArray:
        """Return the least prices (n_resources,) at which everybody stays at the floor; 0 of what is not used."""
        uses, prices = self.uses, np.zeros(len(self.open))
        rate, weight = uses.problem.arrival_rate, uses.problem.weight
        for k, curve in enumerate(uses.problem.use_curves):
            on = uses.s[:, k] > 0
            s, excess = uses.s[on, k], np.maximum(uses.floor[on, k], 0.0)
            steepest = MD1 if isinstance(curve, TandemCurve) else curve
            with np.errstate(divide="ignore"):
                saved = weight[on] * steepest.marginal(excess, rate[on]) / s
            np.maximum.at(prices, uses.resource[on, k], saved)
        return prices


_NONE = np.empty(0, dtype=np.int64)


def _terms(
    uses: Uses, at: tuple[IntArray, IntArray], least: FloatArray, unit: FloatArray, level: float
) -> tuple[tuple[Term, ...], tuple[Part, ...]]:
    """Return the terms of the entries `at`, and their parts where there are tandems.

    Where tasks overlap the only term stands where that with the pole of queues does.
    """
    node, use = at
    s, curves = uses.s[at], [uses.problem.use_curves[k] for k in range(uses.problem.n_uses)]
    weight, used = uses.problem.weight[node], s > 0
    scv, n = uses.problem.gaps(), len(uses.s)
    waits, share, spare = (
        np.stack([np.broadcast_to(one, n) for one in each], axis=-1)[at]
        for each in zip(*((c.waits(scv), c.pieces(scv)[0].a, c.pieces(scv)[0].b) for c in curves), strict=True)
    )
    a, b = np.where(waits, share, 0.0), np.where(waits, spare, 1.0)
    terms = []
    for coefficient, lowest in ((b, np.where(waits, least[at] - uses.load[at], least[at])), (a, least[at])):
        if not coefficient.any():
            continue
        at_even = np.where(used, lowest + unit[at], 1.0)
        slope = np.where(used, unit[at] / at_even, 0.0)
        terms.append(Term(weight * coefficient * s / at_even / level, slope, np.where(used, lowest / at_even, 1.0)))
    tandem = np.array([isinstance(curve, TandemCurve) for curve in curves])[use]
    if not tandem.any():
        return tuple(terms), ()
    relief = np.where(tandem, weight * uses.wait[node], 0.0) / level
    return tuple(terms), (Part((1.0, 1.0), relief), Part((0.0, 2.0), np.zeros_like(relief)))


def _one_plan(
    pieces: Sequence[Piece],
    t: FloatArray,
    rho: FloatArray,
    wait: FloatArray,
    floor: FloatArray,
    room: float,
    level: float,
) -> OnePlan:
    first = pieces[0]
    used = [(c, offset) for c, offset in ((first.b, floor), (first.a, floor + rho)) if np.any(c)]
    terms = []
    for coefficient, offset in used:
        at_even = room + offset
        terms.append(Term(t * coefficient / at_even / level, room / at_even, offset / at_even))
    if len(pieces) == 1:
        return OnePlan(t, tuple(terms))
    parts = []
    for piece in pieces:
        factors = tuple(float(c / of) for c, of in ((piece.b, first.b), (piece.a, first.a)) if np.any(of))
        parts.append(Part(factors, piece.relief * t * wait / level))
    return OnePlan(t, tuple(terms), tuple(parts))
