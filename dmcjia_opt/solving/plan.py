"""A plan: options and shares for every node, with what is claimed about them; written to and read from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import FailFast, Field, ValidationError

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import Number
from dmcjia_opt.base.files import explain, finite_or_null, is_beneath, path_of, read_bytes, read_json, write_text
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.base.showing import called, counted, percent
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.nodes import Labels
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.choices import Choices
from dmcjia_opt.solving.contract import OPTIMALITY_GAP, Status, Stop, TracePoint
from dmcjia_opt.solving.node_rows import claims_in, table_of, write_rows
from dmcjia_opt.solving.said import NodeClaim, Provenance, ResourceClaim, Split

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_Nodes = Field(max_length=MOST_NODES)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlanHead:
    """What is claimed about an answer, whatever it says of the nodes.

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
    mean_delay, worst_delay
        Weighted mean and largest of the nodes' delays, s.
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
    >>> str(plan.status), round(plan.price, 4), plan.bound_from, plan.statistic
    ('optimal', 0.0285, 'dual', 'mean')
    """

    status: Status
    objective: float
    lower_bound: float
    gap: float
    gap_tolerance: float
    mean_delay: float
    worst_delay: float
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

    def in_words(self, n_nodes: int) -> str:
        """Return a line that says how good the plan is, and of how many nodes."""
        delay = f"{'worst' if self.worst else 'mean'} delay {1e3 * self.objective:.6g} ms"
        made = f"by {self.placer} + {self.allocator}"
        return called("Plan", counted(n_nodes, "node"), delay, f"gap {percent(self.gap)}", str(self.status), made)

    @property
    def price(self) -> float | None:
        """Price of the one resource there is, s per unit share; None where there are several."""
        return float(self.prices[0]) if len(self.prices) == 1 else None

    def claims(
        self, resources: Sequence[Resource], used: FloatArray, load: FloatArray, wait: FloatArray
    ) -> dict[str, Any]:
        """Return what a plan file claims first; `used`, `load` and `wait` are (n_resources,) (see `Choices`)."""
        columns = (column.tolist() for column in (used, load, wait, self.prices))
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
                for resource, used, load, wait, price in zip(resources, *columns, strict=True)
            ],
        }

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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan(PlanHead):
    """An answer, and what is claimed about it (see `PlanHead` for the claims).

    Parameters
    ----------
    choices
        What every node does, its shares, and how long each stage takes.
    names, networks
        (n_nodes,) of the nodes.
    delays
        Each node's delay at the device, on networks and on servers, s: of the statistic that was planned with.
    deadlines
        (n_nodes,) the longest delay that each node may have, s; +inf where it has none.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> plan = solve(generate("paper", nodes=3, seed=1))
    >>> plan
    Plan(3 nodes, mean delay 216.061 ms, gap ..., optimal, by exact + waterfilling)
    """

    choices: Choices
    names: tuple[str, ...]
    networks: tuple[str, ...]
    delays: Stages
    deadlines: FloatArray

    def __repr__(self) -> str:
        return self.in_words(len(self.names))

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

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a plan file."""
        choices = self.choices
        return {
            **self.claims(choices.resources, choices.used, choices.load, choices.wait),
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

    def save(self, path: str | Path, rows_file: str | None = None) -> None:
        """Write the plan as JSON; the file appears whole or not at all.

        With a `rows_file`, a name that ends in .parquet, the rows of the nodes are there, in the same folder.
        """
        content = self.to_dict()
        if rows_file is not None:
            networks = Labels.of(self.networks)
            choices = replace(self.choices, network=networks.index)
            table = table_of(self.names, networks.values, choices, self.delays)
            write_rows(path_of(path).parent / rows_file, iter([table]))
            content = {key: value for key, value in content.items() if key not in ("splits", "shares", "nodes")}
            content["rows_file"] = rows_file
        write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


class PlanHeadFile(Provenance):
    """What a plan file claims, whatever it says of the nodes.

    Where those are in another file, it says which, and in how many parts the fleet was planned, 0 for one whole.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> from dmcjia_opt.solving.plan import load_claims
    >>> solve(generate("paper", nodes=3, seed=1)).save("head.json", "head.parquet")
    >>> load_claims("head.json")
    PlanFile(rows in head.parquet, mean delay 216.061 ms, gap ..., optimal)
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
    scenario_sha256: str
    rows_file: str = ""
    parts: Annotated[int, Field(ge=0)] = 0

    def __repr__(self) -> str:
        return self._in_words(f"rows in {self.rows_file}")

    def _in_words(self, rows: str) -> str:
        delay = f"{self.objective} delay {1e3 * self.objective_s:.6g} ms"
        return called("PlanFile", rows, delay, f"gap {percent(self.gap)}", self.status)


class PlanFile(PlanHeadFile):
    """A plan file as read: claims, none of them checked yet.

    Examples
    --------
    >>> from dmcjia_opt import generate, load_plan, solve
    >>> solve(generate("paper", nodes=3, seed=1)).save("plan.json")
    >>> load_plan("plan.json")
    PlanFile(3 nodes, mean delay 216.061 ms, gap ..., optimal)
    """

    splits: Annotated[list[Split], _Nodes, FailFast()]
    shares: Annotated[list[Number], _Nodes, FailFast()]
    nodes: Annotated[list[NodeClaim], _Nodes, FailFast()]

    def __repr__(self) -> str:
        return self._in_words(counted(len(self.nodes), "node"))


def load_plan(path: str | Path) -> PlanFile:
    """Read the claims of a plan file, and of the file of rows that it names, if it does.

    Raises
    ------
    InputError
        If a file is missing, is malformed or breaks the format, or the plan is of a fleet in parts; the message names
        the field.

    Examples
    --------
    >>> from dmcjia_opt import generate, load_plan, solve
    >>> solve(generate("paper", nodes=3, seed=1)).save("plan.json")
    >>> load_plan("plan.json").splits
    [0, 0, 0]
    """
    found = load_claims(path)
    if found.parts:
        raise InputError(f"{path}: a plan of a fleet in parts is read by verify, simulate and report alone")
    if isinstance(found, PlanFile):
        return found
    rows = Path(path).parent / found.rows_file
    try:
        return PlanFile.model_validate({**found.model_dump(exclude_unset=True), **claims_in(rows, MOST_NODES)})
    except ValidationError as error:
        raise InputError(f"{rows}: {explain(error, PlanFile)}") from None


def load_claims(path: str | Path) -> PlanFile | PlanHeadFile:
    """Read the claims of a plan file, and leave rows that are in another one there; errors are those of `load_plan`.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> solve(generate("paper", nodes=3, seed=1)).save("claims.json", "claims.parquet")
    >>> load_claims("claims.json").rows_file, load_plan("claims.json").splits
    ('claims.parquet', [0, 0, 0])
    """
    path = path_of(path)
    if b'"rows_file"' not in read_bytes(path, "the plan"):
        return read_json(path, "the plan", PlanFile)
    found = read_json(path, "the plan", PlanHeadFile)
    if not found.rows_file:
        return read_json(path, "the plan", PlanFile)
    if not is_beneath(path.parent, found.rows_file):
        raise InputError(f'{path}: rows_file = "{found.rows_file}" is outside its folder; put the file there')
    return found


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
