"""Every method by name: what it is, what it needs, and why it cannot run when it cannot.

A method is one row here and one file. Libraries are looked for without being imported, and a method's module is
imported only when the method is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Literal, cast

from dmcjia_opt.errors import BackendMissing, InputError
from dmcjia_opt.protocols import Allocator, Placer

Kind = Literal["allocator", "placer"]


@dataclass(frozen=True, slots=True)
class Spec:
    """One method.

    Parameters
    ----------
    name
        As given on the command line.
    kind
        ``"allocator"`` or ``"placer"``.
    target
        ``"module:Class"``.
    summary
        One line for people who choose.
    exact
        Allocator: the shares are optimal up to a tolerance. Placer: it ends with the optimum.
    requires
        Modules it imports beyond NumPy.
    extra
        The extra of this package that brings them; empty for the core.
    variant
        What may follow a colon in the name, and the first field of the class it sets; empty if nothing may.
    variants
        ``"module:function"`` returning the variants that can run here, or empty.
    proves
        The bound it returns was derived by this package's own code, not claimed by a solver.
    options
        Fields of the class that this name fixes, with their values.
    baseline
        Placer: it follows a rule instead of searching, and may end without a plan where there are some.
    """

    name: str
    kind: Kind
    target: str
    summary: str
    exact: bool = False
    requires: tuple[str, ...] = ()
    extra: str = ""
    variant: str = ""
    variants: str = ""
    proves: bool = False
    options: tuple[tuple[str, bool], ...] = ()
    baseline: bool = False


_BASELINES = "dmcjia_opt.placers.baselines"

_ROWS = (
    Spec(
        "waterfilling",
        "allocator",
        "dmcjia_opt.allocators.waterfilling:WaterFilling",
        "closed form, Newton on the price, whole populations at once",
        exact=True,
    ),
    Spec(
        "alm",
        "allocator",
        "dmcjia_opt.allocators.augmented_lagrangian:AugmentedLagrangian",
        "the paper's augmented Lagrangian (P5), hand-written and batched",
        exact=True,
    ),
    Spec(
        "cvxpy",
        "allocator",
        "dmcjia_opt.allocators.cvxpy_:CvxpyAllocator",
        "cone program through CVXPY, compiled once a shape; cvxpy:SOLVER chooses the solver",
        exact=True,
        requires=("cvxpy",),
        variant="solver",
        variants="dmcjia_opt.allocators.cvxpy_:installed_solvers",
    ),
    Spec(
        "ipopt",
        "allocator",
        "dmcjia_opt.allocators.pyomo_:IpoptAllocator",
        "Pyomo model solved by IPOPT, the program on PATH or CasADi's",
        exact=True,
        requires=("pyomo", "casadi"),
    ),
    Spec(
        "exact",
        "placer",
        "dmcjia_opt.placers.exact:Exact",
        "the proved optimum: Lagrangian search, branch and bound on class counts, Benders",
        exact=True,
        requires=("highspy",),
        proves=True,
    ),
    Spec(
        "branch-and-bound",
        "placer",
        "dmcjia_opt.placers.branch_and_bound:BranchAndBound",
        "Lagrangian search, then branch and bound on counts of identical nodes; no solver",
        exact=True,
        proves=True,
    ),
    Spec(
        "benders",
        "placer",
        "dmcjia_opt.placers.benders:Benders",
        "Lagrangian search, then generalised Benders with a HiGHS master",
        exact=True,
        requires=("highspy",),
        proves=True,
    ),
    Spec(
        "lagrangian",
        "placer",
        "dmcjia_opt.placers.lagrangian:Lagrangian",
        "the best price and the plans around it; optimal on most large fleets",
        proves=True,
    ),
    Spec(
        "dmcjia",
        "placer",
        "dmcjia_opt.placers.dmcjia:Dmcjia",
        "the paper's binary genetic algorithm at its published settings",
        requires=("pymoo",),
    ),
    Spec(
        "genetic",
        "placer",
        "dmcjia_opt.placers.genetic:Genetic",
        "genetic algorithm on integers by default; encoding, operators, elitism, repair are options",
        requires=("pymoo",),
    ),
    Spec(
        "memetic",
        "placer",
        "dmcjia_opt.placers.memetic:Memetic",
        "genetic algorithm with a local search, both led by the price of cloud capacity",
        requires=("pymoo",),
    ),
    Spec(
        "pymoo",
        "placer",
        "dmcjia_opt.placers.pymoo_:PymooPlacer",
        "any single-objective pymoo algorithm; pymoo:NAME chooses it",
        requires=("pymoo",),
        variant="algorithm",
        variants="dmcjia_opt.placers.pymoo_:algorithms",
    ),
    Spec(
        "exhaustive",
        "placer",
        "dmcjia_opt.placers.exhaustive:Exhaustive",
        "every plan that the Pareto filter leaves, for small instances",
        exact=True,
        proves=True,
    ),
    Spec(
        "scip",
        "placer",
        "dmcjia_opt.placers.scip_:Scip",
        "mixed-integer cone model in SCIP, whose bound is a claim; scip:perspective has a cone a split",
        exact=True,
        requires=("pyscipopt",),
        extra="scip",
        variant="formulation",
        variants="dmcjia_opt.placers.scip_:formulations",
    ),
    Spec(
        "bonmin",
        "placer",
        "dmcjia_opt.placers.casadi_:Bonmin",
        "mixed-integer cone model in CasADi's Bonmin; bonmin:ALGORITHM chooses the algorithm",
        exact=True,
        requires=("casadi",),
        variant="algorithm",
        variants="dmcjia_opt.placers.casadi_:algorithms",
    ),
    Spec(
        "cvxpy",
        "placer",
        "dmcjia_opt.placers.cvxpy_:CvxpyPlacer",
        "mixed-integer cone model through CVXPY, in SCIP unless cvxpy:SOLVER chooses another",
        exact=True,
        requires=("cvxpy", "pyscipopt"),
        extra="scip",
        variant="solver",
        variants="dmcjia_opt.placers.cvxpy_:installed_solvers",
    ),
    Spec(
        "mindtpy",
        "placer",
        "dmcjia_opt.placers.mindtpy_:MindtPy",
        "mixed-integer cone model in Pyomo's MindtPy: outer approximation by HiGHS and CasADi's IPOPT",
        exact=True,
        requires=("pyomo", "casadi", "highspy"),
    ),
    Spec(
        "cloud-only",
        "placer",
        f"{_BASELINES}:CloudOnly",
        "everything in the cloud, at equal shares",
        baseline=True,
    ),
    Spec(
        "cloud-only+",
        "placer",
        f"{_BASELINES}:CloudOnly",
        "everything in the cloud, at the allocator's shares",
        options=(("optimal_shares", True),),
        baseline=True,
    ),
    Spec(
        "edge-only",
        "placer",
        f"{_BASELINES}:EdgeOnly",
        "everything at the edge; the cloud is not used",
        baseline=True,
    ),
    Spec(
        "greedy",
        "placer",
        f"{_BASELINES}:Greedy",
        "fewest upload bytes, shares in proportion to cloud work",
        baseline=True,
    ),
    Spec(
        "greedy+",
        "placer",
        f"{_BASELINES}:Greedy",
        "fewest upload bytes, at the allocator's shares",
        options=(("optimal_shares", True),),
        baseline=True,
    ),
    Spec(
        "neurosurgeon",
        "placer",
        f"{_BASELINES}:Neurosurgeon",
        "each node's own least predicted latency, at equal shares",
        baseline=True,
    ),
    Spec(
        "neurosurgeon+",
        "placer",
        f"{_BASELINES}:Neurosurgeon",
        "each node's own least predicted latency, then the allocator's shares",
        options=(("optimal_shares", True),),
        baseline=True,
    ),
)

METHODS: Mapping[tuple[Kind, str], Spec] = MappingProxyType({(spec.kind, spec.name): spec for spec in _ROWS})


def specs(kind: Kind) -> tuple[Spec, ...]:
    """Return every method of one kind."""
    return tuple(spec for spec in METHODS.values() if spec.kind == kind)


def why_not(spec: Spec) -> str | None:
    """Return None if the method can run here, or a sentence that says what is missing and how to get it."""
    missing = [module for module in spec.requires if find_spec(module) is None]
    if not missing:
        return None
    wanted = f"dmcjia-opt[{spec.extra}]" if spec.extra else " ".join(missing)
    return f"{' and '.join(missing)} not installed; pip install '{wanted}'"


def variants(spec: Spec) -> tuple[str, ...]:
    """Return what may follow the colon in the method's name on this machine."""
    if not spec.variants or why_not(spec):
        return ()
    return tuple(_load(spec.variants)())  # type: ignore[operator]


