"""A picture of work, bytes and delay along the cuts of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.network.delays import best_split, conditions, delay_along_cuts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KIB = 1024.0
_NAMED_TICKS = 40  # more layers than this cannot be named under the axis


def check_picture(path: Path) -> None:
    """Refuse a picture that could not be written, before anything is computed."""
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"--picture {path}: a picture is a .png or .svg file")
    import dmcjia_opt.studies.look.pictures  # noqa: F401 - it says what is missing


def draw_profile(scenario: Scenario, path: Path) -> None:
    """Draw work, upload bytes and delay along the cuts of a scenario's only node, the best cut marked, in a file."""
    from dmcjia_opt.studies.look.colours import COLOURS
    from dmcjia_opt.studies.look.pictures import new_figure, save_as, tidy

    check_picture(path)
    (profile,) = scenario.profiles.values()
    delays = delay_along_cuts(scenario)
    best = best_split(delays)
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
    tidy(delay, f"Mean delay on one node: {conditions(scenario)}", "split: layers that the node runs itself", "s")
    _stack(delay, splits, delays)
    if best is not None:
        label = f"least delay: {seconds(float(delays.total[best]))} at split {best}"
        for axes in (work, sent, delay):
            axes.axvline(best, color=COLOURS["red"], linestyle="--", linewidth=1.2)
        delay.plot(best, delays.total[best], "v", color=COLOURS["red"], label=label, clip_on=False)
    figure.legend(*delay.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    if profile.n_layers <= _NAMED_TICKS:
        delay.set_xticks(splits, ["input", *profile.layer_names], rotation=90, fontsize=6)
    save_as(figure, path)


def _stack(axes: Axes, splits: np.ndarray[tuple[int], np.dtype[np.int64]], delays: Stages) -> None:
    """Draw the stages of delay on top of each other, leaving out splits whose queues are unstable."""
    from dmcjia_opt.studies.look.colours import STAGES

    stable = np.isfinite(delays.total)
    base = np.zeros(len(splits))
    for label, stage in {"edge": delays.edge, "upload": delays.upload, "cloud": delays.cloud}.items():
        height = np.where(stable, stage, 0.0)
        axes.bar(splits, height, bottom=base, color=STAGES[label], label=label)
        base = base + height
    for k in splits[~stable]:
        axes.axvspan(k - 0.5, k + 0.5, color="#EEEEEE", label="unstable" if k == splits[~stable][0] else None)
