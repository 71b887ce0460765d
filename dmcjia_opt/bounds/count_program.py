"""A linear program over counts: how many nodes of each part use each option, what each part takes, what that costs.

A part's delay is at least constant − charges·N − prices·u, N its counts and u its shares of the resources, for any
prices and any charges: its cuts. The shares of all parts sum to at most 1. Other rows limit, case by case, how many
nodes of some parts use an option up to some one; a limit may be broken at a price beyond any gain, so that a case
without a plan is no special one.

What is returned is a suggestion, of prices and of charges for the limits, from which whoever asks computes a bound
anew. Prices are told by their ratio to those where the program begins, delays by what is open, and shares by what they
differ from those at the beginning: so the solver's tolerances are small in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.bundle import quiet_solver

_FARTHEST = 1e7  # largest entry of a cut
_LEAST = 1e-9  # smaller entries are left out by HiGHS

#: From … to so many, of each limit that a case sets, by its number.
Limits = Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """What a linear program found.

    Parameters
    ----------
    count
        (n_columns,) how many nodes use what each column stands for; whole or not.
    prices
        (n_resources,) s per unit share.
    charges
        (n_limits,) for each limit, s; positive where it is one from above.
    active
        (n_cuts,) which cuts meet there.
    """

    count: FloatArray
    prices: FloatArray
    charges: FloatArray
    active: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where a program begins: everything in it is told by how it differs from there.

    Parameters
    ----------
    prices
        (n_resources,) > 0.
    constants
        (n_parts,) what the cut of these prices, without charges, says of each part, s.
    used
        (n_parts, n_resources) about what each part takes of each resource.
    users
        (n_parts, n_resources) whether it can take anything.
    unit, broken
        What is open, and what breaking a limit by one costs, s.
    """

    prices: FloatArray
    constants: FloatArray
    used: FloatArray
    users: BoolArray
    unit: float
    broken: float


class CountProgram:
    """The linear program, kept warm while cuts and limits are added.

    Parameters
    ----------
    sizes, widths
        (n_parts,) nodes of each part, and how many options they have; 0 options of a part that has no choice.
    origin
        Where it begins.
    """

    def __init__(self, sizes: Sequence[int], widths: Sequence[int], origin: Origin) -> None:
        import highspy

        self.origin, self.infinity = origin, highspy.kHighsInf
        self.widths, self.starts = widths, np.cumsum([0, *widths])
        self.n = sum(widths)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._solver: Any = quiet_solver()
        self._limit_rows: list[int] = []
        self._cut_rows: list[int] = []  # the first row of each; 0 where it has none
        self._set: set[int] = set()
        n_parts = len(widths)
        for size, width in zip(sizes, widths, strict=True):
            for _ in range(width):
                self._solver.addVar(0.0, float(size))
        self._delay = self.n
        for p in range(n_parts):
            self._solver.addVar(-self.infinity, self.infinity)
            self._solver.changeColCost(self._delay + p, 1.0)
        self._share = np.full(origin.users.shape, -1)
        last = self.n + n_parts
        for p, r in zip(*np.nonzero(origin.users), strict=True):
            self._solver.addVar(-self.infinity, self.infinity)
            self._solver.changeColCost(last, -1.0)
            self._share[p, r], last = last, last + 1
        self._rows = 0
        for p, (size, width) in enumerate(zip(sizes, widths, strict=True)):
            if width:
                columns = np.arange(self.starts[p], self.starts[p] + width)
                self._row(float(size), float(size), columns, np.ones(width))
        self._capacity = self._rows
        left = (1.0 - origin.used.sum(axis=0)) * origin.prices / origin.unit
        for r, most in enumerate(left.tolist()):
            users = self._share[origin.users[:, r], r]
            self._row(-self.infinity, most, users, np.ones(len(users)))
        self._add(origin.prices, origin.constants, [np.zeros(width) for width in widths])

    def _row(self, least: float, most: float, columns: IntArray, values: FloatArray) -> None:
        kept = np.abs(values) > _LEAST
        self._solver.addRow(least, most, int(kept.sum()), columns[kept].astype(np.int32), values[kept])
        self._rows += 1

    def cut(self, prices: FloatArray, constants: FloatArray, charges: Sequence[FloatArray]) -> None:
        """Add the cuts of prices (n_resources,), for each part its constant, s, and its charges (its options,), s."""
        first = self._rows
        self._cut_rows.append(first if self._add(prices, constants, charges) else 0)

    def _add(self, prices: FloatArray, constants: FloatArray, charges: Sequence[FloatArray]) -> bool:
        origin = self.origin
        moved = prices / origin.prices - 1.0
        right = (constants - origin.constants - origin.used @ (prices - origin.prices)) / origin.unit
        largest = max(
            float(np.abs(moved).max()), *(float(np.abs(charge).max(initial=0.0)) / origin.unit for charge in charges)
        )
        if not max(largest, float(np.abs(right).max())) <= _FARTHEST:
            return False  # from so far away it would say little here, and drown what others say
        for p, (charge, least) in enumerate(zip(charges, right.tolist(), strict=True)):
            users = origin.users[p]
            columns = np.concatenate(
                [np.arange(self.starts[p], self.starts[p + 1]), [self._delay + p], self._share[p, users]]
            )
            self._row(least, self.infinity, columns, np.concatenate([charge / origin.unit, [1.0], moved[users]]))
        return True

    def limit(self, columns: IntArray) -> None:
        """Add a limit on the sum of some columns; it is of the next number, and binds nobody yet."""
        first = self._solver.getNumCol()
        for _ in range(2):
            self._solver.addVar(0.0, self.infinity)
        self._solver.changeColsCost(
            2, np.array([first, first + 1], dtype=np.int32), np.full(2, self.origin.broken / self.origin.unit)
        )
        index = np.append(columns, [first, first + 1]).astype(np.int32)
        values = np.append(np.ones(len(columns)), [1.0, -1.0])
        self._solver.addRow(-self.infinity, self.infinity, len(index), index, values)
        self._limit_rows.append(self._rows)
        self._rows += 1

    def solve(self, limits: Limits) -> Suggestion | None:
        """Return what is best within limits; None where HiGHS fails."""
        for number in self._set - set(limits):
            self._solver.changeRowBounds(self._limit_rows[number], -self.infinity, self.infinity)
        for number, (least, most) in limits.items():
            self._solver.changeRowBounds(self._limit_rows[number], float(least), float(most))
        self._set = set(limits)
        self._solver.run()
        if self._solver.getModelStatus() != self._optimal:
            self._solver.clearSolver()
            self._solver.run()
            if self._solver.getModelStatus() != self._optimal:
                return None
        solution = self._solver.getSolution()
        dual = np.array(solution.row_dual)
        n_resources = len(self.origin.prices)
        ratio = np.maximum(-dual[self._capacity : self._capacity + n_resources], 0.0)
        charges = -self.origin.unit * dual[self._limit_rows] if self._limit_rows else np.zeros(0)
        rows = np.array(self._cut_rows, dtype=np.int64)[:, None] + np.arange(len(self.widths))
        active = (dual[rows] > 0.0).any(axis=1) & (rows[:, 0] > 0)
        return Suggestion(np.array(solution.col_value)[: self.n], ratio * self.origin.prices, charges, active)
