"""Optimisers that only ask what a plan costs: functions that minimise one, and whatever asks and is told.

The placement problem as a plain Python function is `MeanDelay`; `FromFunction` makes a placer of any function that
minimises it, `AskTell` of anything that proposes plans when asked, and is told how good they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, AnyProblem, Stop
from dmcjia_opt.solving.options import Count, method
from dmcjia_opt.solving.search import Search

#: Distinct plans that a search without a budget and without an end of its own may evaluate.
DEFAULT_EVALUATIONS = 2000
#: Plans that a search may propose again, beyond one for each new plan, before it is taken to have ended.
DEFAULT_PATIENCE = 1000
_TICK = 50


class MeanDelay:
    """The mean delay as a function of the options alone: ``f(options)``, for any optimiser that takes a callable.

    Inside a placer it ends the search by an exception of its own when the budget is spent; let that pass. Made from
    a problem it never ends a search.

    Parameters
    ----------
    problem
        The compiled problem.
    allocator
        Chooses the shares of each plan; water-filling by default.
    search
        Keeps budget, cache and incumbent; by default a new one that nothing ends.
    repair
        Round options to the nearest integer and clip them into range; without it, such options are an error.
    finite
        Give infeasible plans a large finite value that grows with their overload, instead of +inf.

    Examples
    --------
    >>> from dmcjia_opt import MeanDelay, compile_problem, generate
    >>> delay = MeanDelay(compile_problem(generate("paper", nodes=3, seed=1)))
    >>> round(delay([0, 16, 0]), 3), delay.upper
    (0.256, array([34, 34, 34]))
    """

    def __init__(
        self,
        problem: Problem,
        allocator: Allocator | None = None,
        *,
        search: Search | None = None,
        repair: bool = True,
        finite: bool = True,
    ) -> None:
        self.problem = problem
        self.search = search or Search(problem, allocator or WaterFilling())
        self.repair = repair
        self.finite = finite

    @property
    def upper(self) -> IntArray:
        """(n_nodes,) last option of each node; the first is 0."""
        return self.problem.last

    @property
    def best(self) -> IntArray | None:
        """(n_nodes,) options of the best feasible plan met so far, or None."""
        return self.search.options

    def __call__(self, options: ArrayLike, /) -> Any:  # noqa: ANN401 - a float, or an array for several plans
        """Return the mean delay, s.

        Parameters
        ----------
        options
            (n_nodes,) for one plan, or (n_plans, n_nodes).

        Returns
        -------
        A float for one plan, (n_plans,) for several.

        Raises
        ------
        BackendFailed
            If `options` are not such an array, or without `repair` are not options of the nodes.
        BudgetSpent
            When the budget of the search is spent.
        """
        plans = self._plans(options)
        batch = np.atleast_2d(plans)
        before = self.search.evaluations
        values = self.search.finite(batch) if self.finite else self.search.evaluate(batch)
        if self.search.evaluations // _TICK > before // _TICK:
            self.search.tick()
        return float(values[0]) if plans.ndim == 1 else values

    def _plans(self, options: ArrayLike) -> IntArray:
        n = self.problem.n_nodes
        try:
            array = np.asarray(options)
        except ValueError:
            raise BackendFailed("the search proposed rows of different lengths; give (n_plans, n_nodes)") from None
        if array.dtype.kind not in "iufb" or array.ndim not in (1, 2) or array.shape[-1] != n:
            raise BackendFailed(
                f"the search proposed {array.dtype} of shape {array.shape}; "
                f"give numbers of shape ({n},) or (n_plans, {n}), one option a node"
            )
        if not np.isfinite(array).all():
            raise BackendFailed("the search proposed options that are not finite numbers")
        whole = np.rint(array)
        if self.repair:
            return cast(IntArray, np.clip(whole, 0, self.upper).astype(np.int64))
        if (whole != array).any():
            raise BackendFailed("the search proposed options that are not integers; round them, or set repair=True")
        if (whole < 0).any() or (whole > self.upper).any():
            d = int(np.argwhere((whole < 0) | (whole > self.upper))[0][-1])
            raise BackendFailed(
                f"the search proposed an option of node {d} outside 0 … {self.upper[d]}; clip it, or set repair=True"
            )
        return cast(IntArray, whole.astype(np.int64))


class CallingPlacer(AnyProblem, ABC):
    """A placer that calls a `MeanDelay` until it or the budget is at its end; a subclass says on which plans.

    A search without a budget of evaluations or seconds ends after `evaluations` distinct plans.
    """

    __slots__ = ()

    evaluations: int
    repair: bool
    finite: bool

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Minimise the mean delay."""
        stop = search.unless_budgeted(self.evaluations)
        self.run(MeanDelay(search.problem, search=search, repair=self.repair, finite=self.finite), stop, rng)

    @abstractmethod
    def run(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Call `f` on plans worth trying, until there are no more; `f` remembers the best and keeps the budget."""


Minimiser = Callable[[MeanDelay, IntArray, np.random.Generator], object]


@method
class FromFunction(CallingPlacer):
    """A placer made of a function that minimises another over a box of integers.

    Parameters
    ----------
    minimise
        ``minimise(f, upper, rng)``: calls `f` (a `MeanDelay`) on options from 0 to `upper` (n_nodes,), drawing from
        `rng` alone if the same seed is to give the same plan. What it returns is not looked at: `f` remembers.
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    repair, finite
        As for `MeanDelay`.

    Examples
    --------
    >>> from scipy.optimize import differential_evolution
    >>> from dmcjia_opt import FromFunction, Stop, generate, solve
    >>> def minimise(delay, upper, rng):
    ...     differential_evolution(delay, [(0, last) for last in upper], rng=rng, maxiter=5, popsize=5)
    ...
    >>> solve(generate("paper", nodes=3, seed=1), FromFunction(minimise), stop=Stop(evaluations=50)).placer
    'FromFunction'
    """

    minimise: Minimiser
    evaluations: Count = DEFAULT_EVALUATIONS
    repair: bool = True
    finite: bool = True

    def run(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Hand `f` over."""
        self.minimise(f, f.upper, rng)


@runtime_checkable
class Searcher(Protocol):
    """What a search must be able to do; nevergrad, pycma and Optuna all work in this way.

    Examples
    --------
    >>> from dmcjia_opt import Searcher
    >>> class AtRandom:
    ...     def ask(self): ...
    ...     def tell(self, options, delays): ...
    ...
    >>> isinstance(AtRandom(), Searcher)
    True
    """

    def ask(self) -> ArrayLike:
        """Return one plan (n_nodes,) or several (n_plans, n_nodes); none at all to end the search."""

    def tell(self, candidates: Any, values: Any, /) -> object:  # noqa: ANN401 - what `ask` returned
        """Take what `ask` returned and its mean delays, s: a float for one plan, (n_plans,) for several."""


Start = Callable[[Problem, Stop, np.random.Generator], Searcher]


@method
class AskTell(CallingPlacer):
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

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import AskTell, Stop, generate, solve
    >>> class AtRandom:
    ...     def __init__(self, problem, stop, rng):
    ...         self.problem, self.rng = problem, rng
    ...     def ask(self):
    ...         return self.rng.integers(self.problem.last + 1, size=(10, self.problem.n_nodes))
    ...     def tell(self, options, delays):
    ...         pass
    ...
    >>> solve(generate("paper", nodes=3, seed=1), AskTell(AtRandom), stop=Stop(evaluations=50)).evaluations
    50
    """

    start: Start
    evaluations: Count = DEFAULT_EVALUATIONS
    patience: Count = DEFAULT_PATIENCE
    repair: bool = False
    finite: bool = True

    def run(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
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


def ask_and_tell(
    searcher: Searcher, f: MeanDelay, patience: int, kept: Callable[[], AbstractContextManager[object]] = nullcontext
) -> None:
    """Ask, evaluate and tell in turn, until nothing is proposed, or plans repeat beyond `patience` (see `AskTell`).

    The searcher works inside of `kept`.
    """
    repeats = 0
    while repeats <= patience:
        with kept():
            candidates = searcher.ask()
        if isinstance(candidates, Sized) and len(candidates) == 0:
            return
        before = f.search.evaluations
        values = f(candidates)
        with kept():
            searcher.tell(candidates, values)
        new = f.search.evaluations - before
        repeats += np.size(values) - 2 * new  # each new plan earns one repeat
