"""The proof that tabulated percentiles of the wait never exceed the exact ones (docs/mathematics.md, "Percentiles").

h(u) = u·q(u) is convex. At grid points it is enclosed by the exact distribution function, a sum of positive terms in
extended precision; between them it lies above the chords of the neighbouring intervals, extended. In each interval the
table, which is convex there, must lie below both ends and below the point where those lines meet.

    python benchmarks/quantiles.py

prints, for each percentile, the least relative distance of h to the table that is proved anywhere, which must be above
0, and the largest at a grid point, relative to wait and service. It takes ten minutes, and extended precision.
"""

from __future__ import annotations

from math import comb, factorial

import numpy as np
import numpy.typing as npt

from dmcjia_opt.model.quantiles import LOWERED, PERCENTILES, table_of

Long = npt.NDArray[np.longdouble]

_ERROR = 1e-15  # of a distribution function, relatively: fewer than 5,000 operations of 5e-20 each
_APART = 2e-12  # relative half-width of the first enclosure tried, which must hold
_LOSS = 6e-11  # what chords may lose against h, relatively
_LONG = 16  # services from which the exponential tail is used
_NODES = 14  # Chebyshev nodes in [15, 16] at which the tail is compared with an exponential
_CHUNK = 1 << 15


def in_system(load: Long, n: int) -> Long:
    """Return P(at most i in the system), i = 0 … n − 1, (n, m), by Ramaswami's recursion."""
    poisson = np.empty((n + 30, len(load)), dtype=np.longdouble)
    poisson[0] = np.exp(-load)
    for i in range(1, n + 30):
        poisson[i] = poisson[i - 1] * load / i
    tail = np.cumsum(poisson[:0:-1], axis=0)[::-1]
    found = np.zeros((n, len(load)), dtype=np.longdouble)
    found[0] = 1 - load
    for j in range(n - 1):
        found[j + 1] = (found[0] * tail[j] + (found[1 : j + 1] * tail[j:0:-1]).sum(0)) / poisson[0]
    return np.cumsum(found, axis=0)


def reached(k: int, ahead: Long | float, load: Long, at_most: Long) -> Long:
    """Return P(wait ≤ k − ahead services), 0 ≤ ahead ≤ 1, by Franx's form."""
    mean = load * ahead
    total = at_most[k]
    term = np.ones_like(mean)
    for j in range(1, k):
        term = term * mean / j
        total = total + at_most[k - j] * term
    return total * np.exp(-mean)


def enclosed(p: float, t: Long, guess: Long) -> tuple[Long, Long]:
    """Return bounds of h at t, near what is guessed."""
    idle, load = np.exp(-t), -np.expm1(-t)
    low, high = guess * (1 - _APART), guess * (1 + _APART)
    short, long = guess <= load * (1 - _APART), guess > _LONG * load
    exact = t[short] + np.log(np.longdouble(p))  # e^(uy) (1 - u) = p
    off = 2e-19 * t[short]  # two units in the last place of the logarithm
    low[short], high[short] = np.maximum(exact - off, 0), exact + off
    whole = np.where(short | long, 0, np.floor(guess / load).astype(np.int64) + 1)
    for k in np.unique(whole[whole > 0]):
        some = whole == k
        at_most = in_system(load[some], int(k) + 1)
        for bound, sign in ((low[some], -1), (high[some], 1)):
            f = reached(int(k), k - bound / load[some], load[some], at_most)
            held = f * (1 + _ERROR) < p if sign < 0 else f * (1 - _ERROR) >= p
            if not held.all():
                raise SystemExit(f"no enclosure of p = {p} at t = {t[some][~held][0]}")
    if long.any():
        low[long], high[long] = tail(p, idle[long], load[long])
    return low, high


def tail(p: float, idle: Long, load: Long) -> tuple[Long, Long]:
    """Return bounds of h where the wait is more than 16 services.

    g(y) = e^(θy) P(wait > y) is, for y ≥ 1, a mean of itself over [y − 1, y], so that it stays within its bounds over
    [15, 16] ever after. There its derivatives are at most (θ + u(1 + e^θ))^n, since P(wait > y) ≤ e^(−θy), and what
    it is between Chebyshev's nodes follows from its values there, with a Lebesgue constant below 3.
    """
    theta = 2 * idle
    for _ in range(8):  # u Σ θ^n/(n + 1)! = 1 − u, n ≥ 1
        total, slope = 0 * theta, 0 * theta
        for n in range(17, 0, -1):
            slope = slope * theta + total
            total = total * theta + np.longdouble(1) / factorial(n + 1)
        slope, total = slope * theta + total, total * theta
        theta = theta - (load * total - idle) / (load * slope)
    at_most = in_system(load, _LONG + 1)
    ahead = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    g = np.array([np.exp(theta * (_LONG - y)) * (1 - reached(_LONG, y, load, at_most)) for y in ahead])
    middle = 0.5 * (g.min(0) + g.max(0))
    rest = 2 * ((theta + load * (1 + np.exp(theta))) / 4) ** _NODES / factorial(_NODES)
    # the error of 1 − F is that of F
    off = 3 * (0.5 * (g.max(0) - g.min(0)) + _ERROR * np.exp(theta * _LONG)) + rest
    scale = load / theta
    low, high = (np.log(middle + sign * off) - np.log1p(-np.longdouble(p)) for sign in (-1, 1))
    return scale * low * (1 - _ERROR), scale * high * (1 + _ERROR)


