"""What deadlines make of menus: least rates, and options that no shares could make quick enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, blocks, distinct, namespace
from dmcjia_opt.model.delay import DelayCurve, TandemCurve
from dmcjia_opt.model.queues import Scv

if TYPE_CHECKING:
    from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 18


def kept(problem: Problem) -> dict[str, FloatArray]:
    """Return the tables of a problem that change when its deadlines are to be kept.

    What cannot keep one with all resources to itself is left out, and the rates that it takes join the least rates.
    """
    if problem.pooled.any():
        return _kept_where_pooled(problem)
    fixed, least = np.array(problem.fixed_delay), np.array(problem.least_rate)
    for rows in blocks(problem.n_nodes, problem.n_options * problem.n_uses, _BLOCK):
        if not np.isfinite(problem.deadline[rows]).any():
            continue
        uses = range(problem.n_uses)
        late, floors = within(
            problem.use_curves,
            problem.fixed_delay[rows],
            [problem.service[rows, :, k] for k in uses],
            [problem.least_rate[rows, :, k] for k in uses],
            (problem.arrival_rate[rows, None], problem.wait[rows], _scv(problem, rows)),
            problem.deadline[rows, None],
        )
        fixed[rows][late] = np.inf
        for k in uses:
            least[rows, :, k] = floors[k]
    changed = {"fixed_delay": fixed, "least_rate": least}
    if distinct(problem.wait).any():
        changed["wait"] = np.where(np.isfinite(fixed), problem.wait, 0.0)
    return changed


def within(
    curves: Sequence[DelayCurve],
    fixed: FloatArray,
    services: Sequence[FloatArray],
    floors: Sequence[FloatArray],
    arrivals: tuple[FloatArray, FloatArray, Scv],
    deadline: FloatArray,
) -> tuple[BoolArray, list[FloatArray]]:
    """Return which options cannot keep their deadlines, and the least rates of the uses of those that can.

    Parameters
    ----------
    curves, services, floors
        Of each use the delay curve, and (n, n_options) the service time at full share, s, and the least rate, 1/s.
    fixed, deadline
        (n, n_options) and (n, 1), s.
    arrivals
        (n, 1) rates, 1/s, (n, n_options) the wait upstream, s, and c_a² of the gaps.
    """
    xp = namespace(fixed, deadline)
    rates, room = _rates(curves, fixed, services, arrivals, deadline)
    with np.errstate(invalid="ignore"):
        late = (room < 0.0) | xp.isinf(fixed)
        for rate, s in zip(rates, services, strict=True):
            late = late | ((rate * s > 1.0) & (s > 0))
    asked = xp.isfinite(deadline) & ~late
    raised = [
        xp.maximum(floor, xp.where(asked & (s > 0), rate, 0.0))
        for floor, rate, s in zip(floors, rates, services, strict=True)
    ]
    return late, raised


def _kept_where_pooled(problem: Problem) -> dict[str, FloatArray]:
    """Return what `kept` does: what is pooled takes no less than its user would alone, and has no rate."""
    reserved = problem.relaxed
    gone = np.isinf(reserved.fixed_delay)
    fixed = np.where(gone, np.inf, problem.fixed_delay)
    return {"fixed_delay": fixed, "least_rate": reserved.least_rate, "wait": np.where(gone, 0.0, problem.wait)}


def _scv(problem: Problem, rows: slice) -> Scv:
    return problem.arrival_scv[rows, None] if problem.renewal else 1.0


def _rates(
    curves: Sequence[DelayCurve],
    fixed: FloatArray,
    services: Sequence[FloatArray],
    arrivals: tuple[FloatArray, FloatArray, Scv],
    most: FloatArray,
) -> tuple[list[FloatArray], FloatArray]:
    """Return rates that uses cannot go below where an option is to take at most so long (see `within`).

    Returns
    -------
    rates, room
        (n, n_options) of each use, 1/s, 0 where nothing is used and +inf where no rate will do; where an option has
        several uses, all others are at full share. And what is left for the shared uses, s.
    """
    xp = namespace(fixed, most)
    rate, wait, scv = arrivals
    with np.errstate(divide="ignore", invalid="ignore"):
        room = most - fixed
    full: list[FloatArray] = []
    if len(curves) > 1:
        for curve, s in zip(curves, services, strict=True):  # a stage of a tandem waits as the slowest of them
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                excess = 1.0 / s - rate
                alone = s if isinstance(curve, TandemCurve) else curve.delay(excess, rate, wait, scv)
                full.append(xp.where(s > 0, xp.where(excess >= 0, alone, np.inf), 0.0))
    rates = []
    for k, (curve, s) in enumerate(zip(curves, services, strict=True)):
        with np.errstate(invalid="ignore"):
            left = room
            for j, other in enumerate(full):
                left = left if j == k else left - other
            needed = curve.rate_within(xp.where(left > 0, left, 0.0), rate, wait, scv)
        rates.append(xp.where(s > 0, needed, 0.0))
    return rates, room
