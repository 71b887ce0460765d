"""Water-filling: the closed form of the inner problem, whole populations at once.

At the optimum every node's last unit of capacity saves the same, κ in normal form, and the delay curve inverts that
in closed form. What is left is one scalar equation a plan, Σ t·v(κ) = 1. In q = κ^(−1/2) its left side is convex and
increasing (when a ≥ 0), so Newton's method from the right converges monotonically, in four or five steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.allocators.normal_form import NormalForm, normal_form
from dmcjia_opt.model.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.protocols import Allocation, Status

_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class WaterFilling:
    """Optimal shares by safeguarded Newton on the price; exact to rounding."""

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        """Return optimal shares and prices for `splits` (n_plans, n_nodes)."""
        form = normal_form(problem, splits)
        v, kappa = fill(form)
        return form.allocation(v, kappa, np.full(len(splits), Status.OPTIMAL, dtype=np.int8))


def fill(form: NormalForm) -> tuple[FloatArray, FloatArray]:
    """Return the optimal v (n_plans, n_nodes) and multiplier κ (n_plans,) of a batch in normal form.

    The result is meaningless on rows that are not solvable.
    """
    curve, t, rho = form.curve, form.t, form.rho
    convex = curve.a >= 0.0  # then every step but the first comes from the right: no bracket is needed
    low, high = np.zeros(len(t)), np.full(len(t), 1.0 / np.sqrt(min(curve.b, 1.0)))
    solvable = form.solvable
    with np.errstate(divide="ignore"):
        mean = np.einsum("ij,ij->i", t, curve.marginal(np.ones_like(t), rho))  # κ if every v were 1
        q = np.where(solvable, 1.0 / np.sqrt(mean), 1.0)
    for step in range(_MAX_STEPS):
        kappa = 1.0 / (q * q)
        v = curve.excess_at(kappa[:, None], rho)
        slope = t / curve.curvature(v, rho)
        if form.floor is not None:
            slope = np.where(v > form.floor, slope, 0.0)
            v = np.maximum(v, form.floor)
        over = np.einsum("ij,ij->i", t, v) - 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = q - over * q / (2.0 * kappa * slope.sum(-1))
        if not convex:
            high, low = np.where(over >= 0, q, high), np.where(over <= 0, q, low)
            moved = np.where((moved > low) & (moved < high), moved, 0.5 * (low + high))
        going = solvable & (np.abs(moved - q) > 2 * EPS * q) & (np.abs(over) > EPS)
        if convex and step > 0:
            going &= moved < q
        if not going.any():
            break
        q = np.where(going, moved, q)
    return v, kappa
