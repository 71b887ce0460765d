"""A fleet under links of some speed: its scenario at each moment of a trace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.studies.online.traces import DRAWN, LinkTrace, draw_links, load_links


@dataclass(frozen=True)
class Conditions:
    """What changes in a scenario.

    Parameters
    ----------
    scenario
        As planned.
    trace
        The speeds of nodes' own uplinks, or of shared links, over time.

    Raises
    ------
    InputError
        If the trace is of a node or a link that is not there, or has no uplink of its own.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.studies.online.conditions import Conditions, links_of
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> trace = links_of("markov:10", scenario)
    >>> Conditions(scenario, trace).problem(trace.values[0])
    Problem("paper-n3-s1", 3 nodes, 35 options, 1 resource, md1)
    """

    scenario: Scenario
    trace: LinkTrace

    __repr__ = brief

    def __post_init__(self) -> None:
        """Look every name up."""
        nodes, links = self.scenario.nodes, [link.name for link in self.scenario.links]
        if self.rates:
            for name in self.trace.names:
                if name and name not in nodes.names:
                    hint = did_you_mean(name, nodes.names)
                    raise InputError(f'{self.trace.label}: there is no node "{name}"{hint}; correct the name')
            return
        own = ~np.isnan(np.broadcast_to(nodes.uplink_mbps, len(nodes)))
        if self.trace.names == ("",):
            if not own.any():
                raise InputError(
                    f"{self.trace.label}: its speeds are of nodes' own uplinks, and no node has one; give it a "
                    f"column link, with one of {', '.join(links)}"
                )
            return
        for name in self.trace.names:
            if name in nodes.names:
                if not own[nodes.names.index(name)]:
                    raise InputError(f'{self.trace.label}: "{name}" has no uplink of its own; name its link')
            elif name not in links:
                hint = did_you_mean(name, [*nodes.names, *links])
                raise InputError(f'{self.trace.label}: there is no node and no link "{name}"{hint}; correct the name')

    @property
    def rates(self) -> bool:
        """Whether arrivals change, and not links."""
        return self.trace.quantity == "arrival_rate"

    @property
    def _column(self) -> FloatArray:
        """(n_nodes,) what nodes have, as planned, of what changes."""
        nodes = self.scenario.nodes
        return np.broadcast_to(getattr(nodes, self.trace.quantity), len(nodes))

    @cached_property
    def _nodes(self) -> tuple[IntArray, IntArray]:
        """The nodes whose own uplinks change, and which column of the trace says how."""
        nodes = self.scenario.nodes
        if self.trace.names == ("",):
            there = np.flatnonzero(~np.isnan(self._column))
            return there, np.zeros(len(there), dtype=np.int64)
        place = {name: d for d, name in enumerate(nodes.names)}
        pairs = [(place[name], k) for k, name in enumerate(self.trace.names) if name in place]
        found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def at(self, speeds: FloatArray) -> Scenario:
        """Return the scenario at speeds (n_names,), Mbit/s, or at arrival rates, 1/s."""
        scenario, (nodes, column) = self.scenario, self._nodes
        of = dict(zip(self.trace.names, speeds.tolist(), strict=True))
        changed = scenario
        if len(nodes):
            values = np.array(self._column)
            values[nodes] = speeds[column]
            changes: dict[str, Any] = {self.trace.quantity: values}
            changed = replace(changed, nodes=replace(scenario.nodes, **changes))
        if not self.rates and any(link.name in of for link in scenario.links):
            links = tuple(
                link.model_copy(update={"mbps": of[link.name]}) if link.name in of else link for link in scenario.links
            )
            changed = replace(changed, links=links)
        return changed

    def column_of(self, node: int) -> int:
        """Return which column of the trace is a node's own uplink; −1 where none is."""
        nodes, column = self._nodes
        on = np.flatnonzero(nodes == node)
        return int(column[on[0]]) if on.size else -1

    def problem(self, speeds: FloatArray) -> Problem:
        """Return that scenario compiled."""
        return compile_problem(self.at(speeds))


def links_of(trace: str, scenario: Scenario, seed: int = 0) -> LinkTrace:
    """Return the trace that a name describes: a file, or ``markov:SECONDS``, ``onoff:SECONDS`` around the plan.

    A drawn trace is of every node's own uplink and every shared link.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.studies.online.conditions import links_of
    >>> links_of("onoff:60", generate("paper", nodes=3, seed=1)).end
    60.0
    """
    if trace.partition(":")[0] not in DRAWN and Path(trace).suffix:
        return load_links(trace)
    nodes = scenario.nodes
    own = np.broadcast_to(nodes.uplink_mbps, len(nodes))
    there = np.flatnonzero(~np.isnan(own))
    names = [*(nodes.names[d] for d in there), *(link.name for link in scenario.links)]
    base = np.append(own[there], [link.mbps for link in scenario.links])
    return draw_links(trace, base, names, np.random.default_rng(seed))
