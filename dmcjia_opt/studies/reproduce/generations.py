"""Reads off a search's callbacks where it stood at the end of each generation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dmcjia_opt.solving.contract import TracePoint


@dataclass(slots=True)
class ByGeneration:
    """A callback that keeps one point a generation.

    A genetic search calls back when it finds a new incumbent, and once more at the end of each generation. Only the
    former lowers the objective, so what does not is the end of a generation. When the search is over it calls back
    once more.
    """

    points: list[TracePoint] = field(default_factory=list)
    _best: float = math.inf

    def __call__(self, point: TracePoint) -> None:
        """Take one point of the trace."""
        if point.objective < self._best:
            self._best = point.objective
        else:
            self.points.append(point)

    def after(self, generations: int) -> TracePoint:
        """Return where the search stood after so many generations, or where it ended if that was earlier."""
        return self.points[min(generations, len(self.points)) - 1]
