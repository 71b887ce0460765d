"""How long one task keeps each stage of its node busy, by split: the service times behind every delay model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.model.problem import Stages
from dmcjia_opt.model.scenario.scenario import BYTE_PER_S_PER_MBPS, GIGA, Scenario

#: Rows of a fleet's table that are worked on at a time.
BLOCK_ROWS = 16384


@dataclass(frozen=True, slots=True, eq=False)
class StageTimes:
    """Service times of a fleet in factored form: what a network asks for, over what a node has.

    Parameters
    ----------
    work, sent
        (n_networks, n_splits) FLOP before the cut; bytes sent at the cut.
    exists
        (n_networks, n_splits) whether the network has the split.
    cloud
        (n_networks, n_splits) cloud service time at full share, s.
    n_layers
        (n_networks,) last split of each network.
    network_index, compute, bandwidth, input_bytes
        (n_nodes,) row of the tables; FLOP/s; byte/s; raw input bytes of the node.
    device_index
        (n_nodes,) device of the node in `measured`; −1 where its layers were not measured.
    measured
        (n_splits,) edge service times, s, of a device and a network, that were measured.
    """

    work: FloatArray
    sent: FloatArray
    exists: BoolArray
    cloud: FloatArray
    n_layers: IntArray
    network_index: IntArray
    compute: FloatArray
    bandwidth: FloatArray
    input_bytes: FloatArray
    device_index: IntArray
    measured: Mapping[tuple[int, int], FloatArray]

    def local(self, rows: slice) -> tuple[FloatArray, FloatArray]:
        """Return the edge and upload service times, s, of some nodes at every split, each (n_rows, n_splits)."""
        network = self.network_index[rows]
        edge = self.work[network] / self.compute[rows, None]
        for (device, which), seconds in self.measured.items():
            edge[(self.device_index[rows] == device) & (network == which)] = seconds
        upload = self.sent[network] / self.bandwidth[rows, None]
        upload[:, 0] = self.input_bytes[rows] / self.bandwidth[rows]
        return edge, upload

    def at(self, splits: IntArray) -> Stages:
        """Return the service times, s, of every node at `splits` (n_nodes,); the cloud's at full share."""
        edge, upload = np.empty(len(splits)), np.empty(len(splits))
        for start in range(0, len(splits), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            chosen = splits[rows, None]
            for values, table in zip((edge, upload), self.local(rows), strict=True):
                values[rows] = np.take_along_axis(table, chosen, axis=1)[:, 0]
        return Stages(edge, upload, self.cloud[self.network_index, splits])


def stage_times(scenario: Scenario) -> StageTimes:
    """Return the service times of a scenario; every unit is SI from here on."""
    nodes = scenario.nodes
    profiles = [scenario.profiles[m] for m in nodes.networks]
    n_layers = np.array([p.n_layers for p in profiles], dtype=np.int64)
    shape = len(profiles), int(n_layers.max()) + 1
    macs, sent, exists = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    for row, profile in enumerate(profiles):
        last = profile.n_layers + 1
        macs[row, :last], macs[row, last:] = profile.work, profile.total_macs
        sent[row, :last] = profile.upload_bytes
        exists[row, :last] = True
    work = macs * scenario.options.flops_per_mac
    cloud = (work[:, -1:] - work) / (scenario.cloud_gflops * GIGA)
    if scenario.cloud_device:
        for row, reference in enumerate(nodes.networks):
            seconds = scenario.seconds(scenario.cloud_device, reference)
            cloud[row] = 0.0
            cloud[row, : len(seconds)] = np.cumsum(seconds[::-1])[::-1]
    measured = {}
    for device, network in nodes.measured():
        service = np.concatenate([[0.0], np.cumsum(scenario.seconds(device, network))])
        padded = np.pad(service, (0, shape[1] - len(service)), mode="edge")
        measured[nodes.devices.index(device), nodes.networks.index(network)] = padded
    return StageTimes(
        work=work,
        sent=sent,
        exists=exists,
        cloud=cloud,
        n_layers=n_layers,
        network_index=nodes.network_index,
        compute=nodes.compute_gflops * GIGA,
        bandwidth=nodes.uplink_mbps * BYTE_PER_S_PER_MBPS,
        input_bytes=np.where(np.isnan(nodes.input_bytes), sent[nodes.network_index, 0], nodes.input_bytes),
        device_index=nodes.device_index,
        measured=measured,
    )
