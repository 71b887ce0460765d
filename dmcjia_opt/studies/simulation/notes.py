"""What recorded arrivals and a scenario do not have in common, in sentences that go before any number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.studies.simulation.arrivals import Trace

_SHOWN = 5
#: Rates differ where they are so far apart, beyond four standard errors of a Poisson process.
_APART = 0.1


def notes(
    trace: Trace,
    names: Sequence[str],
    rates: tuple[FloatArray, FloatArray],
    tasks: int | None,
    each: IntArray,
    quiet: BoolArray,
) -> Iterator[str]:
    """Yield a sentence for each thing that a reader of the results must know.

    Parameters
    ----------
    trace
        The recorded arrivals.
    names
        (n_nodes,) of the scenario's nodes.
    rates
        (n_nodes,) arrivals a second: the trace's, and the scenario's.
    tasks
        Tasks a node that were asked for, None for all.
    each
        (n_nodes,) tasks that are simulated.
    quiet
        (n_nodes,) those with too few for an interval.
    """
    if quoted := [f'"{name}"' for name in trace.strangers(names)]:
        yield f"{trace.label} has arrivals of nodes that the scenario does not have, left out: {_listed(quoted)}"
    if quiet.any():
        few = [f'"{names[d]}" ({each[d] or "none"})' for d in np.flatnonzero(quiet).tolist()]
        yield (
            f"{trace.label} has too few arrivals for an interval of {_listed(few)}; the means are of the other "
            f"{(~quiet).sum():,} of {len(names):,} nodes"
        )
    if tasks is not None and (short := np.flatnonzero(~quiet & (each < tasks))).size:
        fewer = [f'"{names[d]}" ({each[d]:,})' for d in short.tolist()]
        yield f"{trace.label} has fewer than the {tasks:,} tasks asked for, and all are taken, of {_listed(fewer)}"
    own, planned = rates
    far = np.flatnonzero(differ(own, planned, each) & ~quiet)
    if far.size:
        farthest = far[np.argsort(-np.abs(np.log(own[far] / planned[far])), kind="stable")]
        pairs = [f'"{names[d]}" {own[d]:.4g}/s, not {planned[d]:.4g}/s' for d in farthest.tolist()]
        yield (
            f"{trace.label} has other arrival rates than the scenario, for which the plan and the model's delays are: "
            f"{_listed(pairs, '; ')}; set arrival_rate to the recorded ones, and solve again"
        )


def differ(own: FloatArray, planned: FloatArray, each: IntArray) -> BoolArray:
    """Return (n_nodes,) where two rates, 1/s, are further apart than chance has it in so many arrivals."""
    return np.asarray(np.abs(own / planned - 1.0) > _APART + 4.0 / np.sqrt(np.maximum(each, 1)))


def _listed(words: Sequence[str], between: str = ", ") -> str:
    more = len(words) - _SHOWN
    return between.join(words[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
