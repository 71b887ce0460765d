"""What options of nodes come to by the rules of a scenario, whether tables are made of them or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, absent, constant, namespace
from dmcjia_opt.model.checks import SMALLEST
from dmcjia_opt.model.delay import TANDEM, DelayCurve, TandemCurve, delay_curve
from dmcjia_opt.model.queues import MD1, OVERLAP, Scv
from dmcjia_opt.model.scenario.menus import Menu
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.services import Rows, Slot, StageTimes, allowed


@dataclass(frozen=True, slots=True, eq=False)
class OptionDelays:
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

    def entries(self, times: StageTimes, menu: Menu, rows: Rows, pick: slice | IntArray = slice(None)) -> OptionDelays:
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
        return OptionDelays(fixed, wait, parts.used, floors, fine)


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