def value(coefficients: Long, s: Long) -> Long:
    """Return Σ c_i s^i, the coefficients (9, ...)."""
    found = coefficients[-1]
    for row in coefficients[-2::-1]:
        found = found * s + row
    return found + 0 * s


def proved(p: float) -> tuple[float, float, int]:
    """Return the least distance proved, the largest at a grid point, and the number of grid points.

    The first is relative to the wait, the second to wait and service.
    """
    table = table_of(p)
    everywhere = table.wait.astype(np.longdouble)
    least, most, count = np.inf, 0.0, 0

    def h(t: Long, cell: npt.NDArray[np.int64] | int) -> Long:
        """Return what the table has for h at t, in cells."""
        return value(everywhere[:, cell], t - table.left[cell]) * np.exp(t)

    # in the first cell nobody waits; in the last r no longer grows
    for cell in range(1, len(table.left) - 1):
        left, width = np.longdouble(table.left[cell]), np.longdouble(table.right[cell]) - table.left[cell]
        bends = bend(everywhere[:, cell])
        if not convex(bends, width):
            raise SystemExit(f"p = {p}: the table is not seen to be convex in cell {cell}")
        # steps that lose as much as they may; where the wait begins they grow with the root of h
        begins = cell == 1
        probe = np.linspace(0, width, 65)[1:]
        step = np.sqrt(_LOSS * value(everywhere[:, cell], probe) / (1.1 * value(bends, probe)))
        n = int(np.ceil((2 * np.sqrt(width * probe) if begins else width) / step).max())
        for start in range(0, n, _CHUNK):
            stop = min(start + _CHUNK, n)
            part = np.arange(start - 1, stop + 2) / np.longdouble(n)
            t = left + width * (part * part if begins else part)
            if begins and start == 0:
                t = t[1:]
            low, high = enclosed(p, t, h(t, table.cell(t)) / (1 - LOWERED))
            inner = slice(0 if begins and start == 0 else 1, -1)
            # the load beyond the first inner point; h is convex in it
            u = np.exp(-t[inner][0]) * -np.expm1(-(t - t[inner][0]))
            a, b = (low[1:] - high[:-1]) / np.diff(u), (high[1:] - low[:-1]) / np.diff(u)
            if begins and start == 0:  # h' is 1/p where the wait begins
                a = np.concatenate([[1 / np.longdouble(p)], a])
            x, y = u[inner], low[inner]
            a, b = a[: len(x) - 1], b[len(b) - len(x) + 1 :]
            after = ((y[1:] - y[:-1]) - b * np.diff(x)) / (a - b)  # of x, where the lines meet
            after = np.clip(after, 0, np.diff(x))
            floor = np.maximum(y[:-1] + a * after, y[1:] + b * (after - np.diff(x)))
            there = h(t[inner][:-1] - np.log1p(-after * np.exp(t[inner][:-1])), cell)
            ends = h(t[inner], cell)
            served = -np.expm1(-t[inner])  # the service, in gaps between arrivals
            most = max(most, float(((high[inner] - ends) / (ends + served)).max()))
            if begins and start == 0:  # the table is 0 there
                there, floor, ends, y = there[1:], floor[1:], ends[1:], y[1:]
            least = min(least, float((floor / there).min() - 1), float((y / ends).min() - 1))
            count += stop - start
    return least, most, count


def bend(powers: Long) -> Long:
    """Return the coefficients of (1 − u)³ h″ = 2r + 3r′ + r″."""
    i = np.arange(1, len(powers))
    first = np.append(powers[1:] * i, 0)
    return 2 * powers + 3 * first + np.append(first[1:] * i, 0)


def convex(bends: Long, width: np.longdouble) -> bool:
    """Return whether a polynomial is positive in [0, width]: its Bernstein coefficients on 64 parts are."""
    n = len(bends) - 1
    for part in np.linspace(0, width, 65)[:-1]:
        shifted = [sum(comb(i, j) * bends[i] * part ** (i - j) for i in range(j, n + 1)) for j in range(n + 1)]
        scaled = [c * (width / 64) ** j for j, c in enumerate(shifted)]
        if min(sum(comb(k, j) / comb(n, j) * scaled[j] for j in range(k + 1)) for k in range(n + 1)) <= 0:
            return False
    return True


if __name__ == "__main__":
    for name, p in PERCENTILES.items():
        least, most, count = proved(p)
        print(f"{name}: the table is below by {least:.1e} at least, and by {most:.1e} at most; {count:,} loads")
