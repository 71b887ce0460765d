"""What the rows of a plan file say, as options and shares of the problem they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.plan import PlanFile


def options_and_shares(scenario: Scenario, problem: Problem, claims: PlanFile) -> tuple[IntArray, FloatArray]:
    """Return the options (n_nodes,) and shares (n_nodes, n_uses) of a plan file.

    With one cloud they are its splits and shares. Else the cuts, the server and the shares of every node say them.

    Raises
    ------
    InputError
        If the plan is not one for this fleet at all: another number of nodes, or options that do not exist.
    """
    if not (len(claims.splits) == len(claims.shares) == len(claims.nodes) == problem.n_nodes):
        raise InputError(
            f"the plan has {len(claims.splits)} splits, {len(claims.shares)} shares and {len(claims.nodes)} nodes, "
            f"the scenario {problem.n_nodes} nodes; verify a plan with the scenario it was made for"
        )
    if scenario.menus.splits:
        splits = problem.check_options(np.array(claims.splits, dtype=np.int64))
        return splits, np.array(claims.shares, dtype=np.float64)[:, None]
    known: dict[tuple[int, tuple[int, ...], str | None], int] = {}
    options = np.empty(problem.n_nodes, dtype=np.int64)
    shares = np.zeros((problem.n_nodes, problem.n_uses))
    for d, row in enumerate(claims.nodes):
        there = {
            "cuts": row.cuts is not None,
            "server": "server" in row.model_fields_set,
            "shares": row.shares is not None,
        }
        if row.cuts is None or not all(there.values()):
            missing = next(key for key, said in there.items() if not said)
            raise InputError(
                f'"nodes[{d}].{missing}" is missing; where more than one cloud is shared a plan says the cuts, the '
                "server and the shares of every node"
            )
        key = int(scenario.menus.index[d]), tuple(row.cuts), row.server
        if key not in known:
            try:
                known[key] = scenario.option_of(d, row.cuts, row.server)
            except InputError as error:
                raise InputError(f"nodes[{d}]: {error}") from None
        options[d] = known[key]
        for k, share in placed(problem, d, known[key], row.shares or {}):
            shares[d, k] = share
    return options, shares


def placed(problem: Problem, node: int, option: int, shares: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    """Yield the uses of an option of which there are shares by name, and those; uses that need none come last."""
    uses = np.argsort(problem.service[node, option] == 0, kind="stable").tolist()
    for name, said in shares.items():
        on = [k for k in uses if problem.resources[int(problem.resource[node, option, k])].name == name]
        yield from zip(on, said if isinstance(said, list) else [said], strict=False)
