"""Why no plan exists: which nodes fail even alone, or by how much the fleet asks for more than there is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.bounds.loads import least_load, least_shares
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import BLOCK_ROWS, stage_times

_MOST_NAMED = 3


def why_no_plan(scenario: Scenario, problem: Problem | None = None) -> str:
    """Return in one sentence why no plan of a scenario exists, and what would help; empty where it has one.

    `problem` is the scenario compiled, where somebody has it.
    """
    problem = problem or compile_problem(scenario)
    load = least_load(problem)
    if load < 1.0:
        return ""
    names, rates = scenario.nodes.names, scenario.nodes.arrival_rate
    most = np.concatenate(list(_carried(scenario)))
    alone = np.flatnonzero(most <= rates)
    if alone.size:
        first = alone[0]
        told = [
            f'"{names[d]}" {"can carry " if d == first else ""}less than {most[d]:.4g} of its {rates[d]:g} tasks/s'
            for d in alone
        ]
        uplink = ", or its uplink_mbps" if scenario.options.uplink == "queue" else ""
        return (
            f"no plan exists: even at the best split and with the whole cloud, {listed(told, what='node')}; lower "
            f"arrival_rate there, or raise the compute_gflops of the node or of the cloud{uplink}"
        )
    shares = least_shares(problem)
    largest = np.argsort(-shares, kind="stable")[:_MOST_NAMED]
    who = ", ".join(f'"{names[d]}" ({_clouds(shares[d])})' for d in largest)
    wanted = load * scenario.cloud_gflops * (1 + 5e-4)  # so that rounding takes none of it
    cloud = "a faster cloud" if scenario.cloud_device else f"a cloud.compute_gflops of {wanted:.5g} or more"
    return (
        f"no plan exists: whatever the splits, the fleet needs at least {_clouds(load)}, most of it for {who}; "
        f"give it {cloud}, faster nodes or a lower arrival_rate"
    )


def _clouds(load: float) -> str:
    """Return a load in words, rounded down, with as many digits as tell it from a whole cloud."""
    scale = next(scale for scale in (10.0**k for k in range(2, 17)) if load < 1 or load * scale >= scale + 1)
    return f"{math.floor(load * scale) / scale:.16g} clouds"


def _carried(scenario: Scenario) -> Iterator[FloatArray]:
    """Yield, for some nodes at a time, the arrival rate, 1/s, below which each is stable at its best split, alone."""
    times, options = stage_times(scenario), scenario.options
    for start in range(0, scenario.n_nodes, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        edge, upload = times.local(rows)
        network = times.network_index[rows]
        cloud = times.cloud[network]
        slowest = np.maximum(edge, cloud)
        if options.uplink == "queue":
            slowest = np.maximum(slowest, upload)
        allowed = times.exists[network]
        if options.ordering == "cloud-faster":
            allowed = allowed & ((cloud <= edge) | (edge == 0))
        with np.errstate(divide="ignore"):
            yield np.where(allowed, 1.0 / slowest, 0.0).max(axis=1)
