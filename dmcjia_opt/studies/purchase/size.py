"""How much capacity a fleet needs: least of one resource, or least cost of all that have a price."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, constant, distinct, frozen
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.files import finite_or_null, write_text
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.base.showing import html_table, percent
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.choices import Choices, choices_of
from dmcjia_opt.solving.registry import LIBRARIES
from dmcjia_opt.studies.purchase.asked import check_asked
from dmcjia_opt.studies.purchase.buying import Bought, cheapest
from dmcjia_opt.studies.purchase.market import Market
from dmcjia_opt.studies.purchase.sale import HAIR, Sale, sale_of

#: Fleets of more nodes are written without a row for each.
MOST_ROWS = 10_000
#: Resources in a notebook.
MOST_SHOWN = 40
_SCALE = 2.0**20  # so many times the declared capacity is looked at where a mean and deadlines are asked together
_MOST_TOLD = 3
_MS = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """What to buy, and what is claimed about it.

    Parameters
    ----------
    sale
        What is for sale, and at which price.
    capacity
        (n_resources,) what to have of each, GFLOP/s or Mbit/s, in whole steps; what is not for sale as it is.
    exact
        (n_resources,) the same before it is rounded up to steps.
    cost
        What was minimised: what all that has a price costs, after rounding, or one capacity.
    lower_bound
        Nothing cheaper keeps all that is asked; of one resource in whole steps, of several before rounding.
    gap
        (cost − lower bound)/cost.
    mean_delay, worst_delay
        Weighted mean and largest of the nodes' delays with that capacity, s.
    choices
        What every node does, and its shares of the new capacity.
    delays, deadlines
        (n_nodes,) each node's delay, and the longest it may have, s; +inf where it has no deadline.
    mean_target
        The most that the mean delay may be, s; +inf where there is no target.
    scenario
        What was sized.

    Examples
    --------
    >>> from dmcjia_opt import generate, size
    >>> size(generate("paper", nodes=5, seed=1), deadline_ms=600)
    Size(cloud 51.552 GFLOP/s; cost 51.552, gap ..., worst 600 ms)
    """

    sale: Sale
    capacity: FloatArray
    exact: FloatArray
    cost: float
    lower_bound: float
    gap: float
    mean_delay: float
    worst_delay: float
    choices: Choices
    delays: FloatArray
    deadlines: FloatArray
    mean_target: float
    scenario: Scenario

    @property
    def resources(self) -> Mapping[str, float]:
        """What to have of each resource by its name, GFLOP/s or Mbit/s."""
        return {one.name: float(c) for one, c in zip(self.sale.resources, self.capacity, strict=True)}

    @property
    def cost_exact(self) -> float:
        """What it would cost if it were sold in any amount."""
        return float(self.sale.prices @ self.exact)

    def __repr__(self) -> str:
        bought = ", ".join(
            f"{one.name} {c:.6g} {unit}"
            for one, c, unit, p in zip(
                self.sale.resources, self.capacity, self.sale.units, self.sale.prices, strict=True
            )
            if p > 0
        )
        return f"Size({bought}; cost {self.cost:.6g}, gap {percent(self.gap)}, worst {self.worst_delay / _MS:.4g} ms)"

    def _repr_html_(self) -> str:
        """Return what to have of each resource as a notebook shows it."""
        sale = self.sale
        rows = [
            [one.name, one.kind, f"{capacity:.6g} {unit}", f"{declared:.6g} {unit}"]
            for one, unit, declared, capacity in zip(
                sale.resources, sale.units, sale.declared, self.capacity, strict=True
            )
        ]
        return html_table(["resource", "kind", "to have", "declared"], rows[:MOST_SHOWN], repr(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a size file."""
        sale, options = self.sale, self.scenario.options
        columns = sale.resources, sale.units, sale.declared, self.exact, sale.prices, sale.steps, self.capacity
        return {
            "minimised": f"capacity of {sale.least}" if sale.least else "cost",
            "unit": sale.unit,
            "statistic": options.statistic,
            "mean_target_s": finite_or_null(self.mean_target),
            "deadlines": int(np.isfinite(self.deadlines).sum()),
            "resources": self.resources,
            "cost": self.cost,
            "lower_bound": self.lower_bound,
            "gap": self.gap,
            "mean_delay_s": self.mean_delay,
            "worst_delay_s": self.worst_delay,
            "cost_before_rounding": self.cost_exact,
            "details": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "unit": unit,
                    "declared": float(declared),
                    "before_rounding": float(exact),
                    "capacity": float(capacity),
                    "step": float(step) if step else None,
                    "price": float(price) if price and not sale.least else None,
                    "for_sale": bool(price > 0),
                }
                for one, unit, declared, exact, price, step, capacity in zip(*columns, strict=True)
            ],
            "nodes": self._rows() if len(self.delays) <= MOST_ROWS else None,
            "scenario": self.scenario.name,
            "scenario_sha256": self.scenario.sha256(),
            "versions": installed_versions(LIBRARIES),
        }

    def _rows(self) -> list[dict[str, Any]]:
        choices, names = self.choices, self.scenario.nodes.names
        return [
            {
                "name": names[d],
                "cuts": choices.cuts_of(d),
                "server": choices.server_of(d),
                "shares": choices.shares_of(d),
                "delay_s": float(self.delays[d]),
                "deadline_s": finite_or_null(float(self.deadlines[d])),
            }
            for d in range(len(names))
        ]

    def save(self, path: str | Path) -> None:
        """Write it as JSON; the file appears whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    def resized(self) -> Scenario:
        """Return the scenario with the new capacities; of what nobody uses, and of measured servers, as it was."""
        wanted = {name: c for name, c in self.resources.items() if c > 0}
        scenario = self.scenario
        cloud = scenario.cloud_gflops
        servers = [
            one.model_copy(update={"compute_gflops": wanted.get(one.name, one.compute_gflops)})
            for one in scenario.servers
        ]
        links = [one.model_copy(update={"mbps": wanted.get(one.name, one.mbps)}) for one in scenario.links]
        return replace(
            scenario,
            cloud_gflops=None if cloud is None else wanted.get("cloud", cloud),
            servers=tuple(servers),
            links=tuple(links),
        )


def size(
    scenario: Scenario | str | Path,
    *,
    deadline_ms: float | None = None,
    mean_ms: float | None = None,
    resource: str | None = None,
) -> Size:
    """Return how much capacity it takes to keep every deadline, or to reach a mean delay, at least cost.

    Parameters
    ----------
    scenario
        The fleet: a scenario or its file. What it says of the capacity of what is for sale does not matter, but for
        servers whose times were measured, which are counted in multiples of what was measured.
    deadline_ms
        The longest delay that any node may have, ms, of the scenario's statistic; a shorter deadline of its own holds
        besides. The nodes' own deadlines alone when omitted.
    mean_ms
        The longest mean delay, ms, weighted as the scenario says; deadlines are kept too.
    resource
        The server or link whose capacity is to be least, all others as they are. When omitted, what has a price is for
        sale; where nothing has one and there is one server or link, that.

    Raises
    ------
    InputError
        If nothing is asked, it is not clear what is for sale, or a node that needs capacity has no deadline.
    InfeasibleError
        If no capacity is enough.

    Examples
    --------
    >>> from dmcjia_opt import generate, size
    >>> wanted = size(generate("paper", nodes=5, seed=1), deadline_ms=600)
    >>> round(wanted.resources["cloud"], 1), wanted.worst_delay <= 0.6
    (51.6, True)
    """
    check_arguments(size, locals(), "scenario")
    loaded = scenario_of(scenario)
    check_asked(loaded, deadline_ms, mean_ms)
    fleet = Sizing.of(loaded, resource)
    deadline = fleet.deadlines(deadline_ms)
    mean = math.inf if mean_ms is None else _MS * mean_ms
    return fleet.sized(cheapest(fleet.market(deadline, mean)), deadline, mean)


@dataclass(frozen=True, slots=True, eq=False)
class Sizing:
    """A scenario ready to be sized.

    Parameters
    ----------
    scenario
        As it was given.
    problem
        Compiled without its deadlines, which declared capacities might not keep.
    sale
        What is for sale.
    """

    scenario: Scenario
    problem: Problem
    sale: Sale

    @classmethod
    def of(cls, scenario: Scenario, resource: str | None = None) -> Sizing:
        """Return a scenario, in which one resource is to be least, ready to be sized.

        Raises
        ------
        InputError
            If something is pooled, or it is not clear what is for sale.
        """
        nodes = replace(scenario.nodes, deadline_ms=constant(math.nan, (len(scenario.nodes),)))
        options = scenario.options.model_copy(update={"objective": "mean"})
        problem = compile_problem(replace(scenario, nodes=nodes, options=options))
        if problem.pooled.any():
            raise InputError(
                f"{problem.resources[int(problem.pooled.argmax())]} is pooled, and what a queue for all has to be "
                'depends on everybody in it; sizes are of reserved shares: write sharing = "reserved"'
            )
        return cls(scenario, problem, sale_of(scenario, problem, resource))

    def deadlines(self, deadline_ms: float | None) -> FloatArray:
        """Return (n_nodes,) the longest delay that each node may have, s."""
        nodes, n = self.scenario.nodes, len(self.scenario.nodes)
        own = np.nan_to_num(_MS * nodes.deadline_ms, nan=np.inf) if nodes.has("deadline_ms") else np.full(n, np.inf)
        return np.asarray(own if deadline_ms is None else np.minimum(own, _MS * deadline_ms))

    def market(self, deadline: FloatArray, mean: float = math.inf) -> Market:
        """Return what capacity costs where deadlines (n_nodes,), s, and a mean delay, s, are asked.

        Raises
        ------
        InputError
            If a node needs capacity and nothing says how fast it is to be.
        InfeasibleError
            If no capacity keeps them.
        """
        sale, problem = self.sale, self.problem
        self._check(deadline, mean)
        if math.isinf(mean):
            deadline = self._at_leisure(deadline)
        prices = sale.prices * sale.declared
        if math.isfinite(mean) and np.isfinite(deadline).any():
            scale = np.where(sale.prices > 0, _SCALE, 1.0)
            service = problem.service / scale[problem.resource]
            problem = replace(problem, service=frozen(service), deadline=frozen(deadline))
            prices = prices * scale
        return Market(problem, deadline, prices, sale.kept, np.ones(len(sale.kept)), mean)

    def _check(self, deadline: FloatArray, mean: float) -> None:
        """Refuse what no capacity of what is for sale could keep."""
        problem, names = self.problem, self.scenario.nodes.names
        least = np.asarray(problem.fixed_delay.min(axis=1))
        late = np.flatnonzero((least > deadline) | ((least == deadline) & ~self._idle(least)))
        if late.size:
            told = [
                f'"{names[d]}" takes at least {least[d] / _MS:.4g} ms and has {deadline[d] / _MS:.6g} ms'
                for d in late[:_MOST_TOLD].tolist()
            ]
            told_all = listed(told, len(late) - len(told), "node")
            raise InfeasibleError(
                f"no capacity keeps every deadline: however much is bought {told_all}; "
                "raise the deadline, or give the node more compute_gflops or uplink_mbps"
            )
        fastest = float(problem.weight @ least)
        if fastest > mean:
            raise InfeasibleError(
                f"no capacity reaches a mean delay of {mean / _MS:.6g} ms: however much is bought it is more than "
                f"{fastest / _MS:.4g} ms; raise it, or give the nodes more compute_gflops or uplink_mbps"
            )

    def _at_leisure(self, deadline: FloatArray) -> FloatArray:
        """Return deadlines in which nodes without one have what they take on their own, which costs nothing."""
        idle = ~(self.problem.service > 0).any(-1)
        alone = np.where(idle, self.problem.fixed_delay, np.inf).min(axis=1)
        both = np.where(np.isinf(deadline), alone, deadline)
        if np.isinf(both).any():
            name = self.scenario.nodes.names[int(np.argmax(np.isinf(both)))]
            raise InputError(
                f'"{name}" has no deadline and cannot do all itself: with the least capacity its tasks would wait for '
                "ever; give it deadline_ms, or ask for --deadline-ms or --mean-ms"
            )
        return np.asarray(both)

    def _idle(self, least: FloatArray) -> BoolArray:
        """Return (n_nodes,) whether an option that uses nothing has the least delay."""
        idle = ~(self.problem.service > 0).any(-1)
        return np.asarray((idle & (self.problem.fixed_delay <= least[:, None])).any(axis=1))

    def sized(self, plan: Bought, deadline: FloatArray, mean: float) -> Size:
        """Return what a plan asks for, in whole steps, and what delays its nodes have then."""
        sale, problem = self.sale, self.problem
        options = plan.options
        bought = sale.prices > 0
        scaled = np.where(bought & math.isfinite(mean) & np.isfinite(deadline).any(), _SCALE, 1.0)
        use = plan.use * scaled
        exact = np.where(bought, use * sale.declared * (1.0 + HAIR), sale.declared)
        capacity = sale.rounded_up(exact)
        # what rounding adds is given to all in proportion
        filled = np.where(use > 0, np.where(bought, capacity / np.where(use > 0, use * sale.declared, 1.0), 1.0), 1.0)
        by = problem.at(problem.resource, options)
        shares = plan.shares * (scaled * filled)[by]
        delays = problem.node_delay(options, shares)
        ratio = np.where(bought & (capacity > 0), capacity / sale.declared, 1.0)
        grown = replace(problem, service=_scaled(problem, ratio))
        cost = float(sale.prices @ capacity)
        bound = self._bound(plan.bound, cost)
        return Size(
            sale=sale,
            capacity=capacity,
            exact=exact,
            cost=cost,
            lower_bound=bound,
            gap=max(relative_gap(cost, bound), 0.0) if cost > 0 else 0.0,
            mean_delay=float(problem.weight @ delays),
            worst_delay=float(delays.max()),
            choices=choices_of(self.scenario, grown, options, shares / ratio[by]),
            delays=delays,
            deadlines=deadline,
            mean_target=mean,
            scenario=self.scenario,
        )

    def _bound(self, bound: float, cost: float) -> float:
        """Return a lower bound on a cost; of one resource in whole steps where it is sold in them."""
        sale = self.sale
        on = np.flatnonzero(sale.prices > 0)
        if len(on) == 1 and sale.steps[on[0]] > 0:
            price = float(sale.prices[on[0]])
            capacity = np.zeros(len(sale.prices))
            capacity[on[0]] = max(bound, 0.0) / price
            bound = float(sale.rounded_up(capacity)[on[0]]) * price
        return min(max(bound, 0.0), cost)


def _scaled(problem: Problem, ratio: FloatArray) -> FloatArray:
    """Return the service times where each resource has `ratio` times its capacity."""
    if problem.n_resources == 1:
        return np.broadcast_to(frozen(distinct(problem.service) / ratio[0]), problem.service.shape)
    return frozen(problem.service / ratio[problem.resource])
