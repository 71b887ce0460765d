"""`dmcjia split`: a network as two models, or three, that together are the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.cli.arguments import Dims, InputShapes, InputValues, Outputs, State, written

_NAMES = {2: ("device.onnx", "server.onnx"), 3: ("device.onnx", "middle.onnx", "server.onnx")}


def split(
    network: Annotated[Path, typer.Argument(metavar="NETWORK.onnx", help="The network, with its weights.")],
    at: Annotated[
        list[int],
        typer.Option(
            metavar="CUT", help="Layers before the cut, as profile and solve count them; twice for three parts."
        ),
    ],
    out: Annotated[Path, written("DIR", "Write device.onnx and server.onnx here, and middle.onnx of three parts.")],
    cuts: Annotated[
        Literal["layers", "blocks", "all", "graph"] | None,
        typer.Option(help="The cuts that CUT counts, as profile has them."),
    ] = None,
    input_shape: InputShapes = None,
    dim: Dims = None,
    input_value: InputValues = None,
    outputs: Outputs = None,
    state: State = None,
) -> None:
    """Take a network apart at a cut; the parts are run against the whole on random input, and refused if they differ.

    Shapes are folded first. What crosses the cut is printed: [bold]server.onnx[/bold] reads nothing else.
    """
    from dmcjia_opt.cli.progress import spinner
    from dmcjia_opt.cli.show_deploy import show_halves
    from dmcjia_opt.model.networks.given import parse_given
    from dmcjia_opt.model.networks.graph import check_state
    from dmcjia_opt.model.networks.reading import is_graph, read_profile
    from dmcjia_opt.studies.deploy.halves import Divisible
    from dmcjia_opt.studies.deploy.new_files import write_new

    if not is_graph(str(network)):
        raise InputError(f"{network}: only an .onnx file can be taken apart; give that")
    if len(at) not in (1, 2):
        raise InputError(f"--at is given {len(at)} times; give one cut, or two for three parts")
    given = parse_given(input_shape or (), dim or (), input_value or (), outputs or ())
    profiled = read_profile(str(network), cuts, given=given, state=state or ())
    n, model = profiled.profile.n_layers, profiled.model
    if n < 2:
        raise InputError(f"{network}: there is one layer and no cut inside; try --cuts all")
    for cut in at:
        if not 0 < cut < n:
            raise InputError(
                f"--at {cut}: the cuts between layers of {network} are 1 to {n - 1}; at 0 nothing would be left for "
                f"the device, at {n} for the server"
            )
    if len(set(at)) < len(at) or at != sorted(at):
        raise InputError(f"--at {at[0]} --at {at[1]}: give the nearer cut first, and two that differ")
    assert model is not None  # it is a graph
    check_state(state or (), [model.network], "--state")
    with spinner("running the parts against the whole"):
        parts = Divisible(model, profiled.cuts, network)
        halves = parts.take_apart(at)
    names = _NAMES[len(halves)]
    write_new(out, {name: half.content for name, half in zip(names, halves, strict=True)})
    show_halves(profiled.profile, parts, halves, [out / name for name in names])
