"""A scenario compiled into the tables of a problem; every unit is SI from here on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, Scalar, absent, constant, namespace
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.base.limits import require_memory
from dmcjia_opt.model.delay import TANDEM, DelayCurve, TandemCurve, delay_curve
from dmcjia_opt.model.problem import SMALLEST, Problem
from dmcjia_opt.model.queues import MD1, OVERLAP, Scv
from dmcjia_opt.model.scenario.menus import Menu
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.services import Rows, Slot, StageTimes, allowed, stage_times
from dmcjia_opt.model.scenario.shortfall import why_late, why_no_option
from dmcjia_opt.model.uplinks import Uplinks


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What options of some nodes of one kind come to, before a problem is made of it, (n_rows, n_options) each.

    Parameters
    ----------
    fixed, wait
        Delay that no share changes, s, +inf where the option is not allowed; and the part of it that is waiting, of
        which a tandem relieves what follows.
    used
        For each use there is, its service time at full share, s, and which resource it is of.
    floors
        Least service rates of uses, 1/s, where there are any.
    fine
        Which options the nodes' limits leave, or None where they have none.
    """

    fixed: FloatArray
    wait: FloatArray
    used: Mapping[Slot, tuple[FloatArray, IntArray]]
    floors: Mapping[Slot, FloatArray]
    fine: BoolArray | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the options of a scenario say about delays.

    Parameters
    ----------
    curve
        The delay curve of servers.
    queue
        Whether links serve one task at a time.
    literal
        Whether the cloud must be faster than the edge.
    """

    curve: DelayCurve
    queue: bool
    literal: bool

    @classmethod
    def of(cls, options: Options) -> Rules:
        """Return the rules of a scenario's options."""
        curve = delay_curve(options.delay, options.service_scv, options.statistic)
        return cls(curve, options.uplink == "queue", options.ordering == "cloud-faster")

    @property
    def tandem(self) -> bool:
        """Whether what waits upstream matters."""
        return isinstance(self.curve, TandemCurve)

    def curve_of(self, slot: Slot) -> DelayCurve:
        """Return the delay curve of a use."""
        if slot == "host":
            return self.curve if isinstance(self.curve, TandemCurve) else MD1
        overlap = slot in ("link", "first link", "second link") and not self.queue
        return OVERLAP if overlap else self.curve

    def entries(self, times: StageTimes, menu: Menu, rows: Rows, pick: slice | IntArray = slice(None)) -> Entries:
        """Return what options of nodes of one kind come to; `pick` says which (see `StageTimes.of`)."""
        xp = namespace(times.compute, pick)
        parts = times.of(menu, rows, pick)
        rate: FloatArray = times.rate[rows, None]
        scv: Scv = times.scv[rows, None] if times.renewal else 1.0
        queue = self.queue and menu.uplinked
        if isinstance(self.curve, TandemCurve):
            wait = self.curve.wait_of(rate, xp.maximum(parts.edge, parts.upload) if queue else parts.edge, scv)
        else:
            wait = TANDEM.wait_of(rate, parts.edge, scv)
            if queue:  # c_s² of what an uplink takes
                varies = 2.0 * self.curve.pieces()[0].b - 1.0
                wait = wait + TANDEM.wait_of(rate, parts.upload, scv + varies)
        fixed = parts.edge + wait + parts.upload
        if times.remote:
            fixed = fixed + parts.constant
        fine = allowed(times, menu, rows, parts, pick)
        if fine is not None:
            fixed = xp.where(fine, fixed, np.inf)
        floors: dict[Slot, FloatArray] = {}
        for slot in ("first server", "second server"):
            if self.literal and slot in parts.used:
                used = parts.used[slot][0]
                with np.errstate(divide="ignore"):
                    floors[slot] = xp.where((parts.computing > 0) & (used > 0), 1.0 / parts.computing, 0.0)
        if times.limits is not None and menu.linked and not menu.uplinked:
            floor = times.limits.least_rate(rows, xp.asarray(menu.work)[pick], parts.sent)
            floors["link"] = xp.where(xp.isfinite(fixed), floor, 0.0)
        if isinstance(self.curve, TandemCurve):
            wait = xp.where(xp.isfinite(fixed) & (wait >= SMALLEST), wait, 0.0)
        else:
            wait = absent()
        return Entries(fixed, wait, parts.used, floors, fine)


def compile_problem(scenario: Scenario, times: StageTimes | None = None) -> Problem:
    """Return the tables of a scenario; every unit is SI from here on.

    Parameters
    ----------
    scenario
        The fleet, what it shares and the options.
    times
        Service times in place of the scenario's own: of a fleet that is otherwise the same.

    Raises
    ------
    InputError
        If they do not fit into this machine.
    InfeasibleError
        If its limits or its deadline leave a node no option.
    """
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


def weights_of(scenario: Scenario) -> FloatArray:
    """Return the weight (n_nodes,) of each node's delay in the mean; they sum to 1."""
    counts = counts_of(scenario)
    return np.asarray(counts / counts.sum())


def counts_of(scenario: Scenario) -> FloatArray:
    """Return how much each node (n_nodes,) counts in the mean: as its weight, before those are made to sum to 1."""
    nodes = scenario.nodes
    by_nodes = scenario.options.average == "nodes"
    if not nodes.has("weight"):
        return constant(1.0, (len(nodes),)) if by_nodes else nodes.arrival_rate
    weight = np.where(np.isnan(nodes.weight), 1.0, nodes.weight)
    return weight if by_nodes else weight * nodes.arrival_rate


def deadlines_of(scenario: Scenario) -> FloatArray:
    """Return the longest delay (n_nodes,) that each node may have, s, +inf for any; empty where no node has one."""
    nodes = scenario.nodes
    return np.nan_to_num(1e-3 * nodes.deadline_ms, nan=np.inf) if nodes.has("deadline_ms") else absent()


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
