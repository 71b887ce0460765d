"""The command line: `dmcjia COMMAND`; each command imports what it needs when it runs."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.base.errors import DmcjiaError, UncountedOperators
from dmcjia_opt.base.limits import MOST_NODES

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

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="The scenario: cloud, options and nodes.")]

Outside = Annotated[
    bool, typer.Option("--outside", help="Let the scenario name files outside its folder.", show_default=False)
]


def _print_version(asked: bool) -> None:
    if asked:
        from dmcjia_opt.base.machine import __version__

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
    placer: Annotated[
        str, typer.Option(help="Chooses the splits; see `dmcjia methods`. name[:option=value], or ./file.py:Class.")
    ] = "exact",
    allocator: Annotated[str, typer.Option(help="Chooses the shares, in the same way.")] = "waterfilling",
    seconds: Annotated[float | None, typer.Option(help="Wall time limit, s.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Limit on distinct plans evaluated.")] = None,
    gap: Annotated[float | None, typer.Option(help="Stop at this relative gap, e.g. 1e-3.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and versions, same plan.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="plan.json", help="Write the plan here.")] = None,
    proof: Annotated[
        Path | None, typer.Option(metavar="proof.json", help="Write here what proves the bound, for anyone to check.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="plan.html", help="Write a page about the plan; it opens without a network.")
    ] = None,
    outside: Outside = False,
) -> None:
    """Place the splits, share the cloud, and say how good the answer is.

    [bold]--placer dmcjia --allocator alm[/bold] is the algorithm of the paper.
    """
    from dmcjia_opt.cli.solve import Asked, run
    from dmcjia_opt.solving.contract import Stop

    stop = Stop(seconds=seconds, evaluations=evaluations, gap=gap)
    run(Asked(scenario, placer, allocator, stop, seed, out, proof, report, outside))


@app.command()
def verify(
    scenario: ScenarioFile,
    plan: Annotated[Path, typer.Argument(metavar="plan.json", help="The plan whose claims are checked.")],
    proof: Annotated[
        Path | None, typer.Option(metavar="proof.json", help="Derive the bound from this proof, without any search.")
    ] = None,
    outside: Outside = False,
) -> None:
    """Recompute everything a plan claims; exit code 1 if a claim is false."""
    from dmcjia_opt.base.errors import ClaimFalse
    from dmcjia_opt.bounds.proof.document import load_proof
    from dmcjia_opt.cli.show import show_checks
    from dmcjia_opt.model.scenario.scenario import load_scenario
    from dmcjia_opt.solving.plan import load_plan
    from dmcjia_opt.solving.verifying import verify as verify_plan

    loaded, claims = load_scenario(scenario, outside=outside), load_plan(plan)
    checks = verify_plan(loaded, claims, None if proof is None else load_proof(proof))
    show_checks(checks)
    false = [check.what for check in checks if not check.true]
    if false:
        raise ClaimFalse(f"{plan}: false: {', '.join(false)}")
    typer.echo("Every claim holds.")


@app.command()
def simulate(
    scenario: ScenarioFile,
    plans: Annotated[
        list[Path], typer.Argument(metavar="plan.json ...", help="Plans; the first is what others are compared with.")
    ],
    tasks: Annotated[
        int | None,
        typer.Option(help="Tasks a node, warm-up included; 100,000, or the whole trace.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 0,
    arrivals: Annotated[
        str,
        typer.Option(
            metavar="PROCESS|FILE.csv",
            help="poisson, deterministic, erlang:K, hyperexponential:SCV, or arrival times, s, one a line.",
        ),
    ] = "poisson",
    service_cv: Annotated[
        float | None,
        typer.Option(
            help="Coefficient of variation of service at the edge and in the cloud; as the delay model says.",
            show_default=False,
        ),
    ] = None,
    service_family: Annotated[Literal["gamma", "lognormal"], typer.Option(help="How service varies.")] = "gamma",
    uplink: Annotated[
        Literal["delay", "queue"] | None,
        typer.Option(
            help="Whether uploads of a node wait for each other (queue).", show_default="as the scenario says"
        ),
    ] = None,
    warm_up: Annotated[float, typer.Option(help="Share of the tasks left out at the start.")] = 0.1,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    out: Annotated[Path | None, typer.Option(metavar="sim.json", help="Write everything here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what would be written, and nothing else.")] = False,
    outside: Outside = False,
) -> None:
    """Send tasks through the queues of a plan, and set the delay they meet beside the model's.

    Several plans meet the same arrivals, so that even small differences between them show.
    """
    from dmcjia_opt.cli.simulate import Asked, run

    run(
        Asked(
            scenario,
            tuple(plans),
            tasks,
            seed,
            arrivals,
            service_cv,
            service_family,
            uplink,
            warm_up,
            confidence,
            out,
            as_json,
            outside,
        )
    )


@app.command()
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show one method with its options; module:Class will do.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every placer and allocator, plug-ins too: installed or why not, exact or not; or show one and its options.

    Options follow the name: [bold]--placer genetic:population=50:crossover_rate=0.8[/bold].
    """
    from dmcjia_opt.cli.show import method_row, show_method, show_methods, warn
    from dmcjia_opt.solving.registry import KINDS, conflicts, specs_called, with_plugins

    for sentence in conflicts().values():
        warn(sentence)
    found = specs_called(name) if name else [spec for kind in KINDS for spec in with_plugins(kind)]
    if as_json:
        typer.echo(json.dumps([method_row(spec, with_options=bool(name)) for spec in found], indent=1))
    elif name:
        for spec in found:
            show_method(spec)
    else:
        show_methods(found)


