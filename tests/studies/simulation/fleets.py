"""Scenarios with chosen loads, the plans that have them, and the delay that theory gives."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.contract import Placement

PROFILE = zoo_profile("resnet34")
MIDDLE, LAST = 16, PROFILE.n_layers
RATE = 1.5


def loaded(edge, uplink, cloud, *, splits=MIDDLE, rate=RATE, **options):
    """Return a scenario and a plan whose stages have the given loads (n_nodes,); NaN where the split has no stage."""
    edge, uplink, cloud, rate, splits = np.broadcast_arrays(*np.atleast_1d(edge, uplink, cloud, rate, splits))
    n = len(edge)
    before = 2.0 * PROFILE.work[splits]
    needed = np.nan_to_num(rate * (2.0 * PROFILE.total_macs - before) / cloud)
    nodes = NodeTable(
        names=tuple(f"node-{d}" for d in range(n)),
        networks=("resnet34",),
        compute_gflops=np.where(before > 0, np.nan_to_num(rate * before / edge, nan=1e9) / 1e9, 1.0),
        uplink_mbps=8e-6 * rate * PROFILE.upload_bytes[splits] / uplink,
        arrival_rate=rate,
    )
    total = needed.sum() or 1.0
    scenario = Scenario(total / 1e9, nodes, Options(**options), name="loaded")
    return scenario, Placement(splits.astype(np.int64), needed / total * (1 - 1e-15))


def service_times(scenario, plan):
    """Return (n_nodes, 3) service times, s: edge, upload, cloud at the plan's share."""
    found = stage_times(scenario).at(plan.options)
    used = found.used[:, 0]
    cloud = np.divide(used, plan.shares, out=np.zeros(scenario.n_nodes), where=used > 0)
    return np.stack([found.edge, found.upload, cloud], axis=-1)


def tandem(scenario, plan, *, uplink_queues=False):
    """Return (n_nodes,) the exact mean delay, s, of deterministic stages in series under Poisson arrivals."""
    services = service_times(scenario, plan)
    slowest = (services if uplink_queues else services[:, [0, 2]]).max(axis=-1)
    rate = scenario.nodes.arrival_rate
    return services.sum(-1) + rate * slowest**2 / (2 * (1 - rate * slowest))
