"""A scenario compiled into the tables of a problem; every unit is SI from here on."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import absent
from dmcjia_opt.base.limits import require_memory
from dmcjia_opt.model.delay import delay_curve
from dmcjia_opt.model.problem import SMALLEST, Problem, Uplinks, mean_wait
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import BLOCK_ROWS, StageTimes, stage_times


def compile_problem(scenario: Scenario, times: StageTimes | None = None) -> Problem:
    """Return the tables of a scenario; every unit is SI from here on.

    Parameters
    ----------
    scenario
        The fleet, the cloud and the options.
    times
        Service times in place of the scenario's own: of a fleet that is otherwise the same.

    Raises
    ------
    InputError
        If they do not fit into this machine.
    """
    nodes, options = scenario.nodes, scenario.options
    n, n_networks = len(nodes), len(nodes.networks)
    m = 1 + max(profile.n_layers for profile in scenario.profiles.values())
    literal, tandem = options.ordering == "cloud-faster", options.delay == "tandem"
    n_rows = n * (1 + (n_networks > 1) + tandem + literal) + 4 * n_networks + len(nodes.measured())
    what = f"a problem of {n:,} nodes × {m:,} splits with tables"
    require_memory(8 * m * n_rows, what, "plan fewer nodes or layers")
    if times is None:
        times = stage_times(scenario)
    cloud = times.cloud
    local = np.empty((n, m))
    least = np.zeros((n, m)) if literal else absent()
    upstream = np.empty((n, m)) if tandem else absent()
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        network = nodes.network_index[rows]
        service, upload = times.local(rows)
        slowest = np.maximum(service, upload) if options.uplink == "queue" else service
        wait = mean_wait(nodes.arrival_rate[rows, None], slowest)
        local[rows] = np.where(times.exists[network], service + wait + upload, np.inf)
        if upstream.size:
            upstream[rows] = np.where(np.isfinite(local[rows]) & (wait >= SMALLEST), wait, 0.0)
        if least.size:
            with np.errstate(divide="ignore"):
                least[rows] = np.where((service > 0) & (cloud[network] > 0), 1.0 / service, 0.0)
    local.setflags(write=False)
    shared = np.broadcast_to(cloud[0], (n, m)) if len(cloud) == 1 else cloud[nodes.network_index]
    shared.setflags(write=False)
    for table in (least, upstream):
        table.setflags(write=False)
    rates = nodes.arrival_rate
    return Problem(
        fixed_delay=local,
        service=shared,
        arrival_rate=rates,
        weight=np.full(n, 1.0 / n) if options.average == "nodes" else rates / rates.sum(),
        curves=delay_curve(options.delay, options.service_scv),
        least_rate=least,
        wait=upstream,
        last=times.n_layers[nodes.network_index],
        uplinks=Uplinks(times.sent, nodes.network_index, times.bandwidth, times.input_bytes, options.uplink == "queue"),
        name=scenario.name,
    )
