"""The parts of a fleet that one process answers for: how far each has come, and as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, TypeAlias

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.bounds.crowds import FleetPart, Step, Taken
from dmcjia_opt.bounds.maximise import roots_of
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.parted import PartedScenario, PartFacts, Whole
from dmcjia_opt.solving.fleets import sampled

#: Bytes of columns that all processes of a machine keep together.
MOST_BYTES = 1 << 30

#: Makes what answers for a part as a `FleetPart` does, from its columns and its place.
Maker: TypeAlias = Callable[[Fleet, int], Any]
#: What a part is asked for: a method of it, or a function of the shelf, the part's place and what else there is.
Work: TypeAlias = str | Callable[Concatenate["Shelf", int, ...], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What parts are asked: the same of all, and for each some arguments of its own.

    Parameters
    ----------
    work
        See `Work`.
    steps
        What has been taken so far; methods of a part know them.
    arguments
        By part.
    whole
        What parts know of the whole; None before that is known.
    """

    work: Work
    steps: tuple[Step, ...]
    arguments: Sequence[tuple[Any, ...]]
    whole: Whole | None = None


class Shelf:
    """Parts of a fleet in one process.

    Parameters
    ----------
    parted
        The fleet.
    maker
        What answers for a part.
    most
        Bytes of columns that are kept.
    """

    def __init__(self, parted: PartedScenario, maker: Maker = FleetPart, most: int = MOST_BYTES) -> None:
        self.parted, self._maker, self._most = parted, maker, most
        self._whole: Whole | None = None
        self._taken: dict[int, Taken] = {}
        self._awake: dict[int, Any] = {}

    def answer(self, place: int, question: Question) -> Any:  # noqa: ANN401 - of whatever was asked
        """Return what a part answers."""
        if question.whole != self._whole:
            self._whole = question.whole
            self._taken.clear()
            self._awake.clear()
        arguments = question.arguments[place]
        if isinstance(question.work, str):
            found = getattr(self.part(place), question.work)(question.steps, *arguments)
        else:
            found = question.work(self, place, *arguments)
        self._rest(place)
        return found

    def part(self, place: int) -> Any:  # noqa: ANN401 - what the maker made
        """Return a part, its columns read again if they were not kept."""
        assert self._whole is not None  # whoever asks parts has surveyed them
        if place not in self._awake:
            part = self._awake[place] = self._maker(self.parted.fleet(place, self._whole), place)
            if isinstance(part, FleetPart) and place in self._taken:
                part.resume(self._taken[place])
        return self._awake[place]

    def _rest(self, place: int) -> None:
        """Keep how far a part has come, and of all parts only what fits."""
        part = self._awake.get(place)
        if not isinstance(part, FleetPart):
            return
        self._taken[place] = part.taken
        if len(self._taken) * part.n_bytes > self._most:  # to read columns again takes longer than to make the rest
            part.forget()
        if self._n_bytes() > self._most:  # parts are asked in order, so that this one is wanted last
            del self._awake[place]

    def _n_bytes(self) -> int:
        return sum(part.n_bytes for part in self._awake.values() if isinstance(part, FleetPart))


def survey(shelf: Shelf, place: int) -> PartFacts:
    """Return what a part says of itself."""
    return shelf.parted.facts(place)


def sample(shelf: Shelf, place: int, wanted: int) -> list[Problem]:
    """Return the problems of about so many nodes of a part, spread over it."""
    return sampled(shelf.part(place).fleet, wanted)


def roots(shelf: Shelf, place: int) -> FloatArray:
    """Return what the orders of magnitude of the prices are made of (see `roots_of`)."""
    part = shelf.part(place)
    return roots_of(part.columns(), len(part.fleet.resources))
