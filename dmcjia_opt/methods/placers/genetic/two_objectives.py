"""Two objectives: the mean delay, and the delay of the node that waits longest, for pymoo's NSGA-II and its kin.

The shares of a plan are those that make its *mean* delay least, whichever allocator computes them: the second
objective is read off, not optimised over the shares. So the front holds the best trade-offs among choices of options
under the shares this package would deploy, the first objective's end of it is the placement problem itself, and the
certificates of that apply. Shares that favour the slowest node would move the other end further.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.methods.placers.genetic.guided import DualSampling
from dmcjia_opt.methods.placers.genetic.operators import ResetOrCreep
from dmcjia_opt.methods.placers.genetic.pymoo_ import PlacementProblem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Allocator


class TwoObjectiveProblem(PlacementProblem):
    """Options as integer variables; mean delay and the worst node's delay as objectives, overload as the constraint.

    Works with `pymoo.optimize.minimize` and nothing else of this package. Parameters, rounding and infeasible plans
    are as for `PlacementProblem`; the weights of the mean do not enter the second objective.

    Parameters
    ----------
    problem
        What to plan: a problem, a scenario or the path of its file.
    allocator
        Chooses the shares of each plan, for the mean; water-filling by default.

    Raises
    ------
    InputError
        If a node has only one option.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.methods.placers.genetic.two_objectives import TwoObjectiveProblem
    >>> TwoObjectiveProblem(generate("paper", nodes=3, seed=1)).n_obj
    2
    """

    def __init__(self, problem: Problem | Scenario | str | Path, allocator: Allocator | None = None) -> None:
        super().__init__(problem, allocator)
        self.n_obj = 2

    def delays(self, options: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return shares (n_plans, n_nodes, n_uses) and mean and worst delay (n_plans, 2), s.

        Both are NaN and +inf where a plan is infeasible or its allocator failed.
        """
        problem = self.search.problem
        shares = np.full((*options.shape, problem.n_uses), np.nan)
        values = np.full((len(options), 2), np.inf)
        rows = np.flatnonzero(problem.overload(options) == 0)
        if rows.size:
            plans = options[rows]
            found = self.search.allocator.allocate(problem, plans).shares
            mean, worst = problem.objective(plans, found), problem.breakdown(plans, found).total.max(axis=1)
            usable = problem.residuals(plans, found).feasible & np.isfinite(mean) & np.isfinite(worst)
            shares[rows[usable]] = found[usable]
            values[rows[usable]] = np.stack([mean, worst], axis=1)[usable]
        return shares, values

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *args: object, **kwargs: object) -> None:
        options = self.decode(np.atleast_2d(x))
        overload = self.search.problem.overload(options)
        _, values = self.delays(options)
        out["F"] = np.where(np.isfinite(values), values, self.search.penalty * (1.0 + overload[:, None]))
        out["G"] = overload[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class TradeOff:
    """One plan of a front.

    Parameters
    ----------
    options, shares
        (n_nodes,) and (n_nodes, n_uses), the plan.
    mean, worst
        Mean delay and the worst node's delay, s, as this package computes them.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.methods.placers.genetic.two_objectives import trade_offs
    >>> plan = trade_offs(generate("paper", nodes=3, seed=1), population=10, generations=5)[0]
    >>> plan.worst >= plan.mean
    True
    """

    options: IntArray
    shares: FloatArray
    mean: float
    worst: float

    __repr__ = brief


def verified(seen: TwoObjectiveProblem, x: FloatArray | None) -> tuple[TradeOff, ...]:
    """Return the front among the plans that `x` (n_plans, n_var) stand for, by increasing mean delay.

    Whatever pymoo says of them is not looked at: shares, delays and feasibility are computed anew, and plans that are
    infeasible, dominated or doubled are left out. None, as pymoo has it without any feasible plan, gives no plan.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.methods.placers.genetic.two_objectives import TwoObjectiveProblem, verified
    >>> seen = TwoObjectiveProblem(generate("paper", nodes=3, seed=1))
    >>> [plan.options for plan in verified(seen, np.array([[0.0, 16.2, 0.4]]))]
    [array([ 0, 16,  0])]
    """
    if x is None:
        return ()
    options = np.unique(seen.decode(np.atleast_2d(x)), axis=0)
    shares, values = seen.delays(options)
    front: list[TradeOff] = []
    for i in np.lexsort([values[:, 1], values[:, 0]]):
        mean, worst = (float(v) for v in values[i])
        if np.isfinite(mean) and (not front or worst < front[-1].worst):
            front.append(TradeOff(options[i], shares[i], mean, worst))
    return tuple(front)


def trade_offs(
    problem: Problem | Scenario | str | Path,
    allocator: Allocator | None = None,
    *,
    population: int = 50,
    generations: int = 100,
    seed: int = 0,
    start_from_dual: bool = True,
) -> tuple[TradeOff, ...]:
    """Return the front that NSGA-II finds, by increasing mean delay; empty if it meets no feasible plan.

    Parameters
    ----------
    problem
        What to plan: a problem, a scenario or the path of its file.
    allocator
        Chooses the shares of each plan, for the mean; water-filling by default.
    population, generations
        NSGA-II's.
    seed
        Same seed and versions, same front.
    start_from_dual
        Draw the first population around the Lagrangian solution (`DualSampling`), rather than at random.

    Raises
    ------
    InputError
        If a node has only one option, or the population or generations are too few.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.methods.placers.genetic.two_objectives import trade_offs
    >>> front = trade_offs(generate("paper", nodes=5, seed=1), population=20, generations=10)
    >>> front[0].mean <= front[-1].mean, front[0].worst >= front[-1].worst
    (True, True)
    """
    if population < 2 or generations < 1:
        raise InputError("trade_offs needs a population of at least 2 and at least 1 generation")
    seen = TwoObjectiveProblem(problem, allocator)
    algorithm = NSGA2(
        pop_size=population,
        sampling=DualSampling(seen.target.problem, moves=0.5 * seen.n_var)
        if start_from_dual
        else IntegerRandomSampling(),
        crossover=UniformCrossover(prob=0.9),
        mutation=ResetOrCreep(0.3, 0.3, 0.4),
        eliminate_duplicates=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymoo's advice on compiled modules
        result = minimize(seen, algorithm, ("n_gen", generations), seed=seed)
    return verified(seen, result.X)
