"""What a plan is worth, in rational arithmetic: no rounding, and none of the code it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem

#: Shares by node and use.
Shares = Sequence[Sequence[Fraction]]


def exactly(shares: FloatArray) -> list[list[Fraction]]:
    """Return shares (n_nodes, n_uses) as they are."""
    return [[Fraction(share) for share in row] for row in shares.tolist()]


def exact_use(problem: Problem, options: IntArray, shares: Shares) -> list[Fraction]:
    """Return the sum of the shares of each resource."""
    total = [Fraction(0)] * problem.n_resources
    for d, option in enumerate(options.tolist()):
        for k, share in enumerate(shares[d]):
            if problem.service[d, option, k] > 0:
                total[int(problem.resource[d, option, k])] += share
    return total


def within_budget(problem: Problem, options: IntArray, shares: FloatArray) -> list[list[Fraction]]:
    """Return shares (n_nodes, n_uses), scaled down where those of a resource exactly sum to more than 1."""
    exact = exactly(shares)
    total = [max(used, Fraction(1)) for used in exact_use(problem, options, exact)]
    return [
        [share / total[int(problem.resource[d, option, k])] for k, share in enumerate(exact[d])]
        for d, option in enumerate(options.tolist())
    ]


def exact_delay(problem: Problem, options: IntArray, shares: Shares, slack: Fraction = Fraction(0)) -> Fraction | None:
    """Return the mean delay of a plan of `problem` as tabulated, s; None where it breaks a constraint on a node.

    Parameters
    ----------
    options, shares
        (n_nodes,) and by node and use, the plan; the sums of its shares are not looked at.
    slack
        By how much, relative, a least rate may be missed.
    """
    mean = Fraction(0)
    for d, option in enumerate(options.tolist()):
        value = _node_delay(problem, d, option, shares[d], slack)
        if value is None:
            return None
        mean += Fraction(float(problem.weight[d])) * value
    return mean


def _node_delay(problem: Problem, d: int, option: int, shares: Sequence[Fraction], slack: Fraction) -> Fraction | None:
    fixed = float(problem.fixed_delay[d, option])
    if fixed == float("inf"):
        return None
    value, rate = Fraction(fixed), Fraction(float(problem.arrival_rate[d]))
    waits: list[Fraction] = []  # of the stages of a tandem, as if each were alone
    for k, curve in enumerate(problem.use_curves):
        s = Fraction(float(problem.service[d, option, k]))
        if s == 0:
            continue
        mu, floor = shares[k] / s, Fraction(float(problem.least_rate[d, option, k]))
        if mu < floor * (1 - slack) or (mu <= rate if curve.waits() else mu < rate * (1 - slack)):
            return None
        if curve == TANDEM:
            value += 1 / mu
            waits.append(rate / (2 * mu * (mu - rate)))
        else:
            (piece,) = curve.pieces()
            value += Fraction(piece.a) / mu + (Fraction(piece.b) / (mu - rate) if piece.b else 0)
    upstream = Fraction(float(problem.wait[d, option]))
    return value + max([Fraction(0), *(wait - upstream for wait in waits)])


def lagrangian(problem: Problem, options: IntArray, shares: Shares, prices: FloatArray) -> Fraction | None:
    """Return mean delay and price of options and shares, s, at prices: no bound that these prove is above it.

    None where a constraint on a node is broken; the sums of the shares may be anything.
    """
    delay = exact_delay(problem, options, shares)
    if delay is None:
        return None
    use = exact_use(problem, options, shares)
    return delay + sum(
        (Fraction(price) * (used - 1) for price, used in zip(prices.tolist(), use, strict=True)), Fraction(0)
    )


def exact_loads(problem: Problem, options: IntArray) -> list[Fraction] | None:
    """Return the share of each resource that options need at least; None where one of them is not allowed."""
    least = []
    for d, option in enumerate(options.tolist()):
        if problem.fixed_delay[d, option] == float("inf"):
            return None
        rate = float(problem.arrival_rate[d])
        tables = zip(problem.least_rate[d, option].tolist(), problem.service[d, option].tolist(), strict=True)
        least.append([Fraction(max(rate, floor)) * Fraction(s) for floor, s in tables])
    return exact_use(problem, options, least)
