"""When tasks arrive: renewal processes of a given rate, and times read from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, frozen
from dmcjia_opt.base.csv_table import CsvTable
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.scenario.nodes import NodeTable

#: Tasks drawn and simulated at a time; it bounds the memory, and part of what a seed means.
BLOCK = 1 << 16
_NAMES = (
    "poisson, deterministic, erlang:K, gamma:SCV, hyperexponential:SCV, bursts:SIZE or a .csv file of arrival times"
)


class Arrivals(Protocol):
    """An arrival process, the same for every plan it is simulated with.

    Examples
    --------
    >>> from dmcjia_opt import build_arrivals
    >>> build_arrivals("poisson").label, build_arrivals("bursts:4").rate("gate", 2.0)
    ('poisson', 2.0)
    """

    @property
    def label(self) -> str:
        """How it is named in results."""
        ...

    def rate(self, node: str, arrival_rate: float) -> float:
        """Return the arrivals a second that `node` sees, whose scenario says `arrival_rate`."""
        ...

    def available(self, node: str) -> int | None:
        """Return how many arrivals there are for `node`, None if without end."""
        ...

    def varies(self, node: str) -> bool:
        """Return whether the times between the arrivals of `node` differ."""
        ...

    def gaps(self, node: str, arrival_rate: float, tasks: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield the times between arrivals, s, in blocks of `BLOCK`, the last one shorter; `tasks` in all."""
        ...


class Renewal:
    """Independent times between arrivals, of mean 1/λ; subclasses say how they are distributed around it."""

    __slots__ = ()

    def rate(self, node: str, arrival_rate: float) -> float:
        """Return the scenario's own rate, 1/s."""
        return arrival_rate

    def available(self, node: str) -> int | None:
        """Return None: they never end."""
        return None

    def varies(self, node: str) -> bool:
        """Return that they do."""
        return True

    def gaps(self, node: str, arrival_rate: float, tasks: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield the times between arrivals, s, block by block."""
        for start in range(0, tasks, BLOCK):
            block = self.draw(min(BLOCK, tasks - start), rng)
            block /= arrival_rate
            yield block

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) times of mean 1."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Poisson(Renewal):
    """Exponential times between arrivals, as the delay models assume."""

    label: ClassVar[str] = "poisson"

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) exponential times of mean 1."""
        return rng.standard_exponential(n)


@dataclass(frozen=True, slots=True)
class Deterministic(Renewal):
    """Arrivals at equal distances, as from a camera."""

    label: ClassVar[str] = "deterministic"

    def varies(self, node: str) -> bool:
        """Return that they do not."""
        return False

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) ones."""
        return np.ones(n)


@dataclass(frozen=True, slots=True)
class Erlang(Renewal):
    """Sums of `k` exponential times: more regular than Poisson, squared coefficient of variation 1/k.

    Parameters
    ----------
    k
        Number of phases, at least 1.
    """

    k: int

    def __post_init__(self) -> None:
        """Check the number of phases."""
        if self.k < 1:
            raise InputError(f"erlang:K needs K of at least 1, got {self.k}")

    @property
    def label(self) -> str:
        """``erlang:K``."""
        return f"erlang:{self.k}"

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) Erlang times of mean 1."""
        return rng.standard_gamma(self.k, n) / self.k


@dataclass(frozen=True, slots=True)
class Gamma(Renewal):
    """Gamma-distributed times between arrivals, Erlang's with any number of phases: more regular than Poisson.

    Parameters
    ----------
    scv
        Squared coefficient of variation, above 0 and at most 1.
    """

    scv: float

    def __post_init__(self) -> None:
        """Check the variability."""
        if not 0.0 < self.scv <= 1.0:
            raise InputError(f"gamma:SCV needs an SCV above 0 and at most 1, got {self.scv:g}")

    @property
    def label(self) -> str:
        """``gamma:SCV``."""
        return f"gamma:{self.scv:g}"

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) gamma-distributed times of mean 1."""
        return rng.standard_gamma(1.0 / self.scv, n) * self.scv


@dataclass(frozen=True, slots=True)
class HyperExponential(Renewal):
    """A mix of short and long exponential times with balanced means: burstier than Poisson.

    Parameters
    ----------
    scv
        Squared coefficient of variation, at least 1.

    Notes
    -----
    With probability p = ½(1 + √((c² − 1)/(c² + 1))) the rate is 2p, else 2(1 − p), so that both kinds take up half
    of the time (H. C. Tijms, A First Course in Stochastic Models, 2003, appendix B).
    """

    scv: float

    def __post_init__(self) -> None:
        """Check the variability."""
        if not (math.isfinite(self.scv) and self.scv >= 1.0):
            raise InputError(f"hyperexponential:SCV needs a finite SCV of at least 1, got {self.scv:g}")

    @property
    def label(self) -> str:
        """``hyperexponential:SCV``."""
        return f"hyperexponential:{self.scv:g}"

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) hyper-exponential times of mean 1."""
        p = 0.5 * (1.0 + math.sqrt((self.scv - 1.0) / (self.scv + 1.0)))
        times = rng.standard_exponential(n)
        times *= np.where(rng.random(n) < p, 0.5 / p, 0.5 / (1.0 - p))
        return times


