"""`dmcjia generate`: a scenario drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dmcjia_opt.base.call import STDOUT, claim
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.cli.arguments import written

_FAMILIES = "paper, homogeneous, near, scarce, mixed, fleet, links, servers, tiers, hosts, measured or hard."


def generate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help=_FAMILIES)],
    nodes: Annotated[int, typer.Option(help="Number of edge nodes.")],
    out: Annotated[Path, written("FILE.toml", "Where to write the scenario.", ".toml", stdout=True)],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same scenario.")] = 0,
    tasks: Annotated[
        Literal["imagenet", "table4"] | None,
        typer.Option(help="paper: every node's raw input is ResNet34's, or one of Table 4's three at random."),
    ] = None,
    epsilon: Annotated[float | None, typer.Option(help="near and hard: relative spread of compute and uplink.")] = None,
    cloud_gflops: Annotated[float | None, typer.Option(help="Cloud compute, GFLOP/s, instead of the family's.")] = None,
    delay: Annotated[
        Literal["md1", "mm1", "mg1", "tandem"] | None, typer.Option(help="The delay curve, instead of the family's.")
    ] = None,
    links: Annotated[int | None, typer.Option(help="links, near and hard: number of links that nodes share.")] = None,
    servers: Annotated[
        int | None, typer.Option(help="servers, tiers, measured: number of servers beside the cloud.")
    ] = None,
    kind: Annotated[
        Literal["alike", "knapsack", "cells"] | None,
        typer.Option(help="hard: nodes that are nearly identical, jobs that fit together, or scarce links."),
    ] = None,
    nodes_file: Annotated[
        str | None,
        typer.Option(
            metavar="NAME.csv|.parquet|FOLDER", help="Put the nodes into a table beside the scenario, or in parts."
        ),
    ] = None,
    part_nodes: Annotated[
        int | None,
        typer.Option(help="Draw the nodes part by part, so many in each, into the folder.", show_default=False),
    ] = None,
) -> None:
    """Draw a scenario at random from a family; `paper` is Table 5."""
    from dmcjia_opt.base.showing import counted
    from dmcjia_opt.model.scenario.doubts import doubt_units
    from dmcjia_opt.model.scenario.drawn_parts import generate_parts
    from dmcjia_opt.model.scenario.families import FamilyOptions
    from dmcjia_opt.model.scenario.families import generate as draw

    if nodes_file is not None and out == STDOUT:
        raise InputError("--nodes-file: the table lies beside the scenario; let --out name a file")
    drawn: dict[str, Any] = {
        "tasks": tasks,
        "epsilon": epsilon,
        "cloud_gflops": cloud_gflops,
        "delay": delay,
        "links": links,
        "servers": servers,
        "kind": kind,
    }
    if part_nodes is not None:
        if nodes_file is None:
            raise InputError("--part-nodes: the parts go into a folder; name it with --nodes-file")
        folder = out.parent / nodes_file
        claim("--nodes-file", folder)
        scenario = generate_parts(
            folder, family, nodes=nodes, part_nodes=part_nodes, seed=seed, options=FamilyOptions(**drawn)
        )
    else:
        if nodes > MOST_NODES:
            raise InputError(f"--nodes: the most in one piece is {MOST_NODES:,}; draw them in parts with --part-nodes")
        if nodes_file is not None:
            claim("--nodes-file", out.parent / nodes_file, (".csv", ".parquet"))
        scenario = draw(family, nodes=nodes, seed=seed, **drawn)
    if part_nodes is None:
        doubt_units(scenario, "generate")
    scenario.save(out, nodes_file=nodes_file)
    if out != STDOUT:
        typer.echo(f"{counted(nodes, 'node')} written to {out}; plan them with: dmcjia solve {out}")
