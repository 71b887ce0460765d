"""From a fleet in parts to a certified plan: prices from passes over the parts, rows from one more."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.bounds.certificate import judge, relative_gap
from dmcjia_opt.bounds.crowds import Chosen, PartedCrowd, Step
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, DualPoint
from dmcjia_opt.bounds.maximise import SAMPLE
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.parquet_nodes import names_in
from dmcjia_opt.model.scenario.parted import Surveyed
from dmcjia_opt.solving.choices import choices_of
from dmcjia_opt.solving.contract import Callback, Status, Stop, TracePoint, proved
from dmcjia_opt.solving.fleets import Passes, chosen, delay_at, filled, price_of
from dmcjia_opt.solving.node_rows import table_of
from dmcjia_opt.solving.parts.crews import Foreman
from dmcjia_opt.solving.parts.shelf import Shelf, roots, sample
from dmcjia_opt.solving.parts.totals import Totals, fits, together, totals_of
from dmcjia_opt.solving.plan import PlanHead
from dmcjia_opt.solving.registry import LIBRARIES

if TYPE_CHECKING:
    import pyarrow as pa

#: Methods that plan a fleet in parts.
PLACERS, ALLOCATORS = ("exact", "lagrangian"), ("waterfilling",)

#: Takes the rows of the parts, in their order.
Keep = Callable[[Iterator["pa.Table"]], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PartedPlan(PlanHead):
    """A plan of a fleet in parts, whose rows are elsewhere (see `PlanHead` for the claims).

    Parameters
    ----------
    n_nodes, n_parts
        How many nodes it is of, in how many parts.
    resources
        What they share.
    total
        What its rows come to.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import Foreman, in_process
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet = small_parts("plan")
    >>> plan = solve_parts(Foreman(fleet, in_process(fleet)))
    >>> round(plan.total.quantile(0.9), 3), plan.to_dict("plan.parquet")["parts"]
    (0.575, 3)
    """

    n_nodes: int
    n_parts: int
    resources: tuple[Resource, ...]
    total: Totals

    def __repr__(self) -> str:
        return self.in_words(self.n_nodes)

    def to_dict(self, rows_file: str = "") -> dict[str, Any]:
        """Return the content of a plan file whose rows are in another one."""
        return {
            **self.claims(self.resources, self.total.used, self.total.load, np.zeros(len(self.resources))),
            "rows_file": rows_file,
            "parts": self.n_parts,
            "scenario_sha256": self.scenario_sha256,
            **self.provenance(),
        }

    def to_brief_dict(self) -> dict[str, Any]:
        """Return the content of the plan file without its lists."""
        return {key: value for key, value in self.to_dict().items() if not isinstance(value, list)}

    def save(self, path: str | Path, rows_file: str) -> None:
        """Write what is not in its rows as JSON; the file appears whole or not at all."""
        write_text(path, json.dumps(self.to_dict(rows_file), indent=1, allow_nan=False) + "\n")


def solve_parts(
    foreman: Foreman,
    *,
    placer: str = "exact",
    allocator: str = "waterfilling",
    stop: Stop | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    keep: Keep | None = None,
) -> PartedPlan:
    """Return a certified plan of a fleet in parts.

    Parameters
    ----------
    foreman
        Who asks the parts.
    placer, allocator
        One of `PLACERS`, and one of `ALLOCATORS`.
    stop
        The budget; a plan that was met before it was spent is kept.
    seed
        Nothing is random here: it is written down.
    callback
        Called with a `TracePoint` after every pass.
    keep
        Takes the rows of the parts.

    Raises
    ------
    InputError, InfeasibleError, BackendFailed
        If the fleet or a method is one for memory, no plan exists, a part cannot be read, or its process is lost.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import Foreman, crew_here
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet = small_parts("solve")
    >>> with crew_here(fleet, workers=1) as crew:
    ...     solve_parts(Foreman(fleet, crew))
    ...
    Plan(300 nodes, mean delay 399.593 ms, gap ..., optimal, by exact + waterfilling)
    """
    parted, stop = foreman.parted, stop or Stop()
    for kind, name, known in (("placer", placer, PLACERS), ("allocator", allocator, ALLOCATORS)):
        if name.partition(":")[0] not in known:
            raise InputError(f'a fleet in parts is planned by the {kind} {" or ".join(known)}, not "{name}"')
    parted.check()
    began, started = datetime.now(UTC), time.perf_counter()
    surveyed = foreman.survey()
    passes = Passes(foreman.asked, len(parted.files), parted.n_nodes, stop, callback)
    crowd, point = _planned(passes, _beginning(foreman, surveyed))
    totals: list[Totals] = []

    def tables() -> Iterator[pa.Table]:
        each = ([entry] * len(parted.files) for entry in (point.prices, crowd.steps, keep is not None))
        for table, total in foreman.each(written, (), *each):
            totals.append(total)
            yield table

    if keep is None:
        for _ in tables():
            pass
    else:
        keep(tables())
    total = together(totals)
    if total.violation or not fits(total.used, parted.n_nodes):
        raise InfeasibleError(f"no plan was found: {total.violation or 'the shares exceed what there is'}")
    assert passes.best is not None  # or there were no prices to plan with
    objective, bound = total.mean_delay, min(passes.bound, total.mean_delay)
    passes.trace.append(TracePoint(passes.count, passes.seconds, objective, bound))
    gap = relative_gap(objective, bound)
    options = parted.first.options
    return PartedPlan(
        status=proved(gap, stop.tolerance, Status.LIMIT if passes.limited else Status.FEASIBLE),
        objective=objective,
        lower_bound=bound,
        gap=gap,
        gap_tolerance=stop.tolerance,
        mean_delay=objective,
        worst_delay=total.worst_delay,
        placer=placer,
        allocator=allocator,
        seed=seed,
        evaluations=passes.count,
        wall_seconds=time.perf_counter() - started,
        prices=passes.best.prices,
        bound_from="dual",
        scenario_sha256=surveyed.sha256(),
        trace=tuple(passes.trace),
        versions=installed_versions(LIBRARIES),
        bound_holds_for=surveyed.example.rule,
        notes=surveyed.cautions,
        cautions=surveyed.network_cautions,
        limits=stop,
        started=began.isoformat(timespec="seconds"),
        scenario_name=parted.first.name,
        statistic=options.statistic,
        n_nodes=parted.n_nodes,
        n_parts=len(parted.files),
        resources=total.resources,
        total=total,
    )


def _beginning(foreman: Foreman, surveyed: Surveyed) -> FloatArray:
    """Return prices (n_resources,) that are not far from the best ones (see `fleets.beginning`)."""
    files, n = foreman.parted.files, foreman.parted.n_nodes
    if len(surveyed.whole.shared) > 1:
        return np.asarray(np.sum(list(foreman.each(roots)), axis=0) ** 2)
    wanted = [SAMPLE * part.n_nodes // n for part in files]
    return price_of([problem for some in foreman.each(sample, (), wanted) for problem in some], n)


def _planned(passes: Passes, near: FloatArray) -> tuple[PartedCrowd, DualPoint]:
    """Return the best crowd with one option a node, and the prices at which it uses up what there is."""
    best: tuple[PartedCrowd, DualPoint] | None = None
    for crowd in chosen(passes, near) or _unpriced(passes, len(near)):
        assert passes.best is not None  # since there is a crowd
        point = filled(crowd, np.maximum(passes.best.prices, LEAST_PRICE))
        if (
            (point.use <= 1.0).all()
            and math.isfinite(point.value)
            and (best is None or delay_at(point) < delay_at(best[1]))
        ):
            best = crowd, point
        if passes.limited or (best and relative_gap(delay_at(best[1]), passes.bound) <= passes.stop.tolerance):
            break
    if best is None:
        raise InfeasibleError("no plan was found at the best prices: the fleet fills what it shares, up to rounding")
    return best


def _unpriced(passes: Passes, n_resources: int) -> list[PartedCrowd]:
    """Return the crowd where nobody uses what is shared, which then has no price.

    Raises
    ------
    InfeasibleError
        If no price is high enough, because there is no plan.
    """
    free = np.full(n_resources, LEAST_PRICE)
    point = passes.crowd.ask(free)
    if math.isfinite(point.value) and (point.use <= 1.0).all():
        prices = tuple(free.tolist())
        return [passes.crowd.after(Chosen(prices, prices))]
    point = passes.crowd.ask(np.full(n_resources, MOST_PRICE))
    if not math.isfinite(point.value):
        raise InfeasibleError(
            "no plan exists: some node has no option that its limits, its deadline and its load leave"
        )
    raise InfeasibleError(
        f"no plan exists: every plan loads what is shared to {100 * float(point.use.max()):.4g} % at least; add "
        "capacity, or lower arrival_rate"
    )


def written(
    shelf: Shelf, place: int, prices: FloatArray, steps: tuple[Step, ...], rows: bool
) -> tuple[pa.Table | None, Totals]:
    """Return the rows of a part, if they are wanted, and what they come to."""
    part, scenario = shelf.part(place), shelf.parted.scenario(place)
    options, shares = part.plan(steps, prices)
    problem, none = part.fleet.at(options), np.zeros(len(options), dtype=np.int64)
    verdict = judge(problem, none, shares, scenario.nodes.names)
    choices = choices_of(scenario, problem, none, shares, options)
    delays = problem.breakdown(none, shares)
    file = shelf.parted.files[place]
    networks = [scenario.profiles[network].name for network in scenario.nodes.networks]
    total = totals_of(
        problem, choices, networks, delays.total, f"{file.path}: {verdict.violation}" if verdict.violation else ""
    )
    if not rows:
        return None, total
    return table_of(names_in(file), networks, choices, delays), total
