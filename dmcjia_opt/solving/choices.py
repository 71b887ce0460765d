"""What every node of a plan does, which shares it has, and how long each stage takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model import pooling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.scenario import Scenario

#: What a node has of a resource: a share, or one for each time that a task uses it.
Share: TypeAlias = float | list[float]


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """Options and shares of a plan, and what they say of each node.

    Parameters
    ----------
    options
        (n_nodes,) the option of each node.
    shares
        (n_nodes, n_uses) shares of the resources.
    resources
        (n_resources,) what is shared.
    resource
        (n_nodes, n_uses) which of them a use is; −1 where there is none.
    cuts
        (n_nodes, 1 or 2) where the network is cut; −1 where a node has no second cut.
    server
        (n_nodes,) the last server that works; −1 where all runs at the edge.
    servers
        What the servers are called.
    server_resource
        (n_servers,) which resource each is; −1 for one that no node may use.
    network, tensor_names
        (n_nodes,) index of the network of each node, and for each network the tensors behind its layers, as profiles
        name them; None where they do not.
    device, uplink, round_trip
        (n_nodes,) time at the node itself, on its own uplink, and in round trips and fetching the result, s, each with
        its wait.
    uses
        (n_nodes, n_uses) time of each use, s, with its wait.
    load, wait
        (n_resources,) part of the time that each resource is busy, Σ λs; and at what is pooled the mean time beyond a
        task's own service, s, 0 elsewhere.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> choices = solve(generate("paper", nodes=3, seed=1)).choices
    >>> choices.cuts_of(0), choices.server_of(0), list(choices.stages_of(0))
    ([0], 'cloud', ['uplink', 'cloud'])
    """

    options: IntArray
    shares: FloatArray
    resources: tuple[Resource, ...]
    resource: IntArray
    cuts: IntArray
    server: IntArray
    servers: tuple[str, ...]
    server_resource: IntArray
    network: IntArray
    tensor_names: tuple[tuple[tuple[str, ...], ...] | None, ...]
    device: FloatArray
    uplink: FloatArray
    round_trip: FloatArray
    uses: FloatArray
    load: FloatArray
    wait: FloatArray

    __repr__ = brief

    @property
    def splits(self) -> IntArray:
        """(n_nodes,) the first cut, how many layers each node runs itself."""
        return self.cuts[:, 0]

    @property
    def server_shares(self) -> FloatArray:
        """(n_nodes,) share of the last server that works; 0 where none does."""
        if len(self.resources) == 1:
            return np.asarray(self.shares.sum(-1))
        wanted = np.append(self.server_resource, -2)[self.server]
        return np.asarray(np.where(self.resource == wanted[:, None], self.shares, 0.0).sum(-1))

    @property
    def used(self) -> FloatArray:
        """(n_resources,) Σ of the shares of each resource."""
        return self.per_resource(self.shares)

    def per_resource(self, values: FloatArray) -> FloatArray:
        """Return the sums (n_resources,) of values (n_nodes, n_uses)."""
        there = self.resource >= 0
        return np.bincount(self.resource[there], values[there], len(self.resources)).astype(np.float64)

    def server_of(self, node: int) -> str | None:
        """Return the last server that works for a node; None where all runs at the edge."""
        j = int(self.server[node])
        return self.servers[j] if j >= 0 else None

    def cuts_of(self, node: int) -> list[int]:
        """Return where the network of a node is cut."""
        return [cut for cut in self.cuts[node].tolist() if cut >= 0]

    def cut_tensors_of(self, node: int) -> list[list[str] | None] | None:
        """Return the tensors at each cut of a node, None at one that sends the raw input; None if nobody named them."""
        names = self.tensor_names[int(self.network[node])]
        if names is None:
            return None
        return [list(names[cut - 1]) if cut else None for cut in self.cuts_of(node)]

    def by_node(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Return every pair of a node and a resource that it uses, and its share of it: three arrays of that length."""
        d, k = np.nonzero(self.resource >= 0)
        pairs, place = np.unique(d * len(self.resources) + self.resource[d, k], return_inverse=True)
        shares = np.bincount(place, self.shares[d, k], len(pairs)).astype(np.float64)
        return pairs // len(self.resources), pairs % len(self.resources), shares

    def largest(self) -> list[tuple[int, float]]:
        """Return, for every resource, the node with the largest share of it, and that; 0 where nobody has any."""
        found = [(0, 0.0)] * len(self.resources)
        nodes, used, shares = self.by_node()
        order = np.argsort(shares, kind="stable")
        for node, r, share in zip(*(array[order].tolist() for array in (nodes, used, shares)), strict=True):
            found[r] = node, share
        return found

    def users(self) -> IntArray:
        """Return how many nodes use each resource, (n_resources,)."""
        return np.bincount(self.by_node()[1], minlength=len(self.resources))

    def shares_of(self, node: int) -> dict[str, Share]:
        """Return the shares that a node has by resource: a list, in order, of one that its tasks use twice."""
        found: dict[str, Share] = {}
        for r, share in zip(self.resource[node].tolist(), self.shares[node].tolist(), strict=True):
            if r >= 0 and self.resources[r].pooled is None:
                name = self.resources[r].name
                before = found.get(name, [])
                found[name] = [*(before if isinstance(before, list) else [before]), share] if name in found else share
        return found

    def used_by(self, node: int) -> dict[str, Share | None]:
        """Return what a node uses, in order, and its shares of it; None where that is pooled."""
        shares = self.shares_of(node)
        return {
            self.resources[r].name: shares.get(self.resources[r].name) for r in self.resource[node].tolist() if r >= 0
        }

    def stages_of(self, node: int) -> dict[str, float]:
        """Return the time, s, of each stage that a node's tasks pass, in their order, the round trip last."""
        uses = [
            (self.resources[r], time)
            for r, time in zip(self.resource[node].tolist(), self.uses[node].tolist(), strict=True)
            if r >= 0
        ]
        path = [
            ("device", float(self.device[node])),
            *((on.name, time) for on, time in uses if on.kind == "host"),
            ("uplink", float(self.uplink[node])),
            *((on.name, time) for on, time in uses if on.kind != "host"),
            ("round trip", float(self.round_trip[node])),
        ]
        found: dict[str, float] = {}
        for stage, time in path:
            found[stage] = found.get(stage, 0.0) + time
        return {stage: time for stage, time in found.items() if time != 0.0}


