"""Where a search starts: the options of a plan for a fleet like this one, and prices that are not far off."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import described
from dmcjia_opt.solving.claimed import options_and_shares
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.plan import Plan, PlanFile
from dmcjia_opt.solving.target import Target


def start_of(target: Target, start: Plan | PlanFile | Placement) -> tuple[IntArray, FloatArray | None]:
    """Return the options (n_nodes,) of a plan, and its prices (n_resources,) if it says some.

    Raises
    ------
    InputError
        If the plan is not one of these nodes and their options.
    """
    problem = target.problem
    if not isinstance(start, Plan | PlanFile | Placement):
        raise InputError(f"start must be a Plan, or what load_plan returns, got {described(start)}")
    try:
        if isinstance(start, PlanFile):
            if target.scenario is None:
                raise InputError("what a plan file says is about a scenario, not a problem; start at a Plan")
            options, _ = options_and_shares(target.scenario, problem, start)
        else:
            options = problem.check_options(np.asarray(start.options))
            if options.ndim != 1:
                raise InputError(f"one option for each node, (n_nodes,), is needed, got shape {options.shape}")
    except InputError as error:
        raise InputError(f"start: {error}") from None
    prices = _prices(start)
    return options, prices if prices.shape == (problem.n_resources,) and np.isfinite(prices).all() else None


def _prices(start: Plan | PlanFile | Placement) -> FloatArray:
    if not isinstance(start, PlanFile):
        return np.asarray(start.prices, dtype=np.float64)
    if start.resources is not None:
        return np.array([row.price_s for row in start.resources], dtype=np.float64)
    return np.array([] if start.price_s is None else [start.price_s], dtype=np.float64)
