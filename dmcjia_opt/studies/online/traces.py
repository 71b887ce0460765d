"""How fast links are over time, or how often tasks arrive: piecewise constant, recorded or drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, frozen
from dmcjia_opt.base.csv_table import CsvTable
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import read_text
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import did_you_mean

#: What is recorded as nothing is this, Mbit/s or tasks a second.
LEAST = 1e-3
Quantity = Literal["uplink_mbps", "arrival_rate"]
#: Steps of a trace that is drawn or cut anew.
MOST_STEPS = 10_000_000
#: What a delivery in a log of packets carries, byte (R. Netravali et al., Mahimahi, USENIX ATC 2015).
PACKET_BYTES = 1500
#: Names of traces that are drawn.
DRAWN = ("markov", "onoff")
_MEAN_STATE, _MEAN_ON, _MEAN_OFF = 10.0, 20.0, 5.0  # seconds
_WRITTEN = "bits/sec, Kbits/sec, Mbits/sec, Gbits/sec"
_UNITS = {"": 1.0, "bits/sec": 1e-6, "kbits/sec": 1e-3, "mbits/sec": 1.0, "gbits/sec": 1e3}
_FACTORS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class LinkTrace:
    """Speeds of links over time, or arrival rates of nodes.

    Parameters
    ----------
    times
        (n_steps,) when each step begins, s; the first at 0.
    end
        When the last one ends, s.
    names
        Whose links: nodes, for their own uplinks, or shared links; ``("",)`` for every node's own uplink. Or whose
        arrivals.
    values
        (n_steps, n_names) Mbit/s, or tasks a second.
    label
        What it is called in results.
    quantity
        What changes.

    Raises
    ------
    InputError
        If times are not increasing, or a speed is no finite number ≥ 0.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import LinkTrace
    >>> trace = LinkTrace(np.array([0.0, 10.0]), 30.0, ("gate",), np.array([[25.0], [5.0]]))
    >>> trace.spans
    array([10., 20.])
    """

    times: FloatArray
    end: float
    names: tuple[str, ...]
    values: FloatArray
    label: str = "trace"
    quantity: Quantity = "uplink_mbps"

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check and freeze."""
        object.__setattr__(self, "times", frozen(self.times))
        values = np.asarray(self.values, dtype=np.float64)
        if self.times.ndim != 1 or values.shape != (len(self.times), len(self.names)) or not len(self.times):
            raise InputError(f"{self.label}: a trace needs one speed for each of its times and links")
        edges = np.append(self.times, self.end)
        if edges[0] != 0.0 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
            raise InputError(f"{self.label}: times must begin at 0 and increase, in seconds")
        if not (np.isfinite(values) & (values >= 0.0)).all():
            raise InputError(f"{self.label}: {self.quantity} must be finite and >= 0")
        object.__setattr__(self, "values", frozen(np.maximum(values, LEAST)))

    @property
    def spans(self) -> FloatArray:
        """(n_steps,) how long each step is, s."""
        return np.diff(np.append(self.times, self.end))

    def until(self, end: float) -> LinkTrace:
        """Return the beginning of it."""
        few = max(int(np.searchsorted(self.times, end)), 1)
        return replace(self, times=self.times[:few], end=min(end, self.end), values=self.values[:few])

    def every(self, seconds: float) -> LinkTrace:
        """Return it in steps of equal length, with the mean of each: what it carries is the same.

        Raises
        ------
        InputError
            If those are too many.
        """
        if not self.end / seconds <= MOST_STEPS:
            raise InputError(f"{self.label}: steps of {seconds:g} s are too many; the most is {MOST_STEPS:,}")
        edges = np.append(np.arange(0.0, self.end, seconds), self.end)
        if len(edges) > 2 and edges[-1] - edges[-2] < 1e-9 * seconds:
            edges = np.delete(edges, -2)
        carried = np.concatenate([np.zeros((1, len(self.names))), np.cumsum(self.spans[:, None] * self.values, axis=0)])
        own = np.append(self.times, self.end)
        at = np.stack([np.interp(edges, own, column) for column in carried.T], axis=1)
        return replace(self, times=edges[:-1], values=np.diff(at, axis=0) / np.diff(edges)[:, None])