def choices_of(
    scenario: Scenario | None, problem: Problem, options: IntArray, shares: FloatArray, picked: IntArray | None = None
) -> Choices:
    """Return what a plan says of every node.

    Parameters
    ----------
    scenario, problem
        What was planned, None where that was a problem, and the same compiled. The cut of a node is then its option.
    options, shares
        (n_nodes,) and (n_nodes, n_uses) the plan.
    picked
        (n_nodes,) the same options in the scenario's menus, where the problem has only some of those.
    """
    mine = options if picked is None else picked
    named = {resource.name: r for r, resource in enumerate(problem.resources) if resource.kind == "server"}
    device, uplink, round_trip = problem.own_stages(options)
    service, uses = problem.at(problem.service, options), problem.use_delay(options, shares)
    rates = np.where(service > 0, problem.arrival_rate[:, None], 0.0)
    load, tasks = problem.by_resource(options, rates * service), problem.by_resource(options, rates)
    with np.errstate(invalid="ignore"):
        waited = problem.by_resource(options, rates * (uses - pooling.undisturbed(problem, options)))
    there = (service > 0) | (shares != 0)
    resource = np.where(there, problem.at(problem.resource, options), -1).astype(np.int64)
    if scenario is None:
        place = np.full(problem.n_resources + 1, -1, dtype=np.int64)  # of each resource among the servers
        place[list(named.values())] = np.arange(len(named))
        along = place[resource]
        last = along.shape[1] - 1 - np.argmax(along[:, ::-1] >= 0, axis=1)  # the path's last server
        servers, cuts, network = tuple(named), mine[:, None], np.zeros_like(mine)
        server = along[np.arange(len(along)), last]
        tensors: tuple[tuple[tuple[str, ...], ...] | None, ...] = (None,)
    else:
        servers, network = tuple(server.name for server in scenario.all_servers), scenario.nodes.network_index
        cuts, server = scenario.menus.all_cuts(mine), scenario.menus.last_servers(mine)
        tensors = tuple(scenario.profiles[network].tensor_names for network in scenario.nodes.networks)
    return Choices(
        options=mine,
        shares=shares,
        resources=problem.resources,
        resource=resource,
        cuts=cuts,
        server=server,
        servers=servers,
        server_resource=np.array([named.get(name, -1) for name in servers], dtype=np.int64),
        network=network,
        tensor_names=tensors,
        device=device,
        uplink=uplink,
        round_trip=round_trip,
        uses=uses,
        load=load,
        wait=np.where(problem.pooled & (tasks > 0), waited / np.where(tasks > 0, tasks, 1.0), 0.0),
    )
