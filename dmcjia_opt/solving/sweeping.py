"""What a scenario's plans are like while some of its numbers change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.showing import described, frame_of
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.nodes import ARRIVALS, OPTIONAL, QUANTITIES
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.solving.contract import Allocator, Stop
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.solving.solve import solve

if TYPE_CHECKING:
    import pandas as pd

_OF_CLOUD = ("cloud_gflops", "cloud_rtt_ms", "cloud_link", "cloud_sharing")


def sweep(
    scenario: Scenario | str | Path,
    placer: str | Placer = "exact",
    allocator: str | Allocator = "waterfilling",
    *,
    stop: Stop | None = None,
    seed: int = 0,
    **values: Iterable[Any],
) -> pd.DataFrame:
    """Return a pandas frame with a row for each combination of `values`: the best plan's delay, bound and gap.

    Parameters
    ----------
    scenario
        What to start from: a scenario or the path of its file.
    placer, allocator, stop, seed
        As of `solve`.
    values
        What to try of each key: a field of the cloud, such as ``cloud_gflops=[50, 100]``; an option, such as
        ``delay=["md1", "tandem"]``; a number that all nodes then have, such as ``arrival_rate=[1, 2]``; or, by its
        name, the capacity of a server or a link, ``**{"cell-3": [20, 50]}``.

    Returns
    -------
    A column for each key, then ``delay_s`` (of what is minimised), ``lower_bound_s``, ``gap``, ``mean_delay_s``,
    ``worst_delay_s`` and ``status``. Where no plan exists numbers are NaN, and the status is "infeasible".

    Raises
    ------
    InputError
        If a key is unknown, or a value impossible.
    BackendMissing
        If pandas is not installed.

    Examples
    --------
    >>> from dmcjia_opt import generate, sweep
    >>> frame = sweep(generate("paper", nodes=5, seed=1), cloud_gflops=[100, 200, 400])
    >>> bool(frame["delay_s"].is_monotonic_decreasing), frame["status"].unique().tolist()
    (True, ['optimal'])
    """
    check_arguments(sweep, locals(), "scenario", "placer", "allocator", "values")
    start = scenario_of(scenario)
    if not values:
        raise InputError(
            f"sweep needs what to try, such as cloud_gflops=[50, 100]; it knows {', '.join(_known(start))}"
        )
    for key, tried in values.items():
        if isinstance(tried, str | Mapping) or not isinstance(tried, Iterable):
            raise InputError(f"sweep: {key} must be a list of values to try, got {described(tried)}")
    columns: dict[str, list[Any]] = {}
    for point in product(*values.values()):
        row = dict(zip(values, point, strict=True))
        changed = start
        for key, value in row.items():
            changed = _changed(changed, key, value)
        for key, value in (row | _outcome(changed, placer, allocator, stop, seed)).items():
            columns.setdefault(key, []).append(value)
    return frame_of(columns)


def _outcome(
    scenario: Scenario, placer: str | Placer, allocator: str | Allocator, stop: Stop | None, seed: int
) -> dict[str, Any]:
    try:
        plan = solve(scenario, placer, allocator, stop=stop, seed=seed)
    except InfeasibleError:
        none = dict.fromkeys(("delay_s", "lower_bound_s", "gap", "mean_delay_s", "worst_delay_s"), np.nan)
        return none | {"status": "infeasible"}
    return {
        "delay_s": plan.objective,
        "lower_bound_s": plan.lower_bound,
        "gap": plan.gap,
        "mean_delay_s": plan.mean_delay,
        "worst_delay_s": plan.worst_delay,
        "status": str(plan.status),
    }


def _known(scenario: Scenario) -> list[str]:
    named = (*(server.name for server in scenario.servers), *(link.name for link in scenario.links))
    return [*_OF_CLOUD, *Options.model_fields, *QUANTITIES, *OPTIONAL, *named]


def _changed(scenario: Scenario, key: str, value: Any) -> Scenario:  # noqa: ANN401 - of any key
    """Return a scenario in which one thing is another."""
    if key in _OF_CLOUD:
        return replace(scenario, **{key: value})
    if key in Options.model_fields:
        said = scenario.options.model_dump(exclude_unset=True) | {key: value}
        return replace(scenario, options=Options(**said))
    if key in (*QUANTITIES, *OPTIONAL):
        number = ARRIVALS[value] if key == "arrivals" and value in ARRIVALS else value
        try:
            columns: dict[str, Any] = {key: np.full(scenario.n_nodes, number, dtype=np.float64)}
        except (TypeError, ValueError):
            raise InputError(f"sweep: {key} must be a number for all nodes, got {described(value)}") from None
        return replace(scenario, nodes=replace(scenario.nodes, **columns))
    for field, capacity in (("servers", "compute_gflops"), ("links", "mbps")):
        entries: list[Any] = list(getattr(scenario, field))
        for k, entry in enumerate(entries):
            if entry.name == key:
                entries[k] = type(entry)(**entry.model_dump(exclude_unset=True) | {capacity: value})
                changes: dict[str, Any] = {field: entries}
                return replace(scenario, **changes)
    known = _known(scenario)
    hint = did_you_mean(key, known) or f"; it knows {', '.join(known)}"
    raise InputError(f'sweep: there is no "{key}" to change{hint}')
