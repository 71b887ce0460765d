"""The augmented Lagrangian of P5 as a function of x, its slacks minimised out (see `augmented_lagrangian`)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.methods.allocators.root import increasing_root
from dmcjia_opt.model.delay import DelayCurve, TandemCurve
from dmcjia_opt.model.queues import MD1, Scv

_SUFFICIENT_DECREASE = 1e-4
_MAX_HALVINGS = 40
_MAX_PIECES = 100
_PIECE_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class LagrangianFunction:
    """L of a batch at fixed multipliers, its slacks minimised out.

    Parameters
    ----------
    curve
        Delay curve.
    t, base, rho, alpha
        (n_plans, n_nodes) t, φ, ϱ and α of the module's text.
    beta, rho_x, rho_y
        (n_plans,) multiplier of the budget and penalty factors.
    """

    curve: DelayCurve
    t: FloatArray
    base: FloatArray
    rho: FloatArray
    alpha: FloatArray
    beta: FloatArray
    rho_x: FloatArray
    rho_y: FloatArray

    def rows(self, index: IntArray | BoolArray) -> Self:
        """Return the sub-batch at `index`."""
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)[1:]})

    def with_multipliers(self, alpha: FloatArray, beta: FloatArray, penalty: FloatArray, x: FloatArray) -> Self:
        """Return L at new multipliers, its penalty factors `penalty` times the curvatures met at `x`.

        Where a floor binds, φ is of order 1 or more and the curvature about 2b or less. How strongly Σ t·x answers
        to β, which is Σ t/curvature, can be anything then: a ρ_y that ignored it would drown a small β in the
        rounding of Y.
        """
        rho_x = penalty * (2.0 * self.curve.pieces()[0].b)
        stiffness = self.curvature(x) + rho_x[:, None] * (alpha > 0)
        rho_y = penalty / (self.t / stiffness).sum(-1)
        return replace(self, alpha=alpha, beta=beta, rho_x=rho_x, rho_y=rho_y)

    def marginal(self, x: FloatArray) -> FloatArray:
        """Return what one more unit of x saves, per unit of t."""
        return self.curve.marginal(self.base + x, self.rho)

    def curvature(self, x: FloatArray) -> FloatArray:
        """Return the second derivative of the delay, per unit of t."""
        return self.curve.curvature(self.base + x, self.rho)

    def updated(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return β and α after one step of gradient ascent; they are also the slopes of the penalty terms at x."""
        beta = np.maximum(self.beta + self.rho_y * over_budget(self.t, x), 0.0)
        return beta, np.maximum(self.alpha - self.rho_x[:, None] * x, 0.0)

    def gradient(self, x: FloatArray) -> FloatArray:
        """Return the derivative of L, per unit of t."""
        beta, alpha = self.updated(x)
        return np.asarray(beta[:, None] - alpha - self.marginal(x))

    def newton(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the scaled gradient step at x, the slope of L along it and the stationarity residual.

        The delay is modelled to second order and the penalty terms, which are piecewise quadratic, are kept as they
        are. Then a node moves by max(free, held), and what the budget's term is worth after the step is the root of
        a concave, increasing, piecewise linear function; on one piece that is the Sherman–Morrison formula.
        """
        price, hold = self.updated(x)
        marginal, loose = self.marginal(x), self.curvature(x)
        gradient = price[:, None] - hold - marginal
        stiff = loose + self.rho_x[:, None]
        pull = marginal + self.alpha - self.rho_x[:, None] * x
        new = price
        for _ in range(_MAX_PIECES):
            free = (marginal - new[:, None]) / loose
            held = (pull - new[:, None]) / stiff
            move = np.maximum(free, held)
            worth = self.beta + self.rho_y * over_budget(self.t, x + move)
            answer = (self.t / np.where(held > free, stiff, loose)).sum(-1)
            step = (np.maximum(worth, 0.0) - new) / (1.0 + self.rho_y * (worth > 0) * answer)
            small = np.abs(step) <= _PIECE_TOLERANCE * new
            if small.all():
                break
            new = np.where(small, new, np.maximum(new + step, 0.0))
        direction = np.where(self.t > 0, move, 0.0)
        slope = (self.t * gradient * direction).sum(-1)
        return direction, slope, self._stationarity(gradient, marginal, price)

    def line_search(self, x: FloatArray, direction: FloatArray, slope: FloatArray, boundary: float) -> FloatArray:
        """Return a point on `direction` where L is sufficiently lower, or x where there is none.

        L is convex, so its change over a step is at most the mean of its slopes half-way and at the end, times the
        step. Slopes keep their digits near the minimum, where the change of L itself is lost in rounding.
        """
        with np.errstate(divide="ignore"):
            room = np.where(direction < 0, (self.base + x) / -direction, np.inf).min(-1)
        step: FloatArray = np.minimum(1.0, boundary * room)
        pull = self.t * direction
        for _ in range(_MAX_HALVINGS):
            move = step[:, None] * direction
            trial = x + move
            change = 0.5 * (pull * (self.gradient(x + 0.5 * move) + self.gradient(trial))).sum(-1)
            high = change > _SUFFICIENT_DECREASE * slope
            if not high.any():
                return trial
            step = np.where(high, 0.5 * step, step)
        return np.where(high[:, None], x, trial)

    def kkt(self, x: FloatArray, beta: FloatArray, alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the stationarity residual and the largest violation of feasibility and complementarity.

        Both constraints are measured by the relative change of some x + φ that would mend them: where floors take
        nearly all there is, the rest can only be known to that.
        """
        busy = self.t > 0
        marginal = self.marginal(x)
        stationarity = self._stationarity(beta[:, None] - alpha - marginal, marginal, beta)
        reach = np.maximum(x, 1.0)
        budget = np.abs(over_budget(self.t, x)) * np.where(busy, reach / (reach + self.base), 0.0).max(-1)
        relative = alpha / np.where(beta > 0, beta, 1.0)[:, None]
        floors = np.where(busy, np.abs(np.minimum(x / (x + self.base), relative)), 0.0).max(-1)
        return stationarity, np.maximum(budget, floors)

    def _stationarity(self, gradient: FloatArray, marginal: FloatArray, beta: FloatArray) -> FloatArray:
        relative = np.abs(gradient) / (beta[:, None] + marginal)
        return np.asarray(np.where(self.t > 0, relative, 0.0).max(-1))


@dataclass(frozen=True, slots=True, eq=False)
class KinkedLagrangianFunction(LagrangianFunction):
    """L minimised exactly, for curves without a gradient or a pole; X ≤ 0 is kept as it is, and α is not needed.

    Parameters
    ----------
    wait, scv
        (n_plans, n_nodes) the wait paid upstream in the units of the delay, and c_a² of the gaps.
    """

    wait: FloatArray
    scv: FloatArray

    def marginal(self, x: FloatArray) -> FloatArray:
        """Return what one more unit of x saves, per unit of t."""
        return self.curve.marginal(self.base + x, self.rho, self.wait, self._gaps)

    def with_multipliers(self, alpha: FloatArray, beta: FloatArray, penalty: FloatArray, x: FloatArray) -> Self:
        """Return L at new multipliers and penalty factors (see the base class).

        Nodes at x = 0 do not answer to β. Nor do those at their kink, but they count as if there were none: where all
        are, ρ_y would be infinite.
        """
        excess, free = self.base + x, self.t * (x > 0)
        smooth = MD1 if isinstance(self.curve, TandemCurve) else self.curve
        own = self.curve.curvature(excess, self.rho, self.wait, self._gaps)
        curvatures = own, smooth.curvature(np.where(excess > 0, excess, 1.0), self.rho)
        answers = [(free / curvature).sum(-1) for curvature in curvatures]
        answer = np.maximum(*answers)
        with np.errstate(divide="ignore"):
            return replace(self, beta=beta, rho_y=penalty * np.where(answer > 0, 1.0 / answer, beta))

    def response(self, worth: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the best x ≥ 0 at a `worth` (n_plans,) of the budget, and how fast it falls."""
        excess = self.curve.excess_at(worth[:, None], self.rho, self.wait, self._gaps)
        x = excess - self.base
        fall = np.where(x > 0, 1.0 / self.curve.curvature(excess, self.rho, self.wait, self._gaps), 0.0)
        return np.maximum(x, 0.0), fall

    @property
    def _gaps(self) -> Scv:
        return 1.0 if self.scv.size == 0 or (self.scv == 1.0).all() else self.scv

    def minimiser(self, rows: BoolArray) -> FloatArray:
        """Return the minimiser of L on `rows`; it is meaningless on the others."""

        def surplus(q: FloatArray) -> tuple[FloatArray, FloatArray]:
            worth = 1.0 / (q * q)
            x, fall = self.response(worth)
            value = over_budget(self.t, x) + (self.beta - worth) / self.rho_y
            return value, 2.0 * ((self.t * fall).sum(-1) + 1.0 / self.rho_y) / (q * q * q)

        # there every x is 2 or more and p is at most ρ_y
        reach = np.where(self.t > 0, self.base + self.rho, 0.0).max(-1)
        most = np.maximum(2.0 + reach, 1.0 / np.sqrt(self.rho_y)) * 1.01
        with np.errstate(divide="ignore"):
            start = np.minimum(1.0 / np.sqrt(self.beta), most)
        return self.response(increasing_root(surplus, start, np.zeros_like(most), most, rows) ** -2.0)[0]

    def updated(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return β after one step of gradient ascent, and α as it was."""
        return np.maximum(self.beta + self.rho_y * over_budget(self.t, x), 0.0), self.alpha

    def kkt(self, x: FloatArray, beta: FloatArray, alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far x is from its best at β, relative to x + φ, and the violation of the budget.

        Where tasks overlap a delay is that of x + φ + ϱ, and x is known to no more digits than that.
        """
        best, _ = self.response(np.where(beta > 0, beta, 1.0))
        busy = self.t > 0
        rate = self.base + x + np.where(self.curve.waits(self._gaps), 0.0, self.rho)
        away = np.where(busy, np.abs(best - x) / np.maximum(rate, np.finfo(np.float64).tiny), 0.0).max(-1)
        reach = np.maximum(x, 1.0)
        budget = np.abs(over_budget(self.t, x)) * np.where(busy, reach / (reach + self.base), 0.0).max(-1)
        return np.where(beta > 0, away, np.inf), budget


def over_budget(t: FloatArray, x: FloatArray) -> FloatArray:
    """Return Y, (n_plans,)."""
    return np.asarray((t * x).sum(-1) - 1.0)
