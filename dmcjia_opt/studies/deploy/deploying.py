"""Plans made into folders: every half that some node or server runs, once, and the manifest that says who does what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.networks.reading import Profiled
from dmcjia_opt.model.networks.zoo import ZOO
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.choices import Choices
from dmcjia_opt.solving.plan import PlanFile
from dmcjia_opt.solving.verifying import certify_file
from dmcjia_opt.studies.deploy.halves import Divisible, Half
from dmcjia_opt.studies.deploy.manifest import (
    COMPUTING,
    LINKS,
    MANIFEST,
    CutEntry,
    HalfEntry,
    LayerEntry,
    Manifest,
    NetworkEntry,
    NodeEntry,
    ServerEntry,
    StageEntry,
)
from dmcjia_opt.studies.deploy.new_files import write_new
from dmcjia_opt.studies.deploy.tensors import TensorEntry
from dmcjia_opt.studies.simulation.passage import Passage

_MOST_NAME = 60


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """A plan, taken apart.

    Parameters
    ----------
    manifest
        Who does what.
    files
        The halves by their path in the folder.

    Examples
    --------
    >>> from dmcjia_opt import evaluate, load_plan, load_scenario
    >>> from dmcjia_opt.model.scenario.loading import load_graphs
    >>> from dmcjia_opt.studies.deploy.deploying import deploy
    >>> from dmcjia_opt.testing.networks import small_fleet
    >>> scenario = load_scenario(small_fleet("fleet.toml"))
    >>> evaluate(scenario, [1, 1]).save("plan.json")
    >>> graphs = load_graphs("fleet.toml", scenario.nodes.networks)
    >>> sorted(deploy(scenario, load_plan("plan.json"), graphs).files)
    ['halves/small-1-1.onnx', 'halves/small-2-2.onnx']
    """

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)

    __repr__ = brief

    def save(self, folder: str | Path) -> None:
        """Write everything into a folder, the manifest last.

        Raises
        ------
        InputError
            If something else is there already, or the folder cannot be written.
        """
        text = self.manifest.model_dump_json(indent=1) + "\n"
        write_new(Path(folder), {**self.files, MANIFEST: text.encode()})


def deploy(scenario: Scenario, plan: PlanFile, graphs: Mapping[str, tuple[Profiled, Path]]) -> Deployment:
    """Return what runs a plan.

    Parameters
    ----------
    scenario, plan
        The plan must be one of this scenario.
    graphs
        The networks of the scenario's .onnx files by what it calls them, and the files (see `loading.load_graphs`).

    Raises
    ------
    InputError
        If the plan is another scenario's, a network is no .onnx file, or halves differ from the whole.
    InfeasibleError
        If the plan breaks a limit.
    BackendMissing, BackendFailed
        If onnxruntime is not installed, or cannot run a network.

    Examples
    --------
    >>> from dmcjia_opt import evaluate, load_plan, load_scenario
    >>> from dmcjia_opt.model.scenario.loading import load_graphs
    >>> from dmcjia_opt.studies.deploy.deploying import deploy
    >>> from dmcjia_opt.testing.networks import small_fleet
    >>> scenario = load_scenario(small_fleet("fleet.toml"))
    >>> evaluate(scenario, [1, 1]).save("plan.json")
    >>> graphs = load_graphs("fleet.toml", scenario.nodes.networks)
    >>> deployment = deploy(scenario, load_plan("plan.json"), graphs)
    >>> [node.name for node in deployment.manifest.nodes]
    ['gate', 'yard']
    """
    if plan.scenario_sha256 != scenario.sha256():
        raise InputError("the plan was made for another scenario, or for this one before it changed; solve it anew")
    for d in range(scenario.n_nodes):
        _require_graph(scenario.nodes.names[d], scenario.nodes.network_of(d), graphs)
    problem = compile_problem(scenario)
    choices, certificate = certify_file(scenario, problem, plan)
    if certificate.violation:
        raise InfeasibleError(f"the plan cannot be run: {certificate.violation}")
    used = {network: _Taken(network, *graphs[network]) for network in scenario.nodes.networks}
    _name_files(used)
    times = stage_times(scenario)
    passage = Passage.of(times, times.at(choices.options), choices.shares, scenario.options.uplink)
    shares = _shares(passage, times.slots, choices.shares)
    nodes = [
        _node(scenario, choices, passage, shares, d, used[scenario.nodes.network_of(d)], plan)
        for d in range(scenario.n_nodes)
    ]
    busy = {stage.stage for node in nodes for stage in node.stages}
    if not busy & {server.name for server in scenario.all_servers}:
        busy.add(scenario.all_servers[0].name)  # somebody has to receive the results
    manifest = Manifest(
        scenario=scenario.name,
        scenario_sha256=plan.scenario_sha256,
        statistic=scenario.options.statistic,
        delay=scenario.options.delay,
        networks=[taken.entry() for taken in used.values()],
        halves=[half for taken in used.values() for half in taken.halves()],
        nodes=nodes,
        servers=[ServerEntry(name=s.name, device=s.device or "") for s in scenario.all_servers if s.name in busy],
    )
    return Deployment(manifest, {file: half.content for taken in used.values() for file, half in taken.files.items()})


def _require_graph(node: str, network: str, graphs: Mapping[str, tuple[Profiled, Path]]) -> None:
    if network in graphs:
        return
    what = "one of the zoo, which has figures and no weights" if network in ZOO else "a profile, which has no weights"
    raise InputError(
        f'"{network}" of node "{node}" is {what}: nothing of it can run; export the network as ONNX, name that file as '
        "model, and solve anew"
    )


class _Taken:
    """A network that is taken apart as nodes ask for it, every half kept once."""

    def __init__(self, model: str, profiled: Profiled, path: Path) -> None:
        if profiled.model is None:
            raise InputError(f"{path}: there is no graph to take apart; name an .onnx file")
        self.model, self.profile = model, profiled.profile
        self.parts = Divisible(profiled.model, profiled.cuts, path)
        self.files: dict[str, Half] = {}
        self.prefix = ""
        self._done: set[tuple[int, ...]] = set()

    def take_apart(self, splits: tuple[int, ...]) -> None:
        """Make and check the halves between some splits."""
        if splits not in self._done:
            for half in self.parts.take_apart(splits):
                self.files.setdefault(self.file(half.start, half.end), half)
            self._done.add(splits)

    def file(self, start: int, end: int) -> str:
        """Return where the half between two splits is written."""
        return f"halves/{self.prefix}-{start + 1}-{end}.onnx"

    def tensors(self, split: int) -> list[TensorEntry]:
        """Return what crosses a split."""
        return [self.parts.type_of(name) for name in self.parts.crossing(split)]

    def entry(self) -> NetworkEntry:
        """Return what the manifest says of the network."""
        profile = self.profile
        layers = zip(profile.layer_names, profile.macs.tolist(), strict=True)
        return NetworkEntry(
            name=profile.name,
            model=self.model,
            graph_id=profile.graph_id,
            layers=[LayerEntry(name=name, macs=macs) for name, macs in layers],
            inputs=list(self.parts.inputs),
            outputs=[self.parts.type_of(name) for name in self.parts.outputs],
        )

    def halves(self) -> list[HalfEntry]:
        """Return what the manifest says of the halves."""
        return [
            HalfEntry(
                file=file,
                model=self.model,
                start=half.start,
                end=half.end,
                inputs=list(half.inputs),
                outputs=list(half.outputs),
            )
            for file, half in self.files.items()
        ]


def _name_files(taken: Mapping[str, _Taken]) -> None:
    """Give the files of every network a beginning of their own: its name, in letters that every system takes."""
    names: set[str] = set()
    for each in taken.values():
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", each.profile.name)[:_MOST_NAME].strip(".") or "network"
        each.prefix, number = plain, 2
        while each.prefix.lower() in names:
            each.prefix, number = f"{plain}-{number}", number + 1
        names.add(each.prefix.lower())


def _shares(passage: Passage, slots: tuple[str, ...], shares: FloatArray) -> FloatArray:
    """Return the share of a node at every stage, (n_nodes, n_stages); 1 of what is its own."""
    found = np.ones(passage.service.shape)
    for k, name in enumerate(passage.names):
        if name in slots:
            found[:, k] = np.where(passage.pooled[:, k], 1.0, shares[:, slots.index(name)])
    return found


def _node(
    scenario: Scenario,
    choices: Choices,
    passage: Passage,
    shares: FloatArray,
    d: int,
    taken: _Taken,
    plan: PlanFile,
) -> NodeEntry:
    nodes, options = scenario.nodes, choices.options
    parts, ends = _parts(scenario, options, d), scenario.route(d, int(options[d])).cuts
    inner = [start for start, _ in parts.values()][1:]
    taken.take_apart(tuple(inner))
    planned, stages = choices.stages_of(d), []
    crossed = {start for who, (start, _) in parts.items() if who is not None}
    for k, slot in enumerate(passage.names):
        service = float(passage.service[d, k])
        if not service:
            continue
        name = passage.named(d, k)
        where: dict[str, str | int] = {}
        if slot in COMPUTING:
            start, end = parts.pop(None if slot in ("edge", "host") else name)
            where = {"half": taken.file(start, end)}
        elif slot in LINKS:
            where = {"cut": ends[-1 if slot == "second link" else 0]}
        stage = {
            "stage": name,
            "slot": slot,
            "service_s": service,
            "planned_s": planned[name],
            "share": float(shares[d, k]),
            "waits": bool(passage.waits[k]),
            "sharing": passage.resources[r].sharing if (r := int(passage.resource[d, k])) >= 0 else "reserved",
            **where,
        }
        stages.append(StageEntry.model_validate(stage))
    if parts:
        start, end = next(iter(parts.values()))
        raise InputError(
            f'the layers {start + 1} to {end} of "{taken.profile.name}", which "{nodes.names[d]}" has apart, count no '
            "work: there is no time to plan for them; choose other cuts"
        )
    return NodeEntry(
        name=nodes.names[d],
        model=taken.model,
        device=nodes.device_of(d) or "",
        arrival_rate=float(nodes.arrival_rate[d]),
        arrivals_scv=float(nodes.arrival_scv[d]),
        planned_s=float(plan.nodes[d].total_s),
        cuts=[
            CutEntry(split=split, bytes=_bytes(scenario, taken, d, split), tensors=taken.tensors(split))
            for split in sorted(crossed | {stage.cut for stage in stages if stage.cut is not None})
        ],
        stages=stages,
    )


def _parts(scenario: Scenario, options: IntArray, d: int) -> dict[str | None, tuple[int, int]]:
    """Return the splits between which a node's network runs here and there, None the node itself, in order."""
    return {who: (first - 1, last) for who, first, last in scenario.route(d, int(options[d])).parts}


def _bytes(scenario: Scenario, taken: _Taken, d: int, split: int) -> float:
    """Return the bytes that the plan counts for a cut of a node's network."""
    own = float(scenario.nodes.input_bytes[d])
    return own if split == 0 and np.isfinite(own) else float(taken.profile.upload_bytes[split])
