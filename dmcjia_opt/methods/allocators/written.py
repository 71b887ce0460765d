"""The choice of shares at fixed options, written out for cvxpy and for Pyomo: in shares and seconds, as it reads.

Allocators solve the same in a scaled form (`one_by_one`). With μ = δ/s a use takes a/μ + b/(μ − λ) = a·s/δ +
b·s/(δ − λs). Of the stages of a tandem at most one is waited for: together they take the largest of Σ 1/μ, and of that
with the wait of one of them, beyond what was waited before, on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, over_uses
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.bounds.certificate import overload_of
from dmcjia_opt.model import pooling
from dmcjia_opt.model.delay import TandemCurve
from dmcjia_opt.model.problem import Problem


@dataclass(frozen=True, slots=True, eq=False)
class _Uses:
    """What a model of one plan is made of.

    Parameters
    ----------
    constant
        (n_nodes,) delay that shares do not change, s.
    node, use, resource
        (n_busy,) where there are shares, and of what.
    s, rate, least, wait
        (n_busy,) service times, s, arrival rates, 1/s, least shares, and the wait upstream, s.
    a, b
        (n_busy,) coefficients of the delay; of a tandem's stage where its wait is the longest.
    tandem
        (n_busy,) whether it is a stage of one.
    """

    constant: FloatArray
    node: IntArray
    use: IntArray
    resource: IntArray
    s: FloatArray
    rate: FloatArray
    least: FloatArray
    wait: FloatArray
    a: FloatArray
    b: FloatArray
    tandem: BoolArray


def _uses(problem: Problem, given: npt.ArrayLike) -> _Uses:
    options = problem.check_options(np.asarray(given))
    if options.shape != (problem.n_nodes,):
        raise InputError(f"a model is of one plan: options must have shape ({problem.n_nodes},), got {options.shape}")
    scv, curves = problem.gaps(), problem.use_curves
    for curve in curves:
        if not curve.pieces(scv):
            raise InputError(f'the delay curve "{curve.name}" is tabulated and has no form that can be written down')
    if why := overload_of(problem, options):
        raise InfeasibleError(f"no shares make a plan of these options: {why}")
    reserved = problem.relaxed
    service = reserved.at(reserved.service, options)
    node, use = np.nonzero(service > 0)
    a, b = (
        np.stack([np.broadcast_to(getattr(c.pieces(scv)[0], key), problem.n_nodes) for c in curves], axis=-1)[node, use]
        for key in ("a", "b")
    )
    pooled = over_uses(pooling.use_delay(problem, options)) if problem.pooled.any() else 0.0
    return _Uses(
        constant=problem.at(problem.fixed_delay, options) + pooled,
        node=node,
        use=use,
        resource=problem.at(problem.resource, options)[node, use],
        s=service[node, use],
        rate=problem.arrival_rate[node],
        least=problem.least_share(options)[node, use],
        wait=problem.wait_at(options)[node, 0],
        a=a.astype(np.float64),
        b=b.astype(np.float64),
        tandem=np.array([isinstance(curve, TandemCurve) for curve in curves])[use],
    )


def to_cvxpy(problem: Problem, options: npt.ArrayLike) -> Any:  # noqa: ANN401 - cvxpy is untyped here
    """Return a ``cvxpy.Problem`` (see `Problem.to_cvxpy`)."""
    import cvxpy as cp
    from scipy import sparse

    uses, n = _uses(problem, options), problem.n_nodes
    if (uses.a < 0).any():
        raise InputError(
            "a delay curve has a negative term, so that disciplined convex programming cannot tell that it is convex; "
            "use to_pyomo, or gaps and services that vary less"
        )

    def to(rows: IntArray, on: BoolArray, n_rows: int) -> Any:  # noqa: ANN401 - a sparse matrix
        at = np.flatnonzero(on)
        return sparse.csr_array((np.ones(len(at)), (rows[at], at)), shape=(n_rows, len(on)))

    shares = cp.Variable((n, problem.n_uses), name="shares", nonneg=True)
    busy = np.zeros((n, problem.n_uses))
    busy[uses.node, uses.use] = 1.0
    budgets = to(uses.resource, np.ones(len(uses.s), dtype=np.bool_), problem.n_resources)
    constraints = [cp.multiply(1.0 - busy, shares) == 0]
    delay: Any = uses.constant
    if len(uses.s):
        x = shares[uses.node, uses.use]
        constraints += [budgets @ x <= 1, x >= uses.least]
        alone = cp.multiply(uses.s, cp.inv_pos(x))
        queued, first = uses.b > 0, cp.multiply(uses.a, alone)
        if queued.any():
            at = np.flatnonzero(queued)
            pole = cp.multiply((uses.b * uses.s)[at], cp.inv_pos(x[at] - (uses.rate * uses.s)[at]))
            first = first + to(np.arange(len(uses.s)), queued, len(uses.s))[:, at] @ pole
        delay = delay + to(uses.node, ~uses.tandem, n) @ first
        if uses.tandem.any():
            together = to(uses.node, uses.tandem, n)
            alternatives = [together @ alone]
            for k in np.unique(uses.use[uses.tandem]):
                waited = uses.tandem & (uses.use == k)
                one = to(uses.node, waited, n)
                alternatives.append((together - one) @ alone + one @ (first - uses.wait))
            delay = delay + cp.maximum(*alternatives)
    if (late := np.flatnonzero(np.isfinite(problem.deadline))).size:
        constraints.append(delay[late] <= problem.deadline[late])
    return cp.Problem(cp.Minimize(cp.max(delay) if problem.worst else problem.weight @ delay), constraints)


def to_pyomo(problem: Problem, options: npt.ArrayLike) -> Any:  # noqa: ANN401 - Pyomo is untyped
    """Return a ``pyomo.environ.ConcreteModel`` (see `Problem.to_pyomo`)."""
    import pyomo.environ as pyo

    uses = _uses(problem, options)
    model = pyo.ConcreteModel(name=problem.name or "shares")
    keys = list(zip(uses.node.tolist(), uses.use.tolist(), strict=True))
    begun = _even(problem, uses)
    least = dict(zip(keys, uses.least.tolist(), strict=True))
    model.shares = pyo.Var(keys, bounds=lambda _, d, k: (least[d, k], 1.0))
    for key, share in zip(keys, begun.tolist(), strict=True):
        model.shares[key] = share
    model.budget = pyo.Constraint(
        [one.name for r, one in enumerate(problem.resources) if (uses.resource == r).any()],
        rule=lambda model, name: (
            sum(
                model.shares[key]
                for key, r in zip(keys, uses.resource.tolist(), strict=True)
                if problem.resources[r].name == name
            )
            <= 1.0
        ),
    )
    delays: list[Any] = uses.constant.tolist()
    longest: dict[int, list[int]] = {}
    for i, key in enumerate(keys):
        if uses.tandem[i]:
            longest.setdefault(key[0], []).append(i)
        else:
            delays[key[0]] += _first(model.shares[key], uses, i)
    model.together = pyo.Var(list(longest))
    model.at_least = pyo.ConstraintList()
    for d, stages in longest.items():
        alone = {i: uses.s[i] / model.shares[keys[i]] for i in stages}
        took = []
        for waited in (None, *stages):
            rest = sum(one for i, one in alone.items() if i != waited)
            own = 0.0 if waited is None else _first(model.shares[keys[waited]], uses, waited) - uses.wait[waited]
            model.at_least.add(model.together[d] >= rest + own)
            took.append(pyo.value(rest + own))
        model.together[d] = max(took)
        delays[d] += model.together[d]
    late = [d for d in np.unique(uses.node).tolist() if np.isfinite(problem.deadline[d])]
    model.in_time = pyo.Constraint(late, rule=lambda _, d: delays[d] <= float(problem.deadline[d]))
    if problem.worst:
        model.worst = pyo.Var(initialize=max(map(pyo.value, delays)))
        model.each = pyo.Constraint(range(len(delays)), rule=lambda model, d: model.worst >= delays[d])
    total = (
        model.worst if problem.worst else sum(w * one for w, one in zip(problem.weight.tolist(), delays, strict=True))
    )
    model.delay = pyo.Objective(expr=total)
    return model


def _first(share: Any, uses: _Uses, i: int) -> Any:  # noqa: ANN401 - Pyomo is untyped
    """Return the delay of a use whose wait is the longest."""
    s, a, b = float(uses.s[i]), float(uses.a[i]), float(uses.b[i])
    return a * s / share + (b * s / (share - float(uses.rate[i]) * s) if b else 0.0)


def _even(problem: Problem, uses: _Uses) -> FloatArray:
    """Return shares (n_busy,) that are a plan: the least, and of what is left of each resource as much for all."""
    total = np.bincount(uses.resource, uses.least, problem.n_resources)
    number = np.bincount(uses.resource, minlength=problem.n_resources)
    return np.asarray(uses.least + ((1.0 - total) / np.maximum(number, 1))[uses.resource])