def load_links(path: str | Path) -> LinkTrace:
    r"""Read a trace.

    It is a table with a header, ``time_s``, ``node`` or ``link``, and ``uplink_mbps``, or ``time_s``, ``node`` and
    ``arrival_rate``; each row holds until the next of its link or node. Or it has one number a line and no header:
    Mbit/s of each second, or of the unit that stands behind a comma; or, where these are whole, never fall and reach
    1,000, the milliseconds at which a packet of 1,500 byte went through.

    Raises
    ------
    InputError
        If it is missing or malformed; the message names the line.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmcjia_opt import load_links
    >>> _ = Path("links.csv").write_text("time_s,node,uplink_mbps\n0,gate,25\n10,gate,5\n")
    >>> load_links("links.csv").values
    array([[25.],
           [ 5.]])
    """
    check_arguments(load_links, locals())
    path = Path(path)
    text = read_text(path, "the speeds of links", "CSV")
    first = text.lstrip().split("\n", 1)[0]
    if first and not any(character.isdigit() for character in first.replace(";", ",").split(",")[0]):
        return _table(path)
    values, lines = _numbers(path, text)
    rising = len(values) > 1 and values[0] >= 0 and bool((np.diff(values) >= 0).all())
    if rising and values[-1] >= 1000 and (values % 1 == 0).all():
        return _packets(path, values)
    bad = np.flatnonzero(values < 0)
    if bad.size:
        raise InputError(f"{path}, line {lines[bad[0]]}: {values[bad[0]]:g} Mbit/s; a speed must be >= 0")
    return LinkTrace(np.arange(len(values), dtype=np.float64), float(len(values)), ("",), values[:, None], str(path))


def _numbers(path: Path, text: str) -> tuple[FloatArray, IntArray]:
    values, lines = [], []
    for line, row in enumerate(text.splitlines(), 1):
        cell, _, unit = (part.strip() for part in row.replace(";", ",").partition(","))
        if not cell:
            continue
        if unit.lower() not in _UNITS:
            raise InputError(f'{path}, line {line}: "{unit[:40]}" is no unit of speed; write one of {_WRITTEN}')
        try:
            values.append(float(cell) * _UNITS[unit.lower()])
        except ValueError:
            raise InputError(
                f'{path}, line {line}: "{cell[:40]}" is no number; give Mbit/s of each second, one a line, or a table '
                "with the columns time_s, node or link, and uplink_mbps"
            ) from None
        lines.append(line)
    found = np.array(values)
    if not len(found):
        raise InputError(f"{path}: holds no speeds; give Mbit/s of each second, one a line")
    bad = np.flatnonzero(~np.isfinite(found))
    if bad.size:
        raise InputError(f"{path}, line {lines[bad[0]]}: {found[bad[0]]:g} is no speed; correct it")
    return found, np.array(lines)