def spec_of(kind: Kind, name: str) -> Spec:
    """Return the row of `name`, whose variant after a colon is ignored.

    Raises
    ------
    InputError
        If there is no such method; the message lists those there are.
    """
    base, colon, _ = name.partition(":")
    spec = METHODS.get((kind, base))
    if spec is None:
        known = ", ".join(s.name for s in specs(kind))
        raise InputError(f'unknown {kind} "{name}"; choose one of {known}')
    if colon and not spec.variant:
        raise InputError(f'{kind} "{base}" takes nothing after a colon, got "{name}"')
    return spec


def build_allocator(name: str) -> Allocator:
    """Return the allocator called `name`, such as ``"waterfilling"`` or ``"cvxpy:SCS"``.

    Raises
    ------
    InputError, BackendMissing
        If there is no such method, or its library is not installed.
    """
    return cast(Allocator, _build("allocator", name))


def build_placer(name: str) -> Placer:
    """Return the placer called `name`, such as ``"dmcjia"`` or ``"pymoo:DE"`` (see `build_allocator`)."""
    return cast(Placer, _build("placer", name))


def _build(kind: Kind, name: str) -> object:
    spec = spec_of(kind, name)
    if why := why_not(spec):
        raise BackendMissing(f'{kind} "{spec.name}" cannot run: {why}')
    variant = name.partition(":")[2]
    options: dict[str, str | bool] = dict(spec.options)
    if variant:
        options[spec.variant] = variant
    return _load(spec.target)(**options)  # type: ignore[operator]


def _load(target: str) -> object:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