@app.command()
def generate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="paper, homogeneous, near, scarce, mixed or fleet.")],
    nodes: Annotated[int, typer.Option(max=MOST_NODES, help="Number of edge nodes.")],
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
    from dmcjia_opt.model.scenario.families import generate as draw

    scenario = draw(
        family, nodes=nodes, seed=seed, tasks=tasks, epsilon=epsilon, cloud_gflops=cloud_gflops, delay=delay
    )
    scenario.save(out, nodes_file=nodes_file)
    typer.echo(f"{scenario.n_nodes} nodes written to {out}; plan them with: dmcjia solve {out}")


@app.command()
def profile(
    model: Annotated[
        str, typer.Argument(metavar="MODEL.onnx|NAME", help="An ONNX file, a profile .json or a zoo name.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the profile here.")] = None,
    cuts: Annotated[
        Literal["layers", "blocks", "all", "chain"] | None,
        typer.Option(help="After each layer, single tensors only, after every operator, or the paper's chain."),
    ] = None,
    upload_dtype: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Quantise uploads, e.g. uint8 or float16.")
    ] = None,
    input_shape: Annotated[
        list[str] | None, typer.Option(metavar="NAME=1x3x224x224", help="Shape of an input that the file leaves open.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png|.svg", help="Draw work, bytes and delay along the cuts.")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write a scenario of one such node, to solve or extend.")
    ] = None,
    compute_gflops: Annotated[float, typer.Option(help="The node's compute, GFLOP/s.")] = 5.0,
    uplink_mbps: Annotated[float, typer.Option(help="The node's uplink, Mbit/s.")] = 8.0,
    arrival_rate: Annotated[float, typer.Option(help="Tasks per second at the node.")] = 0.1,
    cloud_gflops: Annotated[float, typer.Option(help="What the node gets of the cloud, GFLOP/s.")] = 40.0,
    measure: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Time each layer on this machine, under this name.")
    ] = None,
    out_times: Annotated[
        Path | None, typer.Option(metavar="times.csv", help="Write the times here, beside those that are there.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each layer; the median counts.")] = 11,
    threads: Annotated[int, typer.Option(min=0, help="Threads within an operator; 0: as onnxruntime chooses.")] = 0,
) -> None:
    """Show what each layer of a network computes and what each cut sends; write it down, draw it, time it."""
    from dmcjia_opt.cli.profile import Asked, run

    run(
        Asked(
            model=model,
            out=out,
            cuts=cuts,
            upload_dtype=upload_dtype,
            input_shapes=tuple(input_shape or ()),
            picture=picture,
            scenario=scenario,
            compute_gflops=compute_gflops,
            uplink_mbps=uplink_mbps,
            arrival_rate=arrival_rate,
            cloud_gflops=cloud_gflops,
            measure=measure,
            out_times=out_times,
            repeats=repeats,
            threads=threads,
        )
    )


