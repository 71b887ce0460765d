"""What the command line shows of benchmarks: the suites there are, and a summary of rows."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping

from rich.markup import escape

from dmcjia_opt.base.showing import counted
from dmcjia_opt.cli.show import console, facts, show_table, table_of
from dmcjia_opt.studies.bench.lineup import expand
from dmcjia_opt.studies.bench.planning import estimate
from dmcjia_opt.studies.bench.rows import Outcome, Row
from dmcjia_opt.studies.bench.suites import Block, Suite
from dmcjia_opt.studies.look.words import scientific


def show_suites(suites: Mapping[str, Suite], workers: int) -> None:
    """Print every suite with its instances, methods, budgets and estimated cost."""
    out = console()
    for suite in suites.values():
        runs, seconds = estimate(suite, workers)
        out.print(
            f"[bold]{suite.name}[/bold]: {suite.summary}; {runs} runs, about {_duration(seconds)} with {workers} "
            f"worker{'s' if workers > 1 else ''}",
            highlight=False,
        )
        rows = []
        for block in suite.blocks:
            methods = expand(block.kind, block.methods, exact=block.exact)
            kinds = "policies" if block.kind == "policy" else f"{block.kind}s"
            where = ", ".join(block.instances) + (f" along {block.trace}" if block.trace else "")
            rows += [(f"  {kinds}", escape(", ".join(methods))), ("  on", escape(where)), ("  budget", _budget(block))]
        out.print(facts(rows))
        out.print()


def show_rows(rows: Iterable[Row]) -> None:
    """Print one line a method: how its runs ended, and the medians of gap and time."""
    by_method: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_method.setdefault((row.kind, row.method), []).append(row)
    table = table_of("method", numbers=("runs", "answers", "false", "gap", "error", "s"), prose=("other",))
    for (kind, method), found in by_method.items():
        answers = [row for row in found if row.outcome == Outcome.ANSWER]
        counts = Counter(row.outcome for row in found)
        errors = [row.worst_error for row in answers if row.worst_error is not None]
        times = [row.wall_seconds / (row.plans or 1) for row in answers if row.wall_seconds is not None]
        gaps = [row.gap for row in answers if row.gap is not None]
        table.add_row(
            escape(f"{method} (a plan)" if kind == "allocator" else method),
            str(len(found)),
            str(len(answers)),
            str(sum(row.correct is False for row in found)),
            scientific(statistics.median(gaps)) if gaps else "–",
            scientific(max(errors)) if errors else "–",
            f"{statistics.median(times):.2g}" if times else "–",
            ", ".join(f"{counts[other]} {other}" for other in Outcome if other != Outcome.ANSWER and counts[other]),
        )
    show_table(table)
    console().print("gap and s are medians, error is the worst; false: claims that are contradicted")


def _budget(block: Block) -> str:
    stop = block.stop
    words = [f"{stop.evaluations:,} evaluations"] if stop.evaluations is not None else []
    words += [counted(block.plans, "plan")] if block.plans else []
    words += [f"{stop.seconds:g} s"] if stop.seconds is not None else []
    words += [f"gap {stop.gap:g}"] if stop.gap is not None else []
    words += [f"{block.seeds} seed{'s' if block.seeds > 1 else ''}"]
    return f"{', '.join(words)}; killed after {block.hard_limit:g} s or at {block.memory_mb:g} MB"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
