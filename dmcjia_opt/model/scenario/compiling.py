"""A scenario compiled into the tables of a problem; every unit is SI from here on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dmcjia_opt.base.arrays import FloatArray, IntArray, Scalar, absent
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.base.limits import require_memory
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.rules import Rules, deadlines_of, weights_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import StageTimes, stage_times
from dmcjia_opt.model.scenario.shortfall import why_late, why_no_option
from dmcjia_opt.model.uplinks import Uplinks


def compile_problem(scenario: Scenario | str | Path, times: StageTimes | None = None) -> Problem:
    """Return the tables of a scenario; every unit is SI from here on.

    Parameters
    ----------
    scenario
        The fleet, what it shares and the options; or the path of its file.
    times
        Service times in place of the scenario's own: of a fleet that is otherwise the same.

    Raises
    ------
    InputError
        If they do not fit into this machine.
    InfeasibleError
        If its limits or its deadline leave a node no option.

    Examples
    --------
    >>> from dmcjia_opt import compile_problem, generate
    >>> compile_problem(generate("paper", nodes=3, seed=1))
    Problem("paper-n3-s1", 3 nodes, 35 options, 1 resource, md1)
    """
    scenario = scenario_of(scenario)
    nodes, menus = scenario.nodes, scenario.menus
    times = stage_times(scenario) if times is None else times
    rules = Rules.of(scenario.options)
    n, m, slots = len(nodes), menus.n_options, times.slots
    tandem = rules.tandem
    by_kind = set(slots) <= {"first server", "second server"}  # what is used depends on the kind of node alone
    limited = times.limits is not None and "link" in slots and not all(menu.uplinked for menu in menus.kinds)
    n_floors = len(slots) if rules.literal or limited else 0
    n_tables = 1 + tandem + n_floors + (0 if by_kind and len(menus.kinds) == 1 else 1.5 * len(slots))
    what = f"a problem of {n:,} nodes × {m:,} {'splits' if menus.splits else 'options'} with tables"
    require_memory(int(8 * m * (n * n_tables + 4 * len(menus.kinds))), what, "plan fewer nodes or layers")
    local = np.empty((n, m))
    least = np.zeros((len(slots), n, m)) if n_floors else absent()
    upstream = np.empty((n, m)) if tandem else absent()
    n_rows, choices = len(menus.kinds) if by_kind else n, times.has_choices
    service = np.zeros((len(slots), n_rows, m))
    resource = np.zeros((len(slots), n_rows, m if choices else 1), dtype=np.int32)
    for kind, menu, rows in times.blocks():
        found, width = rules.entries(times, menu, rows), len(menu)
        if found.fine is not None and (none := ~found.fine.any(axis=1)).any():
            d = int(np.arange(n)[rows][np.broadcast_to(none, len(found.fixed))][0])
            raise InfeasibleError(why_no_option(scenario, times, d))
        local[rows, :width], local[rows, width:] = found.fixed, np.inf
        if upstream.size:
            upstream[rows, :width], upstream[rows, width:] = found.wait, 0.0
        for k, slot in enumerate(slots):
            if slot not in found.used:
                continue
            used, which = found.used[slot]
            into = kind if by_kind else rows
            service[k, into, :width] = used
            resource[k, into, :width] = which if choices else which[..., :1]
            if slot in found.floors:
                least[k, rows, :width] = found.floors[slot]
    local.setflags(write=False)
    upstream.setflags(write=False)
    floors = _uses_last(least) if least.size else least
    problem = Problem(
        fixed_delay=local,
        service=_by_node(service, menus.index if by_kind else None, n, m),
        arrival_rate=nodes.arrival_rate,
        arrival_scv=nodes.arrival_scv,
        weight=weights_of(scenario),
        curves=tuple(map(rules.curve_of, slots)),
        least_rate=floors,
        wait=upstream,
        last=menus.last(),
        uplinks=_uplinks(scenario, times),
        name=scenario.name,
        resource=_by_node(resource, menus.index if by_kind else None, n, m),
        resources=times.resources,
        deadline=deadlines_of(scenario),
        worst=scenario.options.objective == "worst",
    )
    late = np.isfinite(problem.deadline)
    if late.any() and (late := late & np.isinf(problem.fixed_delay.min(axis=1))).any():
        fastest = _fastest(replace(problem, fixed_delay=local, least_rate=floors, wait=upstream, deadline=absent()))
        if (late & np.isfinite(fastest)).any():  # else it is not stable, whatever its deadline
            raise InfeasibleError(why_late(scenario, fastest, late & np.isfinite(fastest)))
    return problem


def _fastest(problem: Problem) -> FloatArray:
    """Return the least delay (n_nodes,), s, that each node has at any option with all resources to itself."""
    found = np.full(problem.n_nodes, np.inf)
    whole = np.ones((problem.n_nodes, problem.n_uses))
    for o in range(problem.n_options):
        found = np.minimum(found, problem.node_delay(np.full(problem.n_nodes, o), whole))
    return found


def _uses_last(table: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return a table (n_uses, n_nodes, n_options) with its uses last: each of them stays in one piece of memory."""
    table.setflags(write=False)
    return np.moveaxis(table, 0, -1)


def _by_node(table: npt.NDArray[Any], index: IntArray | None, n: int, m: int) -> npt.NDArray[Any]:
    """Return a table (n_uses, n_nodes, n_options or 1), or of kinds at an index, by node, option and use.

    A row that all nodes have in common, or an entry that all options have, takes no memory for each of them.
    """
    if index is not None and table.shape[1] > 1:
        table = table.take(index, axis=1)
    return _uses_last(np.broadcast_to(table, (len(table), n, m)))


def _uplinks(scenario: Scenario, times: StageTimes) -> Uplinks:
    menus = times.menus
    shape = len(menus.kinds), menus.n_options
    sent, trip, raw, away = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for k, menu in enumerate(menus.kinds):
        for table, values in ((sent, menu.sent), (trip, menu.trip), (raw, menu.cuts[:, 0] == 0), (away, menu.away)):
            table[k, : len(menu)] = values
    return Uplinks(
        upload_bytes=sent,
        raw=raw,
        away=away,
        round_trip=trip,
        menu_index=menus.index,
        bandwidth=times.bandwidth,
        input_bytes=times.input_bytes,
        latency=times.latency,
        queue=scenario.options.uplink == "queue",
    )
