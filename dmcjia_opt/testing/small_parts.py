"""A small fleet in parts, for examples and trials."""

from __future__ import annotations

from pathlib import Path

from dmcjia_opt.model.scenario.drawn_parts import generate_parts
from dmcjia_opt.model.scenario.loading import load_parts
from dmcjia_opt.model.scenario.parted import PartedScenario


def small_parts(folder: str | Path) -> PartedScenario:
    """Draw 300 nodes into three files of a folder, beside a scenario that names them, and return what those are.

    Examples
    --------
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> small_parts("small")
    PartedScenario(300 nodes in 3 parts)
    """
    path = Path(folder) / "fleet.toml"
    path.parent.mkdir(exist_ok=True)
    drawn = generate_parts(path.parent / "nodes", "fleet", nodes=300, part_nodes=100)
    drawn.save(path, nodes_file="nodes")
    found = load_parts(path, most=0)
    assert isinstance(found, PartedScenario)  # since it has more nodes than that
    return found
