"""Why the limits of a node leave it no option."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.model.scenario.node_limits import BYTE_PER_MB
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import StageTimes


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
