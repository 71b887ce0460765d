"""SciPy: its global optimisers, which take a function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.methods.placers.blackbox.asktell import DEFAULT_EVALUATIONS, CallingPlacer, MeanDelay
from dmcjia_opt.solving.contract import AnyChoice, Stop
from dmcjia_opt.solving.options import Count, method

if TYPE_CHECKING:
    from scipy.optimize import Bounds

_UNLIMITED = 10**9
_ALMOST_HALF = 0.499  # a rounded variable meets its first and last value as often as any other


@method
class Scipy(AnyChoice, CallingPlacer):
    """A global optimiser of `scipy.optimize`.

    Parameters
    ----------
    method
        One of `METHODS`. "differential_evolution" knows that the options are integers and evaluates a generation at
        once; "dual_annealing" sees a continuous box whose points are rounded.
    population
        Individuals of differential evolution, at least 5; it begins anew when they have become alike.
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    """

    method: Literal["differential_evolution", "dual_annealing"] = "differential_evolution"
    population: Annotated[int, Field(ge=5)] = 20
    evaluations: Count = DEFAULT_EVALUATIONS
    repair: bool = True
    finite: bool = True

    def run(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Hand `f` to SciPy."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            METHODS[self.method](f, f.upper, self, rng)


def _differential_evolution(f: MeanDelay, upper: IntArray, options: Scipy, rng: np.random.Generator) -> None:
    from scipy.optimize import Bounds, differential_evolution

    def columns(x: FloatArray, /) -> Any:  # noqa: ANN401 - an array, where SciPy's types expect a float
        return f(x.T)

    while True:
        differential_evolution(
            columns,
            Bounds(np.zeros(len(upper)), upper),
            maxiter=_UNLIMITED,
            init=rng.integers(0, upper + 1, (options.population, len(upper))),
            tol=0.0,
            polish=False,
            updating="deferred",
            vectorized=True,
            integrality=np.ones(len(upper), dtype=bool),
            rng=rng,
        )


def _dual_annealing(f: MeanDelay, upper: IntArray, options: Scipy, rng: np.random.Generator) -> None:
    from scipy.optimize import dual_annealing

    dual_annealing(f, _box(upper), maxiter=_UNLIMITED, maxfun=_UNLIMITED, no_local_search=True, rng=rng)


def _box(upper: IntArray) -> Bounds:
    from scipy.optimize import Bounds

    return Bounds(np.full(len(upper), -_ALMOST_HALF), upper + _ALMOST_HALF)


#: Name → how it is called. SciPy's other global optimisers rely on a local search, or, as DIRECT, on small boxes.
METHODS: Mapping[str, Callable[[MeanDelay, IntArray, Scipy, np.random.Generator], None]] = MappingProxyType(
    {"differential_evolution": _differential_evolution, "dual_annealing": _dual_annealing}
)
