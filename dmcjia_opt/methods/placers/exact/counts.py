"""Near-identical nodes, closed by branch and bound on counts of similar ones (see `bounds.count_tree`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.count_tree import CountTree
from dmcjia_opt.bounds.similar import Group, apart, groups_of
from dmcjia_opt.methods.placers.exact.lagrangian import Survivors, left_open
from dmcjia_opt.solving.ending import BudgetSpent
from dmcjia_opt.solving.search import Search

_MOST = 200_000  # open nodes
_FEW = 3  # groups, where there are several resources
_ALIKE = 0.4  # part of what is open that nodes may differ by
_MANY, _LESS_ALIKE = 80, 6.0  # open nodes, so many that they may be less alike
_PART = 0.9  # of the tolerance that the tree may use up


@dataclass(frozen=True, slots=True)
class _Dealer:
    """Evaluates the plans that a tree meets."""

    search: Search

    @property
    def target(self) -> float:
        """The bound that is enough, s; raises BudgetSpent when the time is."""
        if self.search.seconds_left <= 0:
            raise BudgetSpent
        return self.search.objective * (1.0 - _PART * self.search.stop.tolerance)

    def prices_of(self, plan: IntArray) -> FloatArray:
        """Return the prices (n_resources,) of a plan."""
        prices: FloatArray = self.search.solve_in_budget(plan[None])[1][0]
        return prices

    def proved(self, bound: float) -> None:
        """Raise the bound of the search."""
        self.search.prove(min(bound, self.search.objective), "branch-and-bound")


def close(search: Search, *, most_cases: int) -> bool:
    """Search everything that a Lagrangian search has left open, by counts; return whether it was completed.

    Parameters
    ----------
    search
        Holds the incumbent, which may improve, and the bound, which rises.
    most_cases
        Give up after so many, with the bound reached.

    Raises
    ------
    BudgetSpent
        When the time or the evaluations are.
    """
    left = left_open(search)
    if not 0 < len(left.nodes) <= _MOST or search.options is None:
        return False
    groups = groups_of(search.problem, left.nodes, left.options)
    if not similar(search, left, groups):
        return False
    tree = CountTree(search.problem, groups, left.cheapest, left.prices, left.bound)
    dealer = _Dealer(search)
    found = tree.close(dealer, search.options, most_cases)
    if found is not None:
        dealer.proved(found)
    search.tick()
    return found is not None


def similar(search: Search, left: Survivors, groups: Sequence[Group]) -> bool:
    """Return whether counting open nodes is the quickest, for they are so much alike, or so many: the rule of when to.

    With several resources there must be few groups besides.
    """
    if search.problem.n_resources > 1 and len(groups) > _FEW:
        return False
    many = search.problem.n_resources == 1 and len(left.nodes) >= _MANY
    return apart(groups, left.prices, search.objective - left.bound) <= (_LESS_ALIKE if many else _ALIKE)
