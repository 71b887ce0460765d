"""A linear program over counts: how many nodes of each part use each option, and what that costs at least.

Its cuts are θ ≥ constant − charges·N; its other rows limit, case by case, how many nodes of some parts use an option up
to some one. What it returns is a suggestion: parts of the cuts, and charges for the limits, of which whoever asks
computes a bound anew. A limit may be broken at a price beyond any gain, so that a case without a plan is no special
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.bundle import quiet_solver

_BEYOND = 1e4  # what breaking a limit by one costs, in units of what is open
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
    parts
        (n_cuts,) parts of the cuts that meet there, which sum to 1.
    charges
        (n_limits,) for each limit, in the unit of costs; positive where it is one from above.
    """

    count: FloatArray
    parts: FloatArray
    charges: FloatArray


class Master:
    """The linear program, kept warm while cuts and limits are added.

    Parameters
    ----------
    sizes
        (n_parts,) nodes of each part.
    widths
        (n_parts,) how many options each part has.
    base, unit
        The cost that θ = 0 stands for, and what θ = 1 adds to it.
    """

    def __init__(self, sizes: Sequence[int], widths: Sequence[int], base: float, unit: float) -> None:
        import highspy

        self.base, self.unit, self.infinity = base, unit, highspy.kHighsInf
        self.n, self.n_cuts = sum(widths), 0
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._solver: Any = quiet_solver()
        self._limit_rows: list[int] = []
        self._cut_rows: list[int] = []
        self._set: set[int] = set()
        for size, width in zip(sizes, widths, strict=True):
            for _ in range(width):
                self._solver.addVar(0.0, float(size))
        self._solver.addVar(-self.infinity, self.infinity)
        self._solver.changeColCost(self.n, 1.0)
        start = 0
        for size, width in zip(sizes, widths, strict=True):
            columns = np.arange(start, start + width, dtype=np.int32)
            self._solver.addRow(float(size), float(size), width, columns, np.ones(width))
            start += width
        self._rows = len(sizes)

    def cut(self, constant: float, charges: FloatArray) -> None:
        """Add a cut, θ ≥ constant − charges (n_columns,)·N."""
        row = np.append(charges / self.unit, 1.0)
        used = np.flatnonzero(np.abs(row) > _LEAST).astype(np.int32)
        self._solver.addRow((constant - self.base) / self.unit, self.infinity, len(used), used, row[used])
        self._cut_rows.append(self._rows)
        self._rows += 1

    def limit(self, columns: IntArray) -> None:
        """Add a limit on the sum of some columns; it is of the next number, and binds nobody yet."""
        first = self._solver.getNumCol()
        for _ in range(2):
            self._solver.addVar(0.0, self.infinity)
        self._solver.changeColsCost(2, np.array([first, first + 1], dtype=np.int32), np.full(2, _BEYOND))
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
        parts = np.maximum(dual[self._cut_rows], 0.0)
        total = float(parts.sum())
        if not total > 0.0:
            return None
        charges = -self.unit * dual[self._limit_rows] if self._limit_rows else np.zeros(0)
        return Suggestion(np.array(solution.col_value)[: self.n], parts / total, charges)