def _packets(path: Path, milliseconds: FloatArray) -> LinkTrace:
    if not milliseconds[-1] / 1000 < MOST_STEPS:
        raise InputError(f"{path}: {milliseconds[-1]:g} ms is too long; cut the trace to {MOST_STEPS:,} s")
    seconds = int(milliseconds[-1] // 1000) + 1
    packets = np.bincount((milliseconds // 1000).astype(np.int64), minlength=seconds)
    if seconds > 1:  # the last second is seldom whole
        seconds, packets = seconds - 1, packets[: seconds - 1]
    mbps = np.asarray(packets * (8e-6 * PACKET_BYTES), dtype=np.float64)
    return LinkTrace(np.arange(seconds, dtype=np.float64), float(seconds), ("",), mbps[:, None], str(path))


def _table(path: Path) -> LinkTrace:
    known = ("time_s", "node", "link", "uplink_mbps", "arrival_rate")
    table = CsvTable(path, "the speeds of links", known, known[1:])
    what = [key for key in get_args(Quantity) if key in table.columns]
    if len(what) != 1:
        raise InputError(f"{path}: the table needs the column uplink_mbps, or arrival_rate, and not both")
    of = [key for key in ("node", "link") if key in table.columns]
    if len(of) > 1:
        raise InputError(f"{path}: a row is of a node's own uplink or of a shared link; keep one of node and link")
    times: list[float] = []
    names: list[str] = []
    speeds: list[float] = []
    for rows in table:
        at, speed = (table.numbers(rows, key, zero=True) for key in ("time_s", what[0]))
        who = table.texts(rows, of[0]) if of else [""] * len(at)
        for line, name in zip(rows.lines, who, strict=True):
            if of and not name:
                table.wrong(line, f"no {of[0]}; fill it in")
        times += at.tolist()
        speeds += speed.tolist()
        names += who
    if not times:
        raise InputError(f"{path}: holds no speeds; give rows of time_s and uplink_mbps")
    return replace(_merged(str(path), np.array(times), names, np.array(speeds)), quantity=what[0])


def _merged(label: str, times: FloatArray, names: Sequence[str], speeds: FloatArray) -> LinkTrace:
    """Return a trace of rows that hold until the next of their link; all begin when the first does."""
    known = tuple(dict.fromkeys(names))
    steps = np.unique(times)
    if len(steps) < 2:
        raise InputError(f"{label}: all rows are at {steps[0]:g} s; a trace needs two times or more, in seconds")
    mbps = np.empty((len(steps), len(known)))
    index = np.array([known.index(name) for name in names])
    for k, name in enumerate(known):
        rows = np.flatnonzero(index == k)
        at = times[rows]
        late = np.flatnonzero(np.diff(at) <= 0)
        if late.size:
            of = f' of "{name}"' if name else ""
            raise InputError(f"{label}: {at[late[0] + 1]:g} s comes after {at[late[0]]:g} s{of}; sort the rows by time")
        mbps[:, k] = speeds[rows][np.maximum(np.searchsorted(at, steps, side="right") - 1, 0)]
    last = float(np.median(np.diff(steps)))
    return LinkTrace(steps - steps[0], float(steps[-1] - steps[0] + last), known, mbps, label)


def draw_links(name: str, base: FloatArray, names: Sequence[str], rng: np.random.Generator) -> LinkTrace:
    """Return a trace that is drawn, in steps of a second: each link by itself.

    Parameters
    ----------
    name
        ``markov:SECONDS``: each link is at a quarter, half, once or twice its speed, and changes to another of these
        after 10 s in the mean. ``onoff:SECONDS``: on for 20 s in the mean, and hardly there for 5 s.
    base
        (n_links,) Mbit/s as planned.
    names
        Whose they are.
    rng
        What is drawn from.

    Raises
    ------
    InputError
        If there is no such trace, or its length is no number of seconds.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt.studies.online.traces import draw_links
    >>> draw_links("markov:60", np.array([25.0]), ["gate"], np.random.default_rng(1)).names
    ('gate',)
    """
    kind, _, length = name.partition(":")
    if kind not in DRAWN:
        raise InputError(
            f'trace "{name}" is no file and cannot be drawn{did_you_mean(kind, DRAWN)}; choose markov:SECONDS, '
            "onoff:SECONDS or a file"
        )
    try:
        seconds = float(length)
    except ValueError:
        seconds = math.nan
    if not 2.0 <= seconds <= MOST_STEPS:
        raise InputError(f'trace "{name}" needs a number of seconds from 2 to {MOST_STEPS:,}, as in {kind}:3600')
    n = int(seconds)
    factor = _states(n, len(base), rng) if kind == "markov" else _on_off(n, len(base), rng)
    return LinkTrace(np.arange(n, dtype=np.float64), float(n), tuple(names), factor * base, name)


def _states(n: int, n_links: int, rng: np.random.Generator) -> FloatArray:
    changes = rng.random((n, n_links)) < 1.0 / _MEAN_STATE
    changes[0] = False
    hops = np.where(changes, rng.integers(1, len(_FACTORS), (n, n_links)), 0)
    state = (rng.integers(0, len(_FACTORS), n_links) + np.cumsum(hops, axis=0)) % len(_FACTORS)
    return np.asarray(np.array(_FACTORS)[state])


def _on_off(n: int, n_links: int, rng: np.random.Generator) -> FloatArray:
    on = np.empty((n, n_links), dtype=np.bool_)
    now = rng.random(n_links) < _MEAN_ON / (_MEAN_ON + _MEAN_OFF)
    for k in range(n):
        on[k] = now
        now = np.where(rng.random(n_links) < np.where(now, 1.0 / _MEAN_ON, 1.0 / _MEAN_OFF), ~now, now)
    return np.where(on, 1.0, 0.02)
