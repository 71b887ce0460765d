"""What `dmcjia profile` shows: a table of the layers, and a picture of work, bytes and delay along the cuts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.graph import single_tensor_cuts
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.network.delays import Delays, Device, Profiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KIB = 1024.0
_NAMED_TICKS = 40  # more layers than this cannot be named under the axis


def show_profile(profiled: Profiled) -> None:
    """Print a profile as a table of layers, and what its graph says about the cuts."""
    profile, console = profiled.profile, Console()
    own = [cut.own_bytes for cut in profiled.cuts]
    hidden = [o < cut.upload_bytes for o, cut in zip(own, profiled.cuts, strict=True)]
    table = Table(title=escape(_title(profile)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("split", justify="right")
    table.add_column("layer", overflow="fold")
    for name in ("MMAC", "done %", *(["own KiB"] if any(hidden) else []), "cut KiB", "tensors"):
        table.add_column(name, justify="right", no_wrap=True)
    total = profile.total_macs or 1.0
    table.add_row("0", "(input)", "", "0", *([""] if any(hidden) else []), _kib(profile.input_bytes), "")
    for k in range(profile.n_layers):
        tensors = "?" if profile.tensors is None else str(profile.tensors[k])
        table.add_row(
            str(k + 1),
            escape(profile.layer_names[k]),
            f"{profile.macs[k] / 1e6:,.4g}" if profile.macs[k] < 1e9 else f"{profile.macs[k] / 1e6:,.0f}",
            f"{100 * profile.work[k + 1] / total:.1f}",
            *([_kib(own[k])] if any(hidden) else []),
            _kib(profile.output_bytes[k]),
            tensors,
        )
    console.print(table)
    for line in _remarks(profiled, sum(hidden)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _title(profile: LayerProfile) -> str:
    return f"{profile.name}: {profile.n_layers} layers, {_work(profile.total_macs)}, {profile.parameters:,} parameters"


def _work(macs: float) -> str:
    return f"{macs / 1e9:.4g} GMAC" if macs >= 1e9 else f"{macs / 1e6:.4g} MMAC"


def _kib(size: float) -> str:
    return f"{size / _KIB:,.1f}" if size >= _KIB / 10 else f"{size / _KIB:.2g}"


def _remarks(profiled: Profiled, hidden: int) -> list[str]:
    profile, lines = profiled.profile, []
    if profile.tensors is not None:
        lines.append(f"Single-tensor cuts: {int((profile.tensors == 1).sum())} of {profile.n_layers}.")
    if profiled.model is not None:
        network = profiled.model.network
        lines.append(
            f"In the graph of {len(network.operations)} operators, all data passes through "
            f"{len(single_tensor_cuts(network))} single tensors (--cuts blocks)."
        )
    if hidden:
        lines.append(
            f"At {hidden} of {profile.n_layers} cuts more crosses than the layer's own output (own KiB): shortcuts, "
            "branches and what is joined to it, which a plain chain hides."
        )
    lines.append(f"Source: {profile.source or 'not said'}.")
    return lines


def say_best(profile: LayerProfile, delays: Delays, device: Device) -> str:
    """Return one sentence on the cut of least delay."""
    on = device.name or f"{device.compute_gflops:g} GFLOP/s"
    where = (
        f"{on}, {device.uplink_mbps:g} Mbit/s, {device.arrival_rate:g} tasks/s, cloud {device.cloud_gflops:g} GFLOP/s"
    )
    if delays.best is None:
        return f"No cut is stable on one node ({where}): lower --arrival-rate, or raise what computes."
    at = f"after {profile.layer_names[delays.best - 1]}" if delays.best else "before the first layer"
    return f"Least delay on one node ({where}): {seconds(float(delays.total[delays.best]))}, split {delays.best}, {at}."


def check_picture(path: Path) -> None:
    """Refuse a picture that could not be written, before anything is computed."""
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"--picture {path}: a picture is a .png or .svg file")


def draw_profile(profile: LayerProfile, delays: Delays, device: Device, path: Path) -> None:
    """Draw work, upload bytes and delay along the cuts, with the cut of least delay marked.

    Parameters
    ----------
    profile
        The network.
    delays
        Its delay at each split.
    device
        The node they hold for.
    path
        A .png or .svg file.
    """
    from dmcjia_opt.studies.look.colours import COLOURS
    from dmcjia_opt.studies.look.pictures import new_figure, save_as, tidy

    check_picture(path)
    splits = np.arange(profile.n_layers + 1)
    figure = new_figure(9.0, 8.0)
    work, sent, delay = figure.subplots(3, 1, sharex=True)
    tidy(work, f"{profile.name}: work at the node", "", "GMAC")
    work.step(splits, profile.work / 1e9, where="mid", color=COLOURS["blue"])
    work.fill_between(splits, profile.work / 1e9, step="mid", color=COLOURS["blue"], alpha=0.15)
    tidy(sent, "Bytes that cross the cut", "", "KiB")
    single = np.concatenate([[True], profile.tensors == 1]) if profile.tensors is not None else splits >= 0
    kib = profile.upload_bytes / _KIB
    sent.bar(splits[single], kib[single], color=COLOURS["green"], label="one tensor")
    if not single.all():
        sent.bar(splits[~single], kib[~single], color=COLOURS["orange"], label="several tensors")
        sent.legend(fontsize=8, frameon=False)
    if (kib > 0).all() and kib.max() > 50 * kib.min():
        sent.set_yscale("log")
    on = device.name or f"{device.compute_gflops:g} GFLOP/s"
    title = (
        f"Mean delay on one node: {on}, {device.uplink_mbps:g} Mbit/s, {device.arrival_rate:g} tasks/s, "
        f"cloud {device.cloud_gflops:g} GFLOP/s"
    )
    tidy(delay, title, "split: layers that the node runs itself", "s")
    _stack(delay, splits, delays, COLOURS["blue"], COLOURS["green"], COLOURS["sky"])
    if delays.best is not None:
        label = f"least delay: {seconds(float(delays.total[delays.best]))} at split {delays.best}"
        for axes in (work, sent, delay):
            axes.axvline(delays.best, color=COLOURS["red"], linestyle="--", linewidth=1.2)
        delay.plot(delays.best, delays.total[delays.best], "v", color=COLOURS["red"], label=label, clip_on=False)
    figure.legend(*delay.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    if profile.n_layers <= _NAMED_TICKS:
        delay.set_xticks(splits, ["input", *profile.layer_names], rotation=90, fontsize=6)
    save_as(figure, path)


def _stack(axes: Axes, splits: np.ndarray[tuple[int], np.dtype[np.int64]], delays: Delays, *colours: str) -> None:
    """Draw the stages of delay on top of each other, leaving out splits whose queues are unstable."""
    stable = np.isfinite(delays.total)
    base = np.zeros(len(splits))
    for stage, label, colour in zip(
        (delays.edge, delays.upload, delays.cloud), ("edge", "upload", "cloud"), colours, strict=True
    ):
        height = np.where(stable, stage, 0.0)
        axes.bar(splits, height, bottom=base, color=colour, label=label)
        base = base + height
    for k in splits[~stable]:
        axes.axvspan(k - 0.5, k + 0.5, color="#EEEEEE", label="unstable" if k == splits[~stable][0] else None)
