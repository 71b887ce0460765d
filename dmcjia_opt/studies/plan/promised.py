"""What promises cost: keeping deadlines, and a worst node that is as fast as it can be.

Both are changes of the fleet like more capacity (`what_if`): planned anew, with proof. Which deadline costs most the
dual says: what its node pays at the plan's prices with the deadline and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.columns import all_columns
from dmcjia_opt.bounds.promises import keeping
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.studies.look.page import Cell
from dmcjia_opt.studies.look.words import delay_called, in_percent, seconds
from dmcjia_opt.studies.plan.subject import Subject
from dmcjia_opt.studies.plan.what_if import Least, WhatIf, WhatIfs, changed, costs, dearest, least_delay, saving_cell

#: Deadlines that are given up one at a time, at most: those that cost most.
MOST_ALONE = 3
#: Relative difference of delays, and of parts of deadlines, that are the same.
_SAME = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Deadlines:
    """What keeping deadlines costs.

    Parameters
    ----------
    priced
        (n_nodes,) what each costs its node at the plan's prices, s; of the worst node, as a part of all that is shared.
    without
        The fleet without any deadline.
    alone
        The nodes whose deadlines cost most, and the fleet without theirs.
    """

    priced: FloatArray
    without: WhatIf
    alone: tuple[tuple[int, WhatIf], ...]


def deadlines_of(subject: Subject, limit: float) -> Deadlines | None:
    """Plan the fleet anew without its deadlines, for at most `limit` seconds each; None where there are none."""
    if not np.isfinite(subject.problem.deadline).any():
        return None
    compiled = partial(compile_problem, times=subject.times)
    free = compiled(subject.scenario.without_deadlines())
    priced = _paid(subject, subject.problem) - _paid(subject, free)
    priced = np.where(priced > _SAME * np.abs(priced).max(), priced, 0.0)
    without = changed(subject, limit, "without deadlines", free)
    alone = []
    several = int(np.isfinite(subject.problem.deadline).sum()) > 1
    for d in np.argsort(-priced, kind="stable")[: MOST_ALONE if several else 0].tolist():
        if priced[d] > 0.0:
            name = f"without that of {subject.scenario.nodes.names[d]}"
            alone.append((d, changed(subject, limit, name, compiled(_without(subject.scenario, d)))))
    return Deadlines(priced, without, tuple(alone))


def _without(scenario: Scenario, d: int) -> Scenario:
    kept = np.arange(scenario.n_nodes) != d
    return replace(
        scenario, nodes=replace(scenario.nodes, deadline_ms=np.where(kept, scenario.nodes.deadline_ms, np.nan))
    )


def _paid(subject: Subject, problem: Problem) -> FloatArray:
    """Return what each node pays at the plan's prices, (n_nodes,), in the unit of `Deadlines.priced`."""
    prices = subject.prices
    if problem.worst:
        return keeping(problem, subject.objective, prices).cost / max(float(prices.sum()), np.finfo(np.float64).tiny)
    paid = np.empty(problem.n_nodes)
    for group in all_columns(problem):
        paid[group.rows] = group.at(prices)[0]
    return paid


def deadline_section(
    subject: Subject,
    found: WhatIfs,
    deadlines: Deadlines | None,
    most_rows: int,
    row_of: Callable[[float, WhatIf], list[Cell | str]],
) -> dict[str, Any]:
    """Return what the page says of deadlines; `row_of` makes a row of a change and the plan's own delay, s."""
    if deadlines is None:
        return {}
    limits, delays = subject.problem.deadline, subject.delays.total
    part = np.where(np.isfinite(limits), delays / limits, -np.inf)
    order: IntArray = np.lexsort((-deadlines.priced, -np.round(part, 9)))[
        : min(int(np.isfinite(limits).sum()), most_rows)
    ]
    number = int(np.isfinite(limits).sum())
    cost = costs(found.best(subject), deadlines.without.least)
    return {
        "number": number,
        "cost": cost,
        "nothing": cost == "nothing",
        "rule": subject.scenario.without_deadlines().rule,
        "dearest": _dearest(subject, deadlines),
        "head": ["node", _called(subject), "deadline", "part of it", "to spare", _priced_as(subject)],
        "rows": [_row(subject, deadlines, d, float(part[d])) for d in order.tolist()],
        "changes": [
            row_of(subject.objective, each) for each in (deadlines.without, *(change for _, change in deadlines.alone))
        ],
    }


