"""Percentiles of the wait in a queue of Poisson arrivals and deterministic service, M/D/1.

At load u = λm the p-quantile of the wait, in services, is q(u), and h(u) = u·q(u) that in gaps between arrivals: the
wait of tasks that come at rate λ is V = h(u)/λ. It is tabulated once for each percentile, when first asked for, as

    r(t) = (1 − u)·h(u),   t = −ln(1 − u) = ln(1 + λ/x),   x = μ − λ the excess rate,

which stays of order 1 up to saturation. With D = r + r′ the derivatives are dV/dμ = −D/x² and dh/du = D/(1 − u)².

Where the wait is k services, k = 1, 2, …, the k-th derivative of h jumps, so cells of the table begin and end there. In
each r is a polynomial, and a hair too low: what is computed from it never exceeds the exact percentile (see
docs/mathematics.md), so that one function serves both plans and bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import EPS, NUMPY, BoolArray, FloatArray, IntArray, namespace

#: Percentiles that are known, by name.
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

#: By how much the table is lowered, relatively; its own error is below a tenth of it.
LOWERED = 1e-10

_LONGEST = 16  # services from which the slowest exponential is all that is left of the tail
_DEGREE = 8
_FIT = 2e-13  # what the last of a polynomial's coefficients may be, relatively
_RATIO = 1.5  # of the ends of a cell, in t below 1
_SPLITS = 12
_SATURATED = 36.0  # t from which r is constant in float64
_STEPS = 2  # of Newton's method inside a cell
_BLOCK = 1 << 14
_UNBOUNDED = 3e3  # a logarithm beyond all of float64
_ULPS = 16.0 * EPS  # relative distance at which an excess rate counts as that of a kink


class LongestWait(Protocol):
    """The wait V(μ) of a tandem whose slowest stage has service rate μ: its mean, or a percentile of it.

    All rates are in 1/s, `excess` is μ − λ, and `number` is how many stages are as slow as each other.
    """

    @property
    def statistic(self) -> str:
        """``"mean"``, or a name of `PERCENTILES`."""

    def waited(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return V, s."""

    def wait_of(self, rate: FloatArray, service: FloatArray) -> FloatArray:
        """Return V, s, for a service time, s; +inf where the queue is unstable."""

    def crossing(self, rate: FloatArray, wait: FloatArray | float) -> FloatArray:
        """Return the excess rate from which V is no more than `wait`, s; +inf where there is none."""

    def side(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float) -> IntArray:
        """Return −1 below the crossing, 0 there and 1 beyond."""

    def marginal_together(self, number: int, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return minus the derivative, s², of `number`/μ + V; at a kink, the smaller of the two."""

    def curvature_together(self, number: int, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the second derivative, s³, of `number`/μ + V; +inf at a kink."""

    def excess_together(self, number: int, marginal: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate at which one more unit of rate saves `marginal` (s²) of `number`/μ + V."""

    def excess_within(self, total: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate at which 1/μ + V is `total`, s, or one at which 1/μ is less."""


def in_system(load: FloatArray, n: int) -> FloatArray:
    """Return P(at most i tasks in an M/D/1 queue), i = 0 … n − 1, for loads (m,), as (m, n).

    By V. Ramaswami's recursion (1988, doi:10.1080/15326348808807077), in which nothing is subtracted: with a the
    Poisson probabilities of `load` and A their tails, π₀ = 1 − u and π_{j+1} a₀ = π₀ A_j + Σ_{i=1}^{j} π_i A_{j+1−i}.
    """
    poisson = np.empty((len(load), n + 30))
    poisson[:, 0] = np.exp(-load)
    for i in range(1, n + 30):
        poisson[:, i] = poisson[:, i - 1] * load / i
    tail = np.cumsum(poisson[:, :0:-1], axis=1)[:, ::-1]
    found = np.zeros((len(load), n))
    found[:, 0] = 1.0 - load
    for j in range(n - 1):
        others = np.einsum("ij,ij->i", found[:, 1 : j + 1], tail[:, j:0:-1])
        found[:, j + 1] = (found[:, 0] * tail[:, j] + others) / poisson[:, 0]
    return np.asarray(np.cumsum(found, axis=1))


def wait_within(k: IntArray, ahead: FloatArray, load: FloatArray, at_most: FloatArray) -> FloatArray:
    """Return P(wait ≤ k − ahead services), k ≥ 0 and 0 ≤ ahead ≤ 1, all (m,); 0 where k = 0.

    G. J. Franx's form (2001, doi:10.1016/S0167-6377(01)00108-0), a sum of positive terms, with `at_most` (m, n) of
    `in_system`, n > k: e^(−uy) Σ_{j<k} P(at most k − j in the system) (uy)^j / j!, y = ahead.
    """
    mean = load * ahead
    term, total = np.exp(-mean), np.zeros_like(mean)
    row = np.arange(len(mean))
    for j in range(int(k.max(initial=0))):
        total += np.where(j < k, at_most[row, np.maximum(k - j, 0)] * term, 0.0)
        term = term * mean / (j + 1)
    return total


def long_wait(p: float, idle: FloatArray) -> FloatArray:
    """Return the p-quantile of the wait, services, where that is more than 16, at loads 1 − `idle`.

    P(wait > y) is C·e^(−θy) there, C = (1 − u)/(u·e^θ − 1), θ the positive root of u(e^θ − 1) = θ. That is
    1 − u = θ/2 − Σ B_{2n} θ^{2n}/(2n)!, n ≥ 1, B the Bernoulli numbers.
    """
    bernoulli = 1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600
    theta = 2.0 * idle
    for _ in range(6):
        square, value, slope = theta * theta, 0.0 * theta, 0.0 * theta
        for n in range(len(bernoulli), 0, -1):
            value = value * square + bernoulli[n - 1]
            slope = slope * square + 2 * n * bernoulli[n - 1]
        theta = theta - (0.5 * theta - value * square - idle) / (0.5 - slope * theta)
    return np.asarray((-np.log1p(-p) - np.log(theta / idle - 1.0)) / theta)


def wait_quantile(p: float, load: FloatArray, k: IntArray) -> FloatArray:
    """Return the p-quantile of the wait, services, at loads (m,) where it is between k and k + 1, 1 ≤ k < 16.

    Newton's method for ln P(wait > y), which is nearly linear in y.
    """
    at_most = in_system(load, _LONGEST + 1)
    y = k + 0.5
    for _ in range(12):
        reached = wait_within(k + 1, k + 1 - y, load, at_most)
        density = load * (reached - wait_within(k, k + 1 - y, load, at_most))
        beyond = 1.0 - reached
        y = np.clip(y + np.log(beyond / (1.0 - p)) * beyond / density, k, k + 1)
    return np.asarray(y)


def _loads_of_waits(p: float) -> FloatArray:
    """Return t where the wait is 0, 1, …, 16 services."""
    first = np.nextafter(-np.log(p), 1.0)  # up: the wait must not begin too early
    one = first + 1.0
    for _ in range(12):  # the wait is one service where it is u gaps: t − first = 1 − e^−t
        one += (one - first + np.expm1(-one)) / np.expm1(-one)
    k = np.arange(2, _LONGEST + 1)
    low, high = np.full(len(k), one), np.full(len(k), 12.0)
    for _ in range(56):
        middle = 0.5 * (low + high)
        # no more than k services are waited where no more than k tasks are in the system
        reached = in_system(-np.expm1(-middle), _LONGEST + 1)[k - 2, k]
        low, high = np.where(reached > p, middle, low), np.where(reached > p, high, middle)
    return np.array([first, one, *low])


def _basis() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Chebyshev's nodes in [0, 1], both ends among them, and what makes values there coefficients.

    Those of Chebyshev's polynomials first; the last makes those of powers of them, in integers.
    """
    i = np.arange(_DEGREE + 1)
    half = np.where((i == 0) | (i == _DEGREE), 0.5, 1.0)
    transform = 2.0 / _DEGREE * half[:, None] * np.cos(np.pi * np.outer(i, i) / _DEGREE) * half
    powers = np.zeros((_DEGREE + 1, _DEGREE + 1))  # of T_n(1 − 2s)
    for n in i:
        shifted = np.polynomial.Chebyshev.basis(n)(np.polynomial.Polynomial([1.0, -2.0]))
        powers[: len(shifted.coef), n] = shifted.coef
    return 0.5 - 0.5 * np.cos(np.pi * i / _DEGREE), transform, powers


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """r(t) of one percentile, in cells.

    Parameters
    ----------
    left, right
        (n_cells,) where cells begin and end, in t. In the first, from 0, nobody waits; the last has no end.
    wait, slope
        (9, n_cells) coefficients of r and of D = r + r′ in powers of t − left.
    first, one
        t from which the wait is not 0, and where it is one service: dh/du jumps at both.
    """

    left: FloatArray
    right: FloatArray
    wait: FloatArray
    slope: FloatArray
    first: float
    one: float

    def cell(self, t: FloatArray) -> IntArray:
        """Return in which cell t is."""
        return namespace(t).searchsorted(self.left, t, "right") - 1

    def at(self, coefficients: FloatArray, t: FloatArray, cell: IntArray) -> FloatArray:
        """Return the value at t, in cells, of what has these coefficients."""
        xp = namespace(t)
        s = xp.minimum(t, self.left[-1]) - xp.asarray(self.left)[cell]
        rows = xp.asarray(coefficients).take(cell, axis=1)
        value = rows[_DEGREE]
        for row in rows[_DEGREE - 1 :: -1]:
            value = value * s + row
        return xp.asarray(value)

    def both_at(self, coefficients: FloatArray, t: FloatArray, cell: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the value and the derivative at t, in cells, of what has these coefficients."""
        xp = namespace(t)
        s = xp.minimum(t, self.left[-1]) - xp.asarray(self.left)[cell]
        rows = xp.asarray(coefficients).take(cell, axis=1)
        value, derivative = rows[_DEGREE], xp.zeros_like(s)
        for row in rows[_DEGREE - 1 :: -1]:
            derivative = derivative * s + value
            value = value * s + row
        return value, derivative

    def taken(self, services: float, t: FloatArray, cell: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the logarithm of λ(services/μ + V), and its slope, at t in cells."""
        xp = namespace(t)
        load = -xp.expm1(-t)
        r, growth = self.both_at(self.wait, t, cell)
        idle = services * (1.0 - load)
        both = r + idle * load
        return t + xp.log(both), (growth + r + idle * (1.0 - load)) / both

    def saved(self, number: float, t: FloatArray, cell: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the logarithm of −λ² d(number/μ + V)/dμ = u²(number + h′(u)), and its slope, at t in cells."""
        xp = namespace(t)
        load = -xp.expm1(-t)
        d, slope = self.both_at(self.slope, t, cell)
        alone = number * (1.0 - load) ** 2
        both = d + alone
        return 2.0 * (t + xp.log(load)) + xp.log(both), 2.0 / load + (slope - 2.0 * alone) / both


@dataclass(frozen=True, slots=True, eq=False)
class _Inverse:
    """Where a function of t that grows, by its logarithm, is how large.

    Parameters
    ----------
    function
        Returns that logarithm and its slope, at t and in cells.
    start, rise
        (n_cells − 1,) the logarithm where cells begin, without the first, and by how much it grows in each.
    left, right
        (n_cells − 1,) where they begin and end.
    cubic
        (4, n_cells − 1) what meets the inverse function at both ends of each cell with its slopes.
    """

    function: Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]
    start: FloatArray
    rise: FloatArray
    left: FloatArray
    right: FloatArray
    cubic: FloatArray

    @classmethod
    def of(cls, table: Table, function: Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]) -> _Inverse:
        """Return the inverse of a function of `table`'s."""
        left, right, cells = table.left[1:], table.right[1:], np.arange(1, len(table.left))
        span = np.minimum(right - left, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):  # the wait begins at 0
            (start, steep), (end, flat) = function(left, cells), function(left + span, cells)
            rise = end - start
            first, last = rise / steep, rise / flat
            cubic = np.stack([left, first, 3.0 * span - 2.0 * first - last, first + last - 2.0 * span])
        return cls(function, start, rise, left, right, cubic)

    def at(self, wanted: FloatArray) -> tuple[FloatArray, IntArray, BoolArray]:
        """Return t where the logarithm is as `wanted`, or jumps past it; where the wait begins if it is more there.

        Also returned are the cells, and whether t is at an end of its own.
        """
        xp = namespace(wanted)
        wanted = xp.clip(wanted, self.start[0], _UNBOUNDED)
        index = xp.searchsorted(self.start, wanted, "right") - 1
        left, right = xp.asarray(self.left)[index], xp.asarray(self.right)[index]
        z = (wanted - xp.asarray(self.start)[index]) / xp.asarray(self.rise)[index]
        rows = xp.asarray(self.cubic).take(index, axis=1)
        t = rows[0] + z * (rows[1] + z * (rows[2] + z * rows[3]))
        for _ in range(_STEPS):
            t = xp.clip(t, left, right)
            value, slope = self.function(t, index + 1)
            t = t - (value - wanted) / slope
        t = xp.clip(t, left, right)
        return t, index + 1, (t == left) | (t == right)


def _cells(p: float, waits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where cells begin and end, (n, 2), and r at their nodes, (n, 9): halved until polynomials fit."""
    nodes, transform, _ = _basis()
    ends = np.column_stack([waits, [*waits[1:], _SATURATED]])
    k = np.arange(len(waits))
    done: list[tuple[FloatArray, FloatArray]] = []
    for split in range(_SPLITS + 1):
        t = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * nodes
        t[:, -1] = ends[:, 1]  # neighbours share their ends
        flat, whole = t.ravel(), np.repeat(k, _DEGREE + 1)
        idle, load = np.exp(-flat), -np.expm1(-flat)
        services = (flat - waits[0]) / load
        some, long = (whole > 0) & (whole < _LONGEST), whole == _LONGEST
        services[some] = wait_quantile(p, load[some], whole[some])
        services[long] = long_wait(p, idle[long])
        r = (idle * load * services).reshape(t.shape)
        last = np.abs(r @ transform[-2:].T) @ [0.125, 1.0]
        fits = (last <= _FIT * r.max(axis=1)) & ((ends[:, 1] <= _RATIO * ends[:, 0]) | (ends[:, 0] > 1.0))
        fits |= split == _SPLITS
        done.append((ends[fits], r[fits]))
        ends, k = ends[~fits], np.repeat(k[~fits], 2)
        if not len(ends):
            break
        middle = ends.mean(axis=1)
        ends = np.column_stack([ends[:, 0], middle, middle, ends[:, 1]]).reshape(-1, 2)
    ends, r = (np.concatenate(parts) for parts in zip(*done, strict=True))
    order = np.argsort(ends[:, 0])
    return ends[order], r[order]


@cache
def table_of(p: float) -> Table:
    """Return the table of the p-quantile."""
    waits = _loads_of_waits(p)
    ends, r = _cells(p, waits)
    r = (1.0 - LOWERED) * r
    _, transform, to_powers = _basis()
    powers = to_powers @ (transform @ r.T)
    powers[0] = r[:, 0]
    powers /= (ends[:, 1] - ends[:, 0]) ** np.arange(_DEGREE + 1)[:, None]
    none = np.zeros((_DEGREE + 1, 1))
    last = none.copy()
    last[0] = r[-1, -1]
    wait = np.hstack([none, powers, last])
    slope = wait.copy()
    slope[:-1] += np.arange(1, _DEGREE + 1)[:, None] * wait[1:]
    edges = np.array([0.0, *ends[:, 0], _SATURATED])
    return Table(edges, np.array([*edges[1:], np.inf]), wait, slope, float(waits[0]), float(waits[1]))


@cache
def _inverse_taken(p: float, services: float) -> _Inverse:
    """Return where services/μ + V is how long, by percentile."""
    return _Inverse.of(table_of(p), partial(table_of(p).taken, services))


@cache
def _inverse_saved(p: float, number: int) -> _Inverse:
    """Return where one more unit of rate saves how much of number/μ + V, by percentile."""
    return _Inverse.of(table_of(p), partial(table_of(p).saved, number))


@dataclass(frozen=True, slots=True)
class WaitQuantile:
    """What one of a tandem's percentiles knows of the wait V(μ) at its longest stage.

    Parameters
    ----------
    statistic
        A name of `PERCENTILES`.
    """

    statistic: str

    @property
    def _p(self) -> float:
        return PERCENTILES[self.statistic]

    @property
    def _table(self) -> Table:
        return table_of(self._p)

    def _at(self, coefficients: FloatArray, t: FloatArray) -> FloatArray:
        return self._table.at(coefficients, t, self._table.cell(t))

    def waited(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return V, s, at excess service rate `excess` and arrival rate `rate`, 1/s."""
        xp, ratio = namespace(excess, rate), _ratio(excess, rate)
        return _in_seconds(self._at(self._table.wait, xp.log1p(ratio)) * (1.0 + ratio), rate)

    def wait_of(self, rate: FloatArray, service: FloatArray) -> FloatArray:
        """Return V, s, for a service time, s; +inf where the queue is unstable."""
        xp = namespace(rate, service)
        load = xp.asarray(rate * service)
        stable = load < 1.0
        load = xp.where(stable, load, 0.0)
        r = self._at(self._table.wait, -xp.log1p(-load))
        return xp.where(stable, _in_seconds(r / (1.0 - load), rate), np.inf)

    def crossing(self, rate: FloatArray, wait: FloatArray | float) -> FloatArray:
        """Return the excess rate (1/s) from which V is no more than `wait`, s."""
        return _in_blocks(partial(self._excess_of, 0.0), wait, rate)

    def excess_within(self, total: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate (1/s) at which 1/μ + V is `total`, s; less where nobody waits there."""
        return _in_blocks(partial(self._excess_of, 1.0), total, rate)

    def side(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float) -> IntArray:
        """Return −1 where V exceeds `wait`, 0 where they are as good as equal, and 1 beyond."""
        xp, ratio = namespace(excess, rate, wait), _ratio(excess, rate)
        t = xp.log1p(ratio)
        r, slope = self._table.both_at(self._table.wait, t, self._table.cell(t))
        over = _in_seconds(r * (1.0 + ratio), rate) - wait
        near = _ULPS * (wait + _in_seconds((r + slope) * ratio, rate))
        kink = self._at_kink(self._table.first, excess, rate) & xp.equal(wait, 0.0)
        found = xp.where((over > near) | xp.isinf(over), -1, xp.where((over < -near) | (r == 0.0), 1, 0))
        return xp.where(kink, 0, found)

    def marginal_together(self, number: int, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return minus the derivative, s², of `number`/μ + V; at a kink, the smaller of the two."""
        # a hair to the left, so that an excess rate that is a kink's is on its idle side
        xp = namespace(excess, rate)
        t = xp.log1p(_ratio(excess, rate)) * (1.0 - _ULPS)
        service = 1.0 / (rate + excess)
        return xp.asarray(number * service * service + self._at(self._table.slope, t) / (excess * excess))

    def curvature_together(self, number: int, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the second derivative, s³, of `number`/μ + V; +inf at a kink."""
        xp = namespace(excess, rate)
        t = xp.log1p(_ratio(excess, rate))
        d, slope = self._table.both_at(self._table.slope, t, self._table.cell(t))
        service = 1.0 / (rate + excess)
        kept = 2.0 * number * service * service * service
        found = kept + (2.0 * d + (2.0 * d + slope) * (rate / excess)) * service / (excess * excess)
        kink = self._at_kink(self._table.one, excess, rate)
        return xp.where(kink, np.inf, found)

    def excess_together(self, number: int, marginal: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of rate saves `marginal` (s²) of `number`/μ + V.

        λ² times what it saves is u²(number + h′(u)), u the load, and grows with it. Where nobody waits, the least rate
        at which that is so is returned.
        """
        return _in_blocks(partial(self._excess_together, number), marginal, rate)

    def _excess_together(self, number: int, marginal: FloatArray, rate: FloatArray) -> FloatArray:
        xp = namespace(marginal, rate)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            t, cell, end = _inverse_saved(self._p, number).at(2.0 * xp.log(rate * xp.sqrt(marginal)))
            service = -xp.expm1(-t) / rate
            # what t has lost of x near saturation
            fine = xp.sqrt(self._table.at(self._table.slope, t, cell) / (marginal - number * service * service))
            return xp.where((t < 1.0) | end, rate / xp.expm1(t), fine)

    def _excess_of(self, services: float, total: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate at which services/μ + V is `total`, s, or that from which nobody waits."""
        xp, table = namespace(total, rate), self._table
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            gaps = rate * total
            t, cell, end = _inverse_taken(self._p, services).at(xp.log(gaps))
            if services == 0.0:  # V is (t − first)/λ where the wait is less than one service
                exact = gaps / (1.0 - LOWERED)
                short = exact < table.one - table.first
                t, end = xp.where(short, table.first + exact, t), end | short
            both = table.at(table.wait, t, cell) - services * xp.exp(-t) * xp.expm1(-t)
            return xp.where((t < 1.0) | end, rate / xp.expm1(t), rate * both / (gaps - both))

    def _at_kink(self, t: float, excess: FloatArray, rate: FloatArray) -> BoolArray:
        xp, kink = namespace(excess, rate), rate / np.expm1(t)
        return xp.asarray(xp.abs(excess - kink) <= _ULPS * kink)


def _in_blocks(
    function: Callable[[FloatArray, FloatArray], FloatArray], first: FloatArray | float, second: FloatArray
) -> FloatArray:
    """Return the function's values, found for so few entries at a time that they stay in the cache."""
    xp = namespace(first, second)
    one, other = xp.broadcast_arrays(first, second)
    if xp is not NUMPY or one.size <= _BLOCK:  # JAX fuses what NumPy does pass by pass
        return function(one, other)
    found, one, other = np.empty(one.size), one.ravel(), other.ravel()
    for start in range(0, len(found), _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = function(one[part], other[part])
    return found.reshape(np.broadcast_shapes(np.shape(first), np.shape(second)))


def _ratio(excess: FloatArray, rate: FloatArray) -> FloatArray:
    """Return λ/x, +inf where the excess is none."""
    xp = namespace(excess, rate)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return xp.where(xp.greater(excess, 0.0), xp.divide(rate, excess), np.inf)


def _in_seconds(gaps: FloatArray, rate: FloatArray) -> FloatArray:
    """Return a time in gaps between arrivals as one in s; 0 where nothing arrives."""
    xp = namespace(gaps, rate)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return xp.where(xp.greater(rate, 0.0), xp.divide(gaps, rate), 0.0)
