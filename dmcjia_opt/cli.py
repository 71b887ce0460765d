"""The command line: `dmcjia solve | verify | methods | generate | reproduce`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.errors import DmcjiaError

app = typer.Typer(
    name="dmcjia",
    help="Split the DNN of each edge node, share the cloud among them, and prove how good the answer is.",
    epilog="Exit codes: 0 done, 1 a claim was false, 2 bad input, 3 infeasible, 4 a backend is missing or failed.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130  # what typer makes of KeyboardInterrupt
_MOST_NODES = 10_000_000  # a scenario of more would fill the memory before it fills the file

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="The scenario: cloud, options and nodes.")]


def _print_version(asked: bool) -> None:
    if asked:
        from dmcjia_opt import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    if debug:
        os.environ["DMCJIA_DEBUG"] = "1"


@app.command()
def solve(
    scenario: ScenarioFile,
    placer: Annotated[str, typer.Option(help="Chooses the splits; see `dmcjia methods`.")] = "exact",
    allocator: Annotated[str, typer.Option(help="Chooses the shares; see `dmcjia methods`.")] = "waterfilling",
    seconds: Annotated[float | None, typer.Option(help="Wall time limit, s.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Limit on distinct plans evaluated.")] = None,
    gap: Annotated[float | None, typer.Option(help="Stop at this relative gap, e.g. 1e-3.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and versions, same plan.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="plan.json", help="Write the plan here.")] = None,
) -> None:
    """Place the splits, share the cloud, and say how good the answer is.

    [bold]--placer dmcjia --allocator alm[/bold] is the algorithm of the paper.
    """
    from dmcjia_opt.errors import InputError
    from dmcjia_opt.model.scenario import load_scenario
    from dmcjia_opt.protocols import Stop
    from dmcjia_opt.solving import solve as solve_scenario
    from dmcjia_opt.terminal import SearchProgress, show_plan

    if out is not None and not out.parent.is_dir():
        raise InputError(f"--out {out}: the folder {out.parent} does not exist; create it first")
    if out is not None and out.is_dir():
        raise InputError(f"--out {out}: this is a folder; add the plan's file name")
    stop = Stop(seconds=seconds, evaluations=evaluations, gap=gap)
    loaded = load_scenario(scenario)
    with SearchProgress(stop, f"{placer} + {allocator}") as progress:
        plan = solve_scenario(loaded, placer, allocator, stop=stop, seed=seed, callback=progress.update)
    if out is not None:
        plan.save(out)
    show_plan(plan, loaded)
    if out is not None:
        typer.echo(f"Plan written to {out}; check it with: dmcjia verify {scenario} {out}")


@app.command()
def verify(
    scenario: ScenarioFile,
    plan: Annotated[Path, typer.Argument(metavar="plan.json", help="The plan whose claims are checked.")],
) -> None:
    """Recompute everything a plan claims; exit code 1 if a claim is false."""
    from dmcjia_opt.errors import ClaimFalse
    from dmcjia_opt.model.scenario import load_scenario
    from dmcjia_opt.plan import load_plan
    from dmcjia_opt.terminal import show_checks
    from dmcjia_opt.verification import verify as verify_plan

    checks = verify_plan(load_scenario(scenario), load_plan(plan))
    show_checks(checks)
    false = [check.what for check in checks if not check.true]
    if false:
        raise ClaimFalse(f"{plan}: false: {', '.join(false)}")
    typer.echo("Every claim holds.")


@app.command()
def methods(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every placer and allocator: installed or why not, exact or not."""
    from dmcjia_opt.registry import METHODS, variants, why_not
    from dmcjia_opt.terminal import show_methods

    if as_json:
        rows = [
            {
                "name": spec.name,
                "kind": spec.kind,
                "summary": spec.summary,
                "exact": spec.exact,
                "available": why_not(spec) is None,
                "why_not": why_not(spec),
                "variants": list(variants(spec)),
            }
            for spec in METHODS.values()
        ]
        typer.echo(json.dumps(rows, indent=1))
    else:
        show_methods()


@app.command()
def generate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="paper, homogeneous, near, scarce, mixed or fleet.")],
    nodes: Annotated[int, typer.Option(max=_MOST_NODES, help="Number of edge nodes.")],
    out: Annotated[Path, typer.Option(metavar="FILE.toml", help="Where to write the scenario.")],
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
    nodes_file: Annotated[
        str | None, typer.Option(metavar="NAME.csv|.parquet", help="Put the nodes into a table beside the scenario.")
    ] = None,
) -> None:
    """Draw a scenario at random from a family; `paper` is Table 5."""
    from dmcjia_opt.model.instances import generate as draw

    scenario = draw(
        family, nodes=nodes, seed=seed, tasks=tasks, epsilon=epsilon, cloud_gflops=cloud_gflops, delay=delay
    )
    scenario.save(out, nodes_file=nodes_file)
    typer.echo(f"{scenario.n_nodes} nodes written to {out}; plan them with: dmcjia solve {out}")


@app.command()
def reproduce(
    item: Annotated[
        Literal["table1", "fig4", "fig5", "fig6", "shares", "gap", "all"],
        typer.Argument(metavar="ITEM", help="table1, fig4, fig5, fig6, shares, gap, or all of them."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for data, figures and REPRODUCED.md.")],
    seeds: Annotated[int, typer.Option(min=1, help="Instances and searches per point of a random experiment.")] = 10,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Compute the paper's tables and figures anew, beside the proved optimum, and say what holds.

    [bold]shares[/bold] is the allocation on heterogeneous nodes, [bold]gap[/bold] how far each search ends from the
    optimum at 1, 10 and 100 times the paper's budget.
    """
    from dmcjia_opt.reproduce import ITEMS
    from dmcjia_opt.reproduce import reproduce as compute
    from dmcjia_opt.reproduce.progress import Bar

    with Bar(f"reproduce {item}") as bar:
        findings = compute(
            list(ITEMS) if item == "all" else [item], out, seeds=seeds, workers=workers, progress=bar.update
        )
    for name, finding in findings.items():
        hold = sum(statement.holds for statement in finding.statements)
        typer.echo(f"{ITEMS[name].title}: {hold} of {len(finding.statements)} statements hold")
    typer.echo(f"Data, figures and what they say: {out / 'REPRODUCED.md'}")


def main() -> None:
    """Run the command line; an error is one sentence on standard error, and its exit code."""
    try:
        app(prog_name="dmcjia")
    except DmcjiaError as error:
        if os.environ.get("DMCJIA_DEBUG"):
            raise
        print(f"dmcjia: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("dmcjia: interrupted before there was an answer", file=sys.stderr)  # noqa: T201
        raise


if __name__ == "__main__":
    main()
