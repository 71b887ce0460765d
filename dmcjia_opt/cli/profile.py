"""`dmcjia profile`: what it does, step by step, with everything that can be refused refused first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import check_destination
from dmcjia_opt.model.networks.graph import Cuts
from dmcjia_opt.model.networks.measured import MeasuredTimes, load_times
from dmcjia_opt.model.networks.measuring import Measurement, measure
from dmcjia_opt.model.networks.onnx_ import parse_shape
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.network.delays import Device, Profiled, delay_along_cuts, one_node, read_profile
from dmcjia_opt.studies.network.picture import check_picture, draw_profile, say_best, show_profile


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command; see its help."""

    model: str
    out: Path | None
    cuts: Cuts | None
    upload_dtype: str | None
    input_shapes: tuple[str, ...]
    picture: Path | None
    scenario: Path | None
    compute_gflops: float
    uplink_mbps: float
    arrival_rate: float
    cloud_gflops: float
    measure: str | None
    out_times: Path | None
    repeats: int
    threads: int


def run(asked: Asked) -> None:
    """Profile a network, show it, and write what was asked for."""
    shapes = _shapes(asked.input_shapes)
    for option, path in (("--out", asked.out), ("--scenario", asked.scenario), ("--out-times", asked.out_times)):
        check_destination(option, path)
    if asked.picture is not None:
        check_destination("--picture", asked.picture)
        check_picture(asked.picture)
    if asked.out_times is not None and asked.measure is None:
        raise InputError("--out-times needs --measure DEVICE: say what this machine is called")
    if asked.measure is not None and asked.cuts == "chain":
        raise InputError("--measure needs cuts that are real: leave --cuts chain out")
    profiled = read_profile(asked.model, asked.cuts, asked.upload_dtype, shapes)
    device = Device(
        asked.compute_gflops, asked.uplink_mbps, asked.arrival_rate, asked.cloud_gflops, (asked.measure or "").strip()
    )
    one_node(
        profiled.profile, Device(device.compute_gflops, device.uplink_mbps, device.arrival_rate, device.cloud_gflops)
    )
    times = _measured(profiled, asked) if asked.measure is not None else None
    show_profile(profiled)
    lines = []
    if times is not None:
        total = sum(sum(layers.values()) for layers in times.seconds.values())
        lines.append(f'The network takes {seconds(total)} on "{device.name}", layer by layer.')
        if asked.out_times is not None:
            known = load_times(asked.out_times).merged(times) if asked.out_times.exists() else times
            known.save(asked.out_times)
            lines.append(
                f"Times written to {asked.out_times}; in a scenario: [profiles] times_file, and device of a node."
            )
    if asked.out is not None:
        profiled.profile.save(asked.out)
        lines.append(f'Profile written to {asked.out}; in a scenario: model = "{asked.out.name}"')
    if asked.scenario is not None or asked.picture is not None:
        lone = one_node(profiled.profile, device, times)
        if asked.picture is not None:
            delays = delay_along_cuts(lone)
            draw_profile(profiled.profile, delays, device, asked.picture)
            lines += [say_best(profiled.profile, delays, device), f"Picture written to {asked.picture}"]
        if asked.scenario is not None:
            lone.save(asked.scenario)
            lines.append(
                f"Scenario of one node written to {asked.scenario}; plan it with: dmcjia solve {asked.scenario}"
            )
    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _shapes(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, shape = parse_shape(text)
        if name in found:
            raise InputError(f'--input-shape: the shape of "{name}" is given twice')
        found[name] = shape
    return found


def _measured(profiled: Profiled, asked: Asked) -> MeasuredTimes:
    if profiled.model is None:
        raise InputError(f'"{asked.model}" cannot be measured: only an .onnx file can run')
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("measuring")
        return measure(
            profiled.model,
            asked.measure or "",
            asked.cuts or "layers",
            Measurement(repeats=asked.repeats, threads=asked.threads),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
