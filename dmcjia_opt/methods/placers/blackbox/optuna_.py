"""Optuna: its samplers, one plan at a time, with one integer parameter a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.methods.placers.blackbox.library_search import LibrarySearch, draw_seed
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.options import Count, OneOf, method

#: Name → Optuna's class. Its GP and CMA-ES samplers are left out: they need libraries that Optuna does not bring.
SAMPLERS = {"TPE": "TPESampler", "Random": "RandomSampler", "QMC": "QMCSampler", "NSGAII": "NSGAIISampler"}


@method
class Optuna(LibrarySearch):
    """An Optuna study (https://doi.org/10.1145/3292500.3330701), asked and told.

    TPE models every trial so far, so that a proposal takes milliseconds and ever more of them. A plan proposed again
    is followed by one drawn at random: repeats cost no evaluation, and a model that has converged would repeat itself
    for ever.

    Parameters
    ----------
    sampler
        One of `SAMPLERS`.
    startup
        Random trials before TPE begins to model.
    multivariate
        Have TPE model the nodes together instead of one by one.
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    patience
        Plans it may propose again, beyond one for each new plan, before the search is taken to have ended.
    """

    library: ClassVar[str] = "Optuna"
    sampler: Annotated[str, OneOf(SAMPLERS)] = "TPE"
    startup: Count = 10
    multivariate: bool = False
    evaluations: Count = 500
    patience: Count = 100
    repair: bool = False
    finite: bool = True

    def start(self, problem: Problem, stop: Stop, rng: np.random.Generator) -> OptunaSearcher:
        """Return a new study in memory (see the base class)."""
        import optuna

        options: dict[str, Any] = {"seed": draw_seed(rng)}
        if self.sampler == "TPE":
            options |= {"n_startup_trials": self.startup, "multivariate": self.multivariate}
        if self.sampler == "QMC":
            options |= {"scramble": True}
        sampler = getattr(optuna.samplers, SAMPLERS[self.sampler])(**options)
        with _quiet(optuna):
            return OptunaSearcher(optuna.create_study(sampler=sampler), problem.last, rng)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:  # noqa: ANN401 - the module
    """Let Optuna log errors alone for a while."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


class OptunaSearcher:
    """An Optuna study that proposes plain arrays.

    Parameters
    ----------
    study
        To be minimised.
    upper
        (n_nodes,) last option of each node.
    rng
        Draws the plan that follows a repeated one.
    """

    def __init__(self, study: Any, upper: IntArray, rng: np.random.Generator) -> None:  # noqa: ANN401 - an optuna Study
        from optuna.distributions import IntDistribution

        self.study = study
        self._upper = upper
        self._rng = rng
        self._seen: set[bytes] = set()
        self._space = {f"node {d}": IntDistribution(0, last) for d, last in enumerate(upper.tolist())}
        self._trial: Any = None

    def ask(self) -> IntArray:
        """Return one plan (n_nodes,)."""
        self._trial = self.study.ask(self._space)
        return np.array([self._trial.params[name] for name in self._space], dtype=np.int64)

    def tell(self, candidates: IntArray, values: float) -> None:
        """Tell the study the mean delay, s, of the plan it proposed last."""
        self.study.tell(self._trial, values)
        key = candidates.tobytes()
        if key in self._seen:
            drawn = self._rng.integers(0, self._upper + 1).tolist()
            self.study.enqueue_trial(dict(zip(self._space, drawn, strict=True)))
        self._seen.add(key)
