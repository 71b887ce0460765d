"""What every process of a run has to do, by the manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import require_memory
from dmcjia_opt.studies.deploy.manifest import LINKS, Manifest, NodeEntry, StageEntry
from dmcjia_opt.studies.deploy.node_process import HopJob, NodeJob
from dmcjia_opt.studies.deploy.server_process import ServerJob, Tenant
from dmcjia_opt.studies.deploy.tensors import TensorEntry
from dmcjia_opt.studies.deploy.wire import MOST_SENT, LinkJob
from dmcjia_opt.studies.deploy.working import HalfJob

#: Nodes, each of which is a process.
MOST_RUN = 64


def jobs(
    manifest: Manifest, folder: Path, arrivals: Sequence[FloatArray], *, paced: bool
) -> tuple[list[NodeJob], dict[str, ServerJob]]:
    """Return what every node and every server that some node uses has to do.

    Parameters
    ----------
    manifest, folder
        The deployment.
    arrivals
        When the tasks of each node come, s after the start.
    paced
        Whether stages take their planned times.

    Raises
    ------
    InputError
        If there are too many nodes for one machine, or something is pooled.
    """
    if len(manifest.nodes) > MOST_RUN:
        raise InputError(
            f"{len(manifest.nodes):,} nodes are refused, as each is a process of this machine; the most is {MOST_RUN}: "
            "deploy a part of the fleet"
        )
    for half in manifest.halves:
        _require_room(half.file, (*half.inputs, *half.outputs))
    nodes, tenants = [], dict[str, dict[int, Tenant]]()
    for d, node in enumerate(manifest.nodes):
        for stage in node.stages:
            if stage.sharing != "reserved":
                raise InputError(
                    f'"{stage.stage}", which "{node.name}" uses, is shared as {stage.sharing}; only reserved shares '
                    "can be run: simulate such a plan"
                )
        own, steps, trip = _steps(manifest, node)
        hops, desks = _hops(manifest, folder, node, steps)
        for (name, desk), onward in zip(desks, [*hops[1:], None], strict=True):
            results = tuple(manifest.network(node.model).outputs) if onward is None and desk.half is not None else ()
            whole = Tenant(desk.tensors, desk.link, desk.half, onward, results)
            tenants.setdefault(name, {})[d] = whole
        nodes.append(
            NodeJob(
                node=d,
                inputs=tuple(manifest.network(node.model).inputs),
                half=None if own is None else _half(manifest, folder, own, node.stages[own]),
                hop=hops[0] if hops else None,
                trip=None if trip is None else (trip, node.stages[trip].service_s),
                arrivals=arrivals[d],
                halves=_halves(manifest, folder, {node.model}),
                paced=paced,
            )
        )
    models = {name: {manifest.nodes[d].model for d in of} for name, of in tenants.items()}
    servers = {
        name: ServerJob(of, _halves(manifest, folder, models[name]), paced=paced) for name, of in tenants.items()
    }
    return nodes, servers


#: The links of a hop, the server at its end, and the stage there; all by index but the server.
_Step: TypeAlias = tuple[list[int], str, int | None]


def _steps(manifest: Manifest, node: NodeEntry) -> tuple[int | None, list[_Step], int | None]:
    """Return the stage at the node itself, the hops from there, and the stage of the way back."""
    own, trip, steps, links = None, None, list[_Step](), list[int]()
    for k, stage in enumerate(node.stages):
        if stage.slot in ("edge", "host"):
            own = k
        elif stage.slot == "round trip":
            trip = k
        elif stage.slot in LINKS:
            links.append(k)
        else:
            steps.append((links, stage.stage, k))
            links = []
    if links:
        steps.append((links, manifest.servers[0].name, None))
    return own, steps, trip


def _hops(
    manifest: Manifest, folder: Path, node: NodeEntry, steps: Sequence[_Step]
) -> tuple[list[HopJob], list[tuple[str, Tenant]]]:
    cuts, hops, desks = {cut.split: cut for cut in node.cuts}, [], []
    for cut in node.cuts:
        _require_room(f'cut {cut.split} of "{node.name}"', cut.tensors, cut.bytes)
    for links, server, at in steps:
        half = None if at is None else _half(manifest, folder, at, node.stages[at])
        split = node.stages[links[-1]].cut if at is None else manifest.half(str(node.stages[at].half)).start
        if split not in cuts:
            raise InputError(f'the manifest says nothing of the tensors of "{node.name}" at cut {split}; deploy anew')
        tensors = tuple(cuts[split].tensors)
        over = tuple(LinkJob(k, node.stages[k].service_s, node.stages[k].waits) for k in links)
        hops.append(HopJob(tensors, math.ceil(cuts[split].bytes), over, server))
        desks.append((server, Tenant(tensors, links[-1] if links else None, half, None, ())))
    return hops, desks


def _require_room(where: str, tensors: Sequence[TensorEntry], n_bytes: float = 0.0) -> None:
    """Refuse tensors that no task of this machine could carry."""
    most = max(n_bytes, float(sum(tensor.n_bytes for tensor in tensors)))
    require_memory(math.ceil(most), f"the tensors at {where}, a task", "deploy a smaller network")
    if most > MOST_SENT:
        raise InputError(
            f"the tensors at {where} have {most:.4g} bytes a task, which is refused; the most is {MOST_SENT:,}: deploy "
            "a smaller network"
        )


def _half(manifest: Manifest, folder: Path, k: int, stage: StageEntry) -> HalfJob:
    half = manifest.half(str(stage.half))
    return HalfJob(folder / half.file, tuple(half.inputs), tuple(half.outputs), k, stage.service_s, stage.share)


def _halves(manifest: Manifest, folder: Path, models: set[str]) -> tuple[HalfJob, ...]:
    return tuple(
        HalfJob(folder / half.file, tuple(half.inputs), tuple(half.outputs), -1, np.nan, 1.0)
        for half in manifest.halves
        if half.model in models
    )
