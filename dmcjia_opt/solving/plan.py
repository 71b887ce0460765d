"""A plan: options and shares for every node, with what is claimed about them; written to and read from JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import FailFast, Field

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import Number
from dmcjia_opt.base.files import finite_or_null, read_json, write_text
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.base.showing import called, counted, percent
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.choices import Choices
from dmcjia_opt.solving.contract import OPTIMALITY_GAP, Status, Stop, TracePoint
from dmcjia_opt.solving.said import NodeClaim, Provenance, ResourceClaim, Split

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_Nodes = Field(max_length=MOST_NODES)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """An answer, and what is claimed about it.

    Parameters
    ----------
    status
        OPTIMAL or WITHIN only where the gap is proved; ROUNDED, LIMIT or FEASIBLE otherwise.
    objective
        What was minimised, s, recomputed: the mean of the nodes' delays, or the largest.
    lower_bound
        Lower bound on the optimum, s, proved by this package.
    gap
        (objective − lower bound)/objective.
    gap_tolerance
        The gap that was asked for; a plan is optimal at this or 1e-9, whichever is smaller.
    choices
        What every node does, its shares, and how long each stage takes.
    names, networks
        (n_nodes,) of the nodes.
    delays
        Each node's delay at the device, on networks and on servers, s: of the statistic that was planned with.
    mean_delay, worst_delay
        Weighted mean and largest of the nodes' delays, s.
    deadlines
        (n_nodes,) the longest delay that each node may have, s; +inf where it has none.
    placer, allocator, seed
        How it was made.
    evaluations, wall_seconds
        What it cost.
    prices
        (n_resources,) the prices at which the bound was computed, s per unit share.
    bound_from
        What the bound rests on: ``"dual"`` (anyone can recompute it from the prices), or the search that proved it.
    scenario_sha256
        Hash of the scenario's content.
    bound_holds_for
        What the plans have in common that the bound is about, in a few words.
    trace
        The incumbent and the bound over time.
    versions
        Of Python, this package and its libraries.
    notes
        What a reader should know of how it was made, a sentence each: where a plug-in was stopped, say.
    cautions
        What is not counted of the networks, or was taken for granted, carried over from their profiles.
    limits
        The budget of the search.
    started
        When it began, ISO 8601.
    scenario_name, scenario_file
        What the scenario is called, and where it is from the plan file's folder; empty where it came from no file.
    machine
        What it was made on; empty where nobody said.
    statistic
        What is meant by a node's delay: ``"mean"``, or a percentile such as ``"p95"``.
    worst
        Whether the delay of the worst node was minimised, not the mean.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> plan = solve(generate("paper", nodes=3, seed=1))
    >>> plan
    Plan(3 nodes, mean delay 216.061 ms, gap ..., optimal, by exact + waterfilling)
    """

    status: Status
    objective: float
    lower_bound: float
    gap: float
    gap_tolerance: float
    choices: Choices
    names: tuple[str, ...]
    networks: tuple[str, ...]
    delays: Stages
    mean_delay: float
    worst_delay: float
    deadlines: FloatArray
    placer: str
    allocator: str
    seed: int
    evaluations: int
    wall_seconds: float
    prices: FloatArray
    bound_from: str
    scenario_sha256: str
    trace: tuple[TracePoint, ...]
    versions: Mapping[str, str]
    bound_holds_for: str = ""
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    limits: Stop = field(default_factory=Stop)
    started: str = ""
    scenario_name: str = ""
    scenario_file: str = ""
    machine: str = ""
    statistic: str = "mean"
    worst: bool = False

    def __repr__(self) -> str:
        delay = f"{'worst' if self.worst else 'mean'} delay {1e3 * self.objective:.6g} ms"
        made = f"by {self.placer} + {self.allocator}"
        return called(
            "Plan", counted(len(self.names), "node"), delay, f"gap {percent(self.gap)}", str(self.status), made
        )

    def _repr_html_(self) -> str:
        """Return the slowest nodes, and how good the plan is, as a notebook shows them."""
        from dmcjia_opt.studies.look import shown

        return shown.html(self)

    def summary(self) -> str:
        """Return what a person reads: a row for each of the slowest nodes, and how good the plan is.

        Examples
        --------
        >>> from dmcjia_opt import generate, solve
        >>> print(solve(generate("paper", nodes=2, seed=1)).summary().splitlines()[1])
        node       split   share    edge  upload     cloud     total
        """
        from dmcjia_opt.studies.look import shown

        return shown.summary(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with a row for each node: its split, server, shares and the delay of each stage, s.

        Raises
        ------
        BackendMissing
            If pandas is not installed.

        Examples
        --------
        >>> from dmcjia_opt import generate, solve
        >>> frame = solve(generate("paper", nodes=4, seed=1)).to_frame()
        >>> frame[["name", "split", "share"]].shape
        (4, 3)
        """
        from dmcjia_opt.studies.look import shown

        return shown.frame(self)

    def plot(self) -> Figure:
        """Return a figure of the slowest nodes: delays by stage, where each network is cut, shares.

        Raises
        ------
        BackendMissing
            If matplotlib is not installed.

        Examples
        --------
        >>> from dmcjia_opt import generate, solve
        >>> solve(generate("paper", nodes=4, seed=1)).plot().savefig("plan.png")
        """
        from dmcjia_opt.studies.look import shown

        return shown.figure(self)

    def plot_trace(self) -> Figure:
        """Return a figure of the best plan and the lower bound over time; above it, how many plans were evaluated.

        Raises
        ------
        BackendMissing
            If matplotlib is not installed.
        InputError
            If nobody recorded how the plan was found.

        Examples
        --------
        >>> from dmcjia_opt import generate, solve
        >>> solve(generate("paper", nodes=4, seed=1), "genetic:generations=5").plot_trace().savefig("trace.png")
        """
        from dmcjia_opt.studies.look import shown

        return shown.trace_figure(self)

    @property
    def options(self) -> IntArray:
        """(n_nodes,) the option of each node."""
        return self.choices.options

    @property
    def splits(self) -> IntArray:
        """(n_nodes,) how many layers each node runs itself; with one cloud, its option."""
        return self.choices.splits

    @property
    def shares_by_use(self) -> FloatArray:
        """(n_nodes, n_uses) shares of what each node's option uses."""
        return self.choices.shares

    @property
    def shares(self) -> FloatArray:
        """(n_nodes,) share of the last server that works; 0 where all runs at the edge."""
        return self.choices.server_shares

    @property
    def price(self) -> float | None:
        """Price of the one resource there is, s per unit share; None where there are several."""
        return float(self.prices[0]) if len(self.prices) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a plan file."""
        return {
            "status": str(self.status),
            "objective": "worst" if self.worst else "mean",
            "statistic": self.statistic,
            "objective_s": self.objective,
            "lower_bound_s": self.lower_bound,
            "gap": self.gap,
            "gap_tolerance": self.gap_tolerance,
            "bound_from": self.bound_from,
            "bound_holds_for": self.bound_holds_for,
            "mean_delay_s": self.mean_delay,
            "worst_delay_s": self.worst_delay,
            "price_s": self.price,
            "resources": [
                {
                    "name": resource.name,
                    "kind": resource.kind,
                    "sharing": resource.sharing,
                    "used": used,
                    "load": load,
                    "wait_s": finite_or_null(wait) if resource.pooled else None,
                    "price_s": price,
                }
                for resource, used, load, wait, price in zip(
                    self.choices.resources,
                    *(
                        column.tolist()
                        for column in (self.choices.used, self.choices.load, self.choices.wait, self.prices)
                    ),
                    strict=True,
                )
            ],
            "splits": self.splits.tolist(),
            "shares": self.shares.tolist(),
            "nodes": self._rows(),
            "scenario_sha256": self.scenario_sha256,
            **self.provenance(),
        }

    def to_brief_dict(self) -> dict[str, Any]:
        """Return the content of a plan file without its lists: what stays short whatever the size of the fleet."""
        return {key: value for key, value in self.to_dict().items() if not isinstance(value, list)}

    def _rows(self) -> list[dict[str, Any]]:
        choices, stages = self.choices, self.delays
        columns = (self.names, self.networks, self.splits.tolist(), self.shares.tolist())
        times = (stages.edge.tolist(), stages.upload.tolist(), stages.cloud.tolist(), stages.total.tolist())
        keys = ("name", "model", "split", "share", "edge_s", "upload_s", "cloud_s", "total_s")
        rows = [dict(zip(keys, row, strict=True)) for row in zip(*columns, *times, strict=True)]
        deadlines = self.deadlines.tolist()
        for d, row in enumerate(rows):
            row |= {
                "server": choices.server_of(d),
                "cuts": choices.cuts_of(d),
                "cut_tensors": choices.cut_tensors_of(d),
                "shares": choices.shares_of(d),
                "stages": choices.stages_of(d),
                "deadline_s": finite_or_null(deadlines[d]),
            }
        return rows

    def provenance(self) -> dict[str, Any]:
        """Return the part of a plan file that says how the plan was made."""
        return {
            "placer": self.placer,
            "allocator": self.allocator,
            "seed": self.seed,
            "evaluations": self.evaluations,
            "wall_s": self.wall_seconds,
            "notes": list(self.notes),
            "cautions": list(self.cautions),
            "versions": dict(self.versions),
            "limits": asdict(self.limits),
            "started": self.started,
            "machine": self.machine,
            "scenario": self.scenario_name,
            "scenario_file": self.scenario_file,
            "trace": [
                {
                    "evaluations": p.evaluations,
                    "seconds": p.seconds,
                    "objective_s": finite_or_null(p.objective),
                    "lower_bound_s": finite_or_null(p.lower_bound),
                }
                for p in self.trace
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON; the file appears whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


class PlanFile(Provenance):
    """A plan file as read: claims, none of them checked yet.

    Examples
    --------
    >>> from dmcjia_opt import generate, load_plan, solve
    >>> solve(generate("paper", nodes=3, seed=1)).save("plan.json")
    >>> load_plan("plan.json")
    PlanFile(3 nodes, mean delay 216.061 ms, gap ..., optimal)
    """

    status: str
    objective: str = "mean"
    statistic: str = "mean"
    objective_s: Number
    lower_bound_s: Number
    gap: Number
    gap_tolerance: Number = OPTIMALITY_GAP
    bound_from: str = "dual"
    bound_holds_for: str = ""
    mean_delay_s: Number | None = None
    worst_delay_s: Number | None = None
    price_s: Number | None = None
    resources: Annotated[list[ResourceClaim], _Nodes] | None = None
    splits: Annotated[list[Split], _Nodes, FailFast()]
    shares: Annotated[list[Number], _Nodes, FailFast()]
    nodes: Annotated[list[NodeClaim], _Nodes, FailFast()]
    scenario_sha256: str

    def __repr__(self) -> str:
        delay = f"{self.objective} delay {1e3 * self.objective_s:.6g} ms"
        return called("PlanFile", counted(len(self.nodes), "node"), delay, f"gap {percent(self.gap)}", self.status)


def load_plan(path: str | Path) -> PlanFile:
    """Read the claims of a plan file.

    Raises
    ------
    InputError
        If the file is missing, is not JSON or breaks the format; the message names the field.

    Examples
    --------
    >>> from dmcjia_opt import generate, load_plan, solve
    >>> solve(generate("paper", nodes=3, seed=1)).save("plan.json")
    >>> load_plan("plan.json").splits
    [0, 0, 0]
    """
    return read_json(path, "the plan", PlanFile)


def claims_of(plan: PlanFile | Plan | str | Path) -> PlanFile:
    """Return what a plan, or its file, claims.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(plan, PlanFile):
        return plan
    return PlanFile.model_validate_json(json.dumps(plan.to_dict())) if isinstance(plan, Plan) else load_plan(plan)


