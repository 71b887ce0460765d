"""What a plan is worth, in rational arithmetic: no rounding, and none of the code it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.model.problem import Problem


def within_budget(shares: FloatArray) -> list[Fraction]:
    """Return shares as they are, scaled down where their exact sum is above 1."""
    exact = [Fraction(float(share)) for share in shares]
    total = sum(exact, Fraction(0))
    return [share / total for share in exact] if total > 1 else exact


def exact_delay(
    problem: Problem, splits: IntArray, shares: Sequence[Fraction], slack: Fraction = Fraction(0)
) -> Fraction | None:
    """Return the mean delay of a plan of `problem` as tabulated, s; None where it breaks a constraint on a node.

    Parameters
    ----------
    splits, shares
        (n_nodes,) the plan; the sum of its shares is not looked at.
    slack
        By how much, relative, a least rate may be missed.
    """
    mean = Fraction(0)
    for d, split in enumerate(splits.tolist()):
        local = float(problem.fixed_delay[d, split])
        if local == float("inf"):
            return None
        value = Fraction(local)
        s = Fraction(float(problem.service[d, split, 0]))
        if s > 0:
            rate, mu = Fraction(float(problem.arrival_rate[d])), shares[d] / s
            floor = Fraction(float(problem.least_rate[d, split, 0]))
            if mu <= rate or mu < floor * (1 - slack):
                return None
            wait = Fraction(float(problem.wait[d, split]))
            value += max(
                Fraction(piece.a) / mu + Fraction(piece.b) / (mu - rate) - Fraction(piece.relief) * wait
                for piece in problem.curve.pieces
            )
        mean += Fraction(float(problem.weight[d])) * value
    return mean


def exact_load(problem: Problem, splits: IntArray) -> Fraction | None:
    """Return the total share that splits need at least; None where one of them is not allowed."""
    load = Fraction(0)
    for d, split in enumerate(splits.tolist()):
        if problem.fixed_delay[d, split] == float("inf"):
            return None
        least = max(float(problem.arrival_rate[d]), float(problem.least_rate[d, split, 0]))
        load += Fraction(least) * Fraction(float(problem.service[d, split, 0]))
    return load
