"""The stages that tasks pass one after the other, with their service times at a plan's options and shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.residuals import ORDERING_TOLERANCE
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.scenario import Scenario, Uplink
from dmcjia_opt.model.scenario.services import Services, Slot, StageTimes
from dmcjia_opt.studies.simulation.node import Stage
from dmcjia_opt.studies.simulation.serving import Variability

StageName = Slot | Literal["edge", "uplink", "round trip"]
Part = Literal["edge", "upload", "cloud"]

#: What the delay of a node is made of.
ALL_PARTS: tuple[Part, ...] = ("edge", "upload", "cloud")
#: Every stage in the order of the path, and the part of the delay that it counts as.
_PARTS: dict[StageName, Part] = {
    "edge": "edge",
    "host": "edge",
    "uplink": "upload",
    "link": "upload",
    "first link": "upload",
    "first server": "cloud",
    "second link": "upload",
    "second server": "cloud",
    "round trip": "upload",
}
#: Which of a node's streams the service times of a stage are drawn from; those of the others do not scatter.
_STREAMS: dict[StageName, int] = {"edge": 1, "host": 1, "first server": 2, "second server": 3}


def stream(seed: int, node: int, number: int) -> np.random.Generator:
    """Return one of a node's sources of random numbers, the same for every plan; arrivals are number 0."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(node, number)))


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The stages of every node, in the order in which tasks pass them.

    Parameters
    ----------
    names
        (n_stages,) what the stages are; a round trip has the download of the result in it.
    service
        (n_nodes, n_stages) mean service time at the node's share, of the whole of what is pooled, s; 0 where a node has
        no such stage.
    resource
        (n_nodes, n_stages) index of the resource of which it is a share, or all of what is pooled; −1 for its own.
    resources
        (n_resources,) what is shared.
    waits
        (n_stages,) whether tasks of a node wait for each other; they overlap otherwise.

    Examples
    --------
    >>> from dmcjia_opt import generate, simulate, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> simulate(scenario, solve(scenario), tasks=2000).passage.names
    ('edge', 'uplink', 'first server', 'round trip')
    """

    names: tuple[StageName, ...]
    service: FloatArray
    resource: IntArray
    resources: tuple[Resource, ...]
    waits: BoolArray

    __repr__ = brief

    @classmethod
    def of(cls, times: StageTimes, services: Services, shares: FloatArray, uplink: Uplink) -> Passage:
        """Return the stages at the options of `services` and at `shares` (n_nodes, n_uses)."""
        own = {"edge": services.edge, "uplink": services.upload, "round trip": services.constant}
        pooled = np.array([resource.pooled is not None for resource in times.resources])
        names = tuple(name for name in _PARTS if name in own or name in times.slots)
        service, resource = np.empty((len(shares), len(names))), np.full((len(shares), len(names)), -1, dtype=np.int64)
        for k, name in enumerate(names):
            if name in own:
                service[:, k] = own[name]
                continue
            use = times.slots.index(name)
            used = services.used[:, use]
            part = np.where(pooled[services.resource[:, use]], 1.0, shares[:, use])
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                service[:, k] = np.where(used > 0, used / part, 0.0)
            resource[:, k] = np.where(used > 0, services.resource[:, use], -1)
        overlap = [_PARTS[name] == "upload" and (uplink == "delay" or name == "round trip") for name in names]
        return cls(names, service, resource, times.resources, ~np.array(overlap))

    @property
    def pooled(self) -> BoolArray:
        """(n_nodes, n_stages) whether tasks of other nodes are there too."""
        pooled = np.array([*(resource.pooled is not None for resource in self.resources), False])
        return np.asarray(pooled[self.resource])

    @property
    def works(self) -> BoolArray:
        """(n_stages,) whether something is at work there; on a round trip nothing is."""
        return np.array([name != "round trip" for name in self.names])

    def scatters(self, edge: Variability, cloud: Variability) -> BoolArray:
        """Return (n_stages,) at which services vary."""
        cvs = {"edge": edge.cv, "upload": 0.0, "cloud": cloud.cv}
        return np.array([cvs[_PARTS[name]] > 0 for name in self.names])

    def columns(self, part: Part) -> list[int]:
        """Return the stages that count as a part of the delay."""
        return [k for k, name in enumerate(self.names) if _PARTS[name] == part]

    def stages(self, node: int, edge: Variability, cloud: Variability, seed: int) -> list[Stage]:
        """Return the stages of a node, whose service scatters by the part of the delay that they are."""
        found = []
        for name, service, waits in zip(self.names, self.service[node].tolist(), self.waits.tolist(), strict=True):
            if name in _STREAMS:
                scatter = edge if _PARTS[name] == "edge" else cloud
                found.append(Stage(service, waits, scatter, stream(seed, node, _STREAMS[name])))
            else:
                found.append(Stage(service, waits))
        return found

    def named(self, node: int, k: int) -> str:
        """Return the name of a stage of a node as plan files have it."""
        r = int(self.resource[node, k])
        return self.resources[r].name if r >= 0 else "device" if self.names[k] == "edge" else self.names[k]

    def called(self, node: int, k: int) -> str:
        """Return what a stage of a node is called in a sentence."""
        r = int(self.resource[node, k])
        return f"the {self.names[k]}" if r < 0 else str(self.resources[r])

    def _require_pools(self, load: FloatArray) -> None:
        """Refuse loads (n_nodes, n_stages) of pooled resources that no queue can have."""
        there = self.resource >= 0
        total = np.bincount(self.resource[there], load[there], len(self.resources))
        for r in np.flatnonzero(total >= 1.0)[:1].tolist():
            raise InfeasibleError(
                f"all nodes together ask {self.resources[r]} for {100 * total[r]:.4g} % of its time: its queue grows "
                "without end, and there is no mean delay to simulate; change the plan or lower the arrival rates"
            )

    def require_stable(
        self,
        scenario: Scenario,
        options: IntArray,
        rates: FloatArray,
        varying: BoolArray,
        scatters: BoolArray,
        *,
        recorded: bool,
    ) -> None:
        """Refuse a plan under which some queue grows without end, or a link gets more than it carries.

        Parameters
        ----------
        scenario, options
            Of which this is the passage.
        rates
            (n_nodes,) arrivals a second.
        varying, scatters
            (n_nodes,) and (n_stages,) whether gaps and services vary; where none does a stage may always be busy.
        recorded
            Whether they come from a trace.

        Raises
        ------
        InfeasibleError
            If there is one; it names the stage and the node.
        """
        with np.errstate(invalid="ignore"):  # no arrivals times a service that never ends: there is no share
            load = rates[:, None] * self.service
        self._require_pools(np.where(self.pooled, load, 0.0))
        shared = self.resource >= 0
        varies = varying[:, None] | np.logical_or.accumulate(scatters | self.pooled, axis=1)
        full = np.where(varies, ~(load < 1.0), ~(load <= 1.0 + ORDERING_TOLERANCE))
        unstable = np.where(self.waits | self.pooled, full, shared & ~(load <= 1.0 + ORDERING_TOLERANCE))
        if not unstable.any():
            return
        d, k = map(int, np.argwhere(unstable)[0])
        asked, names = float(load[d, k]), scenario.nodes.names
        busy = "of its time" if self.waits[k] else "of what its share carries"
        what = f"is asked for {100 * asked:.4g} % {busy}" if asked <= FARTHEST else "has work and no share"
        nodes = int(unstable.any(axis=1).sum())
        more = f" (and {nodes - 1} more node{'s' if nodes > 2 else ''})" if nodes > 1 else ""
        if recorded:
            planned = scenario.nodes.arrival_rate[d]
            more += f", with {rates[d]:.4g} recorded arrivals a second where the scenario says {planned:.4g}"
        cuts = scenario.route(d, int(options[d])).cuts
        grows = "its queue grows without end" if self.waits[k] else "more and more is under way"
        raise InfeasibleError(
            f'{self.called(d, k)} of "{names[d]}" {what} at {_at(cuts)}{more}: {grows}, and there is no mean delay to '
            "simulate; change the plan or lower the arrival rate"
        )


def _at(cuts: Sequence[int]) -> str:
    return f"split {cuts[0]}" if len(cuts) == 1 else f"cuts {', '.join(map(str, cuts))}"
