"""Numbers and answers in words: the same on the terminal and in reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.showing import counted, percent, power_of_ten
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.resources import Resource, Sharing
from dmcjia_opt.solving.contract import Status

#: Units of time and their size, s.
UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


_SHARING: Mapping[Sharing, str] = MappingProxyType(
    {"reserved": "reserved", "fifo": "one queue for all", "ps": "all at once"}
)
_BOUNDS = {"dual": "the price of cloud capacity", "benders": "Benders cuts; it rests on HiGHS"}
_PRICES = "the prices of what is shared"


class Proved(Protocol):
    """A plan with its proof: the delay that was minimised and its lower bound in s, and the relative gap of them."""

    @property
    def status(self) -> Status:
        """OPTIMAL where the gap is closed."""

    @property
    def bound_holds_for(self) -> str:
        """What the plans have in common that the bound is about."""

    @property
    def worst(self) -> bool:
        """Whether the delay of the worst node was minimised, not the mean."""

    @property
    def objective(self) -> float:
        """What was minimised, s."""

    @property
    def lower_bound(self) -> float:
        """Proved lower bound on the optimum, s."""

    @property
    def gap(self) -> float:
        """(objective − lower bound)/objective."""


def unit_of(largest: float) -> tuple[str, float]:
    """Return the unit in which durations up to `largest` seconds read well, and its size, s."""
    return next(((unit, size) for unit, size in UNITS if largest >= size), UNITS[-1])


def source_of_bound(bound_from: str, n_resources: int = 1) -> str:
    """Return what a lower bound rests on, by its name in plan files."""
    if bound_from == "dual" and n_resources > 1:
        return _PRICES
    return _BOUNDS.get(bound_from, bound_from)


def seconds(value: float) -> str:
    """Return a duration with a unit that suits its size."""
    if not math.isfinite(value):
        return "∞"
    for unit, size in UNITS:
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.3g} s"


def in_percent(share: float) -> str:
    """Return a share of something as a percentage of three digits."""
    return f"{100 * share:.3g} %"


def cuts_of(cuts: Sequence[int], n_layers: int) -> str:
    """Return where a network is cut: the split and the number of layers, or both cuts."""
    return " | ".join(map(str, cuts)) if len(cuts) > 1 else f"{cuts[0]}/{n_layers}"


def tensors_at(profile: LayerProfile, cut: int, most: int = 2) -> str:
    """Return the tensors that cross a cut, the first of many; empty where nobody named them and at the raw input."""
    tensors = profile.cut_tensors_of(cut) if cut else None
    if tensors is None:
        return ""
    others = len(tensors) - most
    return ", ".join([*map(str, tensors[:most]), *([f"{others} more"] if others > 0 else [])])


def share_of(name: str, shares: float | list[float] | None) -> str:
    """Return a share of something by name, or both where it is used twice; nothing but the name where it is pooled."""
    if shares is None:
        return name
    return f"{name} {' + '.join(map(in_percent, shares if isinstance(shares, list) else [shares]))}"


def sharing_of(resource: Resource) -> str:
    """Return how something is shared."""
    return _SHARING[resource.sharing] + (f" in batches of up to {resource.batches[-1][0]}" if resource.batches else "")


def pooled_in_words(resource: Resource, load: float, wait: float) -> str:
    """Return how something is shared in which nobody has a share: how busy it is, and what tasks wait there."""
    busy = "of what full batches could do" if resource.batches else "busy"
    beyond = "a wait of" if resource.sharing == "fifo" else "a task takes longer by"
    return f"{sharing_of(resource)}, {in_percent(load)} {busy}, {beyond} {seconds(wait)}"


def scientific(gap: float) -> str:
    """Return a relative gap in scientific notation; what is below 1e-12 is rounding, and +inf is no gap at all."""
    if math.isnan(gap):
        return "–"
    if math.isinf(gap):
        return "none"
    if gap < 1e-12:
        return "< 1e-12"
    return power_of_ten(gap)


def delay_called(statistic: str, *, worst: bool) -> str:
    """Return what the delay that was minimised is called: ``"mean delay"``, or ``"p95 delay of the worst node"``."""
    if worst:
        return f"{'' if statistic == 'mean' else f'{statistic} '}delay of the worst node"
    return "mean delay" if statistic == "mean" else f"mean {statistic} delay"


def dearness(price: float, prices: FloatArray, *, worst: bool) -> str:
    """Return what a price says of its resource: what 1 % more of it saves.

    For the worst node prices are a matter of proportion: then which part it has of them all.
    """
    if worst:
        return in_percent(price / float(prices.sum())) if price else "none"
    return seconds(0.01 * price) if price else "nothing"


def deadlines_kept(names: Sequence[str], delays: FloatArray, deadlines: FloatArray) -> str:
    """Return how many deadlines a plan keeps, and which of them has least to spare; empty where there are none.

    Parameters
    ----------
    names, delays, deadlines
        (n_nodes,) of each node, s; +inf where it has no deadline.
    """
    number, d = int(np.isfinite(deadlines).sum()), int((delays / deadlines).argmax())
    if not number:
        return ""
    kept = "1, kept" if number == 1 else f"{number:,}, all kept"
    took = f"{seconds(float(delays[d]))} of {seconds(float(deadlines[d]))}"
    return f"{kept}; the tightest is that of {names[d]}, which takes {took}"


def in_plain_words(plan: Proved) -> str:
    """Return how good the plan is, and under which rule."""
    faster = f"than {seconds(plan.lower_bound)}, {percent(plan.gap)} below this one"
    if plan.status == Status.OPTIMAL:
        faster = f"by more than {percent(plan.gap)} of this delay"
    what = "no plan has a worst node that is faster" if plan.worst else "no plan is faster"
    return f"Proved: {what} {faster}. That holds for plans with {plan.bound_holds_for}."


def budget(seconds: float | None, evaluations: float | None, gap: float | None) -> list[str]:
    """Return the limits of a search in words; None is no limit."""
    return [
        *([] if seconds is None else [f"{seconds:g} s"]),
        *([] if evaluations is None else [counted(int(evaluations), "plan")]),
        *([] if gap is None else [f"gap {percent(gap)}"]),
    ]