@dataclass(frozen=True, slots=True)
class Bursts(Renewal):
    """Tasks in bursts, several at once, at the times of a Poisson process; how many is geometrically distributed.

    Parameters
    ----------
    size
        Tasks of a burst in the mean, at least 1.

    Notes
    -----
    No renewal process has more bursts at its squared coefficient of variation, 2·size − 1. What it adds to the work
    that others find in one queue is what the formula (c_a² + c_s²)/2 says.
    """

    size: float

    def __post_init__(self) -> None:
        """Check the size."""
        if not (math.isfinite(self.size) and self.size >= 1.0):
            raise InputError(f"bursts:SIZE needs a finite SIZE of at least 1, got {self.size:g}")

    @property
    def label(self) -> str:
        """``bursts:SIZE``."""
        return f"bursts:{self.size:g}"

    @property
    def scv(self) -> float:
        """Squared coefficient of variation of the gaps."""
        return 2.0 * self.size - 1.0

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return (n,) times of mean 1, 0 within a burst."""
        times = rng.standard_exponential(n)
        times *= np.where(rng.random(n) * self.size < 1.0, self.size, 0.0)
        return times


@dataclass(frozen=True, slots=True)
class OfEachNode:
    """Renewal processes of each node's own kind.

    Parameters
    ----------
    processes
        The process of each node by name.
    """

    label: ClassVar[str] = "of each node"
    processes: Mapping[str, Arrivals]

    def rate(self, node: str, arrival_rate: float) -> float:
        """Return the scenario's own rate, 1/s."""
        return arrival_rate

    def available(self, node: str) -> int | None:
        """Return None: they never end."""
        return None

    def varies(self, node: str) -> bool:
        """Return whether the node's process does."""
        return self.processes[node].varies(node)

    def gaps(self, node: str, arrival_rate: float, tasks: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield the times between arrivals of the node's process, s, block by block."""
        return self.processes[node].gaps(node, arrival_rate, tasks, rng)


def renewal(scv: float) -> Arrivals:
    """Return a process whose gaps have a squared coefficient of variation: periodic, gamma, Poisson, mixed."""
    if scv == 0.0:
        return Deterministic()
    return Poisson() if scv == 1.0 else Gamma(scv) if scv < 1.0 else HyperExponential(scv)


def own_arrivals(nodes: NodeTable, but: Mapping[str, Arrivals] | None = None) -> Arrivals:
    """Return the arrivals that the nodes say, one process where all have the same; `but` has others for some nodes."""
    kinds = {scv: renewal(scv) for scv in np.unique(nodes.arrival_scv).tolist()}
    if len(kinds) == 1 and not but:
        return next(iter(kinds.values()))
    scvs = nodes.arrival_scv.tolist()
    return OfEachNode({name: kinds[scv] for name, scv in zip(nodes.names, scvs, strict=True)} | dict(but or {}))


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Arrival times as measured; the scenario's arrival rates play no part.

    Parameters
    ----------
    times
        Arrival times, s, in order: one array for every node, or an array for each node by name; a node that is not
        there has no arrivals.
    label
        How the trace is named in results.

    Raises
    ------
    InputError
        If times are not finite, negative or out of order, or those of every node are fewer than two, or all the same.
    """

    times: FloatArray | Mapping[str, FloatArray]
    label: str = "trace"

    def __post_init__(self) -> None:
        """Freeze the times and check them."""
        if isinstance(self.times, Mapping):
            object.__setattr__(self, "times", {node: self._check(t, node) for node, t in self.times.items()})
        else:
            object.__setattr__(self, "times", self._check(self.times, ""))
            self.rate("", math.nan)

    def _check(self, values: FloatArray, node: str) -> FloatArray:
        times = frozen(values)
        of = f' of node "{node}"' if node else ""
        if times.ndim != 1 or (len(times) < 2 and not node) or not (np.abs(times) <= FARTHEST).all():
            least = "finite numbers" if node else "two or more finite numbers"
            raise InputError(f"{self.label}: the arrival times{of} must be {least} up to {FARTHEST:g}, in seconds")
        if len(times) and times[0] < 0:
            raise InputError(f"{self.label}: arrival 1{of} is at {times[0]:g} s; arrival times must be >= 0")
        late = np.flatnonzero(np.diff(times) < 0)
        if late.size:
            k = int(late[0]) + 1
            raise InputError(
                f"{self.label}: arrival {k + 1}{of}, at {times[k]:.9g} s, is before arrival {k}, at "
                f"{times[k - 1]:.9g} s; sort the file by time"
            )
        return times

    def _of(self, node: str) -> FloatArray:
        return self.times.get(node, frozen([])) if isinstance(self.times, Mapping) else self.times

    def strangers(self, names: Iterable[str]) -> list[str]:
        """Return the nodes that have arrivals and are none of `names`."""
        return sorted(self.times.keys() - set(names)) if isinstance(self.times, Mapping) else []

    def rate(self, node: str, arrival_rate: float) -> float:
        """Return the trace's own rate, 1/s, from its first arrival to its last; 0 where there are fewer than two.

        Raises
        ------
        InputError
            If all its arrivals are at the same time.
        """
        times = self._of(node)
        if len(times) < 2:
            return 0.0
        if times[-1] == times[0]:
            of = f' of node "{node}"' if node else ""
            raise InputError(f"{self.label}: the arrivals{of} are all at {times[0]:g} s; they must span some time")
        return float((len(times) - 1) / (times[-1] - times[0]))

    def available(self, node: str) -> int | None:
        """Return the number of arrivals in the trace."""
        return len(self._of(node))

    def varies(self, node: str) -> bool:
        """Return that they do: they come when they came."""
        return True

    def start(self, node: str) -> float:
        """Return the time of a node's first arrival, s; 0 where there is none."""
        times = self._of(node)
        return float(times[0]) if len(times) else 0.0

    def gaps(self, node: str, arrival_rate: float, tasks: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield the times between arrivals, s, block by block; the first arrival is at time 0."""
        times = self._of(node)
        for start in range(0, tasks, BLOCK):
            before = times[max(start - 1, 0)]
            yield np.diff(times[start : min(start + BLOCK, tasks)], prepend=before)


def build_arrivals(name: str) -> Arrivals:
    """Return the arrival process that `name` describes: ``poisson``, ``erlang:4``, ``trace.csv`` and so on.

    Raises
    ------
    InputError
        If there is no such process, its parameter is malformed, or the file cannot be read.

    Examples
    --------
    >>> from dmcjia_opt import build_arrivals
    >>> build_arrivals("erlang:4")
    Erlang(k=4)
    """
    check_arguments(build_arrivals, locals())
    if name.lower().endswith(".csv"):
        return load_trace(name)
    kind, _, value = name.partition(":")
    plain: Mapping[str, Callable[[], Arrivals]] = {"poisson": Poisson, "deterministic": Deterministic}
    try:
        if kind in plain and not value:
            return plain[kind]()
        if kind == "erlang":
            return Erlang(int(value))
        if kind == "gamma":
            return Gamma(float(value))
        if kind == "bursts":
            return Bursts(float(value))
        if kind == "hyperexponential":
            return HyperExponential(float(value))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f'arrivals "{name}": "{value}" is not a number; choose {_NAMES}') from None
    hint = did_you_mean(
        kind, ("poisson", "deterministic", "erlang:K", "gamma:SCV", "hyperexponential:SCV", "bursts:SIZE")
    )
    raise InputError(f'arrivals "{name}" are unknown{hint}; choose {_NAMES}')


def load_trace(path: str | Path) -> Trace:
    """Read arrival times, s, one a line; with a header ``time_s,node`` each node has its own.

    Raises
    ------
    InputError
        If the file is missing or malformed, or the times of a node are out of order; the message names the line.
    """
    table = CsvTable(Path(path), "the arrival times", ("time_s", "node"), ("node",), alone="time_s")
    times: dict[str, list[float]] = {}
    own = "node" in table.columns
    for rows in table:
        values = table.numbers(rows, "time_s", zero=True).tolist()
        if not own:
            times.setdefault("", []).extend(values)
            continue
        for line, node, value in zip(rows.lines, table.texts(rows, "node"), values, strict=True):
            if not node:
                table.wrong(line, "no node; fill it in")
            times.setdefault(node, []).append(value)
    if not times:
        raise InputError(f"{path}: holds no arrival times; give one a line, in seconds")
    arrays = {node: np.array(values) for node, values in times.items()}
    return Trace(arrays if own else arrays[""], str(path))
