"""What one plan's delays are made of: the stages of a node's own, and what more of each share would save."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, frozen
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.delay import TANDEM, TandemCurve
from dmcjia_opt.model.residuals import ORDERING_TOLERANCE

if TYPE_CHECKING:
    from dmcjia_opt.model.problem import Problem


def own_stages(problem: Problem, options: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the fixed delay by stage, s (see `Problem.own_stages`)."""
    fixed = problem.at(problem.fixed_delay, options)
    if problem.uplinks is None:
        return fixed, np.zeros_like(fixed), np.zeros_like(fixed)
    uplink, trip = problem.uplinks.upload(options), problem.uplinks.trip(options)
    if problem.uplinks.queue:
        wait = problem.at(problem.wait, options)
        uplink = uplink + _wait_for_uplink(problem, fixed, uplink, uplink + trip, wait)
    device = fixed - (uplink + trip)
    rounding = np.isfinite(fixed) & (np.abs(device) <= ORDERING_TOLERANCE * fixed)
    return np.where(rounding, 0.0, device), uplink, trip


def _wait_for_uplink(
    problem: Problem, fixed: FloatArray, own: FloatArray, network: FloatArray, wait: FloatArray
) -> FloatArray:
    """Return how much of the fixed delay is waiting for the uplink, s.

    In a tandem that is what the wait upstream is beyond the edge's: none where the edge is the slower of the two.
    """
    tandem = next((curve for curve in problem.use_curves if isinstance(curve, TandemCurve)), TANDEM)
    scv = problem.gaps()
    if not problem.kinked:
        varies = 2.0 * problem.curve.pieces(scv)[0].b
        return np.where(np.isfinite(fixed), tandem.wait_of(problem.arrival_rate, own, varies), 0.0)
    at_uplink = tandem.wait_of(problem.arrival_rate, own, scv)
    on = (at_uplink >= wait * (1.0 - ORDERING_TOLERANCE)) & np.isfinite(fixed)
    service = np.where(on, fixed, 0.0) - np.where(on, network + wait, 0.0)
    before = tandem.wait_of(problem.arrival_rate, np.maximum(service, 0.0), scv)
    return np.where(on, np.maximum(wait - before, 0.0), 0.0)


def gradient(problem: Problem, options: IntArray, shares: FloatArray) -> FloatArray:
    """Return the derivative of the objective by each share, s (see `Problem.gradient`)."""
    options, given = problem.check_options(options), frozen(shares)
    if given.shape not in ((*options.shape, problem.n_uses), options.shape if problem.n_uses == 1 else None):
        raise InputError(f"shares must have shape {(*options.shape, problem.n_uses)}, got {given.shape}")
    by_use = problem.by_use(options, given)
    weight = problem.weight
    if problem.worst:
        slowest = problem.node_delay(options, by_use).argmax(-1)
        weight = (np.arange(problem.n_nodes) == slowest[..., None]).astype(np.float64)
    reserved = problem.relaxed
    s = reserved.at(reserved.service, options)
    found = np.zeros(np.broadcast_shapes(s.shape, by_use.shape))
    rate, scv, wait = problem.arrival_rate, problem.gaps(), problem.wait_at(options)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        excess = by_use / s - rate[:, None]
        waited = np.full(found.shape, -np.inf)
        for k, curve in enumerate(problem.use_curves):
            if isinstance(curve, TandemCurve):
                waited[..., k] = np.where(s[..., k] > 0, curve.waited(excess[..., k], rate, scv), -np.inf)
        longest = waited.argmax(-1)  # of a tandem's stages the one that tasks wait for
        for k, curve in enumerate(problem.use_curves):
            x = excess[..., k]
            slope = curve.marginal(x, rate, wait, scv)
            if isinstance(curve, TandemCurve):
                slope = np.where(longest == k, slope, 1.0 / (rate + x) ** 2)
            slope = np.where(x > np.where(curve.waits(scv), 0.0, -ORDERING_TOLERANCE * rate), slope, np.nan)
            found[..., k] = np.where(s[..., k] > 0, -weight * slope / s[..., k], 0.0)
    return found.reshape(
        np.broadcast_shapes(given.shape, options.shape) if given.ndim == np.ndim(options) else found.shape
    )
