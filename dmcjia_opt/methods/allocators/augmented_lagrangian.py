"""The paper's inner algorithm: augmented Lagrangian with slacks, P5 (3-12), whole populations at once.

Change of variables. `normal_form` writes a share as δ = λs + R·t·v. Here the least v that the constraints allow is
split off as well: v = f + r·x, with f the floor (0 unless C3 is taken literally) and r = 1 − Σ t·f what the floors
leave. With φ = f/r and ϱ = ρ/r, and up to the factor 1/r, the inner problem P4 is

    minimise Σ t·(a/(x + φ + ϱ) + b/(x + φ))   subject to   Y = Σ t·x − 1 ≤ 0,   X = −x ≤ 0.

* Y is the paper's Σδ − 1 divided by the surplus R·r that is left to share.
* X is the paper's λ/μ − 1, or (least rate)/μ − 1 under the literal C3, which here read −x/(x + φ + ϱ), times the
  positive x + φ + ϱ; the feasible set is the same and the constraint becomes linear. Where φ = 0 the delay itself
  keeps x > 0 (a queue without excess rate waits for ever), so α stays 0 there, as the paper's strict C1 implies.

The augmented Lagrangian, α_d and the penalty on X_d being counted per unit of t_d, is

    L = Σ t·T + β(Y + s_y) + ½ρ_y(Y + s_y)² + Σ t·[α(X + s_x) + ½ρ_x(X + s_x)²]

and is least over the slacks at s = max(0, −c − multiplier/penalty), which leaves max(0, β + ρ_y·Y)²/(2ρ_y) and
its like. The paper names neither the step nor the penalties. A plain gradient step cannot reach 1e-6 near λ = μ or
with scales far apart, so the gradient is scaled by the inverse of the Hessian, which is diagonal plus rank one
(Sherman–Morrison): as cheap as the gradient itself. Steps stop short of λ = μ and backtrack until L decreases.
Without floors the start x = 1 is the optimum itself for M/M/1 and near it for the other curves.

The tandem curve has a kink, where no gradient leads. But at a given worth p of the budget its nodes know their best x
in closed form (`DelayCurve.excess_at`), with x ≥ 0 kept as it is, so that L is minimised exactly by one root-find for
p = max(0, β + ρ_y·Y(x(p))); the updates of β and the penalty stay the same, and α is what p exceeds the savings by.
So is it for links on which tasks overlap, where μ = λ is no pole and x = 0 may be the best.

Several resources separate given the options, and each has a row of its own. Stages of one tandem do not: there all
budgets of a plan have their multipliers and penalties together, and p is a vector (`jointly`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.jointly import Uses, balanced
from dmcjia_opt.methods.allocators.normal_form import NormalForm, by_resource, normal_form
from dmcjia_opt.methods.allocators.penalised import KinkedLagrangianFunction, LagrangianFunction, over_budget
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import poisson
from dmcjia_opt.solving.contract import Allocation, Status, StatusArray, of_the_mean
from dmcjia_opt.solving.options import Count, Factor, method
from dmcjia_opt.solving.reserving import of_what_is_reserved

_MAX_PENALTY = 1e8
#: Stands for x = 0 where a sum of x divides: too small to count beside any other x.
_LEAST = 1e-100
#: A change of Σδ with the logarithm of β, as a part of the surplus, below which nobody answers to β.
_LEAST_ANSWER = 1e-12
#: Inner stationarity asked for, relative to `tolerance`, so that it does not mask the outer residual.
_INNER_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class OuterStep:
    """One outer iteration of the algorithm on one plan.

    Parameters
    ----------
    iteration
        1, 2, ….
    objective
        Mean delay of the iterate, s; it may lie below the optimum while the budget is overstepped.
    budget_violation
        Σδ − 1 of the iterate, a fraction of the cloud; < 0 where some of it is left unused.
    kkt_residual
        Largest relative violation of the KKT conditions, see `AugmentedLagrangian`.
    beta
        Multiplier of the budget after the update, s per unit share.
    penalty
        Penalty factor ρ_y the iterate was found with, s per unit share squared.

    Notes
    -----
    With several resources the violation is that of the budget that is missed by most, and multiplier and penalty are
    those of the dearest resource.
    """

    iteration: int
    objective: float
    budget_violation: float
    kkt_residual: float
    beta: float
    penalty: float


@method
class AugmentedLagrangian:
    """The paper's augmented Lagrangian method for the shares; works on all plans of a batch at once.

    A plan ends OPTIMAL when its relative KKT residual is at most `tolerance`, LIMIT otherwise. The residual is the
    largest, over the nodes, of: the difference between β − α and what one more unit of x saves, relative to both;
    Y, of either sign because the budget is worth something as long as there is cloud work, as the change of x + φ
    that would mend it; and the smaller of x/(x + φ) and α/β. The shares returned keep to the floors and use the
    budget exactly.

    Parameters
    ----------
    tolerance
        Relative KKT residual at which a plan is done, > 0.
    penalty
        First penalty factor, > 0, in units of the problem's own curvature: the error of β shrinks by about
        1/(1 + penalty) an outer iteration.
    growth
        Factor, > 1, by which the penalty grows when the violation has not shrunk enough.
    shrink
        A violation above this fraction of the last one, in (0, 1), has not shrunk enough.
    boundary
        Part of the way to λ = μ that one step may go, in (0, 1).
    max_outer, max_inner
        Most multiplier updates, and most steps between two of them, at least 1.

    References
    ----------
    P5 (3-12) and the inner part of Algorithm 1 of the source paper; for the method, D. P. Bertsekas, *Constrained
    Optimization and Lagrange Multiplier Methods*, 1982, doi:10.1016/C2013-0-10366-2.
    """

    tolerance: Factor = 1e-9
    penalty: Factor = 100.0
    growth: Annotated[float, Field(gt=1, lt=np.inf)] = 10.0
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.25
    boundary: Annotated[float, Field(gt=0, lt=1)] = 0.9
    max_outer: Count = 50
    max_inner: Count = 60

    def supports(self, problem: Problem) -> str | None:
        """Return why not, where the worst node counts or uses keep a deadline together."""
        return of_the_mean(problem, "waterfilling")

    @of_what_is_reserved
    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return shares and prices for `options` (n_plans, n_nodes); a plan's result does not depend on the others.

        Raises
        ------
        InputError
            If `supports` refuses the problem.
        """
        if (reason := self.supports(problem)) is not None:
            raise InputError(reason)
        if not problem.coupled:
            return by_resource(problem, options, self._solved)
        shares = np.full((*options.shape, problem.n_uses), np.nan)
        prices = np.full((len(options), problem.n_resources), np.nan)
        status = np.full(len(options), Status.INFEASIBLE, dtype=np.int8)
        for row in np.flatnonzero(problem.overload(options) == 0):
            uses = Uses.of(problem, options[row])
            none = np.zeros(problem.n_resources)
            state = _Joint(np.zeros(shares.shape[1:]), none, none, none, 0.0)  # where there is nothing to share
            for last in self._iterate_jointly(uses):
                state = last
            shares[row], prices[row] = uses.on_budget(state.shares), state.beta
            done = state.residual <= self.tolerance and uses.stable(shares[row])
            status[row] = Status.OPTIMAL if done else Status.LIMIT
        return Allocation(shares, prices, status)

    def _solved(self, form: NormalForm) -> tuple[FloatArray, FloatArray, StatusArray]:
        rows = np.flatnonzero(form.solvable)
        v = np.ones_like(form.t)
        kappa = np.zeros(len(form.t))
        status = np.full(len(form.t), Status.OPTIMAL, dtype=np.int8)
        if rows.size:
            part, floor, spare = _split_floors(form.rows(rows))
            for _, last in self._iterate(part):
                state = last
            v[rows] = floor + spare[:, None] * _on_budget(part.t, state.x)
            kappa[rows] = state.beta / spare**2
            status[rows] = np.where(state.residual <= self.tolerance, Status.OPTIMAL, Status.LIMIT)
        return v, kappa, status

    def trace(self, problem: Problem, options: IntArray) -> tuple[OuterStep, ...]:
        """Return the outer iterations on one plan; of several resources all at once, whether they separate or not.

        Parameters
        ----------
        problem
            The compiled problem.
        options
            (n_nodes,) the option of each node.

        Returns
        -------
        One record an outer iteration; none where no shares exist or there is nothing to share.

        Raises
        ------
        InputError
            If `options` are not options of this problem.
        """
        options = problem.check_options(options)
        if not problem.single:
            return self._trace_jointly(problem, options)
        form = normal_form(problem, options[None])
        if not form.solvable[0]:
            return ()
        part, floor, spare = _split_floors(form)
        surplus = form.surplus[0] * spare[0]
        unit = form.scale[0] / (surplus * spare[0])
        steps: list[OuterStep] = []
        for number, (lagrangian, state) in enumerate(self._iterate(part), start=1):
            v = floor + spare[:, None] * state.x
            steps.append(
                OuterStep(
                    iteration=number,
                    objective=float(problem.objective(options, (form.load + form.surplus[:, None] * form.t * v)[0])),
                    budget_violation=float(surplus * over_budget(part.t, state.x)[0]),
                    kkt_residual=float(state.residual[0]),
                    beta=float(state.beta[0] * unit),
                    penalty=float(lagrangian.rho_y[0] * unit / surplus),
                )
            )
        return tuple(steps)

    def _trace_jointly(self, problem: Problem, options: IntArray) -> tuple[OuterStep, ...]:
        if problem.overload(options) > 0:
            return ()
        uses = Uses.of(problem, options)
        steps: list[OuterStep] = []
        for number, state in enumerate(self._iterate_jointly(uses), start=1):
            missed, dearest = np.abs(state.over / uses.surplus).argmax(), state.beta.argmax()
            steps.append(
                OuterStep(
                    iteration=number,
                    objective=float(problem.objective(options, state.shares)),
                    budget_violation=float(state.over[missed]),
                    kkt_residual=state.residual,
                    beta=float(state.beta[dearest]),
                    penalty=float(state.penalty[dearest]),
                )
            )
        return tuple(steps)

    def _iterate_jointly(self, uses: Uses) -> Iterator[_Joint]:
        """Yield the state after each update of all multipliers; nothing where there is nothing to share."""
        beta, used = uses.first_prices(), uses.used
        fall = uses.response(beta)[1]
        factor, last = np.full(len(beta), self.penalty), np.full(len(beta), np.inf)
        for _ in range(self.max_outer if used.any() else 0):
            answer, price = uses.slopes(fall, np.zeros(len(beta))).diagonal(), np.where(used, beta, 1.0)
            # where nobody answers to β, as if the queues were M/M/1
            answer = np.where(answer * price > _LEAST_ANSWER * uses.surplus, answer, 0.5 * uses.surplus / price)
            penalty = factor / answer
            worth = balanced(uses, beta, beta, 1.0 / penalty)
            shares, fall = uses.response(worth)
            over = np.where(used, uses.total(shares) - 1.0, 0.0)
            away = np.where(used, over + (beta - worth) / penalty, 0.0)  # from the least of L
            missed = np.abs(over) / uses.surplus
            beta = worth  # = max(0, β + ρY)
            residual = float(max(missed.max(), np.abs(away / uses.surplus).max()))
            yield _Joint(shares, beta, penalty, over, residual)
            if residual <= _INNER_SHARE * self.tolerance:  # at kinks a missed budget is felt in first order
                return
            stalled = (missed > self.shrink * last) & (missed > self.tolerance)
            factor, last = np.where(stalled & (factor < _MAX_PENALTY), factor * self.growth, factor), missed

    def _iterate(self, part: LagrangianFunction) -> Iterator[tuple[LagrangianFunction, _State]]:
        """Yield the Lagrangian just minimised and the state after each multiplier update."""
        x = np.ones_like(part.t)
        penalty = np.full(len(x), self.penalty)
        violation = np.full(len(x), np.inf)
        residual = np.full(len(x), np.inf)
        part = part.with_multipliers(np.zeros_like(x), (part.t * part.marginal(x)).sum(-1), penalty, x)
        for _ in range(self.max_outer):
            active = residual > self.tolerance
            x = np.where(active[:, None], self._minimise(part, x, active), x)
            beta, alpha = part.updated(x)
            beta, alpha = np.where(active, beta, part.beta), np.where(active[:, None], alpha, part.alpha)
            stationarity, broken = part.kkt(x, beta, alpha)
            residual = np.where(active, np.maximum(stationarity, broken), residual)
            yield part, _State(x, beta, residual)
            if (residual <= self.tolerance).all():
                return
            stalled = (broken > self.shrink * violation) & (broken > self.tolerance)
            penalty = np.where(stalled & (penalty < _MAX_PENALTY), penalty * self.growth, penalty)
            violation = broken
            part = part.with_multipliers(alpha, beta, penalty, x)

    def _minimise(self, part: LagrangianFunction, x: FloatArray, active: BoolArray) -> FloatArray:
        """Return the minimiser of L over x on the `active` rows."""
        if isinstance(part, KinkedLagrangianFunction):
            return part.minimiser(active)
        x = x.copy()
        index = np.flatnonzero(active)
        here = part.rows(index)
        for _ in range(self.max_inner):
            direction, slope, residual = here.newton(x[index])
            going = residual > _INNER_SHARE * self.tolerance
            if not going.all():
                index, direction, slope = index[going], direction[going], slope[going]
                here = here.rows(going)
            if index.size == 0:
                break
            moved = here.line_search(x[index], direction, slope, self.boundary)
            stuck = (moved == x[index]).all(-1)
            x[index] = moved
            if stuck.any():
                index, here = index[~stuck], here.rows(~stuck)
        return x


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """After a multiplier update: x (n_plans, n_nodes), β and the KKT residual (n_plans,)."""

    x: FloatArray
    beta: FloatArray
    residual: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Joint:
    """After an update of all multipliers: shares (n_nodes, n_uses), β, ρ and Y (n_resources,), and the residual."""

    shares: FloatArray
    beta: FloatArray
    penalty: FloatArray
    over: FloatArray
    residual: float


def _split_floors(form: NormalForm) -> tuple[LagrangianFunction, FloatArray, FloatArray]:
    """Return the problem in x with multipliers at 0, the floors f (n_plans, n_nodes) and what they leave, r."""
    floor = form.floor
    spare = np.maximum(1.0 - (form.t * floor).sum(-1), EPS)
    none, zero = np.zeros_like(form.t), np.zeros(len(form.t))
    base, rho = floor / spare[:, None], form.rho / spare[:, None]
    if poisson(form.scv) and len(form.curve.pieces()) == 1 and form.curve.waits():
        return LagrangianFunction(form.curve, form.t, base, rho, none, zero, zero, zero), floor, spare
    wait = form.wait * spare[:, None]
    scv = np.broadcast_to(form.scv, form.t.shape)
    return KinkedLagrangianFunction(form.curve, form.t, base, rho, none, zero, zero, zero, wait, scv), floor, spare


def _on_budget(t: FloatArray, x: FloatArray) -> FloatArray:
    """Return x scaled so that Y = 0: what the last digits of the multipliers leave over is shared out too."""
    x = np.maximum(x, _LEAST)
    return np.asarray(x / (t * x).sum(-1)[:, None])