@app.command()
def reproduce(
    item: Annotated[
        Literal["table1", "fig4", "fig5", "fig6", "shares", "gap", "delay", "all"],
        typer.Argument(metavar="ITEM", help="table1, fig4, fig5, fig6, shares, gap, delay, or all of them."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for data, figures and REPRODUCED.md.")],
    seeds: Annotated[int, typer.Option(min=1, help="Instances and searches per point of a random experiment.")] = 10,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Compute the paper's tables and figures anew, beside the proved optimum, and say what holds.

    [bold]shares[/bold] is the allocation on heterogeneous nodes, [bold]gap[/bold] how far each search ends from the
    optimum at 1, 10 and 100 times the paper's budget, [bold]delay[/bold] the paper's delay beside the exact one and a
    simulation.
    """
    from dmcjia_opt.studies.look.progress import Bar
    from dmcjia_opt.studies.reproduce.run import ITEMS
    from dmcjia_opt.studies.reproduce.run import reproduce as compute

    with Bar(f"reproduce {item}") as bar:
        findings = compute(
            list(ITEMS) if item == "all" else [item], out, seeds=seeds, workers=workers, progress=bar.update
        )
    for name, finding in findings.items():
        hold = sum(statement.holds for statement in finding.statements)
        typer.echo(f"{ITEMS[name].title}: {hold} of {len(finding.statements)} statements hold")
    typer.echo(f"Data, figures and what they say: {out / 'REPRODUCED.md'}")


@app.command()
def bench(
    suite: Annotated[
        str | None, typer.Argument(metavar="SUITE", help="smoke, allocators, placers, exact, scaling.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder for rows.jsonl and rows.parquet.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help='In place of the suite\'s: names, "PLACER + ALLOCATOR", module:Class.'),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Child processes; by default one a core.")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, e.g. tcp://host:8786.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in DIR; what is done is not run again.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Searches a method makes on each instance.")] = None,
    instances: Annotated[
        str | None, typer.Option(metavar="NAMES|DIR|FILE.toml", help="In place of the suite's: names, files, folders.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Wall time limit of a run, s.")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Let scenarios name files outside their folder.")] = False,
    list_suites: Annotated[bool, typer.Option("--list", help="Show the suites and what they cost.")] = False,
) -> None:
    """Compare methods: every run in a process of its own, every answer verified, every failure a row.

    [bold]dmcjia bench smoke --out DIR[/bold] shows how it works in under a minute.
    """
    from dmcjia_opt.base.errors import InputError
    from dmcjia_opt.base.machine import cores
    from dmcjia_opt.cli.show_bench import BenchProgress, show_rows, show_suites
    from dmcjia_opt.studies.bench.folder import ROWS, TABLE
    from dmcjia_opt.studies.bench.running.runner import bench as run
    from dmcjia_opt.studies.bench.suites import SUITES

    if list_suites:
        show_suites({name: SUITES[name] for name in SUITES if suite in (None, name)}, workers or cores())
        return
    if suite is None:
        raise InputError(f"name a suite: {', '.join(SUITES)}; dmcjia bench --list shows what they are")
    if out is None:
        raise InputError(f"add --out DIR, the folder for the rows of {suite}")
    if dask is not None and workers is not None:
        raise InputError("--workers is for this machine and --dask for a cluster; give one of the two")
    with BenchProgress(f"bench {suite}") as bar:
        rows = run(
            suite,
            out,
            methods=None if methods is None else methods.split(","),
            instances=None if instances is None else instances.split(","),
            seeds=seeds,
            seconds=seconds,
            workers=workers,
            dask=dask,
            resume=resume,
            outside=outside,
            progress=bar.update_runs,
        )
    show_rows(rows)
    typer.echo(f"{len(rows)} rows: {out / ROWS}, and as a table {out / TABLE}")


@app.command()
def report(
    what: Annotated[
        Path,
        typer.Argument(metavar="DIR|plan.json", help="The folder of a benchmark (dmcjia bench --out DIR), or a plan."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write; it opens without a network.")],
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Of a benchmark: rows.csv, trajectories.csv and files for iohinspector here, too."
        ),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(metavar="SCENARIO.toml", help="Of a plan: its scenario, where the plan does not say or it moved."),
    ] = None,
) -> None:
    """Show a benchmark or a plan as one page.

    Of a benchmark: who won, how reliably, how fast, on what evidence. Of a plan: how good it is, where the delay comes
    from, what more capacity would buy, how it was made.
    """
    from dmcjia_opt.cli.report import run

    for line in run(what, out, csv, scenario):
        typer.echo(line)


def _say_warning(
    otherwise: Callable[..., None], message: Warning | str, category: type[Warning], *where: object
) -> None:
    """Print a warning about the user's own files as one sentence, and any other as Python does."""
    if issubclass(category, UncountedOperators):
        print(f"dmcjia: warning: {message}", file=sys.stderr)  # noqa: T201
    else:
        otherwise(message, category, *where)


def guarded(run: Callable[[], object], name: str) -> None:
    """Run a command line called `name`; an error is one sentence on standard error, and its exit code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UncountedOperators)
            warnings.showwarning = partial(_say_warning, warnings.showwarning)
            run()
    except DmcjiaError as error:
        if os.environ.get("DMCJIA_DEBUG"):
            raise
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print(f"{name}: interrupted before there was an answer", file=sys.stderr)  # noqa: T201
        raise


def main() -> None:
    """Run the command line."""
    guarded(partial(app, prog_name="dmcjia"), "dmcjia")
