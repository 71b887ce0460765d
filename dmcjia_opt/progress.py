"""A progress bar on standard error."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """Shows how much of the work is done, how long it took and about how long it will.

    Parameters
    ----------
    title
        What is running.
    """

    def __init__(self, title: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=1.0)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, fraction: float) -> None:
        """Show that `fraction` of the work is done."""
        self._progress.update(self._task, completed=fraction)

    def update_part(self, part: int, parts: int, fraction: float) -> None:
        """Show that `part` of `parts` equal pieces of work, and `fraction` of the next, are done."""
        self.update((part + fraction) / parts)
