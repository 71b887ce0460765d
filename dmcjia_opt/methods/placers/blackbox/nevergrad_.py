"""nevergrad: its optimisers for integers, one plan at a time."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.methods.placers.blackbox.asktell import DEFAULT_EVALUATIONS, DEFAULT_PATIENCE
from dmcjia_opt.methods.placers.blackbox.library_search import LibrarySearch, draw_seed
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.options import Count, OneOf, method

#: Those of nevergrad's several hundred that suit an integer problem or are a known name to compare with. Left out are
#: those that stop proposing anything new, such as OnePlusOne, and those that take hundredfold time, such as cGA.
OPTIMIZERS = (
    "NGOpt",
    "DiscreteOnePlusOne",
    "PortfolioDiscreteOnePlusOne",
    "DoubleFastGADiscreteOnePlusOne",
    "DiscreteLenglerOnePlusOne",
    "SmoothDiscreteOnePlusOne",
    "LognormalDiscreteOnePlusOne",
    "discretememetic",
    "TwoPointsDE",
    "DE",
    "RealSpacePSO",
    "CMA",
    "EDA",
    "TBPSA",
    "RandomSearch",
)


@method
class Nevergrad(LibrarySearch):
    """A nevergrad optimiser on one integer array (https://facebookresearch.github.io/nevergrad).

    Parameters
    ----------
    optimizer
        One of `OPTIMIZERS`; NGOpt chooses one by the number of nodes and the budget.
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    patience
        Plans it may propose again, beyond one for each new plan, before the search is taken to have ended.
    """

    library: ClassVar[str] = "nevergrad"
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "NGOpt"
    evaluations: Count = DEFAULT_EVALUATIONS
    patience: Count = DEFAULT_PATIENCE
    repair: bool = False
    finite: bool = True

    def start(self, problem: Problem, stop: Stop, rng: np.random.Generator) -> NevergradSearcher:
        """Return the optimiser (see the base class)."""
        import nevergrad as ng

        upper = problem.last.astype(float)
        array = ng.p.Array(shape=upper.shape, lower=np.zeros_like(upper), upper=upper).set_integer_casting()
        array.random_state = np.random.RandomState(draw_seed(rng))
        budget = stop.evaluations or self.evaluations
        return NevergradSearcher(ng.optimizers.registry[self.optimizer](array, budget=budget, num_workers=1))


class NevergradSearcher:
    """A nevergrad optimiser that proposes plain arrays.

    Parameters
    ----------
    optimizer
        A nevergrad optimiser whose parametrisation is one integer array.
    """

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401 - a nevergrad Optimizer
        self.optimizer = optimizer
        self._asked: Any = None

    def ask(self) -> IntArray:
        """Return one plan (n_nodes,)."""
        self._asked = self.optimizer.ask()
        return np.asarray(self._asked.value, dtype=np.int64)

    def tell(self, candidates: IntArray, values: float) -> None:
        """Tell the optimiser the mean delay, s, of the plan it proposed last."""
        self.optimizer.tell(self._asked, values)
