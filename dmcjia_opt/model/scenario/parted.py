"""Fleets in parts: a scenario whose nodes are in several files, which are never in memory at once."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.base.showing import brief, called, counted
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.doubts import doubt_nodes
from dmcjia_opt.model.scenario.nodes import NodeTable, Unnamed
from dmcjia_opt.model.scenario.parquet_nodes import NodeFile, check_names_in, read_parquet
from dmcjia_opt.model.scenario.rules import counts_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import used_and_crossed
from dmcjia_opt.model.scenario.streams import cautions, pooled

#: Nodes up to which a folder of parts is read whole.
MOST_WHOLE = 1_000_000
_KINDS_OF_GAPS = 1000  # that are told apart in sentences


@dataclass(frozen=True, slots=True, eq=False)
class PartFacts:
    """What a part says of itself once it is read.

    Parameters
    ----------
    count
        What its nodes count together (see `counts_of`).
    shared
        Names of the servers that they may use, and of the links that may be crossed.
    gaps
        The c_a² that there are.
    promised
        Whether some node has a deadline.
    cautions
        What is not counted of its networks.
    digest
        A hash of its content.

    Examples
    --------
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> facts = small_parts("facts").facts(0)
    >>> facts.count, sorted(facts.shared), facts.promised
    (100.0, ['cloud'], False)
    """

    count: float
    shared: frozenset[str]
    gaps: FloatArray
    promised: bool
    cautions: tuple[str, ...]
    digest: str

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class Whole:
    """What every part must know of the whole.

    Parameters
    ----------
    count
        What all nodes count together.
    shared
        Names of servers and links that any node uses.
    """

    count: float
    shared: frozenset[str]


@dataclass(frozen=True, eq=False)
class PartedScenario:
    """A scenario whose nodes are in several files.

    Parameters
    ----------
    around
        Makes a scenario of some of the nodes; it can be pickled.
    files
        The parts, in order.

    Examples
    --------
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> parted = small_parts("parted")
    >>> parted, parted.scenario(2).n_nodes
    (PartedScenario(300 nodes in 3 parts), 100)
    """

    around: Callable[[NodeTable], Scenario]
    files: tuple[NodeFile, ...]

    def __repr__(self) -> str:
        return called("PartedScenario", f"{counted(self.n_nodes, 'node')} in {counted(len(self.files), 'part')}")

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all parts."""
        return sum(part.n_nodes for part in self.files)

    def __reduce__(self) -> tuple[Any, ...]:
        return PartedScenario, (self.around, self.files)  # each process reads for itself

    @cached_property
    def first(self) -> Scenario:
        """The scenario of the first part."""
        scenario = self._scenario(0)
        doubt_nodes(scenario.nodes, str(self.files[0].path))
        return scenario

    def scenario(self, place: int) -> Scenario:
        """Return the scenario of one part, whose nodes are called by their rows.

        Raises
        ------
        InputError
            If the file is not there, has changed, or holds what is no node.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Doubt)  # whoever loaded the fleet was told
            return self._scenario(place)

    def _scenario(self, place: int) -> Scenario:
        part = self.files[place]
        try:
            nodes = read_parquet([part], named=False)
            if nodes.host.values:
                raise InputError(
                    "nodes of a fleet in parts cannot share hosts; leave host out, or plan this part alone"
                )
            return self.around(nodes)
        except InputError as error:
            told = str(error)
            raise InputError(told if told.startswith(str(part.path)) else f"{part.path}: {told}") from None

    def fleet(self, place: int, whole: Whole) -> Fleet:
        """Return the columns of one part; errors are those of `scenario`."""
        return Fleet.of(self.scenario(place), whole.shared, whole.count).slim()

    def facts(self, place: int) -> PartFacts:
        """Return what one part says of itself, its names looked at too.

        Raises
        ------
        InputError
            As of `scenario`, or if a name is missing, cannot be shown, or is there twice in the part.
        """
        part, scenario = self.files[place], self.scenario(place)
        nodes = replace(scenario.nodes, names=Unnamed(part.n_nodes, check_names_in(part)))
        used, crossed = used_and_crossed(scenario)
        return PartFacts(
            count=float(counts_of(scenario).sum()),
            shared=frozenset(used | crossed),
            gaps=np.unique(nodes.arrival_scv)[:_KINDS_OF_GAPS],
            promised=nodes.has("deadline_ms"),
            cautions=scenario.network_cautions(),
            digest=replace(scenario, nodes=nodes).sha256(),
        )

    def check(self) -> None:
        """Refuse what only a fleet in memory is planned for.

        Raises
        ------
        InputError
            With the remedy.
        """
        scenario = self.first
        if scenario.options.objective == "worst":
            raise InputError('a fleet in parts is planned for objective = "mean"; leave "worst" to a part of it')
        for name, sharing in pooled(scenario)[:1]:
            raise InputError(
                f'a fleet in parts is planned with reserved shares, and {name} has sharing = "{sharing}"; write '
                '"reserved" there, or plan a part of the fleet'
            )


@dataclass(frozen=True, eq=False)
class Surveyed:
    """A fleet in parts, all of which have been read once.

    Parameters
    ----------
    parted
        The fleet.
    facts
        What its parts say, in their order.

    Examples
    --------
    >>> from dmcjia_opt.model.scenario.parted import Surveyed
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> parted = small_parts("surveyed")
    >>> Surveyed(parted, [parted.facts(place) for place in range(3)]).whole
    Whole(count=300.0, shared=frozenset({'cloud'}))
    """

    parted: PartedScenario
    facts: Sequence[PartFacts]

    __repr__ = brief

    @cached_property
    def whole(self) -> Whole:
        """What every part must know of the whole."""
        shared = frozenset[str]().union(*(facts.shared for facts in self.facts))
        return Whole(math.fsum(facts.count for facts in self.facts), shared)

    @cached_property
    def example(self) -> Scenario:
        """A scenario with nodes of every kind of gaps, for what is said of the fleet in words."""
        gaps = np.unique(np.concatenate([facts.gaps for facts in self.facts]))[:_KINDS_OF_GAPS]
        first, n = self.parted.first, len(gaps)
        nodes = NodeTable(
            names=Unnamed(n),
            networks=first.nodes.networks[:1],
            compute_gflops=np.full(n, first.nodes.compute_gflops[0]),
            uplink_mbps=np.ones(n),
            arrival_rate=np.full(n, first.nodes.arrival_rate[0]),
            arrivals=gaps,
            deadline_ms=np.array(1.0 if any(facts.promised for facts in self.facts) else np.nan),
        )
        return replace(first, nodes=nodes)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What of the delays is an approximation, a sentence each."""
        return cautions(self.example)

    @property
    def network_cautions(self) -> tuple[str, ...]:
        """What is not counted of the networks, a sentence each."""
        return tuple(dict.fromkeys(caution for facts in self.facts for caution in facts.cautions))

    def sha256(self) -> str:
        """Return the hash of the content of all parts, in their order."""
        return hashlib.sha256("".join(facts.digest for facts in self.facts).encode()).hexdigest()
