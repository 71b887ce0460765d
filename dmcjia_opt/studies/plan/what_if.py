"""What more capacity would buy: the changed fleet planned anew, with proof, and with the splits held.

In words a change is one number where it is proved, "at least" and "at most" where a gap is open. A gap that the digits
shown do not tell apart counts as none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent
from dmcjia_opt.base.showing import percent
from dmcjia_opt.bounds.certificate import judge, relative_gap
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.services import StageTimes
from dmcjia_opt.solving.contract import OPTIMALITY_GAP, Status, Stop
from dmcjia_opt.solving.running import place
from dmcjia_opt.studies.look import words
from dmcjia_opt.studies.look.page import Cell
from dmcjia_opt.studies.plan.subject import Subject

#: How much more of something each change gives, relative.
MORE = 0.1
#: Wall time limit of each search, s.
SEARCH_SECONDS = 10.0
#: Resources of which more is planned, at most: those with the highest prices.
MOST_RESOURCES = 8
#: Relative to the plan's delay, what is closer to nothing than this is rounding.
_NOTHING = 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class Least:
    """What is known of the least delay of a fleet, of the mean or the worst node.

    Parameters
    ----------
    bound
        No plan is faster, s; +inf where no plan exists.
    reached
        A plan of this delay was found, s; +inf where none was.
    bound_from
        What the bound rests on.
    delays
        (n_nodes,) of the nodes in that plan, s; empty where it is not known.
    """

    bound: float
    reached: float
    bound_from: str = "dual"
    delays: FloatArray = field(default_factory=absent)

    @property
    def closed(self) -> bool:
        """Whether the two meet."""
        return relative_gap(self.reached, self.bound) <= OPTIMALITY_GAP


@dataclass(frozen=True, slots=True, eq=False)
class WhatIf:
    """One change of the fleet.

    Parameters
    ----------
    name
        What is changed, in words.
    least
        The least delay then.
    held
        Delay, s, with the plan's options and the best shares for them; +inf where these have no plan.
    resource
        Of which resource there is more; None where that is not what is changed.
    """

    name: str
    least: Least
    held: float
    resource: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class WhatIfs:
    """The fleet as it is, and each change of it; `unchanged` is None where the plan is known to be optimal."""

    unchanged: WhatIf | None
    changes: tuple[WhatIf, ...]

    def best(self, subject: Subject) -> Least:
        """Return what is known of the fleet as it is."""
        known = Least(subject.lower_bound, subject.objective)
        if self.unchanged is None:
            return known
        again = self.unchanged.least
        return Least(max(known.bound, again.bound), min(known.reached, again.reached))


def least_delay(problem: Problem, seconds: float) -> Least:
    """Search for the optimum with its proof, for at most `seconds`."""
    found = place(Exact(), problem, WaterFilling(), stop=Stop(seconds=seconds))
    if found.shares is None:
        return Least(found.lower_bound, math.inf, found.bound_from or "dual")
    reached = judge(problem, found.options, found.shares).objective
    delays = problem.node_delay(found.options, found.shares)
    return Least(min(found.lower_bound, reached), reached, found.bound_from or "dual", delays)


def best_shares(problem: Problem, options: IntArray) -> float:
    """Return the delay of given options (n_nodes,) with the best shares, s; +inf where there are none."""
    return judge(problem, options, WaterFilling().allocate(problem, options[None, :]).shares[0]).objective


def what_ifs(
    subject: Subject, seconds: float = SEARCH_SECONDS, progress: Callable[[float], None] | None = None
) -> WhatIfs:
    """Plan every change anew.

    Parameters
    ----------
    subject
        The plan.
    seconds
        Wall time limit of each of the searches: one a change, and one without any if the plan is not optimal.
    progress
        Called with the part of the searches that is done.
    """
    search = partial(changed, subject, seconds)
    unchanged = None
    if subject.status != Status.OPTIMAL:
        unchanged = search("as it is", subject.problem)
    changes, wanted = [], _changes(subject)
    for k, (name, (times, resource)) in enumerate(wanted.items()):
        if progress is not None:
            progress((k + 1) / (len(wanted) + 1))
        changes.append(search(name, compile_problem(subject.scenario, times), resource))
    return WhatIfs(unchanged, tuple(changes))


def delay_cell(low: float, high: float) -> Cell:
    """Return a delay known to lie between `low` and `high`, s."""
    if math.isinf(low):
        return Cell("no plan", math.inf)
    if _closed(low, high) or words.seconds(low) == words.seconds(high):
        return Cell(words.seconds(high), high)
    return Cell(f"{words.seconds(low)} to {words.seconds(high)}", high)


def saving_cell(objective: float, low: float, high: float) -> Cell:
    """Return what a delay between `low` and `high`, s, saves against `objective`."""
    if math.isinf(low):
        return Cell("–", -math.inf)
    least, most = objective - high, objective - low
    said = _saving(least, objective), _saving(most, objective)
    if _closed(low, high) or said[0] == said[1]:
        return Cell(said[0], least)
    if least <= _NOTHING * objective:
        return Cell(f"at most {said[1]}", least)
    return Cell(f"at least {said[0]}, at most {said[1]}", least)


def costs(whole: Least, less: Least) -> str:
    """Return in words how much longer the least delay of a fleet is than that of another: in time, and relatively."""
    least, most = whole.bound - less.reached, whole.reached - less.bound
    if most <= _NOTHING * whole.reached:
        return "nothing"
    high = _more(most, less.bound)
    if (whole.closed and less.closed) or _more(least, less.reached) == high:
        return high
    return f"at most {high}" if least <= _NOTHING * whole.reached else f"{_more(least, less.reached)} to {high}"


def _more(longer: float, than: float) -> str:
    return f"{words.seconds(longer)} ({percent(longer / than)})"


def changed(subject: Subject, seconds: float, name: str, problem: Problem, resource: int | None = None) -> WhatIf:
    """Plan a changed fleet anew, for at most `seconds`, and with the plan's options."""
    held = best_shares(problem, subject.options)
    least = least_delay(problem, seconds)
    return WhatIf(name, replace(least, reached=max(min(least.reached, held), least.bound)), held, resource)