def _called(subject: Subject) -> str:
    statistic = subject.scenario.options.statistic
    return "delay" if statistic == "mean" else f"{statistic} delay"


def _priced_as(subject: Subject) -> str:
    return "takes of what is shared" if subject.worst else "costs about"


def _row(subject: Subject, deadlines: Deadlines, d: int, part: float) -> list[Cell | str]:
    delay, limit, paid = float(subject.delays.total[d]), float(subject.problem.deadline[d]), float(deadlines.priced[d])
    spare = limit - delay if part < 1.0 - _SAME else 0.0
    price = in_percent(paid) if subject.worst else seconds(paid)
    return [
        subject.scenario.nodes.names[d],
        Cell(seconds(delay), delay),
        Cell(seconds(limit), limit),
        Cell(in_percent(part), part),
        Cell(seconds(spare) if spare else "nothing", spare),
        Cell(price if paid else "nothing", paid),
    ]


def _dearest(subject: Subject, deadlines: Deadlines) -> str:
    """Return which deadline costs most, in a sentence."""
    if not (deadlines.priced > 0.0).any():
        return "At the plan's prices none of them costs anything." if np.isfinite(subject.prices).all() else ""
    if not deadlines.alone:
        return ""
    d, change = max(deadlines.alone, key=lambda pair: subject.objective - pair[1].least.reached)
    saved = saving_cell(subject.objective, change.least.bound, change.least.reached).text
    name = subject.scenario.nodes.names[d]
    return f"The one that costs most is that of {name}: given up alone, it saves {saved}."


def by_mean(subject: Subject, limit: float) -> Least | None:
    """Plan for the mean, for at most `limit` seconds; None where that is what was planned for."""
    return least_delay(replace(subject.problem, worst=False), limit) if subject.worst else None


def worst_section(subject: Subject, found: WhatIfs, least_mean: Least | None) -> dict[str, Any]:
    """Return what the page says of the worst node."""
    if least_mean is None:
        return {}
    delays, weight, names = subject.delays.total, subject.problem.weight, subject.scenario.nodes.names
    options = subject.scenario.options
    rows = [_plan_row("this plan", delays, weight, names)]
    if least_mean.delays.size:
        least = "the plan of least mean" if least_mean.closed else "the plan of least mean that was found"
        rows.append(_plan_row(least, least_mean.delays, weight, names))
    ties = np.flatnonzero(delays >= delays.max() * (1.0 - _SAME))
    shown = ", ".join(names[d] for d in ties[:5].tolist())
    return {
        "names": shown + (f" and {len(ties) - 5:,} more" if len(ties) > 5 else ""),
        "ties": len(ties),
        "lowers": _bottleneck(subject, found),
        "head": [
            "plan",
            delay_called(options.statistic, worst=True),
            "which",
            delay_called(options.statistic, worst=False),
        ],
        "rows": rows,
        "rule": replace(subject.scenario, options=options.model_copy(update={"objective": "mean"})).rule,
    }


def _plan_row(name: str, delays: FloatArray, weight: FloatArray, names: Sequence[str]) -> list[Cell | str]:
    worst, mean = float(delays.max()), float((weight * delays).sum())
    ties = int((delays >= worst * (1.0 - _SAME)).sum()) - 1
    which = names[int(delays.argmax())] + (f" and {ties:,} more" if ties else "")
    return [name, Cell(seconds(worst), worst), which, Cell(seconds(mean), mean)]


def _bottleneck(subject: Subject, found: WhatIfs) -> str:
    """Return what lowers the delay of the worst node: the resource with the largest part of the prices."""
    (r,) = dearest(subject.prices, 1)
    called = str(subject.choices.resources[r])
    part = float(subject.prices[r] / subject.prices.sum()) if subject.prices.sum() > 0 else 0.0
    change = next((each for each in found.changes if each.resource == r), None)
    if change is None or not part > 0.0:
        return ""
    saved = saving_cell(subject.objective, change.least.bound, change.least.reached).text
    if saved == "nothing":
        return f"More of {called} does not lower it: what is the node's own decides."
    of = f", with {in_percent(part)} of the prices" if len(subject.prices) > 1 else ""
    return f"What lowers it is more of {called}{of}: {change.name} saves {saved}."
