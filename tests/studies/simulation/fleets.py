"""Scenarios with chosen loads, the plans that have them, and the delay that theory gives."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

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


def tandem(scenario, plan, *, uplink_queues=False, level=None):
    """Return (n_nodes,) the exact mean delay, s, of deterministic stages in series under Poisson arrivals.

    Or the quantile of a level, by A. K. Erlang's sum, good to eight digits up to a load of 0.85.
    """
    services = service_times(scenario, plan)
    slowest = (services if uplink_queues else services[:, [0, 2]]).max(axis=-1)
    rate = scenario.nodes.arrival_rate
    if level is not None:
        return services.sum(-1) + slowest * [waited(load, level) for load in rate * slowest]
    return services.sum(-1) + rate * slowest**2 / (2 * (1 - rate * slowest))


def waited(load, level):
    """Return the quantile of the M/D/1 wait, in services."""

    def below(x):
        terms = (math.exp(load * (x - j)) * (load * (j - x)) ** j / math.factorial(j) for j in range(int(x) + 1))
        return (1 - load) * math.fsum(terms) - level

    if 1 - load >= level:
        return 0.0
    high = next(x for x in range(1, 60) if below(x) > 0)
    return brentq(below, high - 1.0, high, xtol=1e-13)
