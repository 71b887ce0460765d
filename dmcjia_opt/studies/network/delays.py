"""One node that runs one network, and its delay along the cuts."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.model.networks.measured import MeasuredTimes
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.uplinks import Stages


def one_node(
    profile: LayerProfile,
    compute_gflops: float,
    uplink_mbps: float,
    arrival_rate: float,
    cloud_gflops: float,
    *,
    device: str = "",
    times: MeasuredTimes | None = None,
) -> Scenario:
    """Return the scenario of one node that runs a network.

    Parameters
    ----------
    profile
        The network.
    compute_gflops, uplink_mbps, arrival_rate
        GFLOP/s, Mbit/s and tasks per second of the node.
    cloud_gflops
        What the cloud gives it, GFLOP/s.
    device, times
        The device whose measured times replace `compute_gflops`, and these; empty for none.
    """
    nodes = NodeTable(
        names=("node-1",),
        networks=(profile.name,),
        compute_gflops=np.array([compute_gflops]),
        uplink_mbps=np.array([uplink_mbps]),
        arrival_rate=np.array([arrival_rate]),
        devices=(device,) if device else (),
        device_index=np.array([0 if device else -1]),
    )
    return Scenario(cloud_gflops, nodes, profiles={profile.name: profile}, times=times or MeasuredTimes())


def conditions(scenario: Scenario) -> str:
    """Return in words what a scenario's only node is given: compute or device, uplink, tasks and cloud."""
    nodes = scenario.nodes
    on = nodes.device_of(0) or f"{nodes.compute_gflops[0]:g} GFLOP/s"
    return (
        f"{on}, {nodes.uplink_mbps[0]:g} Mbit/s, {nodes.arrival_rate[0]:g} tasks/s, "
        f"cloud {scenario.cloud_gflops:g} GFLOP/s"
    )


def delay_along_cuts(scenario: Scenario) -> Stages:
    """Return the delay of a scenario's only node at each of its splits, (n_layers + 1,), with the cloud to itself.

    Where a queue is unstable it is +inf.
    """
    problem = compile_problem(scenario)
    splits = np.arange(problem.n_options)[:, None]
    stages = problem.breakdown(splits, np.ones(splits.shape))
    return Stages(stages.edge[:, 0], stages.upload[:, 0], stages.cloud[:, 0])


def best_split(delays: Stages) -> int | None:
    """Return the split of least delay along the cuts, None if none is stable."""
    return int(np.argmin(delays.total)) if np.isfinite(delays.total).any() else None
