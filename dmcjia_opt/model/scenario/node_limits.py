"""What a node's own limits leave of its menu: splits that it may have, memory, and energy a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, namespace
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.nodes import NodeTable

BYTE_PER_MB = 1e6


def check_limits(nodes: NodeTable, profiles: Mapping[str, LayerProfile]) -> None:
    """Refuse splits that a network has not, and limits of memory where nobody knows the weights.

    Raises
    ------
    InputError
        With the node and the remedy.
    """
    n_layers = np.array([profiles[network].n_layers for network in nodes.networks])[nodes.network_index]
    listed = np.array([max(splits) for splits in nodes.splits.values] + [-1])[nodes.splits.index]
    for key, most in (("min_split", nodes.min_split), ("max_split", nodes.max_split), ("splits", listed)):
        for d in np.flatnonzero(most > n_layers)[:1]:
            raise InputError(
                f'nodes: {key} of "{nodes.names[d]}" has {int(most[d])}, and {nodes.network_of(d)} has {n_layers[d]} '
                f"layers; splits run from 0 to {n_layers[d]}"
            )
    if not nodes.has("memory_mb"):
        return
    unknown = np.array([profiles[network].weight_bytes is None for network in nodes.networks])[nodes.network_index]
    for d in np.flatnonzero(unknown & np.isfinite(nodes.memory_mb))[:1]:
        raise InputError(
            f'nodes: memory_mb of "{nodes.names[d]}" needs the weights of every layer, which the profile of '
            f"{nodes.network_of(d)} does not have; write weight_bytes for each of its layers in a profile .json, or "
            "leave memory_mb out"
        )


def memory_by_split(profile: LayerProfile) -> FloatArray:
    """Return the bytes (n_layers + 1,) that a node needs at each split: its weights, and its largest layer's tensors.

    At split 0 that is nothing but the raw input, whose size the node says itself: 0 here.
    """
    weights = np.zeros(profile.n_layers) if profile.weight_bytes is None else profile.weight_bytes
    live = np.maximum.accumulate(profile.upload_bytes[:-1] + profile.upload_bytes[1:])
    return np.concatenate([[0.0], np.cumsum(weights) + live])


@dataclass(frozen=True, slots=True, eq=False)
class NodeLimits:
    """What the nodes have of memory and energy, each (n_nodes,); NaN for no limit.

    Parameters
    ----------
    memory
        Bytes.
    energy
        Joule a task.
    joule_per_flop, watts
        What computing and sending take: J/FLOP, and W while the node sends.

    Examples
    --------
    >>> from dmcjia_opt import Node, Scenario
    >>> from dmcjia_opt.model.scenario.services import stage_times
    >>> node = Node("gate", "resnet34", compute_gflops=5, uplink_mbps=25, arrival_rate=1, memory_mb=100)
    >>> stage_times(Scenario(60, [node])).limits.memory
    array([1.e+08])
    """

    memory: FloatArray
    energy: FloatArray
    joule_per_flop: FloatArray
    watts: FloatArray

    __repr__ = brief

    @classmethod
    def of(cls, nodes: NodeTable) -> NodeLimits | None:
        """Return the limits of a fleet, None if no node has one."""
        if not (nodes.has("memory_mb") or nodes.has("energy_j")):
            return None
        joule, watts = (np.nan_to_num(column) for column in (nodes.joule_per_gflop, nodes.transmit_watts))
        return cls(BYTE_PER_MB * nodes.memory_mb, nodes.energy_j, joule / 1e9, watts)

    def only(self, rows: IntArray) -> NodeLimits:
        """Return the limits of some nodes."""
        return NodeLimits(self.memory[rows], self.energy[rows], self.joule_per_flop[rows], self.watts[rows])

    def spent(self, rows: slice | IntArray, work: FloatArray, upload: FloatArray) -> FloatArray:
        """Return the energy (n_rows, n_options) of a task, J, from work, FLOP, and seconds on its own uplink."""
        return self.joule_per_flop[rows, None] * work + self.watts[rows, None] * upload

    def least_rate(self, rows: slice | IntArray, work: FloatArray, sent: FloatArray) -> FloatArray:
        """Return the least rate (n_rows, n_options) over a shared link, 1/s, that keeps to the energy; 0 for any.

        It is +inf where computing alone takes all of it.
        """
        xp = namespace(self.energy, work, sent)
        left = self.energy[rows, None] - self.joule_per_flop[rows, None] * work
        watts = xp.where(sent > 0, self.watts[rows, None], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return xp.where(watts > 0, xp.where(left > 0, watts / left, xp.where(xp.isnan(left), 0.0, np.inf)), 0.0)


def allowed_splits(nodes: NodeTable, d: int, cuts: IntArray) -> BoolArray:
    """Return which first cuts (n_options,) the splits of node `d` allow."""
    low, high, listed = nodes.min_split[d], nodes.max_split[d], nodes.splits.at(d)
    allowed: BoolArray = ~((cuts < low) | (cuts > high))
    return allowed if listed is None else allowed & np.isin(cuts, listed)
