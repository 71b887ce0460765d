"""A base for solvers that take one plan at a time: it loops, and it checks what they claim.

A backend sees one plan's normal form with the floors taken out, v = floor + r·y with r = 1 − Σ t·floor, and the
objective divided by its value M at y = 1, which is always feasible:

    minimise Σ weight/(slope·y + rest), over one or two terms    subject to   Σ t·y ≤ 1,  y ≥ 0,

slope + rest = 1, Σ t = 1 and, without a wait, Σ weight = 1. Its multiplier is r/M times that of the normal form. A
node of a tandem costs the largest of its *pieces*, each a combination of its terms less a constant.

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
from dmcjia_opt.methods.allocators.normal_form import NormalForm, normal_form
from dmcjia_opt.model.delay import Piece
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Status

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
    """The inner problem of one plan, of its nodes with cloud work only.

    Parameters
    ----------
    t
        (n_busy,) coefficients of the budget, > 0; they sum to 1.
    terms
        The queue's b-term first, then the a-term unless a = 0.
    parts
        Pieces of which a node costs the largest; none where it costs the sum of its terms.
    """

    t: FloatArray
    terms: tuple[Term, ...]
    parts: tuple[Part, ...] = ()

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
        Of the budget Σ t·y ≤ 1; ≥ 0 at a solution.
    status
        Its claim.
    """

    y: FloatArray
    multiplier: float
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

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        """Return shares and prices for `splits` (n_plans, n_nodes).

        Raises
        ------
        InputError
            If `supports` refuses the problem.
        BackendMissing
            If the backend is not installed.
        """
        if (reason := self.supports(problem)) is not None:
            raise InputError(reason)
        form = normal_form(problem, splits)
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
        room = 1.0 - float(t @ floor)
        if room <= len(t) * EPS:
            if not floor.all():
                return floor, np.nan, Status.FAILED
            return floor, float(curve.marginal(floor, rho, wait).max()), Status.OPTIMAL
        level = float(t @ curve.delay(room + floor, rho, wait))
        answer = self.solve_one(_one_plan(curve.pieces, t, rho, wait, floor, room, level))
        if answer is None or not np.isfinite(answer.y).all():
            return floor, np.nan, Status.FAILED
        y = np.maximum(answer.y, 0.0)
        v = floor + room * (y / max(float(t @ y), 1.0))
        if not (v > 0).all():
            return floor, np.nan, Status.FAILED
        kappa = answer.multiplier * level / room
        if not (np.isfinite(kappa) and kappa > 0):
            return v, np.nan, Status.INACCURATE
        value = float(t @ curve.delay(v, rho, wait))
        best = np.maximum(curve.excess_at(np.asarray(kappa), rho, wait), floor)
        bound = float(t @ (curve.delay(best, rho, wait) + kappa * best)) - kappa
        proved = value - bound <= CLAIM_TOLERANCE * value
        claim = answer.status
        return v, kappa, Status.INACCURATE if claim == Status.OPTIMAL and not proved else claim


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
    used = [(c, offset) for c, offset in ((first.b, floor), (first.a, floor + rho)) if c != 0.0]
    terms = []
    for coefficient, offset in used:
        at_even = room + offset
        terms.append(Term(t * coefficient / at_even / level, room / at_even, offset / at_even))
    if len(pieces) == 1:
        return OnePlan(t, tuple(terms))
    parts = []
    for piece in pieces:
        factors = tuple(c / of for c, of in ((piece.b, first.b), (piece.a, first.a)) if of != 0.0)
        parts.append(Part(factors, piece.relief * t * wait / level))
    return OnePlan(t, tuple(terms), tuple(parts))
