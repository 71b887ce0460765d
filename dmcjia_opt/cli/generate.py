"""`dmcjia generate`: a scenario drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.base.call import STDOUT, claim
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.cli.arguments import written

_FAMILIES = "paper, homogeneous, near, scarce, mixed, fleet, links, servers, tiers, hosts or measured."


def generate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help=_FAMILIES)],
    nodes: Annotated[int, typer.Option(max=MOST_NODES, help="Number of edge nodes.")],
    out: Annotated[Path, written("FILE.toml", "Where to write the scenario.", ".toml", stdout=True)],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same scenario.")] = 0,
    tasks: Annotated[
        Literal["imagenet", "table4"] | None,
        typer.Option(help="paper: every node's raw input is ResNet34's, or one of Table 4's three at random."),
    ] = None,
    epsilon: Annotated[float | None, typer.Option(help="near: relative spread of compute and uplink.")] = None,
    cloud_gflops: Annotated[float | None, typer.Option(help="Cloud compute, GFLOP/s, instead of the family's.")] = None,
    delay: Annotated[
        Literal["md1", "mm1", "mg1", "tandem"] | None, typer.Option(help="The delay curve, instead of the family's.")
    ] = None,
    links: Annotated[int | None, typer.Option(help="links and near: number of links that nodes share.")] = None,
    servers: Annotated[
        int | None, typer.Option(help="servers, tiers, measured: number of servers beside the cloud.")
    ] = None,
    nodes_file: Annotated[
        str | None, typer.Option(metavar="NAME.csv|.parquet", help="Put the nodes into a table beside the scenario.")
    ] = None,
) -> None:
    """Draw a scenario at random from a family; `paper` is Table 5."""
    from dmcjia_opt.model.scenario.doubts import doubt_units
    from dmcjia_opt.model.scenario.families import generate as draw

    if nodes_file is not None:
        if out == STDOUT:
            raise InputError("--nodes-file: the table lies beside the scenario; let --out name a file")
        claim("--nodes-file", out.parent / nodes_file, (".csv", ".parquet"))
    scenario = draw(
        family,
        nodes=nodes,
        seed=seed,
        tasks=tasks,
        epsilon=epsilon,
        cloud_gflops=cloud_gflops,
        delay=delay,
        links=links,
        servers=servers,
    )
    doubt_units(scenario, "generate")
    scenario.save(out, nodes_file=nodes_file)
    if out != STDOUT:
        typer.echo(f"{scenario.n_nodes} nodes written to {out}; plan them with: dmcjia solve {out}")
