"""`dmcjia profile`: everything that can be refused is refused first."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.base.call import STDOUT, claim
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.cli.arguments import Dims, InputShapes, InputValues, Outputs, State, written


def profile(
    model: Annotated[
        str, typer.Argument(metavar="MODEL.onnx|NAME", help="An ONNX file, a profile .json or a zoo name.")
    ],
    out: Annotated[Path | None, written("FILE.json", "Write the profile here.", ".json", stdout=True)] = None,
    cuts: Annotated[
        Literal["layers", "blocks", "all", "graph", "chain"] | None,
        typer.Option(
            help="After each layer, single tensors only, after every operator, along the best parts of the graph, or "
            "the paper's chain."
        ),
    ] = None,
    upload_dtype: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Quantise uploads, e.g. uint8 or float16.")
    ] = None,
    input_shape: InputShapes = None,
    dim: Dims = None,
    input_value: InputValues = None,
    outputs: Outputs = None,
    state: State = None,
    picture: Annotated[
        Path | None, written("FILE.png|.svg", "Draw work, bytes and delay along the cuts.", ".png", ".svg")
    ] = None,
    scenario: Annotated[
        Path | None, written("FILE.toml", "Write a scenario of one such node, to solve or extend.", ".toml")
    ] = None,
    compute_gflops: Annotated[float, typer.Option(help="The node's compute, GFLOP/s.")] = 5.0,
    uplink_mbps: Annotated[float, typer.Option(help="The node's uplink, Mbit/s.")] = 8.0,
    arrival_rate: Annotated[float, typer.Option(help="Tasks per second at the node.")] = 0.1,
    cloud_gflops: Annotated[float, typer.Option(help="What the node gets of the cloud, GFLOP/s.")] = 40.0,
    measure: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Time each layer on this machine, under this name.")
    ] = None,
    out_times: Annotated[
        Path | None,
        written(
            "times.csv", "Write the times here, beside those that are there.", ".csv", updates="the measured times"
        ),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE.json|.csv",
            help="Take the times of the layers from trtexec, onnxruntime or a table, and say what was matched.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the device of --import or --template is called.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column of an imported table that has the times.")
    ] = None,
    unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        typer.Option(help="The unit of that column, where its name does not say.", show_default=False),
    ] = None,
    template: Annotated[
        Path | None, written("times.csv", "Write a table of the layers, to fill in where they run.", ".csv")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Timed runs of each layer; the median counts.", show_default="11")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=0, help="Threads within an operator; 0: as onnxruntime chooses.", show_default="0"),
    ] = None,
) -> None:
    """Show what each layer of a network computes and what each cut sends; write it down, draw it, time it."""
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.cli.show_network import best_cut, show_profile
    from dmcjia_opt.model.networks.given import parse_given
    from dmcjia_opt.model.networks.graph import check_state
    from dmcjia_opt.model.networks.matching import match
    from dmcjia_opt.model.networks.measured import MeasuredTimes, load_times, save_template
    from dmcjia_opt.model.networks.measuring import Measurement
    from dmcjia_opt.model.networks.measuring import measure as time_layers
    from dmcjia_opt.model.networks.reading import read_profile
    from dmcjia_opt.model.networks.recorded import read_recorded
    from dmcjia_opt.model.scenario.doubts import doubt_units
    from dmcjia_opt.model.scenario.saving import times_beside
    from dmcjia_opt.studies.look.words import seconds
    from dmcjia_opt.studies.network.delays import one_node
    from dmcjia_opt.studies.network.picture import check_picture, draw_profile

    given = parse_given(input_shape or (), dim or (), input_value or (), outputs or ())
    if picture is not None:
        check_picture(picture)
    known_as = _device(measure, recorded, device, template)
    if out_times is not None and measure is None and recorded is None:
        raise InputError("--out-times needs --measure DEVICE: say what this machine is called; or give --import FILE")
    _check_needed("--measure DEVICE: say what this machine is called", measure, repeats=repeats, threads=threads)
    _check_needed("--import FILE: say which times are meant", recorded, column=column, unit=unit)
    if measure is not None and cuts == "chain":
        raise InputError("--measure needs cuts that are real: leave --cuts chain out")
    if scenario is not None and (measure is not None or recorded is not None):
        claim("--scenario", times_beside(scenario), (".csv",))
    profiled = read_profile(model, cuts, upload_dtype, given, state=state or ())
    if profiled.model is not None:
        check_state(state or (), [profiled.model.network], "--state")
    name, read = profiled.profile.name, None
    if recorded is not None:
        read = read_recorded(recorded, known_as, name, column=column or "", unit=unit or "")
    known = load_times(out_times) if out_times is not None and out_times.exists() else MeasuredTimes()
    node = partial(one_node, profiled.profile, compute_gflops, uplink_mbps, arrival_rate, cloud_gflops)
    lone, times, said = node(), None, ["layer by layer."]
    doubt_units(lone, "profile")
    if measure is not None:
        if profiled.model is None:
            raise InputError(f'"{model}" cannot be measured: only an .onnx file can run; give that')
        how = Measurement(repeats=11 if repeats is None else repeats, threads=threads or 0)
        with bar("measuring") as live:
            times = time_layers(
                profiled.model, measure, cuts or "layers", how, lambda done, total: live.show(done / total)
            )
    if read is not None:
        matched = match(read, profiled, known_as)
        times, said = matched.times, [f"says {read.by}.", *matched.sentences]
    if times is not None:
        lone = node(device=known_as, times=times)
    if template is not None:
        save_template(template, known_as, profiled.profile)
    show_profile(profiled)
    typer.echo(best_cut(lone))
    if times is not None:
        total = sum(sum(layers.values()) for layers in times.seconds.values())
        typer.echo(f'The network takes {seconds(total)} on "{known_as}", {" ".join(said)}')
        if out_times is not None:
            known.merged(times).save(out_times)
            instead = ", in place of those that were there" if known.replaced(times) else ""
            typer.echo(
                f"Times written to {out_times}{instead}; in a scenario: [profiles] times_file, and device of a node."
            )
    if template is not None:
        typer.echo(f"Template written to {template}; fill in the seconds, and name it as [profiles] times_file.")
    if out is not None:
        profiled.profile.save(out)
        if out != STDOUT:
            typer.echo(f'Profile written to {out}; in a scenario: model = "{out.name}"')
    if picture is not None:
        draw_profile(lone, picture)
        typer.echo(f"Picture written to {picture}")
    if scenario is not None:
        lone.save(scenario)
        typer.echo(f"Scenario of one node written to {scenario}; plan it with: dmcjia solve {scenario}")


def _device(measure: str | None, recorded: Path | None, device: str | None, template: Path | None) -> str:
    """Return what the device is called whose times are asked for, empty if none are."""
    if measure is not None:
        if recorded is not None or device is not None:
            raise InputError("--measure names the device and times it: leave --import and --device out")
        return measure.strip()
    asking = "--import" if recorded is not None else "--template" if template is not None else ""
    if device is None or not device.strip():
        if asking:
            raise InputError(f"{asking} needs --device NAME: say what the device is called")
        return ""
    if not asking:
        raise InputError("--device needs --import FILE, or --template FILE to fill in")
    return device.strip()


def _check_needed(what: str, given: object, **options: object) -> None:
    """Refuse an option without the one that it belongs to."""
    unused = next((name for name, value in options.items() if value is not None), None)
    if given is None and unused is not None:
        raise InputError(f"--{unused} needs {what}")
