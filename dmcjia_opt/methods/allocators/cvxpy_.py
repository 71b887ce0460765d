"""Shares by any cone solver that cvxpy reaches: the inner problem as a second-order cone program.

A term weight/(slope·y + rest) is the least z with z·(slope·y + rest) ≥ weight, a rotated second-order cone. The model
is written in √t·y and z/√t: then the cones' two sides, the objective's and the budget's coefficients of a node are all
of the size of √t, which is what first-order solvers need (SCS takes a hundred iterations instead of thousands).
Everything enters as a cvxpy ``Parameter`` in DPP form, so that a problem is compiled once for each shape. In a tandem a
node costs the maximum of two such expressions, which disciplined convex programming takes as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from dmcjia_opt.base.errors import BackendMissing
from dmcjia_opt.methods.allocators.one_by_one import Answer, Models, OneByOne, OnePlan
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status, of_the_mean
from dmcjia_opt.solving.options import OneOf, method

_STATUS = {
    "optimal": Status.OPTIMAL,
    "optimal_inaccurate": Status.INACCURATE,
    "user_limit": Status.LIMIT,
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10},
    "ECOS": {"abstol": 1e-10, "reltol": 1e-10, "feastol": 1e-10},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 50_000},
}


def installed_solvers() -> tuple[str, ...]:
    """Return cvxpy's names of the solvers that are installed here and take second-order cones."""
    import cvxpy as cp
    from cvxpy.reductions.solvers.defines import SOLVER_MAP_CONIC

    return tuple(
        name
        for name in cp.installed_solvers()
        if name in SOLVER_MAP_CONIC and cp.SOC in SOLVER_MAP_CONIC[name].SUPPORTED_CONSTRAINTS
    )


@method
class CvxpyAllocator(OneByOne):
    """Optimal shares by a cone solver.

    Parameters
    ----------
    solver
        cvxpy's name of an installed solver that takes second-order cones, such as ``"CLARABEL"`` or ``"SCS"``.

    Notes
    -----
    Compiled problems belong to the thread that compiled them and are not pickled. Solves start cold, so that a plan's
    shares do not depend on the plans before it.
    """

    solver: Annotated[str, OneOf(installed_solvers)] = "CLARABEL"
    _models: Models = field(default_factory=lambda: Models(_compile), init=False, repr=False, compare=False)

    def supports(self, problem: Problem) -> str | None:
        """Refuse delay curves that are not sums of convex terms."""
        if why := of_the_mean(problem, "waterfilling", percentiles=False, renewal=not problem.kinked):
            return why
        scv = problem.gaps()
        refused = [curve for curve in problem.use_curves if not curve.is_dcp(scv)]
        if not refused:
            return None
        least = float(np.min(refused[0].pieces(scv)[0].a))
        return (
            f'the delay curve "{refused[0].name}" has a negative term (a = {least:g}), so it cannot be written as '
            "disciplined convex programming asks; use the waterfilling allocator, or gaps and services that vary less"
        )

    def solve_one(self, plan: OnePlan) -> Answer | None:
        """Return the cone solver's answer; None when it crashes or ends without a solution.

        Raises
        ------
        BackendMissing
            If the solver is not installed or takes no second-order cones.
        """
        shape = (len(plan.t), len(plan.terms), plan.has_floor, plan.factors, *plan.shared)
        compiled: _Compiled = self._models.get(self.solver.upper(), *shape)
        return compiled.solve(plan)


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """Parameters of tandems: the size of each, and of their stages the part of it and the relief by it."""

    size: Any
    ratio: Any
    relief: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    solver: str
    problem: Any
    root: Any
    scaled_y: Any
    budget: Any
    terms: tuple[tuple[Any, Any, Any], ...]
    reliefs: tuple[Any, ...]
    coefficients: Any
    series: _Series | None

    def solve(self, plan: OnePlan) -> Answer | None:
        root = np.sqrt(plan.t)
        self.root.value = root
        for (side, slope, rest), term in zip(self.terms, plan.terms, strict=True):
            side.value, slope.value, rest.value = 2.0 * np.sqrt(term.weight), term.slope, term.rest * root
        for relief, part in zip(self.reliefs, plan.parts, strict=True):
            relief.value = part.relief / root
        if plan.rows is not None:
            self.coefficients.value = plan.budgets / root
        if self.series is not None:
            stages = root[: plan.n_tandems * plan.n_stages].reshape(plan.n_tandems, plan.n_stages)
            size = np.sqrt((stages**2).sum(axis=1))
            self.series.size.value, self.series.ratio.value = size, (stages / size[:, None]).ravel()
            self.series.relief.value = plan.parts[0].relief[: stages.size] / np.repeat(size, plan.n_stages)
        options = _OPTIONS.get(self.solver, {})
        # Problem.solve would turn inaccuracy into a process-wide warning and failure into an exception.
        data, chain, inverse = self.problem.get_problem_data(self.solver, enforce_dpp=True, solver_opts={})
        try:
            raw = chain.solve_via_data(self.problem, data, solver_opts=dict(options))
        except Exception:  # noqa: BLE001  backends raise anything; it may cost this row, not the batch
            return None
        solution = chain.invert(raw, inverse)
        status = _STATUS.get(solution.status)
        if status is None:
            return None
        y = np.asarray(solution.primal_vars[self.scaled_y.id], dtype=np.float64) / root
        return Answer(y, solution.dual_vars.get(self.budget.id, np.nan), status)


