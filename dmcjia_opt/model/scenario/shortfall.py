"""Why the limits of a node, or its deadline, leave it no option."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.model.scenario.node_limits import BYTE_PER_MB
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import StageTimes

_MOST_TOLD = 3


def why_no_option(scenario: Scenario, times: StageTimes, node: int) -> str:
    """Return in one sentence which limits leave a node no option, and which option comes nearest."""
    nodes, menu, limits = scenario.nodes, scenario.menus.of(node), times.limits
    rows, name = np.array([node]), nodes.names[node]
    fine = np.flatnonzero(menu.allowed)
    if not fine.size or limits is None:
        return f'no plan exists: splits, min_split and max_split of "{name}" have no split in common; widen one of them'
    parts = times.of(menu, rows)
    raw = menu.cuts[:, 0] == 0
    held = np.where(raw & (menu.memory == 0), times.input_bytes[node], menu.memory)[fine]
    spent = np.broadcast_to(limits.spent(rows, menu.work, parts.upload)[0], len(menu))[fine]
    with np.errstate(invalid="ignore", divide="ignore"):
        over = {
            "memory_mb": np.nan_to_num(held / limits.memory[node], nan=0.0, posinf=np.inf),
            "energy_j": np.nan_to_num(spent / limits.energy[node], nan=0.0, posinf=np.inf),
        }
    asked = {key: f"{key} = {getattr(nodes, key)[node]:g}" for key in over if np.isfinite(getattr(nodes, key)[node])}
    needs = {"memory_mb": lambda o: f"{held[o] / BYTE_PER_MB:.3g} MB", "energy_j": lambda o: f"{spent[o]:.3g} J"}
    alone = [key for key in asked if over[key].min() > 1.0]
    if len(alone) == 1:
        key = alone[0]
        o = int(over[key].argmin())
        return (
            f'no plan exists: {asked[key]} of "{name}" leaves no split: the least any split needs is {needs[key](o)}, '
            f"split {menu.cuts[fine[o], 0]}; raise it, or choose a smaller network"
        )
    o = int(np.maximum(over["memory_mb"], over["energy_j"]).argmin())
    told = " and ".join(needs[key](o) for key in asked)
    return (
        f'no plan exists: {" and ".join(asked.values())} of "{name}" leave no split: the nearest, split '
        f"{menu.cuts[fine[o], 0]}, needs {told}; raise them, or choose a smaller network"
    )


def why_late(scenario: Scenario, fastest: FloatArray, late: BoolArray) -> str:
    """Return in one sentence which nodes cannot keep their deadlines, and what they take at least.

    Parameters
    ----------
    scenario
        Whose nodes.
    fastest
        (n_nodes,) the least delay of each with all resources to itself, s.
    late
        (n_nodes,) which of them that makes late.
    """
    nodes, options = scenario.nodes, scenario.options
    which = np.flatnonzero(late)
    delay = "" if options.statistic == "mean" else f" at {options.statistic}"
    told = [
        f'"{nodes.names[d]}" takes at least {1e3 * fastest[d]:.4g} ms{delay} and has deadline_ms = '
        f"{nodes.deadline_ms[d]:.6g}"
        for d in which[:_MOST_TOLD]
    ]
    alone = scenario.menus.splits and scenario.cloud_gflops
    best, of = ("split and with the whole cloud,", "the cloud") if alone else ("option, all to itself,", "its servers")
    return (
        f"no plan exists: even at the fastest {best} {listed(told, len(which) - len(told), 'node')}; "
        f"raise deadline_ms there, the compute_gflops of the node or of {of}, or what it sends over"
    )
