"""Progress on standard error, where there is a terminal."""

from __future__ import annotations

import math
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dmcjia_opt.base.showing import counted, percent
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.solving.contract import Stop, TracePoint
from dmcjia_opt.studies.look.words import seconds

_TITLE = "{task.description}"
_FOREVER = 1e6  # s
_TITLED, _BARRED = 80, 110  # columns of a terminal from which on a search has a title, and a bar


class Live:
    """Columns that live on standard error inside a ``with``, and leave nothing behind.

    Parameters
    ----------
    title
        What is running.
    columns
        What is shown of it.
    total
        The length of the bar; None where it is not known.
    quiet
        Whether nothing is shown.
    """

    def __init__(self, title: str, *columns: ProgressColumn, total: float | None = 1.0, quiet: bool = False) -> None:
        console = Console(stderr=True)
        disabled = quiet or not console.is_terminal
        self._progress = Progress(*columns, console=console, transient=True, disable=disabled)
        self._task = self._progress.add_task(escape(title), total=total, state="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, fraction: float, state: str = "") -> None:
        """Show that `fraction` of the work is done, and the `state` in the columns that ask for it."""
        self._progress.update(self._task, completed=fraction, state=state)

    def show_part(self, part: int, parts: int, fraction: float) -> None:
        """Show that `part` of `parts` equal pieces of work, and `fraction` of the next, are done."""
        self.show((part + fraction) / parts)


def bar(title: str, state: str = "{task.percentage:>3.0f} %", *, quiet: bool = False) -> Live:
    """Return a bar with its `state`, how long the work took and about how long it will."""
    took, left = TimeElapsedColumn(), TimeRemainingColumn()
    columns = TextColumn(_TITLE), BarColumn(bar_width=32), TextColumn(state), took, TextColumn("left"), left
    return Live(title, *columns, quiet=quiet)


def spinner(title: str, *, quiet: bool = False) -> Live:
    """Return a line that shows that work goes on, and for how long."""
    return Live(title, SpinnerColumn(), TextColumn(_TITLE), TimeElapsedColumn(), total=None, quiet=quiet)


class _Left(ProgressColumn):
    """What is left of so many seconds; a search may end before."""

    def __init__(self, budget: float) -> None:
        super().__init__()
        self._budget = budget

    def render(self, task: Task) -> Text:
        """Return it as text."""
        return Text(f"{math.ceil(max(self._budget - (task.elapsed or 0.0), 0.0)):,} s left")


class SearchProgress(Live):
    """Plans evaluated, incumbent and proved gap.

    Parameters
    ----------
    stop
        The budget; it sets the length of the bar.
    title
        What is running.
    quiet
        Whether nothing is shown.
    """

    def __init__(self, stop: Stop, title: str, *, quiet: bool = False) -> None:
        self._stop = stop
        total = 1.0 if stop.seconds is not None or stop.evaluations is not None else None
        width = Console(stderr=True).width
        columns: list[ProgressColumn] = [SpinnerColumn()]
        columns += [TextColumn(_TITLE)] if width >= _TITLED else []
        columns += [BarColumn(bar_width=24)] if width >= _BARRED else []
        columns += [TextColumn("{task.fields[state]}")]
        ends = stop.seconds is not None and stop.seconds < _FOREVER
        columns += [_Left(stop.seconds or 0.0) if ends else TimeElapsedColumn()]
        super().__init__(title, *columns, total=total, quiet=quiet)

    def update(self, point: TracePoint) -> None:
        """Show a point of the search's trace."""
        done = [0.0]
        if self._stop.seconds:
            done.append(point.seconds / self._stop.seconds)
        if self._stop.evaluations:
            done.append(point.evaluations / self._stop.evaluations)
        gap = relative_gap(point.objective, point.lower_bound)
        best = f"best {seconds(point.objective)}, gap {percent(gap)}" if math.isfinite(gap) else "no feasible plan yet"
        self.show(max(done), f"{counted(point.evaluations, 'plan') or 'no plan'}, {best}")


class PassesProgress(Live):
    """Passes over the parts of a fleet: how far this one is, the gap so far, and about how long it all takes.

    Parameters
    ----------
    title
        What is running.
    quiet
        Whether nothing is shown.
    """

    _USUAL = 16  # passes from the first reading to the last row

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        columns = SpinnerColumn(), TextColumn(_TITLE), BarColumn(bar_width=24), TextColumn("{task.fields[state]}")
        left = TimeElapsedColumn(), TextColumn("about"), TimeRemainingColumn(), TextColumn("left")
        super().__init__(title, *columns, *left, quiet=quiet)
        self._passes, self._gap = 0, "no plan yet"

    def answered(self, part: int, parts: int) -> None:
        """Show that `part` of `parts` have answered in this pass."""
        done = self._passes + part / parts
        self.show(
            done / max(self._USUAL, done + 1.0), f"pass {self._passes + 1}, part {part:,} of {parts:,}, {self._gap}"
        )
        if part == parts:
            self._passes += 1

    def update(self, point: TracePoint) -> None:
        """Take up the gap of a point of the search's trace."""
        gap = relative_gap(point.objective, point.lower_bound)
        if math.isfinite(gap):
            self._gap = f"gap {percent(gap)}"
