"""Fleets in parts, drawn at random part by part, so that none is ever whole in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.families import FAMILIES, FamilyOptions
from dmcjia_opt.model.scenario.parquet_nodes import require_parquet, write_parquet
from dmcjia_opt.model.scenario.scenario import Scenario

#: Families whose nodes share nothing but the cloud, which grows with their number.
FAMILIES_IN_PARTS = ("homogeneous", "near", "scarce", "mixed", "fleet")


def generate_parts(
    folder: Path, family: str, *, nodes: int, part_nodes: int, seed: int = 0, options: FamilyOptions | None = None
) -> Scenario:
    """Draw the nodes of a scenario into the Parquet files of a folder.

    Parameters
    ----------
    folder
        A folder that is empty, or not there yet.
    family
        One of `FAMILIES_IN_PARTS`.
    nodes, part_nodes
        Number of nodes, and of those in each part but the last, at least 1.
    seed
        The same arguments always draw the same nodes.
    options
        What is changed in the family.

    Returns
    -------
    The scenario with the nodes of the first part and the cloud of all of them.

    Raises
    ------
    InputError
        If the family shares more than the cloud, a number is out of range, or the folder has something in it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmcjia_opt.model.scenario.drawn_parts import generate_parts
    >>> drawn = generate_parts(Path("nodes"), "fleet", nodes=2500, part_nodes=1000, seed=1)
    >>> drawn.save("fleet.toml", nodes_file="nodes")
    >>> sorted(path.name for path in Path("nodes").iterdir())
    ['part-0.parquet', 'part-1.parquet', 'part-2.parquet']
    """
    options = options or FamilyOptions()
    if family not in FAMILIES_IN_PARTS:
        raise InputError(f'the family "{family}" is not drawn in parts; choose one of {", ".join(FAMILIES_IN_PARTS)}')
    if options.links is not None:
        raise InputError("links is not drawn in parts; leave it out, or the parts")
    for key, value in (("nodes", nodes), ("part_nodes", part_nodes), ("seed", seed + 1)):
        if value < 1:
            raise InputError(f"{key} must be at least {1 if key != 'seed' else 0}, got {value - (key == 'seed')}")
    require_parquet(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: the parts go into a folder of their own; name one that is empty or not there")
    folder.mkdir(exist_ok=True)
    first: Scenario | None = None
    gflops, width, n_parts = 0.0, len(str(nodes)), -(-nodes // part_nodes)
    for place in range(n_parts):
        start = place * part_nodes
        here = min(part_nodes, nodes - start)
        drawn = FAMILIES[family](here, np.random.default_rng([seed, place]), options)
        gflops += drawn.cloud_gflops or 0.0
        names = tuple(f"node-{d:0{width}d}" for d in range(start + 1, start + here + 1))
        write_parquet(folder / f"part-{place:0{len(str(n_parts))}d}.parquet", replace(drawn.nodes, names=names))
        first = first or drawn
    assert first is not None  # there is a node
    chosen = options.cloud_gflops or gflops
    settings = first.options if options.delay is None else first.options.model_copy(update={"delay": options.delay})
    name = f"{family}{options.label()}-n{nodes}-s{seed}"
    return replace(first, cloud_gflops=chosen, options=settings, name=name)
