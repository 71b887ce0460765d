"""Progress on standard error, where there is a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


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
    """

    def __init__(self, title: str, *columns: ProgressColumn, total: float | None = 1.0) -> None:
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(escape(title), total=total, state="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, fraction: float, state: str = "") -> None:
        """Show that `fraction` of the work is done, and the `state` in the columns that ask for it."""
        self._progress.update(self._task, completed=fraction, state=state)


class Bar(Live):
    """Shows how much of the work is done, how long it took and about how long it will.

    Parameters
    ----------
    title
        What is running.
    state
        The column that says how much is done: by default the percentage.
    """

    def __init__(self, title: str, state: str = "{task.percentage:>3.0f} %") -> None:
        super().__init__(
            title,
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn(state),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )

    def update(self, fraction: float) -> None:
        """Show that `fraction` of the work is done."""
        self.show(fraction)

    def update_part(self, part: int, parts: int, fraction: float) -> None:
        """Show that `part` of `parts` equal pieces of work, and `fraction` of the next, are done."""
        self.show((part + fraction) / parts)
