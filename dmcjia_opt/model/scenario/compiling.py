"""A scenario compiled into the tables of a problem; every unit is SI from here on."""

from __future__ import annotations

import numpy as np

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
    _require_room(scenario)
    nodes, options = scenario.nodes, scenario.options
    if times is None:
        times = stage_times(scenario)
    n, m = len(nodes), times.work.shape[1]
    cloud = times.cloud
    local = np.empty((n, m))
    literal = options.ordering == "cloud-faster"
    least = np.zeros((n, m)) if literal else None
    upstream = np.empty((n, m)) if options.delay == "tandem" else None
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        model = nodes.model_index[rows]
        service, upload = times.local(rows)
        slowest = np.maximum(service, upload) if options.uplink == "queue" else service
        wait = mean_wait(nodes.arrival_rate[rows, None], slowest)
        local[rows] = np.where(times.exists[model], service + wait + upload, np.inf)
        if upstream is not None:
            upstream[rows] = np.where(np.isfinite(local[rows]) & (wait >= SMALLEST), wait, 0.0)
        if least is not None:
            with np.errstate(divide="ignore"):
                least[rows] = np.where((service > 0) & (cloud[model] > 0), 1.0 / service, 0.0)
    local.setflags(write=False)
    shared = np.broadcast_to(cloud[0], (n, m)) if len(cloud) == 1 else cloud[nodes.model_index]
    shared.setflags(write=False)
    for table in (least, upstream):
        if table is not None:
            table.setflags(write=False)
    rates = nodes.arrival_rate
    return Problem(
        local_delay=local,
        cloud_time=shared,
        arrival_rate=rates,
        weight=np.full(n, 1.0 / n) if options.average == "nodes" else rates / rates.sum(),
        curve=delay_curve(options.delay, options.service_scv),
        least_rate=least,
        upstream_wait=upstream,
        n_layers=times.n_layers[nodes.model_index],
        uplinks=Uplinks(times.sent, nodes.model_index, times.bandwidth, times.input_bytes, options.uplink == "queue"),
        name=scenario.name,
    )


def _require_room(scenario: Scenario) -> None:
    n, models = len(scenario.nodes), scenario.nodes.models
    m = 1 + max(scenario.profiles[model].n_layers for model in models)
    tables = 1 + (len(models) > 1) + (scenario.options.delay == "tandem")
    tables += scenario.options.ordering == "cloud-faster"
    of_models = 4 * len(models) + len(scenario.nodes.measured())
    n_bytes = 8 * m * (tables * n + of_models)
    require_memory(n_bytes, f"a problem of {n:,} nodes × {m:,} splits with tables", "plan fewer nodes or layers")
