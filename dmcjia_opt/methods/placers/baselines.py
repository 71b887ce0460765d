"""The rules the paper compares with (section 4.2.2): no search, one plan each.

A rule chooses options node by node and shares by a formula; with ``optimal_shares`` the allocator chooses the shares
for the same options, which separates what a rule loses by its options from what it loses by its shares. The paper knows
splits and one cloud; each rule says what it does where there are several servers, or links and hosts are shared. An
option that makes the node's own edge queue unstable is not chosen if there is another. Beyond that a rule does not
look: its plan may be infeasible where feasible ones exist, and its placement then says INFEASIBLE and keeps the options
and shares. Whatever the budget, a rule makes its one plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, over_uses
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.resources import CLOUD, ResourceKind
from dmcjia_opt.solving.contract import AnyProblem
from dmcjia_opt.solving.options import AtLeastOne, method
from dmcjia_opt.solving.search import Search


class Rule(AnyProblem, ABC):
    """A placer that has one plan for each problem."""

    __slots__ = ()

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Offer the rule's plan; shares it leaves open are the allocator's."""
        problem = search.problem
        options, shares = self.plan(problem)
        if shares is not None and problem.pooled.any():
            shares = np.where(problem.pooled[problem.at(problem.resource, options)], 0.0, shares)
        search.offer(options, shares)

    @abstractmethod
    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return options (n_nodes,) and shares (n_nodes, n_uses); None for shares leaves them to the allocator."""


@method
class CloudOnly(Rule):
    """Every node sends its raw input to the cloud; nothing runs at the edge.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares, instead of equal ones.

    Notes
    -----
    Of several servers that is the one called "cloud" if the node may use it, or else the first of those that it may:
    the option that gives it the most work. Equal shares are those of `Neurosurgeon`, of shared links and hosts too.
    """

    optimal_shares: bool = False

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return the option of every node that leaves the cloud the most work: with one cloud, split 0."""
        given = over_uses(problem.service if problem.n_resources == 1 else _cloud_work(problem))
        options = least_option(problem, -given, [np.isfinite(problem.fixed_delay)])
        return options, None if self.optimal_shares else equal_shares(problem, options)


@method
class EdgeOnly(Rule):
    """Every node runs its whole network; servers and links are not used, and only the network's output leaves.

    Notes
    -----
    Where nodes share a host, each has an equal share of it.
    """

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return the last option of every node."""
        options = problem.last.copy()
        hosted = problem.at(_of_kind(problem, "host"), options)
        return options, np.where(hosted, equal_shares(problem, options), 0.0)


@method
class Greedy(Rule):
    """Every node uploads as little as it can, and leaves servers as much work as that allows.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares, instead of shares in proportion to each node's work.
    cloud_work
        Choose among options that leave work for a server; otherwise among all.

    Notes
    -----
    Our reading of section 4.2.2 (2): the split with the fewest upload bytes, of several the earliest. It speaks of
    unloading as much as possible to the cloud, so splits without any cloud work are left out: the few output bytes of
    a classifier would make this rule the same as edge-only. For ResNet34 it is split 28, the first of six whose
    activation has 98 KiB. Shares are in proportion to the cloud work of one task, so the arrival rates play no part.

    Bytes are those that leave the node, wherever they go: of several servers it takes the first in its menu. The shares
    of every resource, links and hosts too, are in proportion to the time that one task takes of all of it.
    """

    optimal_shares: bool = False
    cloud_work: bool = True

    def supports(self, problem: Problem) -> str | None:
        """Return why not if the problem does not say how much each option uploads."""
        if problem.uplinks is None:
            return "it chooses by upload bytes, which this problem does not have (uplinks); use another placer"
        return None

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return each node's option with the fewest upload bytes."""
        uplinks = problem.uplinks
        assert uplinks is not None  # see `supports`
        options = np.arange(problem.n_options)[:, None]
        sent = uplinks.sent(np.broadcast_to(options, (problem.n_options, problem.n_nodes))).T
        wanted = [np.isfinite(problem.fixed_delay)]
        if self.cloud_work:
            wanted.append(np.asarray((_of_kind(problem, "server") & (problem.service > 0)).any(axis=2)))
        options = least_option(problem, sent, wanted)
        if self.optimal_shares:
            return options, None
        work = problem.at(problem.service, options)
        total = np.maximum(problem.by_resource(options, work), np.finfo(np.float64).tiny)
        return options, work / total[problem.at(problem.resource, options)]


