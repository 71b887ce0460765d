"""Rows of real runs, made in this process and the same every time: the clock is a count of evaluations."""

from __future__ import annotations

import functools
import json

from dmcjia_opt import Stop, compile_problem, generate, solve
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.studies.bench.claims import finite
from dmcjia_opt.studies.bench.rows import Outcome, Row

#: Seconds that one evaluation is said to take.
TICK = {"exact": 2e-3, "dmcjia": 4e-4, "genetic": 3e-4, "cloud-only+": 1e-3}
LIMIT = 2.0
SIZES = (5, 10, 20)


def row(key: str = "k", **changes: object) -> Row:
    """Return a row of a failed run, with changes."""
    values = {
        "key": key,
        "suite": "small",
        "instance": "paper-n5-s1",
        "instance_sha256": "0" * 64,
        "family": "paper",
        "n_nodes": 5,
        "n_splits": 35,
        "method": "genetic + waterfilling",
        "kind": "placer",
        "seed": 0,
        "outcome": Outcome.TIMEOUT,
        "message": "killed after 2 s",
        "limit_seconds": LIMIT,
        "lower_bound_s": 1.0,
        "machine": "a test, 2 cores",
        "versions": {"python": "3.11", "numpy": "2.0"},
        "revision": "abc1234",
    }
    return Row(**(values | changes))


def answer(key: str = "k", **changes: object) -> Row:
    """Return a row of a run whose plan is 1 % above the bound, found at once, with changes."""
    values = {
        "outcome": Outcome.ANSWER,
        "message": "",
        "objective_s": 1.0 / 0.99,
        "gap": 0.01,
        "evaluations": 10,
        "wall_seconds": 0.1,
    }
    return row(key, **(values | changes))


@functools.cache
def placer_rows() -> tuple[Row, ...]:
    """Return runs of four placers on two families, two seeds, and failures of two more methods."""
    rows = []
    for family in ("paper", "scarce"):
        for nodes in SIZES:
            scenario = generate(family, nodes=nodes, seed=1)
            bound = best_lower_bound(compile_problem(scenario))[0]
            proved = solve(scenario)
            bound = max(bound, proved.lower_bound)
            for placer, tick in TICK.items():
                for seed in (0, 1):
                    try:
                        plan = solve(scenario, placer, stop=Stop(evaluations=250), seed=seed)
                    except InfeasibleError as error:
                        ended = {"method": f"{placer} + waterfilling", "seed": seed, "lower_bound_s": bound}
                        where = {"instance": scenario.name, "family": family, "n_nodes": nodes}
                        how = {"outcome": Outcome.NO_PLAN, "message": str(error), "wall_seconds": tick}
                        rows.append(row(f"{placer}-{scenario.name}-{seed}", **ended | where | how))
                    else:
                        rows.append(_row_of(plan, family, nodes, scenario.name, bound, tick, seed))
            for seed in (0, 1):
                rows += _failed(family, nodes, scenario.name, bound, seed, len(rows))
    return tuple(rows)


@functools.cache
def allocator_rows() -> tuple[Row, ...]:
    """Return made-up batches of three allocators, one of which fails on large instances."""
    rows = []
    for nodes in SIZES:
        for method, each, error in (("waterfilling", 5e-6, 0.0), ("alm", 5e-5, 3e-16), ("cvxpy:SCS", 2e-3, 5e-7)):
            values = {
                "instance": f"paper-n{nodes}-s1",
                "n_nodes": nodes,
                "method": method,
                "kind": "allocator",
                "plans": 50,
                "wall_seconds": 50 * each * nodes / 5,
            }
            key = f"{method}-{nodes}"
            if method == "cvxpy:SCS" and nodes == SIZES[-1]:
                rows.append(row(key, **values | {"outcome": Outcome.CRASH, "message": "its process died: signal 11"}))
            else:
                rows.append(
                    row(
                        key,
                        **values | {"outcome": Outcome.ANSWER, "message": "", "converged": 50, "worst_error": error},
                    )
                )
    return tuple(rows)


def write_folder(folder, rows, **run: object) -> None:
    """Write rows, and what is known of the run, as the runner does."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(one.to_dict()) + "\n" for one in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")


def _row_of(plan: Plan, family: str, nodes: int, name: str, bound: float, tick: float, seed: int) -> Row:
    cost = tick * (nodes / 5) ** 1.2
    proves = plan.placer == "exact"
    return row(
        f"{plan.placer}-{name}-{seed}",
        instance=name,
        family=family,
        n_nodes=nodes,
        method=f"{plan.placer} + waterfilling",
        seed=seed,
        outcome=Outcome.ANSWER,
        message="",
        limit_evaluations=250,
        claimed_status="optimal" if plan.status == Status.OPTIMAL else "feasible",
        claimed_objective_s=plan.objective,
        claimed_lower_bound_s=plan.lower_bound if proves else None,
        objective_s=plan.objective,
        lower_bound_s=bound,
        own_bound_s=plan.lower_bound,
        gap=(plan.objective - bound) / plan.objective,
        correct=True if proves else None,
        evaluations=plan.evaluations,
        setup_seconds=1e-3,
        wall_seconds=cost * plan.evaluations,
        cpu_seconds=cost * plan.evaluations,
        peak_mb=120.0,
        trace=tuple(
            (p.evaluations, cost * p.evaluations, finite(p.objective), finite(p.lower_bound) if proves else None)
            for p in plan.trace
        ),
    )


def _failed(family: str, nodes: int, name: str, bound: float, seed: int, start: int) -> list[Row]:
    same = {"instance": name, "family": family, "n_nodes": nodes, "seed": seed, "lower_bound_s": bound}
    slow = {"method": "mindtpy + waterfilling", "wall_seconds": LIMIT}
    if nodes < 20:
        claimed = {"claimed_status": "optimal", "claimed_lower_bound_s": 1.1 * bound, "correct": nodes < 10}
        found = {"objective_s": bound / (1 - 1e-7), "gap": 1e-7, "evaluations": 3, "wall_seconds": 0.05 * nodes}
        first = row(f"{start}-a", **same | slow | found | claimed | {"outcome": Outcome.ANSWER, "message": ""})
    else:
        first = row(f"{start}-a", **same | slow)
    refused = {"outcome": Outcome.REFUSED, "message": "ortools not installed; pip install 'dmcjia-opt[ortools]'"}
    return [first, row(f"{start}-b", **same | refused | {"method": "cp-sat + waterfilling", "wall_seconds": None})]
