"""What a run measured beside what was planned and predicted, by node and stage: as JSON, CSV, and times of layers."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.files import write_text
from dmcjia_opt.base.machine import installed_versions, machine
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.studies.deploy.expecting import Passed, expected, through
from dmcjia_opt.studies.deploy.manifest import COMPUTING, Manifest, NodeEntry
from dmcjia_opt.studies.deploy.run_here import Moments, Records, node_called, server_called
from dmcjia_opt.studies.simulation.fleet import WARM_UP
from dmcjia_opt.studies.simulation.passage import stream

_P95 = 0.95
_LIBRARIES = ("numpy", "onnx", "onnxruntime")
_COLUMNS = (
    "node",
    "stage",
    "planned_s",
    "predicted_s",
    "predicted_p95_s",
    "measured_s",
    "measured_p95_s",
    "scheduled_s",
    "service_s",
    "service_cv",
    "load",
    "overruns",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was planned, predicted and measured of a delay, s.

    Parameters
    ----------
    planned_s
        What the plan says.
    predicted_s, predicted_p95_s
        Mean and 95th percentile of many tasks that pass queues with the service times of this run; +inf where such a
        queue grows without end.
    measured_s, measured_p95_s
        By the clock.
    scheduled_s
        The mean by the schedule, which this machine's own delays do not reach; as measured where there is none.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_result import Figures
    >>> figures = Figures(0.5, 0.5, 0.9, 0.52, 0.95, 0.51)
    >>> round(figures.error, 3)
    0.04
    """

    planned_s: float
    predicted_s: float
    predicted_p95_s: float
    measured_s: float
    measured_p95_s: float
    scheduled_s: float

    @property
    def error(self) -> float:
        """How far the measured mean is from the predicted one, relative to that; NaN where that is not finite."""
        return self.measured_s / self.predicted_s - 1.0 if 0.0 < self.predicted_s < math.inf else math.nan


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage of a node.

    Parameters
    ----------
    stage, delay
        Which, and its delay.
    service_s, service_cv
        Mean service time, s, and its coefficient of variation.
    load
        Part of the time that it works, where tasks wait for each other; 0 elsewhere.
    overruns
        How often a half took longer than the planned time of a paced run.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_result import Figures, StageResult
    >>> StageResult("edge", Figures(0.5, 0.5, 0.9, 0.52, 0.95, 0.51), 0.3, 0.1, 0.4, 0).stage
    'edge'
    """

    stage: str
    delay: Figures
    service_s: float
    service_cv: float
    load: float
    overruns: int


@dataclass(frozen=True, slots=True)
class NodeResult:
    """A node: its delay, and that of the same tasks in queues without a machine, s; its stages.

    Parameters
    ----------
    name, network
        Which.
    tasks
        How many count; those before them began with empty queues.
    delay
        Of all stages.
    replayed_s
        The mean delay if the tasks of this run, at the moments at which they came, with the times that they took, pass
        queues without a machine: what is left between it and the measured mean is this machine's doing, and what is
        between it and the predicted one is chance.
    stages
        In order.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_result import Figures, NodeResult
    >>> NodeResult("gate", "small", 300, Figures(0.5, 0.5, 0.9, 0.52, 0.95, 0.51), 0.51, ()).tasks
    300
    """

    name: str
    network: str
    tasks: int
    delay: Figures
    replayed_s: float
    stages: tuple[StageResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """A run, node by node.

    Parameters
    ----------
    records
        What was seen.
    nodes
        What comes of it.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_here import run
    >>> from dmcjia_opt.studies.deploy.run_result import result_of
    >>> result_of(run("cameras", tasks=60, paced=True)).off()  # doctest: +SKIP
    (0.021, 0.03, 'gate')
    """

    records: Records
    nodes: tuple[NodeResult, ...]

    __repr__ = brief

    @property
    def errors(self) -> FloatArray:
        """(n_nodes,) how far the measured means are from those predicted, relative to these; NaN where none is."""
        return np.array([node.delay.error for node in self.nodes])

    def off(self) -> tuple[float, float, str] | None:
        """Return how far the median node and the farthest are off, and which that is; None if nothing was predicted."""
        errors = np.abs(self.errors)
        if np.isnan(errors).all():
            return None
        worst = int(np.nanargmax(errors))
        return float(np.nanmedian(errors)), float(errors[worst]), self.nodes[worst].name

    def plan(self) -> str:
        """Return what planned times are, such as ``p95 delays, by tandem``."""
        manifest = self.records.manifest
        return f"{manifest.statistic} delays, by {manifest.delay}"

    def notes(self) -> list[str]:
        """Return what a reader should know, a sentence each."""
        found = [
            f'"{stage.stage}" of "{node.name}" is asked for {100 * stage.load:.3g} % of its time with what it takes '
            "here: its queue grows without end, and nothing can be predicted; plan with the times of this machine "
            "(--times)"
            for node in self.nodes
            for stage in node.stages
            if stage.load >= 1.0
        ][:1]
        missed = [(stage.overruns, node, stage) for node in self.nodes for stage in node.stages if stage.overruns]
        if missed:
            most, node, stage = max(missed, key=lambda one: one[0])
            found.append(
                f"{sum(n for n, _, _ in missed):,} times a half took longer than its stage was planned to, most often "
                f'at "{stage.stage}" of "{node.name}": {most} of {node.tasks} tasks, beyond '
                f"{1e3 * stage.service_s:.4g} ms; this machine was too slow or too busy to keep the pace"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a run file."""
        records = self.records
        before, after = records.load
        return {
            "scenario": records.manifest.scenario,
            "scenario_sha256": records.manifest.scenario_sha256,
            "statistic": records.manifest.statistic,
            "delay": records.manifest.delay,
            "paced": records.paced,
            "seed": records.seed,
            "warm_up": WARM_UP,
            "nodes": [
                {
                    "name": node.name,
                    "model": node.network,
                    "tasks": node.tasks,
                    **_figures(node.delay),
                    "replayed_s": node.replayed_s,
                    "service_cv": {stage.stage: stage.service_cv for stage in node.stages},
                    "stages": [
                        {
                            "stage": stage.stage,
                            **_figures(stage.delay),
                            "service_s": stage.service_s,
                            "service_cv": stage.service_cv,
                            "load": stage.load,
                            "overruns": stage.overruns,
                        }
                        for stage in node.stages
                    ],
                }
                for node in self.nodes
            ],
            "notes": self.notes(),
            "machine": machine(),
            "load": {"before": before, "after": after},
            "versions": installed_versions(_LIBRARIES),
            "started": records.started,
            "wall_s": records.seconds,
        }

    def save(self, path: str | Path) -> None:
        """Write the run as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    def to_csv(self, path: str | Path) -> None:
        """Write a line for every stage of every node, and one for the whole of each."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for node in self.nodes:
            for stage in node.stages:
                own = {key: getattr(stage, key) for key in ("service_s", "service_cv", "load", "overruns")}
                writer.writerow({"node": node.name, "stage": stage.stage, **_figures(stage.delay), **own})
            writer.writerow({"node": node.name, "stage": "total", **_figures(node.delay)})
        write_text(path, text.getvalue())

    def times(self) -> MeasuredTimes:
        """Return the seconds of every layer on every device and server, for the next plan.

        A half that ran has the mean of its tasks, one that runs elsewhere what it took here alone, and the layers of
        each share its time by their work. A device is called as in the scenario, or after its node or server.
        """
        manifest, found = self.records.manifest, dict[Timed, dict[str, float]]()
        devices = {server.name: server.device or server.name for server in manifest.servers}
        for d, node in enumerate(manifest.nodes):
            runs = [(k, s, str(s.half)) for k, s in enumerate(node.stages) if s.slot in COMPUTING]
            took = {file: float(self.records.nodes[d].work[:, k].mean()) for k, _, file in runs}
            own = node_called(node.name)
            at = {file: own if s.slot in ("edge", "host") else server_called(s.stage) for _, s, file in runs}
            called = {own: node.device or node.name} | {
                server_called(s.stage): devices[s.stage] for _, s, file in runs if at[file] != own
            }
            for process, device in called.items():
                alone = self.records.alone[process]
                seconds = {file: took[file] if at[file] == process else alone[file] for file in took}
                network = manifest.network(node.model)
                found.setdefault(Timed(device, network.name, network.graph_id), _spread(manifest, node, seconds))
        return MeasuredTimes(found)


