"""A replay in words."""

from __future__ import annotations

from dmcjia_opt.base.showing import percent
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.online.replay import Replay


def spell(duration: float) -> str:
    """Return a length of time in words."""
    if duration < 120.0:
        return f"{duration:.3g} s"
    return f"{duration / 60:.3g} min" if duration < 7200.0 else f"{duration / 3600:.3g} h"


def lead(replay: Replay) -> str:
    """Return in a sentence or two who was how good."""
    spans = replay.trace.spans
    mean = {run.policy: run.mean_delay(spans) for run in replay.runs}
    real = [name for name in mean if name != "oracle"]
    if not real:
        return f"The best plan of every step takes {seconds(mean['oracle'])} in the mean."
    best = min(real, key=mean.__getitem__)
    over = percent(mean[best] / replay.lower_bound - 1.0)
    said = f"{best} takes {seconds(mean[best])} in the mean, {over} over what is proved."
    static = next((name for name in real if name.startswith("static")), None)
    if static is not None and static != best and mean[static] > replay.lower_bound:
        part = (mean[static] - mean[best]) / (mean[static] - replay.lower_bound)
        said += f" That is {percent(part)} of what lies between {static}, {seconds(mean[static])}, and the bound."
    return said
