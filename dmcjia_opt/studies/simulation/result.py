"""What a simulation found, and how two plans compare on the same arrivals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.registry import LIBRARIES
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, correlated, half_width
from dmcjia_opt.studies.simulation.notes import differ
from dmcjia_opt.studies.simulation.passage import ALL_PARTS, Passage

#: The quantiles of a task's delay that are estimated.
LEVELS = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked of a simulation; two results compare only where these agree.

    Parameters
    ----------
    scenario_sha256
        Hash of the scenario's content.
    tasks
        Tasks asked for a node, None for the whole trace.
    seed
        Seed of every stream.
    arrivals
        Name of the arrival process.
    edge_cv, cloud_cv
        Coefficients of variation of the service times.
    service_family
        How they are distributed.
    uplink
        ``delay`` or ``queue``.
    warm_up
        Share of the tasks left out at the start.
    statistic, objective
        What the scenario plans with: the mean or a percentile of each node, their mean or the worst of them.

    Examples
    --------
    >>> from dmcjia_opt import generate, simulate, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> simulate(scenario, solve(scenario), tasks=2000, seed=3).settings.seed
    3
    """

    scenario_sha256: str
    tasks: int | None
    seed: int
    arrivals: str
    edge_cv: float
    cloud_cv: float
    service_family: str
    uplink: str
    warm_up: float
    statistic: str
    objective: str


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Simulated delays of a plan, warm-up left out.

    Parameters
    ----------
    settings
        What was asked.
    names
        (n_nodes,) of the nodes.
    weight
        (n_nodes,) weight of each node's delay in the means, as in the problem; 0 for a quiet one, whose arrivals are
        too few for an interval, and the others sum to 1.
    batch_values
        (n_nodes, N_BATCHES) mean delay of each batch of tasks, s, or the values whose mean is the percentile (see
        `Histogram`); NaN without arrivals.
    bounded
        (n_nodes,) whether the tasks are enough for an interval around a percentile.
    passage
        The stages that tasks pass.
    stage_delays
        (n_nodes, n_stages) mean delay at each stage, s; their sum is the mean delay, whatever the statistic.
    stage_load
        (n_nodes, n_stages) share of the time that each stage works, dimensionless; it may exceed 1 where tasks
        overlap, and is 0 for a round trip.
    quantiles
        (n_nodes, n_levels) quantiles of a task's delay at `LEVELS`, s, within 0.025 %.
    mean_quantiles
        (n_levels,) the same over the whole fleet, nodes mixed by weight.
    model
        (n_nodes,) the same statistic by the scenario's own delay model at the same plan, s; +inf where it has none.
    deadline, late
        (n_nodes,) each node's deadline, s, +inf where it has none; and the part of its tasks that are later, NaN there.
    rate, planned_rate
        (n_nodes,) arrivals a second: those simulated, 0 for a quiet node, and the scenario's.
    measured, warm_up
        (n_nodes,) tasks that count and tasks before them.
    notes
        What recorded arrivals and the scenario do not have in common, a sentence each.
    wall_seconds
        What it cost.

    Examples
    --------
    >>> from dmcjia_opt import generate, simulate, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> simulate(scenario, solve(scenario), tasks=2000).names
    ('node-0001', 'node-0002', 'node-0003')
    """

    settings: Settings
    names: tuple[str, ...]
    weight: FloatArray
    batch_values: FloatArray
    bounded: BoolArray
    passage: Passage
    stage_delays: FloatArray
    stage_load: FloatArray
    quantiles: FloatArray
    mean_quantiles: FloatArray
    model: FloatArray
    deadline: FloatArray
    late: FloatArray
    rate: FloatArray
    planned_rate: FloatArray
    measured: IntArray
    warm_up: IntArray
    notes: tuple[str, ...]
    wall_seconds: float

    __repr__ = brief

    @property
    def delays(self) -> Stages:
        """Mean delay, s, of device or host, of uplink, links and round trip, and of servers."""
        return Stages(*(self.stage_delays[:, self.passage.columns(part)].sum(axis=1) for part in ALL_PARTS))

    @property
    def load(self) -> Stages:
        """Share of the time that the busiest stage works, by the same parts."""
        return Stages(*(self.stage_load[:, self.passage.columns(part)].max(axis=1) for part in ALL_PARTS))

    @property
    def delay(self) -> FloatArray:
        """(n_nodes,) delay, s, the mean of a node's tasks or the percentile of them."""
        return np.asarray(self.batch_values.mean(axis=-1))

    @property
    def task_mean(self) -> FloatArray:
        """(n_nodes,) mean delay of a node's tasks, s, whatever the statistic."""
        return np.asarray(self.stage_delays.sum(axis=1))

    @property
    def quiet(self) -> BoolArray:
        """(n_nodes,) which nodes have too few arrivals for an interval."""
        return np.asarray(self.weight == 0.0)

    @property
    def other_rates(self) -> BoolArray:
        """(n_nodes,) which nodes have recorded arrivals at another rate than the scenario's."""
        return differ(self.rate, self.planned_rate, self.measured + self.warm_up) & ~self.quiet

    def over_nodes(self, values: FloatArray) -> FloatArray:
        """Return the weighted mean of `values` (n_nodes, …) over the nodes that are not quiet."""
        counted = ~self.quiet
        return np.asarray(self.weight[counted] @ values[counted])

    @property
    def mean_delay(self) -> float:
        """Mean over the fleet of the nodes' delays, s, weighted as the objective is."""
        return float(self.over_nodes(self.delay))

    @property
    def mean_model(self) -> float:
        """The same by the scenario's own delay model, s."""
        return float(self.over_nodes(self.model))

    @property
    def worst_model(self) -> float:
        """The delay of the worst node by that model, s."""
        return float(self.model[~self.quiet].max())

    def half_width(self, confidence: float = 0.95) -> FloatArray:
        """Return (n_nodes,) half-widths, s, of the intervals around `delay`; NaN for a quiet node."""
        return np.where(self.quiet, np.nan, half_width(self.batch_values, confidence))

    def mean_half_width(self, confidence: float = 0.95) -> float:
        """Return the half-width, s, of the interval around `mean_delay`."""
        return float(half_width(self.over_nodes(self.batch_values), confidence))

    @property
    def too_short(self) -> BoolArray:
        """(n_nodes + 1,) where no interval holds; the fleet's mean last.

        Batches still depend on each other there, or no more tasks lie beyond the percentile than chance may add.
        """
        values = np.where(self.quiet[:, None], 0.0, self.batch_values)
        unbounded = ~self.bounded & ~self.quiet
        dependent = correlated(np.vstack([values, self.over_nodes(self.batch_values)]))
        return np.asarray(dependent | np.append(unbounded, unbounded.any()))

    def worst(self, confidence: float = 0.95) -> tuple[int, float, float]:
        """Return the slowest node, and between which delays, s, that of the truly slowest one lies.

        The largest of many estimates is too large. So each node's interval is widened such that all hold at once, by
        Bonferroni's inequality; the largest of their ends are the ends.
        """
        each = np.where(self.quiet, -np.inf, self.delay)
        half = self.half_width(1.0 - (1.0 - confidence) / max(int((~self.quiet).sum()), 1))
        d = int(each.argmax())
        return d, float(np.nanmax(each - half)), float(np.nanmax(each + half))

    def to_dict(self, confidence: float = 0.95) -> dict[str, Any]:
        """Return the content of a result file, intervals at `confidence`."""
        labels = [f"p{100 * level:g}_s" for level in LEVELS]
        short = self.too_short
        columns = {
            "name": self.names,
            "delay_s": self.delay,
            "half_width_s": self.half_width(confidence),
            "batches_independent": ~short[:-1] & ~self.quiet,
            "model_s": self.model,
            "mean_s": self.task_mean,
            **dict(zip(labels, self.quantiles.T, strict=True)),
            "deadline_s": self.deadline,
            "late": self.late,
            "edge_s": self.delays.edge,
            "upload_s": self.delays.upload,
            "cloud_s": self.delays.cloud,
            "edge_load": self.load.edge,
            "uplink_load": self.load.upload,
            "cloud_load": self.load.cloud,
            "arrival_rate": self.rate,
            "scenario_arrival_rate": self.planned_rate,
            "measured_tasks": self.measured,
            "warm_up_tasks": self.warm_up,
            "stages": [self._by_name(d, self.stage_delays, add) for d in range(len(self.names))],
            "loads": [self._by_name(d, self.stage_load, max) for d in range(len(self.names))],
        }
        rows = zip(*(_plain(values) for values in columns.values()), strict=True)
        d, low, high = self.worst(confidence)
        return {
            "delay_s": self.mean_delay,
            "half_width_s": self.mean_half_width(confidence),
            "batches_independent": bool(~short[-1]),
            "model_s": self.mean_model if np.isfinite(self.mean_model) else None,
            "worst": {"name": self.names[d], "least_s": low, "most_s": high},
            "mean_s": float(self.over_nodes(self.task_mean)),
            **dict(zip(labels, self.mean_quantiles.tolist(), strict=True)),
            "wall_s": self.wall_seconds,
            "nodes": [dict(zip(columns, row, strict=True)) for row in rows],
        }

    def _by_name(self, node: int, table: FloatArray, join: Callable[[float, float], float]) -> dict[str, float | None]:
        """Return what `table` (n_nodes, n_stages) has of a node's stages by name; what is passed twice is joined."""
        found: dict[str, float | None] = {}
        for k in np.flatnonzero(self.passage.service[node] > 0).tolist():
            name, value = self.passage.named(node, k), float(table[node, k])
            before = found.get(name)
            found[name] = (value if before is None else join(before, value)) if np.isfinite(value) else None
        return found


