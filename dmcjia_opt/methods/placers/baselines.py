"""The rules the paper compares with (section 4.2.2): no search, one plan each.

A rule chooses splits node by node and shares by a formula; with ``optimal_shares`` the allocator chooses the shares
for the same splits, which separates what a rule loses by its splits from what it loses by its shares. A split that
makes the node's own edge queue unstable is not chosen if there is another. Beyond that a rule does not look: its plan
may be infeasible where feasible ones exist, and its placement then says INFEASIBLE and keeps the splits and shares.
Whatever the budget, a rule makes its one plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import AnyProblem
from dmcjia_opt.solving.options import AtLeastOne, method
from dmcjia_opt.solving.search import Search


class Rule(AnyProblem, ABC):
    """A placer that has one plan for each problem."""

    __slots__ = ()

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Offer the rule's plan; shares it leaves open are the allocator's."""
        search.offer(*self.plan(search.problem))

    @abstractmethod
    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return splits and shares, (n_nodes,) each; None for shares leaves them to the allocator."""


@method
class CloudOnly(Rule):
    """Every node sends its raw input; nothing runs at the edge.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares, instead of equal ones.
    """

    optimal_shares: bool = False

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return split 0 for every node."""
        shares = None if self.optimal_shares else _equal(problem)
        return np.zeros_like(problem.last), shares


@method
class EdgeOnly(Rule):
    """Every node runs its whole network; the cloud is not used, and only the network's output is uploaded."""

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return the last split of every node."""
        return problem.last.copy(), np.zeros(problem.n_nodes)


@method
class Greedy(Rule):
    """Every node uploads as little as it can, and leaves the cloud as much work as that allows.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares, instead of shares in proportion to each node's cloud work.
    cloud_work
        Choose among splits that leave work for the cloud; otherwise among all.

    Notes
    -----
    Our reading of section 4.2.2 (2): the split with the fewest upload bytes, of several the earliest. It speaks of
    unloading as much as possible to the cloud, so splits without any cloud work are left out: the few output bytes of
    a classifier would make this rule the same as edge-only. For ResNet34 it is split 28, the first of six whose
    activation has 98 KiB. Shares are in proportion to the cloud work of one task, so the arrival rates play no part.
    """

    optimal_shares: bool = False
    cloud_work: bool = True

    def supports(self, problem: Problem) -> str | None:
        """Return why not if the problem does not say how much each split uploads."""
        if problem.uplinks is None:
            return "it chooses by upload bytes, which this problem does not have (uplinks); use another placer"
        return None

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return each node's split with the fewest upload bytes."""
        uplinks = problem.uplinks
        assert uplinks is not None  # see `supports`
        options = np.arange(problem.n_options)[:, None]
        sent = uplinks.sent(np.broadcast_to(options, (problem.n_options, problem.n_nodes))).T
        wanted = [np.isfinite(problem.fixed_delay)]
        if self.cloud_work:
            wanted.append(problem.service[:, :, 0] > 0)
        splits = _least(problem, sent, wanted)
        work = problem.at(problem.service, splits)[:, 0]
        shares = None if self.optimal_shares else work / max(float(work.sum()), np.finfo(np.float64).tiny)
        return splits, shares


@method
class Neurosurgeon(Rule):
    """Every node takes the split with the least latency it predicts for itself, at an equal share of the cloud.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares once the splits are chosen, instead of equal ones.
    server_load
        Factor on the predicted cloud latency, at least 1: 1 for an idle server, 2 for one that takes twice as long.

    Notes
    -----
    Kang et al. 2017, doi:10.1145/3037697.3037698, in its latency form. The prediction is the node's own delay (edge
    with its queue, and upload), which it can measure, plus `server_load` times the cloud's service time at a share of
    1/n_nodes. How long tasks queue in the cloud is not predicted: the source knows the server by its load factor
    only. A split whose cloud queue an equal share cannot keep up with is not chosen if there is another.
    """

    optimal_shares: bool = False
    server_load: AtLeastOne = 1.0

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return each node's split with the least predicted latency."""
        service = problem.service[:, :, 0] * problem.n_nodes
        predicted = problem.fixed_delay + self.server_load * service
        keeps_up = problem.arrival_rate[:, None] * service < 1.0
        keeps_up &= problem.least_rate[:, :, 0] * service <= 1.0
        splits = _least(problem, predicted, [np.isfinite(problem.fixed_delay), keeps_up])
        shares = None if self.optimal_shares else _equal(problem)
        return splits, shares


def _equal(problem: Problem) -> FloatArray:
    return np.full(problem.n_nodes, 1.0 / problem.n_nodes)


def _least(problem: Problem, score: FloatArray, wanted: list[BoolArray]) -> IntArray:
    """Return each node's existing split of least score, the earliest of equals.

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
