"""Whether what is asked of a size makes sense."""

from __future__ import annotations

import math

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.scenario import Scenario


def check_asked(scenario: Scenario, deadline_ms: float | None, mean_ms: float | None) -> None:
    """Refuse to size a fleet of which nothing is asked, or something that is no delay.

    Raises
    ------
    InputError
        With what to ask for.
    """
    for option, value in (("--deadline-ms", deadline_ms), ("--mean-ms", mean_ms)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{option} must be a number of milliseconds > 0, got {value:g}")
    if deadline_ms is None and mean_ms is None and not scenario.nodes.has("deadline_ms"):
        raise InputError(
            "nothing is asked of the delay: give --deadline-ms D for every node, --mean-ms M for their mean, or nodes "
            "a deadline_ms of their own"
        )
    if mean_ms is not None and scenario.options.objective == "worst":
        raise InputError(
            'objective = "worst" is about the worst node, and --mean-ms about the mean; ask for --deadline-ms, the '
            'longest delay of the worst node, or write objective = "mean"'
        )
