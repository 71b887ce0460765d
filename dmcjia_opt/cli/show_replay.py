"""A replay, on the terminal."""

from __future__ import annotations

import numpy as np
from rich.markup import escape

from dmcjia_opt.base.showing import percent
from dmcjia_opt.cli.show import console, facts, show_table, table_of
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.online.replay import Replay
from dmcjia_opt.studies.online.telling import lead, spell


def show_replay(found: Replay) -> None:
    """Print a row a policy, and what is proved of all of them."""
    trace, spans = found.trace, found.trace.spans
    n = found.scenario.n_nodes
    title = f"{found.scenario.name}: {n:,} node{'s' if n > 1 else ''} over {spell(trace.end)} of {trace.label}"
    columns = ("mean", "over the bound", "p95 of time", "plans", "switches", "unserved")
    table = table_of("policy", numbers=columns)
    for run in found.runs:
        unserved = run.unserved(spans)
        table.add_row(
            escape(run.policy),
            seconds(run.mean_delay(spans)),
            percent(max(found.regret(run), 0.0)),
            seconds(run.quantile(spans, 0.95)),
            f"{int(run.planned.sum()):,}",
            f"{int(run.switched.sum()):,}",
            seconds(unserved) if unserved else "–",
        )
    show_table(table, escape(title))
    took = float(np.median(np.concatenate([run.plan_seconds for run in found.runs])))
    bound = f"{seconds(found.lower_bound)}, the mean of what is proved of every step"
    console().print(facts((("lower bound", bound), ("a plan took", f"{seconds(took)} in the middle"))))
    console().print(escape(lead(found)))
    console().print(escape(f"That holds for plans with {found.scenario.rule}, while a step lasts."))
