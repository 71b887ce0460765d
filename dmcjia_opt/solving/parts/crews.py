"""Crews: who asks the parts of a fleet, in this process or in several on this machine; each answers for some of them.

Whoever asks, the answers are the same and come in the order of the parts: within a part nothing depends on who
computes it, and sums are added up in that order.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

from dmcjia_opt.base.errors import BackendFailed, DmcjiaError, in_one_line
from dmcjia_opt.base.machine import cores
from dmcjia_opt.base.processes import companions
from dmcjia_opt.bounds.crowds import FleetPart, Step
from dmcjia_opt.model.scenario.parted import PartedScenario, Surveyed, Whole
from dmcjia_opt.solving.parts.shelf import MOST_BYTES, Maker, Question, Shelf, Work, survey

#: Told which part of how many has answered.
Progress = Callable[[int, int], None]


class Crew(Protocol):
    """Who answers questions for all parts of a fleet.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import in_process
    >>> from dmcjia_opt.solving.parts.shelf import Question, survey
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> crew = in_process(small_parts("crew"))
    >>> [facts.count for facts in crew(Question(survey, (), [()] * 3, None))]
    [100.0, 100.0, 100.0]
    """

    def __call__(self, question: Question) -> Iterator[Any]:
        """Yield what each part answers, in the order of the parts; what is not yet yielded is not all in memory."""


class Foreman:
    """Asks the parts of a fleet through a crew.

    Parameters
    ----------
    parted
        The fleet.
    crew
        Who answers.
    progress
        Told of every part that has answered.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import Foreman, in_process
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet = small_parts("foreman")
    >>> Foreman(fleet, in_process(fleet)).survey().whole.count
    300.0
    """

    def __init__(self, parted: PartedScenario, crew: Crew, progress: Progress | None = None) -> None:
        self.parted, self._crew, self._progress = parted, crew, progress
        self._whole: Whole | None = None

    def each(self, work: Work, steps: tuple[Step, ...] = (), *arguments: Sequence[Any]) -> Iterator[Any]:
        """Yield what each part answers, in their order; each has its own entry of the arguments."""
        n = len(self.parted.files)
        own = list(zip(*arguments, strict=True)) if arguments else [()] * n
        for place, found in enumerate(self._crew(Question(work, steps, own, self._whole))):
            if self._progress is not None:
                self._progress(place + 1, n)
            yield found

    def asked(self, what: str, steps: tuple[Step, ...], *arguments: Sequence[Any]) -> list[Any]:
        """Return what each part answers (see `bounds.crowds.Asking`)."""
        return list(self.each(what, steps, *arguments))

    def survey(self) -> Surveyed:
        """Read all parts once; from then on they know of the whole."""
        found = Surveyed(self.parted, list(self.each(survey)))
        self._whole = found.whole
        return found


def in_process(parted: PartedScenario, maker: Maker = FleetPart, most: int = MOST_BYTES) -> Crew:
    """Return a crew of nobody but this process."""
    shelf = Shelf(parted, maker, most)

    def answers(question: Question) -> Iterator[Any]:
        return (shelf.answer(place, question) for place in range(len(parted.files)))

    return answers


@contextmanager
def crew_here(
    parted: PartedScenario, workers: int | None = None, maker: Maker = FleetPart, most: int = MOST_BYTES
) -> Iterator[Crew]:
    """Return a crew of so many processes on this machine, by default one a core; they end with what is done inside.

    Parameters
    ----------
    parted, maker
        The fleet, and what answers for a part.
    workers
        Processes; with one there is none but this.
    most
        Bytes of columns that they keep together.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import Foreman, crew_here
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet = small_parts("here")
    >>> with crew_here(fleet, workers=1) as crew:
    ...     plan = solve_parts(Foreman(fleet, crew))
    ...
    >>> plan.n_parts
    3
    """
    n = min(cores() if workers is None else workers, len(parted.files))
    if n <= 1:
        yield in_process(parted, maker, most)
        return
    pipes = [multiprocessing.Pipe() for _ in range(n)]
    bodies = [
        partial(_serve, there, Shelf(parted, maker, most // n), range(k, len(parted.files), n))
        for k, (_, there) in enumerate(pipes)
    ]
    with companions(bodies):
        for _, there in pipes:
            there.close()
        yield _Processes([here for here, _ in pipes], len(parted.files))


class _Processes:
    """A crew of processes behind pipes; part k belongs to process k modulo their number.

    A pipe that is full holds its process back, so that answers never pile up here.
    """

    def __init__(self, pipes: Sequence[Connection], n_parts: int) -> None:
        self._pipes, self._n_parts = pipes, n_parts
        self._open = False

    def __call__(self, question: Question) -> Iterator[Any]:
        if self._open:
            self._drop()
        self._open = True
        for pipe in self._pipes:
            _told(pipe, question)
        for place in range(self._n_parts):
            found = _heard(self._pipes[place % len(self._pipes)])
            if isinstance(found, DmcjiaError):
                raise found
            yield found
        self._open = False

    def _drop(self) -> None:
        """Have everybody leave a question that nobody waits for any more."""
        for pipe in self._pipes:
            _told(pipe, None)
        for pipe in self._pipes:
            while _heard(pipe) is not None:
                pass


def _told(pipe: Connection, question: Question | None) -> None:
    try:
        pipe.send(question)
    except OSError:
        raise _lost() from None


def _heard(pipe: Connection) -> Any:  # noqa: ANN401 - of whatever was asked
    try:
        return pipe.recv()
    except (EOFError, OSError):
        raise _lost() from None


def _lost() -> BackendFailed:
    return BackendFailed(
        "a process that priced parts of the fleet ended, as where memory runs out; make the parts smaller, start again"
    )


def _serve(pipe: Connection, shelf: Shelf, places: Sequence[int]) -> None:
    """Answer questions for some parts; None is the answer to None, which also ends what was asked before."""
    while True:
        question = pipe.recv()
        if question is None:
            pipe.send(None)
            continue
        for place in places:
            if pipe.poll():
                break
            pipe.send(_answer(shelf, place, question))


def _answer(shelf: Shelf, place: int, question: Question) -> Any:  # noqa: ANN401
    try:
        return shelf.answer(place, question)
    except DmcjiaError as error:
        return error
    except MemoryError:
        return BackendFailed(f"{shelf.parted.files[place].path}: memory runs out; make the parts smaller")
    except Exception as error:  # noqa: BLE001 - or nobody would hear of it
        return BackendFailed(f"{shelf.parted.files[place].path}: {in_one_line(error)}")