def _figures(delay: Figures) -> dict[str, float | None]:
    numbers = {key: float(getattr(delay, key)) for key in Figures.__dataclass_fields__}
    return {key: number if math.isfinite(number) else None for key, number in numbers.items()}


def _spread(manifest: Manifest, node: NodeEntry, seconds: dict[str, float]) -> dict[str, float]:
    """Return the seconds of every layer of a node's network from those of its halves, by file."""
    layers, found = manifest.network(node.model).layers, dict[str, float]()
    for file, taken in sorted(seconds.items(), key=lambda item: manifest.half(item[0]).start):
        half = manifest.half(file)
        part = layers[half.start : half.end]
        macs = np.array([layer.macs for layer in part])
        weights = macs / macs.sum() if macs.sum() else np.full(len(part), 1.0 / len(part))
        found |= {layer.name: float(taken * weight) for layer, weight in zip(part, weights, strict=True)}
    return found


def result_of(records: Records) -> RunResult:
    """Return what comes of a run: its tasks counted, and beside them those predicted.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_here import run
    >>> from dmcjia_opt.studies.deploy.run_result import result_of
    >>> result_of(run("cameras", tasks=60, paced=True)).save("run.json")  # doctest: +SKIP
    """
    return RunResult(records, tuple(_node(records, d) for d in range(len(records.nodes))))


