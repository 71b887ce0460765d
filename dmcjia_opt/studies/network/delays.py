"""A network before it is in a scenario: its profile, and its delay along the cuts on one node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.graph import UPLOAD_BYTES, Cut, Cuts, take_cuts
from dmcjia_opt.model.networks.measured import MeasuredTimes
from dmcjia_opt.model.networks.onnx_ import OnnxModel, read_onnx
from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
from dmcjia_opt.model.networks.zoo import ZOO, zoo_profile
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Device:
    """One node and what it gets of the cloud.

    Parameters
    ----------
    compute_gflops, uplink_mbps, arrival_rate
        GFLOP/s, Mbit/s and tasks per second of the node.
    cloud_gflops
        What the cloud gives it, GFLOP/s.
    name
        The device whose measured times replace ``compute_gflops``; empty for none.
    """

    compute_gflops: float = 5.0
    uplink_mbps: float = 8.0
    arrival_rate: float = 0.1
    cloud_gflops: float = 40.0
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Profiled:
    """A profile, with the graph and the cuts it comes from if they are known."""

    profile: LayerProfile
    model: OnnxModel | None = None
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Delays:
    """Mean delay by stage at each split of one node, s, (n_layers + 1,) each; +inf where a queue is unstable.

    Parameters
    ----------
    edge, upload, cloud
        The stages.
    best
        The split of least delay, None if none is stable.
    """

    edge: FloatArray
    upload: FloatArray
    cloud: FloatArray
    best: int | None

    @property
    def total(self) -> FloatArray:
        """Sum of the stages, (3-6)."""
        return self.edge + self.upload + self.cloud


def read_profile(
    reference: str,
    cuts: Cuts | None = None,
    upload_dtype: str | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Profiled:
    """Return the profile of a zoo network, a profile .json or an .onnx file.

    Parameters
    ----------
    reference
        The name or the path.
    cuts, upload_dtype, input_shapes
        See `LayerProfile.from_onnx`; only an ONNX file has a graph to cut, and a .json holds its own bytes.

    Raises
    ------
    InputError
        If there is no such network, it cannot be read, or an option does not apply to it.
    """
    suffix = Path(reference).suffix.lower()
    if reference not in ZOO and suffix == ".onnx":
        model = read_onnx(reference, input_shapes)
        profile = LayerProfile.of_network(model.network, cuts or "layers", upload_dtype)
        return Profiled(profile, model, take_cuts(model.network, cuts or "layers", upload_dtype))
    if cuts is not None or input_shapes:
        raise InputError(f'"{reference}" is no .onnx file: cuts and input shapes need a graph; leave them out')
    if reference in ZOO:
        return Profiled(_quantised(zoo_profile(reference), upload_dtype))
    if suffix != ".json":
        raise InputError(
            f'"{reference}" is no network: give an .onnx file, a profile .json or one of the zoo '
            f"({', '.join(sorted(ZOO))})"
        )
    if upload_dtype is not None:
        raise InputError(f"{reference}: a profile .json holds its own bytes; quantise where it is made")
    return Profiled(load_profile(reference))


def _quantised(profile: LayerProfile, upload_dtype: str | None) -> LayerProfile:
    """Return a profile of float32 tensors with its uploads quantised."""
    if upload_dtype is None:
        return profile
    if upload_dtype not in UPLOAD_BYTES:
        raise InputError(f'unknown upload type "{upload_dtype}"; choose one of {", ".join(UPLOAD_BYTES)}')
    factor = UPLOAD_BYTES[upload_dtype] / UPLOAD_BYTES["float32"]
    return replace(
        profile,
        input_bytes=profile.input_bytes * factor,
        output_bytes=profile.output_bytes * factor,
        source=f"{profile.source}; upload as {upload_dtype}",
    )


def one_node(profile: LayerProfile, device: Device, times: MeasuredTimes | None = None) -> Scenario:
    """Return the scenario of one node that runs a network; `times` are needed if the device has a name."""
    unchanged = profile.name in ZOO and profile.fingerprint() == zoo_profile(profile.name).fingerprint()
    model = profile.name if unchanged else f"{profile.name}.json"
    nodes = NodeTable(
        names=("node-1",),
        models=(model,),
        model_index=np.array([0]),
        compute_gflops=np.array([device.compute_gflops]),
        uplink_mbps=np.array([device.uplink_mbps]),
        arrival_rate=np.array([device.arrival_rate]),
        input_bytes=np.array([np.nan]),
        devices=(device.name,) if device.name else (),
        device_index=np.array([0]) if device.name else None,
    )
    return Scenario(device.cloud_gflops, nodes, profiles={model: profile}, times=times or MeasuredTimes())


def delay_along_cuts(scenario: Scenario) -> Delays:
    """Return the delay of a scenario's only node at each of its splits, with the whole cloud to itself."""
    problem = compile_problem(scenario)
    splits = np.arange(problem.n_splits)[:, None]
    stages = problem.breakdown(splits, np.ones(splits.shape))
    edge, upload, cloud = stages.edge[:, 0], stages.upload[:, 0], stages.cloud[:, 0]
    total = edge + upload + cloud
    best = int(np.argmin(total)) if np.isfinite(total).any() else None
    return Delays(edge, upload, cloud, best)