def _plain(values: object) -> list[object]:
    cells = values.tolist() if isinstance(values, np.ndarray) else list(values)  # type: ignore[call-overload]
    return [None if isinstance(cell, float) and not np.isfinite(cell) else cell for cell in cells]


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """How much longer nodes take in the mean under one plan than under another, on the same arrivals and services.

    Parameters
    ----------
    batch_values
        (N_BATCHES,) difference of the fleets' values in each batch, s (see `Simulation`).

    Examples
    --------
    >>> from dmcjia_opt import compare, generate, simulate, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> best, rule = (simulate(scenario, solve(scenario, placer), tasks=2000) for placer in ("exact", "greedy"))
    >>> compare(best, rule).batch_values.shape
    (32,)
    """

    batch_values: FloatArray

    __repr__ = brief

    @property
    def mean(self) -> float:
        """Mean difference, s; above 0 where the second plan is slower."""
        return float(self.batch_values.mean())

    def half_width(self, confidence: float = 0.95) -> float:
        """Return the half-width, s, of the interval around `mean`."""
        return float(half_width(self.batch_values, confidence))

    def is_clear(self, confidence: float = 0.95) -> bool:
        """Return whether the interval leaves 0 out."""
        return abs(self.mean) > self.half_width(confidence)


def compare(first: Simulation, second: Simulation) -> Difference:
    """Return the paired difference, second minus first: common random numbers take most of the noise away.

    Raises
    ------
    InputError
        If the two were not simulated alike: another scenario, seed, number of tasks, arrivals or services.

    Examples
    --------
    >>> from dmcjia_opt import compare, generate, simulate, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> best, rule = (simulate(scenario, solve(scenario, placer), tasks=2000) for placer in ("exact", "greedy"))
    >>> compare(best, rule).mean > 0
    True
    """
    check_arguments(compare, locals())
    others = asdict(second.settings)
    for key, one in asdict(first.settings).items():
        if one != others[key]:
            raise InputError(f"two simulations compare only with the same {key}, got {one} and {others[key]}")
    return Difference(second.over_nodes(second.batch_values) - first.over_nodes(first.batch_values))


def save(path: str | Path, simulations: dict[str, Simulation], confidence: float = 0.95) -> None:
    """Write simulations, by the name of their plan, as JSON; the file appears whole or not at all."""
    write_text(path, json.dumps(content(simulations, confidence), indent=1, allow_nan=False) + "\n")


def content(simulations: dict[str, Simulation], confidence: float = 0.95) -> dict[str, Any]:
    """Return what a result file holds: settings, every plan, and each plan's difference from the first."""
    (base_name, base), *others = simulations.items()
    return {
        "settings": asdict(base.settings) | {"batches": N_BATCHES, "confidence": confidence},
        "notes": list(base.notes),
        "plans": [{"plan": name, **found.to_dict(confidence)} for name, found in simulations.items()],
        "differences": [
            {
                "plan": name,
                "minus": base_name,
                "mean_s": difference.mean,
                "half_width_s": difference.half_width(confidence),
                "clear": difference.is_clear(confidence),
            }
            for name, difference in ((name, compare(base, other)) for name, other in others)
        ],
        "versions": installed_versions(LIBRARIES),
    }
