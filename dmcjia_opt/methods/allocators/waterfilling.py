"""Water-filling: the closed form of the inner problem, whole populations at once.

At the optimum every node's last unit of capacity saves the same, κ in normal form, and the delay curve inverts that
in closed form. What is left is one scalar equation a plan, Σ t·v(κ) = 1. In q = κ^(−1/2) its left side is convex and
increasing (when a ≥ 0), so Newton's method from the right converges monotonically, in four or five steps. With the
tandem curve a node stays at its kink over a range of prices; there Newton's method is kept inside a bracket.
Uses that are tied together, stages of one tandem or by a deadline, are filled jointly (`jointly`); where the worst node
counts, its delay decides first (`fairly`).
"""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.methods.allocators.normal_form import NormalForm, by_resource
from dmcjia_opt.methods.allocators.root import increasing_root
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import poisson
from dmcjia_opt.solving.contract import Allocation, Status, StatusArray
from dmcjia_opt.solving.options import method
from dmcjia_opt.solving.reserving import of_what_is_reserved

_MAX_STEPS = 200


@method
class WaterFilling:
    """Optimal shares by safeguarded Newton on the price; exact to rounding."""

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    @of_what_is_reserved
    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return optimal shares and prices for `options` (n_plans, n_nodes)."""
        if problem.worst:
            from dmcjia_opt.methods.allocators.fairly import fill_fairly

            return fill_fairly(problem, options, _filled_above)
        if not problem.joint:
            return by_resource(problem, options, _filled)
        from dmcjia_opt.methods.allocators.jointly import fill_jointly  # brings SciPy

        return fill_jointly(problem, options)


def _filled(form: NormalForm) -> tuple[FloatArray, FloatArray, StatusArray]:
    return *fill(form), np.full(len(form.t), Status.OPTIMAL, dtype=np.int8)


def _filled_above(problem: Problem, options: IntArray, floors: FloatArray) -> Allocation:
    return by_resource(problem, options, _filled, floors)


def fill(form: NormalForm) -> tuple[FloatArray, FloatArray]:
    """Return the optimal v (n_plans, n_nodes) and multiplier κ (n_plans,) of a batch in normal form.

    The result is meaningless on rows that are not solvable.
    """
    curve, t = form.curve, form.t
    solvable = form.solvable
    with np.errstate(divide="ignore"):
        mean = np.einsum(
            "ij,ij->i", t, curve.marginal(np.ones_like(t), form.rho, form.wait, form.scv)
        )  # κ if every v were 1
        q = np.where(solvable, 1.0 / np.sqrt(mean), 1.0)
    if poisson(form.scv) and len(curve.pieces()) == 1 and curve.is_dcp() and curve.waits():
        return _from_the_right(form, q)

    def over(q: FloatArray) -> tuple[FloatArray, FloatArray]:
        _, response, excess = _at(form, 1.0 / (q * q))
        return excess, 2.0 * np.einsum("ij,ij->i", t, response) / (q * q * q)

    # some v is at most 1, and there a unit of it saves 1/(1 + ρ)² or more; twice that much, for rounding
    most = 2.0 + 2.0 * np.where(t > 0, form.rho, 0.0).max(-1, initial=0.0)
    q = increasing_root(over, np.minimum(q, most), np.zeros(len(t)), most, solvable)
    kappa = 1.0 / (q * q)
    v, response, excess = _at(form, kappa)
    # where v is ρ away from q, Σ t·v has lost that many digits; what is over is taken from those who respond
    answer = np.einsum("ij,ij->i", t, response)
    part = np.where(solvable & (answer > 0), excess / np.where(answer > 0, answer, 1.0), 0.0)
    return v - part[:, None] * response, kappa


def _at(form: NormalForm, kappa: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return v, −dv/dκ and Σ t·v − 1."""
    v = form.curve.excess_at(kappa[:, None], form.rho, form.wait, form.scv)
    response = 1.0 / form.curve.curvature(v, form.rho, form.wait, form.scv)
    if form.floored:
        response = np.where(v > form.floor, response, 0.0)
        v = np.maximum(v, form.floor)
    return v, response, np.einsum("ij,ij->i", form.t, v) - 1.0


def _from_the_right(form: NormalForm, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return v and κ where Σ t·v is convex in q: every step but the first comes from the right, without a bracket."""
    solvable = form.solvable
    for step in range(_MAX_STEPS):
        kappa = 1.0 / (q * q)
        v, response, over = _at(form, kappa)
        answer = 2.0 * kappa * np.einsum("ij,ij->i", form.t, response)
        # where all are at their floors nobody answers: the price falls if that leaves anything
        moved = np.where(answer > 0, q - over * q / np.where(answer > 0, answer, 1.0), np.where(over < 0, 2.0 * q, q))
        going = solvable & (np.abs(moved - q) > 2 * EPS * q) & (np.abs(over) > EPS)
        if step > 0:
            going &= (moved < q) | (answer == 0)
        if not going.any():
            break
        q = np.where(going, moved, q)
    return v, kappa