def options_and_shares(scenario: Scenario, problem: Problem, claims: PlanFile) -> tuple[IntArray, FloatArray]:
    """Return the options (n_nodes,) and shares (n_nodes, n_uses) of a plan file.

    With one cloud they are its splits and shares. Else the cuts, the server and the shares of every node say them.

    Raises
    ------
    InputError
        If the plan is not one for this fleet at all: another number of nodes, or options that do not exist.
    """
    if not (len(claims.splits) == len(claims.shares) == len(claims.nodes) == problem.n_nodes):
        raise InputError(
            f"the plan has {len(claims.splits)} splits, {len(claims.shares)} shares and {len(claims.nodes)} nodes, "
            f"the scenario {problem.n_nodes} nodes; verify a plan with the scenario it was made for"
        )
    if scenario.menus.splits:
        splits = problem.check_options(np.array(claims.splits, dtype=np.int64))
        return splits, np.array(claims.shares, dtype=np.float64)[:, None]
    known: dict[tuple[int, tuple[int, ...], str | None], int] = {}
    options = np.empty(problem.n_nodes, dtype=np.int64)
    shares = np.zeros((problem.n_nodes, problem.n_uses))
    for d, row in enumerate(claims.nodes):
        there = {
            "cuts": row.cuts is not None,
            "server": "server" in row.model_fields_set,
            "shares": row.shares is not None,
        }
        if row.cuts is None or not all(there.values()):
            missing = next(key for key, said in there.items() if not said)
            raise InputError(
                f'"nodes[{d}].{missing}" is missing; where more than one cloud is shared a plan says the cuts, the '
                "server and the shares of every node"
            )
        key = int(scenario.menus.index[d]), tuple(row.cuts), row.server
        if key not in known:
            try:
                known[key] = scenario.option_of(d, row.cuts, row.server)
            except InputError as error:
                raise InputError(f"nodes[{d}]: {error}") from None
        options[d] = known[key]
        for k, share in placed(problem, d, known[key], row.shares or {}):
            shares[d, k] = share
    return options, shares


def placed(problem: Problem, node: int, option: int, shares: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    """Yield the uses of an option of which there are shares by name, and those; uses that need none come last."""
    uses = np.argsort(problem.service[node, option] == 0, kind="stable").tolist()
    for name, said in shares.items():
        on = [k for k in uses if problem.resources[int(problem.resource[node, option, k])].name == name]
        yield from zip(on, said if isinstance(said, list) else [said], strict=False)
