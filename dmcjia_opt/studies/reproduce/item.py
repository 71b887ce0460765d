"""What an item of the evaluation is: jobs that can run anywhere, and a conclusion drawn from their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from dmcjia_opt.base.processes import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure

R = TypeVar("R")

#: Column name → values, all of one length: numbers, words, or None where there is nothing to say.
Table = Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Statement:
    """Something the paper says, and whether it holds here.

    Parameters
    ----------
    claim
        What the paper says, in our words.
    holds
        Whether our numbers agree.
    evidence
        Those numbers, in one sentence.
    """

    claim: str
    holds: bool
    evidence: str


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """What came out of an item.

    Parameters
    ----------
    tables
        File name without suffix → the data.
    text
        Markdown: what was computed, what agrees, what differs and why.
    statements
        The paper's statements, judged.
    figure
        The figure, or None for an item that is a table.
    """

    tables: Mapping[str, Table]
    text: str
    statements: tuple[Statement, ...] = ()
    figure: Figure | None = None


@dataclass(frozen=True, slots=True)
class Item(Generic[R]):
    """One table or figure.

    Parameters
    ----------
    name
        As given on the command line, and the stem of its files.
    title
        Its heading.
    conclude
        Draws the conclusion from the number of seeds and the jobs' results, in order.
    jobs
        Returns the work for a number of seeds; none if omitted.
    random
        Whether the number of seeds changes anything.
    """

    name: str
    title: str
    conclude: Callable[[int, list[R]], Conclusion]
    jobs: Callable[[int], list[Job[R]]] = lambda seeds: []
    random: bool = True