def dearest(prices: FloatArray, most: int) -> list[int]:
    """Return the resources with the highest prices, `most` of them at most, the highest first."""
    return [int(r) for r in np.argsort(-prices, kind="stable")[:most]]


def _called(subject: Subject, r: int) -> str:
    return subject.choices.resources[r].name if subject.several else "cloud"


def _changes(subject: Subject) -> dict[str, tuple[StageTimes, int | None]]:
    """Return the service times after each change, by what it is in words, and the resource that it is of."""
    times, more = subject.times, f"{100 * MORE:.0f} % more"
    faster = {which: service / (1.0 + MORE) for which, service in times.measured.items()}
    found: dict[str, tuple[StageTimes, int | None]] = {
        f"{more} {_called(subject, r)}": (times.with_more(r, 1.0 + MORE), r)
        for r in dearest(subject.prices, MOST_RESOURCES)
    }
    if np.isfinite(times.bandwidth).any():
        wider = replace(times, bandwidth=times.bandwidth * (1.0 + MORE))
        found[f"{more} bandwidth for every node{'’s own uplink' if subject.several else ''}"] = wider, None
    compute = replace(times, compute=times.compute * (1.0 + MORE), measured=faster)
    return found | {f"{more} compute for every node": (compute, None)}


def _closed(low: float, high: float) -> bool:
    return relative_gap(high, low) <= OPTIMALITY_GAP


def _saving(saved: float, objective: float) -> str:
    if abs(saved) <= _NOTHING * objective:
        return "nothing"
    if saved < 0:
        return f"slower by {words.seconds(-saved)} ({percent(-saved / objective)})"
    return f"{words.seconds(saved)} ({percent(saved / objective)})"
