"""The maximum of a concave function whose value and slope can be asked for at any point: cutting planes.

Tangent planes bound the function from above, and a linear program (HiGHS) finds where their lower envelope is highest,
inside a box around the best point. The box grows where the planes promise no more than they keep, and shrinks where
they promise too much. At a kink the parts of the planes that meet there are those of a mixture of the points, whose
slopes add up to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray

_SHRINK = 0.9  # the most of its way to its floor that a coordinate goes in one step
_EDGE = 1e-9  # how near to the side of the box is on it
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
        (n,) what each coordinate stays above, −inf where it is free; a step goes at most 90 % of the way there.
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
        found = _highest(points, best.x, radius * scale, floor)
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
        radius *= 2.0 if gained > 0.5 * promised and not inside else 0.5 if gained < 0 else 1.0
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
    from scipy.optimize import linprog

    slopes = np.stack([point.slope for point in points]) * width
    base = max(point.value for point in points)
    size = max(float(np.abs(slopes).max()), EPS * abs(base), 1e-300)  # so that the solver's tolerances are small in it
    heights = np.array([(p.value - base + float(p.slope @ (centre - p.x))) / size for p in points])
    if not (np.isfinite(slopes).all() and np.isfinite(heights).all()):
        return None
    low = np.maximum(-1.0, -_SHRINK * (centre - floor) / width)
    done = linprog(
        np.append(np.zeros(len(width)), -1.0),
        A_ub=np.column_stack([-slopes / size, np.ones(len(points))]),
        b_ub=heights,
        bounds=[*((float(a), 1.0) for a in low), (None, None)],
        method="highs",
    )
    if done.status != 0 or done.x is None:
        return None
    u = np.clip(done.x[:-1], low, 1.0)  # the solver's tolerance must not bring a coordinate to its floor
    parts = np.maximum(-done.ineqlin.marginals, 0.0)
    parts /= max(float(parts.sum()), 1e-300)
    held = (u <= low + _EDGE) & (low > -1.0)  # only by the floor, on the way to which there is as much left to gain
    rest = np.where(held, (centre - floor) / width + low, 0.0)
    ceiling = base + size * float(done.x[-1]) + float(np.maximum(-(parts @ slopes), 0.0) @ rest)
    inside = bool((u < 1.0 - _EDGE).all() and ((u > low + _EDGE) | held).all())
    return ceiling, centre + width * u, parts, inside
