"""What of a scenario is for sale: prices, units and steps of its servers and links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, distinct
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.scenario import Scenario

#: A capacity that exceeds a whole number of steps by no more than this part of it is that number of steps.
HAIR = 1e-12
_TOLD = 6


@dataclass(frozen=True, slots=True, eq=False)
class Sale:
    """What may be bought, by resource of a compiled problem.

    Parameters
    ----------
    resources
        (n_resources,) what they are.
    declared
        (n_resources,) the capacity that the scenario says, GFLOP/s or Mbit/s.
    prices
        (n_resources,) of one GFLOP/s or Mbit/s; 0 where it is not for sale.
    steps
        (n_resources,) in which it is sold, in the same unit; 0 where in any amount.
    kept
        Indices of those that some option uses and that are not for sale.
    least
        The name of the one resource whose capacity is to be least; empty where a cost is.

    Examples
    --------
    >>> from dmcjia_opt import generate, size
    >>> size(generate("paper", nodes=5, seed=1), deadline_ms=600).sale.least
    'cloud'
    """

    resources: tuple[Resource, ...]
    declared: FloatArray
    prices: FloatArray
    steps: FloatArray
    kept: IntArray
    least: str

    __repr__ = brief

    @property
    def units(self) -> tuple[str, ...]:
        """(n_resources,) the unit of each capacity."""
        return tuple("Mbit/s" if resource.kind == "link" else "GFLOP/s" for resource in self.resources)

    @property
    def unit(self) -> str:
        """The unit of what is least, of a capacity; none of a cost."""
        names = [resource.name for resource in self.resources]
        return self.units[names.index(self.least)] if self.least else ""

    def rounded_up(self, capacity: FloatArray) -> FloatArray:
        """Return capacities (n_resources,) in whole steps."""
        steps = np.where(self.steps > 0, self.steps, 1.0)
        whole = np.ceil(capacity / steps * (1.0 - HAIR)) * steps
        return np.where((self.steps > 0) & (self.prices > 0), whole, capacity)


def sale_of(scenario: Scenario, problem: Problem, resource: str | None) -> Sale:
    """Return what is for sale: what has a price, or one resource.

    Parameters
    ----------
    scenario, problem
        The fleet, and the same compiled.
    resource
        The name of the one whose capacity is to be least, all others as they are.

    Raises
    ------
    InputError
        If there is no such resource, or several and none has a price.
    """
    servers = {server.name: server for server in scenario.all_servers}
    links = {link.name: link for link in scenario.links}
    nodes = scenario.nodes
    declared, prices, steps = (np.zeros(problem.n_resources) for _ in range(3))
    buyable = [r for r, one in enumerate(problem.resources) if one.kind != "host"]
    for r, one in enumerate(problem.resources):
        if one.kind == "link":
            link = links[one.name]
            declared[r], price, step = link.mbps, link.price_per_mbps, link.step_mbps
        elif one.kind == "server":
            server = servers[one.name]
            declared[r], price, step = server.compute_gflops, server.price_per_gflops, server.step_gflops
        else:
            on = np.flatnonzero(nodes.host.index == nodes.host.values.index(one.name))
            declared[r], price, step = nodes.compute_gflops[on[0]], None, None
        prices[r], steps[r] = price or 0.0, step or 0.0
    names = [problem.resources[r].name for r in buyable]
    least = ""
    if resource is not None:
        if resource not in names:
            hosts = ", for a host is bought with its nodes" if resource in nodes.host.values else ""
            raise InputError(
                f'--resource: there is no server or link "{resource}"{did_you_mean(resource, names)}{hosts}; '
                f"there is {', '.join(names)}"
            )
        least = resource
    elif not prices.any():
        if len(names) > 1:
            raise InputError(
                f"nothing has a price, and there are {len(names)} things to buy: {', '.join(names[:_TOLD])}"
                f"{' and others' if len(names) > _TOLD else ''}; "
                "say which is to be least with --resource NAME, or give them price_per_gflops and price_per_mbps"
            )
        least = names[0]
    if least:
        prices = np.array([float(one.name == least) for one in problem.resources])
    used = np.bincount(distinct(problem.resource).ravel(), (distinct(problem.service) > 0).ravel(), problem.n_resources)
    kept = np.flatnonzero((used > 0) & (prices == 0))
    return Sale(problem.resources, declared, prices, steps, kept, least)
