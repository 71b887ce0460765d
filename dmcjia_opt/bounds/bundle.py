"""The maximum of a concave function whose value and slope can be asked for at any point: cutting planes.

Tangent planes bound the function from above, and a linear program (HiGHS) finds where their lower envelope is highest,
inside a box around the best point. The box grows where the planes promise no more than they keep, and shrinks where
they promise too much. At a kink the parts of the planes that meet there are those of a mixture of the points, whose
slopes add up to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray
from dmcjia_opt.base.processes import silenced

if TYPE_CHECKING:
    from highspy import Highs

_SHRINK, _GROW = 0.9, 9.0  # how far a coordinate goes in one step, in its distance from the floor: there, and away
_EDGE = 1e-9  # how near to the side of the box is on it
_SMALL = 1e-9
_PLANES = 80  # planes beyond the number of coordinates that are kept


class Tangent(Protocol):
    """A point at which the function was asked for: a plane that the function lies below."""

    @property
    def x(self) -> FloatArray:
        """(n,) where."""

    @property
    def value(self) -> float:
        """The function there."""

    @property
    def slope(self) -> FloatArray:
        """(n,) a supergradient there."""


T = TypeVar("T", bound=Tangent)


@dataclass(frozen=True, slots=True, eq=False)
class Summit(Generic[T]):
    """How far a climb came.

    Parameters
    ----------
    points
        What was asked for; those whose planes have long been of no use are left out.
    parts
        (n_points,) parts of the points in the mixture at the last peak of the planes; they sum to 1.
    ceiling
        What the function certainly does not exceed; +inf where the planes have not bounded it.
    """

    points: list[T]
    parts: FloatArray
    ceiling: float

    @property
    def best(self) -> T:
        """The highest point."""
        return max(self.points, key=lambda point: point.value)


def climb(
    ask: Callable[[FloatArray], T],
    known: Sequence[T],
    scale: FloatArray,
    floor: FloatArray,
    *,
    target: float = np.inf,
    tolerance: float = 1e-13,
    steps: int = 80,
) -> Summit[T]:
    """Maximise a concave function.

    Parameters
    ----------
    ask
        Returns the function's tangent at a point (n,).
    known
        Points asked for already, at least one; the highest is where the climb begins.
    scale
        (n,) > 0, how far along each coordinate the first step may go.
    floor
        (n,) what each coordinate stays above, −inf where it is free; a step goes at most 90 % of the way there,
        and at most to ten times as far from it.
    target
        A value that is enough; the climb also ends once it cannot be reached.
    tolerance
        It ends when no more than this, relative to the value, is left to gain.
    steps
        Most linear programs to solve, each of which is followed by at most one call of `ask`.
    """
    points = list(known)
    top = max(range(len(points)), key=lambda i: points[i].value)
    best = points[top]
    parts = np.where(np.arange(len(points)) == top, 1.0, 0.0)
    idle = np.zeros(len(points), dtype=np.int64)  # for how many steps each plane has been of no use
    radius, bound = 1.0, np.inf
    for _ in range(steps):
        if best.value >= target:
            break
        found = _highest(points, best.x, np.minimum(radius * scale, _GROW * (best.x - floor)), floor)
        if found is None:
            break
        ceiling, at, parts, inside = found
        if inside:
            bound = min(bound, ceiling)
            if ceiling < target < np.inf:
                break
        if ceiling - best.value <= tolerance * abs(best.value):
            if inside:
                break
            radius *= 4.0
            continue
        point = ask(at)
        points.append(point)
        idle = np.append(np.where(parts > 0, 0, idle + 1), 0)
        parts = np.append(parts, 0.0)
        gained, promised = point.value - best.value, ceiling - best.value
        radius *= 2.0 if gained > 0.5 * promised and not inside else 0.5 if gained <= 0 else 1.0
        if gained > 0:
            best = point
        if len(points) > _PLANES + len(scale):
            idle[next(i for i, known_point in enumerate(points) if known_point is best)] = 0
            idlest = int(idle.argmax())
            del points[idlest]
            parts, idle = np.delete(parts, idlest), np.delete(idle, idlest)
    return Summit(points, parts, max(bound, best.value))


def _highest(
    points: Sequence[Tangent], centre: FloatArray, width: FloatArray, floor: FloatArray
) -> tuple[float, FloatArray, FloatArray, bool] | None:
    """Return where, within a box, the lowest of all planes is highest: height, place, parts, whether it is inside."""
    slopes = np.stack([point.slope for point in points]) * width
    base = max(point.value for point in points)
    size = max(float(np.abs(slopes).max()), EPS * abs(base), 1e-300)  # so that the solver's tolerances are small in it
    heights = np.array([(p.value - base + float(p.slope @ (centre - p.x))) / size for p in points])
    if not (np.isfinite(slopes).all() and np.isfinite(heights).all()):
        return None
    low = np.maximum(-1.0, -_SHRINK * (centre - floor) / width)
    found = peak_of_planes(slopes / size, heights, low, np.ones(len(width)))
    if found is None:
        return None
    top, u, parts = found
    held = (u <= low + _EDGE) & (low > -1.0)  # only by the floor, on the way to which there is as much left to gain
    rest = np.where(held, (centre - floor) / width + low, 0.0)
    ceiling = base + size * top + float(np.maximum(-(parts @ slopes), 0.0) @ rest)
    inside = bool((u < 1.0 - _EDGE).all() and ((u > low + _EDGE) | held).all())
    return ceiling, centre + width * u, parts, inside


def peak_of_planes(
    slopes: FloatArray, heights: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[float, FloatArray, FloatArray] | None:
    """Return where, between `low` and `high`, the lowest of some planes is highest.

    Parameters
    ----------
    slopes, heights
        (n_planes, n) and (n_planes,): plane i is ``heights[i] + slopes[i] @ u``.
    low, high
        (n,) the box.

    Returns
    -------
    Its height there, the place (n,) and the parts (n_planes,) of the planes, which sum to 1; None where HiGHS fails.
    """
    import highspy

    n_planes, n = slopes.shape
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = n + 1, n_planes
    program.col_cost_ = np.append(np.zeros(n), -1.0)
    program.col_lower_ = np.append(low, -highspy.kHighsInf)
    program.col_upper_ = np.append(high, highspy.kHighsInf)
    program.row_lower_ = np.full(n_planes, -highspy.kHighsInf)
    program.row_upper_ = heights
    matrix = np.column_stack([-slopes, np.ones(n_planes)])
    matrix[np.abs(matrix) < _SMALL] = 0.0  # HiGHS leaves them out, and says so
    row, column = np.nonzero(matrix)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.searchsorted(row, np.arange(n_planes + 1))
    program.a_matrix_.index_ = column
    program.a_matrix_.value_ = matrix[row, column]
    solver = quiet_solver()
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    place = np.array(solution.col_value)
    parts = np.maximum(-np.array(solution.row_dual), 0.0)
    parts /= max(float(parts.sum()), 1e-300)
    # the solver's tolerance must not bring a coordinate out of its box
    return float(place[-1]), np.clip(place[:-1], low, high), parts


def quiet_solver() -> Highs:
    """Return a HiGHS for linear programs so small that presolving them takes longer; it prints nothing."""
    import highspy

    _greet()
    solver = highspy.Highs()
    # a process's HiGHS has one number of threads, and fails with another
    for name, value in (("output_flag", False), ("presolve", "off"), ("threads", 1)):
        solver.setOptionValue(name, value)
    return solver


@cache
def _greet() -> None:
    """Send the banner of the first solver of a process, which cannot be told not to print it, nowhere."""
    import highspy

    with silenced():
        highspy.Highs()