def _compile(
    solver: str,
    n: int,
    n_terms: int,
    has_floor: bool,
    factors: tuple[tuple[float, ...], ...],
    n_budgets: int = 0,
    n_tandems: int = 0,
    n_stages: int = 1,
) -> _Compiled:
    import cvxpy as cp
    from scipy import sparse

    if solver not in (able := installed_solvers()):
        raise BackendMissing(
            f"cvxpy has no solver called {solver} here that takes second-order cones; "
            f"install it or choose one of {', '.join(able)}"
        )
    root = cp.Parameter(n, nonneg=True)
    scaled_y = cp.Variable(n)
    coefficients = cp.Parameter((n_budgets, n), nonneg=True) if n_budgets else root
    budget = coefficients @ scaled_y <= 1
    constraints = [budget, scaled_y >= 0] if has_floor else [budget]
    terms, delays = [], []
    for _ in range(n_terms):
        side, slope, rest = (cp.Parameter(n, nonneg=True) for _ in range(3))
        x = cp.multiply(slope, scaled_y) + rest
        z = cp.Variable(n)
        constraints.append(cp.SOC(z + x, cp.vstack([side, z - x])))
        delays.append(z)
        terms.append((side, slope, rest))
    reliefs = tuple(cp.Parameter(n, nonneg=True) for _ in factors)
    n_series = n_tandems * n_stages
    tandems = None
    if factors:
        sums = [sum(factor * z for factor, z in zip(row, delays, strict=True)) for row in factors]
        cost = cp.Constant(0.0)
        if n > n_series:
            pieces = [each[n_series:] - relief[n_series:] for each, relief in zip(sums, reliefs, strict=True)]
            total = cp.Variable(n - n_series)
            constraints.append(cp.maximum(*pieces) <= total)
            cost = root[n_series:] @ total
        if n_series:
            # of the stages of a tandem at most one is waited for
            tandems = _Series(*(cp.Parameter(k, nonneg=True) for k in (n_tandems, n_series, n_series)))
            first, last = (cp.multiply(tandems.ratio, each[:n_series]) for each in sums)
            together = sparse.kron(sparse.eye_array(n_tandems), np.ones((1, n_stages)), format="csr")
            longest = cp.Variable(n_tandems)
            others = together.T @ (together @ last) - last
            constraints += [together @ last <= longest, first - tandems.relief + others <= together.T @ longest]
            cost = cost + tandems.size @ longest
    else:
        cost = sum(root @ z for z in delays)
    problem = cp.Problem(cp.Minimize(cost), constraints)
    assert problem.is_dcp(dpp=True)
    return _Compiled(solver, problem, root, scaled_y, budget, tuple(terms), reliefs, coefficients, tandems)
