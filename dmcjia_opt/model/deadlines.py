"""What deadlines make of menus: least rates, and options that no shares could make quick enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks, distinct
from dmcjia_opt.model.delay import TandemCurve

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
        service = problem.service[rows]
        floor, room = rates_within(problem, rows, problem.deadline[rows, None])
        with np.errstate(invalid="ignore"):
            late = (
                (room < 0.0) | np.isinf(problem.fixed_delay[rows]) | ((floor * service > 1.0) & (service > 0)).any(-1)
            )
        fixed[rows][late] = np.inf
        asked = np.isfinite(problem.deadline[rows, None]) & ~late
        raised = np.where(asked[..., None] & (service > 0), floor, 0.0)
        np.maximum(least[rows], raised, out=least[rows])
    changed = {"fixed_delay": fixed, "least_rate": least}
    if distinct(problem.wait).any():
        changed["wait"] = np.where(np.isfinite(fixed), problem.wait, 0.0)
    return changed


def _kept_where_pooled(problem: Problem) -> dict[str, FloatArray]:
    """Return what `kept` does: what is pooled takes no less than its user would alone, and has no rate."""
    reserved = problem.relaxed
    gone = np.isinf(reserved.fixed_delay)
    fixed = np.where(gone, np.inf, problem.fixed_delay)
    return {"fixed_delay": fixed, "least_rate": reserved.least_rate, "wait": np.where(gone, 0.0, problem.wait)}


def rates_within(problem: Problem, rows: slice | IntArray, most: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return rates that uses cannot go below where an option is to take at most so long.

    Parameters
    ----------
    problem
        The compiled problem.
    rows, most
        Which nodes, and (n_rows, 1 or n_options) how long, s.

    Returns
    -------
    rates, room
        (n_rows, n_options, n_uses) 1/s, 0 where nothing is used and +inf where no rate will do; where an option has
        several uses, all others are at full share. And (n_rows, n_options) what is left for the shared uses, s.
    """
    service, rate, wait = problem.service[rows], problem.arrival_rate[rows, None], problem.wait[rows]
    scv = problem.arrival_scv[rows, None] if problem.renewal else 1.0
    busy = service > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        room = most - problem.fixed_delay[rows]
    others = np.zeros_like(service) if problem.n_uses > 1 else None
    if others is not None:
        for k, curve in enumerate(problem.use_curves):  # a stage of a tandem waits as the slowest of them
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                excess = 1.0 / service[..., k] - rate
                alone = service[..., k] if isinstance(curve, TandemCurve) else curve.delay(excess, rate, wait, scv)
                full = np.where(busy[..., k], np.where(excess >= 0, alone, np.inf), 0.0)
            others[..., np.arange(problem.n_uses) != k] += full[..., None]
    rates = np.zeros(service.shape)
    for k, curve in enumerate(problem.use_curves):
        with np.errstate(invalid="ignore"):
            left = room if others is None else room - others[..., k]
            needed = curve.rate_within(np.where(left > 0, left, 0.0), rate, wait, scv)
        rates[..., k] = np.where(busy[..., k], needed, 0.0)
    return rates, room
