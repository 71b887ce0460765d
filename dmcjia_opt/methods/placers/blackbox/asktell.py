"""Ask and tell: whatever proposes plans when asked, and is told how good they are, is a placer."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.placers.blackbox.callables import DEFAULT_EVALUATIONS, MeanDelay, SearchPlacer
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.options import Count, method

#: Plans that a search may propose again, beyond one for each new plan, before it is taken to have ended.
DEFAULT_PATIENCE = 1000


@runtime_checkable
class Searcher(Protocol):
    """What a search must be able to do; nevergrad, pycma and Optuna all work in this way."""

    def ask(self) -> ArrayLike:
        """Return one plan (n_nodes,) or several (n_plans, n_nodes); none at all to end the search."""

    def tell(self, candidates: Any, values: Any, /) -> object:  # noqa: ANN401 - what `ask` returned
        """Take what `ask` returned and its mean delays, s: a float for one plan, (n_plans,) for several."""


Start = Callable[[Problem, Stop, np.random.Generator], Searcher]


@method
class AskTell(SearchPlacer):
    """A placer made of anything with `ask` and `tell`.

    Parameters
    ----------
    start
        ``start(problem, stop, rng)`` returns a fresh `Searcher`. `stop` is the budget, in which the evaluations are
        filled in when there was none; the searcher draws from `rng` alone if the same seed is to give the same plan.
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    patience
        Plans it may propose again, beyond one for each new plan: a repeated plan costs no evaluation, and a search
        that has converged would go on for ever.
    repair
        Round candidates to the nearest integer and clip them into range; without it, such candidates are an error.
    finite
        Tell a large finite value, which grows with the overload, for infeasible plans, instead of +inf.
    """

    start: Start
    evaluations: Count = DEFAULT_EVALUATIONS
    patience: Count = DEFAULT_PATIENCE
    repair: bool = False
    finite: bool = True

    def search(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Ask, evaluate and tell in turn.

        Raises
        ------
        InputError
            If `start` returned something else than a searcher.
        """
        searcher = self.start(f.problem, stop, rng)
        if not isinstance(searcher, Searcher):
            raise InputError(f"start must return an object with ask and tell, got {type(searcher).__qualname__}")
        ask_and_tell(searcher, f, self.patience)


def ask_and_tell(searcher: Searcher, f: MeanDelay, patience: int) -> None:
    """Ask, evaluate and tell in turn, until nothing is proposed, or plans repeat beyond `patience` (see `AskTell`)."""
    repeats = 0
    while repeats <= patience:
        candidates = searcher.ask()
        if isinstance(candidates, Sized) and len(candidates) == 0:
            return
        before = f.evaluation.evaluations
        values = f(candidates)
        searcher.tell(candidates, values)
        new = f.evaluation.evaluations - before
        repeats += np.size(values) - 2 * new  # each new plan earns one repeat