@method
class Neurosurgeon(Rule):
    """Every node takes the option with the least latency it predicts for itself, at equal shares of what it may use.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares once the options are chosen, instead of equal ones.
    server_load
        Factor on the predicted latency of servers, at least 1: 1 for idle ones, 2 for such as take twice as long.

    Notes
    -----
    Kang et al. 2017, doi:10.1145/3037697.3037698, in its latency form. The prediction is the node's own delay (edge
    with its queue, and upload), which it can measure, plus `server_load` times the cloud's service time at a share of
    1/n_nodes. How long tasks queue in the cloud is not predicted: the source knows the server by its load factor
    only. A split whose cloud queue an equal share cannot keep up with is not chosen if there is another.

    Of several resources the share of each is 1 over the number of nodes that may use it, and links and hosts are
    predicted like servers, without the factor. A node that uses one resource twice divides its share.
    """

    optimal_shares: bool = False
    server_load: AtLeastOne = 1.0

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return each node's option with the least predicted latency."""
        service = problem.service * np.where(problem.pooled[problem.resource], 1, sharers(problem))
        factor = np.where(_of_kind(problem, "server"), self.server_load, 1.0)
        predicted = problem.fixed_delay + over_uses(factor * service)
        rate = problem.arrival_rate[:, None]
        keeps_up = np.ones(predicted.shape, dtype=bool)
        for k, curve in enumerate(problem.use_curves):
            load = rate * service[..., k]
            keeps_up &= np.where(np.reshape(curve.waits(problem.arrival_scv), (-1, 1)), load < 1.0, load <= 1.0)
            keeps_up &= problem.least_rate[..., k] * service[..., k] <= 1.0
        options = least_option(problem, predicted, [np.isfinite(problem.fixed_delay), keeps_up])
        return options, None if self.optimal_shares else equal_shares(problem, options)


def _cloud_work(problem: Problem) -> FloatArray:
    """Return the time (n_nodes, n_options, n_uses) that each node's cloud works, the first server that it may use."""
    work = np.where(_of_kind(problem, "server") & np.isfinite(problem.fixed_delay)[..., None], problem.service, 0.0)
    order = sorted(range(problem.n_resources), key=lambda r: problem.resources[r] != CLOUD)
    rank = np.argsort(order)[problem.resource]
    first = np.where(work > 0, rank, problem.n_resources).min(axis=(1, 2), keepdims=True)
    return np.where(rank == first, work, 0.0)


def _of_kind(problem: Problem, kind: ResourceKind) -> BoolArray:
    """Return which uses (n_nodes, n_options, n_uses) are of a server, a link or a host."""
    kinds = np.array([resource.kind == kind for resource in problem.resources])
    return kinds[problem.resource]


def sharers(problem: Problem) -> IntArray:
    """Return by how much each use (n_nodes, n_options, n_uses) divides its resource at equal shares.

    That is how many nodes may use it, times the uses of it in the option.
    """
    if problem.single:
        return np.full((1, 1, 1), problem.n_nodes)
    used = (problem.service > 0) & np.isfinite(problem.fixed_delay)[..., None]
    node = np.arange(problem.n_nodes)[:, None, None]
    pairs = np.unique((node * problem.n_resources + problem.resource)[used])
    users = np.maximum(np.bincount(pairs % problem.n_resources, minlength=problem.n_resources), 1)
    resource = problem.resource
    twice = ((resource[..., :, None] == resource[..., None, :]) & (problem.service > 0)[..., None, :]).sum(axis=-1)
    return np.asarray(users[resource] * np.maximum(twice, 1))


def equal_shares(problem: Problem, options: IntArray) -> FloatArray:
    """Return equal shares (n_nodes, n_uses); with one resource every node has one, whether it uses it or not."""
    if problem.single:
        return np.full((problem.n_nodes, 1), 1.0 / problem.n_nodes)
    return np.where(problem.at(problem.service, options) > 0, 1.0 / problem.at(sharers(problem), options), 0.0)


def least_option(problem: Problem, score: FloatArray, wanted: list[BoolArray]) -> IntArray:
    """Return each node's existing option of least score, the earliest of equals.

    Each table of `wanted` narrows the choice, for the nodes to which it leaves any.
    """
    allowed = np.arange(problem.n_options)[None, :] <= problem.last[:, None]
    for table in wanted:
        narrower = allowed & table
        allowed = np.where(narrower.any(axis=1, keepdims=True), narrower, allowed)
    # a finite score goes before one of +inf, and any that is allowed before one that is not
    ranked = np.where(allowed, np.minimum(score, np.finfo(np.float64).max), np.inf)
    first: IntArray = np.argmin(ranked, axis=1).astype(np.int64)
    return first