def _node(records: Records, d: int) -> NodeResult:
    node, seen = records.manifest.nodes[d], records.nodes[d]
    skip = int(WARM_UP * len(seen.arrivals))
    took = _services(records, node, seen)
    waits = [stage.waits for stage in node.stages]
    some = [times[skip:] if one else times[skip:].mean(keepdims=True) for times, one in zip(took, waits, strict=True)]
    stages = [Passed(times, one) for times, one in zip(some, waits, strict=True)]
    rng = stream(records.seed, d, 5)
    loads = [node.arrival_rate * float(one.times.mean()) if one.waits else 0.0 for one in stages]
    ahead = expected(stages, node.arrival_rate, node.arrivals_scv, rng)
    if max(loads) >= 1.0:
        ahead = np.full_like(ahead, math.inf)
    measured, scheduled = seen.delays()[skip:], seen.delays(scheduled=True)[skip:]
    replayed = through(seen.arrivals, took, waits)[skip:, -1] - seen.arrivals[skip:]
    results = []
    for k, stage in enumerate(node.stages):
        times = took[k][skip:]
        missed = records.paced and stage.slot in COMPUTING
        results.append(
            StageResult(
                stage=stage.stage,
                delay=_delay(stage.planned_s, ahead[:, k], measured[:, k], scheduled[:, k]),
                service_s=float(times.mean()),
                service_cv=float(times.std() / times.mean()) if np.ptp(times) else 0.0,
                load=loads[k],
                overruns=int((seen.work[skip:, k] > stage.service_s).sum()) if missed else 0,
            )
        )
    whole = _delay(node.planned_s, ahead.sum(axis=1), measured.sum(axis=1), scheduled.sum(axis=1))
    network = records.manifest.network(node.model).name
    return NodeResult(node.name, network, len(measured), whole, float(replayed.mean()), tuple(results))


def _services(records: Records, node: NodeEntry, seen: Moments) -> list[FloatArray]:
    """Return for every stage what each task took there, any wait left out: as planned with pacing, or as measured."""
    if records.paced:
        return [np.full(len(seen.arrivals), stage.service_s) for stage in node.stages]
    return [seen.at[:, k] - seen.begin[:, k] for k in range(len(node.stages))]


def _delay(planned: float, ahead: FloatArray, measured: FloatArray, scheduled: FloatArray) -> Figures:
    return Figures(
        planned_s=planned,
        predicted_s=float(ahead.mean()),
        predicted_p95_s=float(np.quantile(ahead, _P95)) if math.isfinite(ahead[0]) else math.inf,
        measured_s=float(measured.mean()),
        measured_p95_s=float(np.quantile(measured, _P95)),
        scheduled_s=float(scheduled.mean()),
    )
