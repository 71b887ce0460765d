"""Every method by name: what it is, what it needs, and why it cannot run when it cannot.

A method of this package is one file, one row here and, where it needs a library, one extra in ``pyproject.toml``; the
row's target is below the folder of its kind. Libraries are looked for without being imported, and a method's
module is imported only when the method is built. What others wrote is found by `plugins`.

A name is ``name[:variant][:option=value]…``, such as ``"cvxpy:SCS"`` or ``"genetic:population=50"``. In the place of a
registered name ``module:Class`` or ``./file.py:Class`` may stand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from types import MappingProxyType
from typing import cast

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.machine import installed_versions, installing
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.solving import plugins
from dmcjia_opt.solving.contract import Allocator, Kind, Spec
from dmcjia_opt.solving.options import Option, names_of, options_of, settings, values
from dmcjia_opt.solving.search import Placer

_allocator = partial(Spec, "allocator")
_placer = partial(Spec, "placer")


def _baseline(name: str, rule: str, summary: str) -> Spec:
    options = (("optimal_shares", True),) if name.endswith("+") else ()
    return _placer(name, f"baselines:{rule}", summary, options=options, baseline=True)


_ROWS = (
    _allocator(
        "waterfilling",
        "waterfilling:WaterFilling",
        "closed form, Newton on the price, whole populations at once",
        exact=True,
    ),
    _allocator(
        "alm",
        "augmented_lagrangian:AugmentedLagrangian",
        "the paper's augmented Lagrangian (P5), hand-written and batched",
        exact=True,
    ),
    _allocator(
        "cvxpy",
        "cvxpy_:CvxpyAllocator",
        "cone program through CVXPY, compiled once a shape; cvxpy:SOLVER chooses the solver",
        exact=True,
        requires=("cvxpy",),
        variant="solver",
    ),
    _allocator(
        "ipopt",
        "pyomo_:IpoptAllocator",
        "Pyomo model solved by IPOPT, the program on PATH or CasADi's",
        exact=True,
        requires=("pyomo", "casadi"),
        extra="ipopt",
    ),
    _placer(
        "exact",
        "exact.exact:Exact",
        "the proved optimum: Lagrangian search, branch and bound on class counts, Benders",
        exact=True,
        requires=("highspy",),
        proves=True,
    ),
    _placer(
        "branch-and-bound",
        "exact.branch_and_bound:BranchAndBound",
        "Lagrangian search, then branch and bound on counts of identical or similar nodes",
        exact=True,
        proves=True,
    ),
    _placer(
        "benders",
        "exact.benders:Benders",
        "Lagrangian search, then generalised Benders with a HiGHS master",
        exact=True,
        requires=("highspy",),
        proves=True,
    ),
    _placer(
        "lagrangian",
        "exact.lagrangian:Lagrangian",
        "the best price and the plans around it; optimal on most large fleets",
        proves=True,
    ),
    _placer(
        "dmcjia",
        "genetic.dmcjia:Dmcjia",
        "the paper's binary genetic algorithm at its published settings",
        requires=("pymoo",),
    ),
    _placer(
        "genetic",
        "genetic.genetic:Genetic",
        "genetic algorithm on integers by default; encoding, operators, elitism, repair are options",
        requires=("pymoo",),
    ),
    _placer(
        "memetic",
        "genetic.memetic:Memetic",
        "genetic algorithm with a local search, both led by the price of cloud capacity",
        requires=("pymoo",),
    ),
    _placer(
        "pymoo",
        "genetic.pymoo_:PymooPlacer",
        "any single-objective pymoo algorithm; pymoo:NAME chooses it",
        requires=("pymoo",),
        variant="algorithm",
    ),
    _placer(
        "exhaustive",
        "exact.exhaustive:Exhaustive",
        "every plan that the Pareto filter leaves, for small instances",
        exact=True,
        proves=True,
    ),
    _placer(
        "nevergrad",
        "blackbox.nevergrad_:Nevergrad",
        "nevergrad's optimisers for integers, asked and told; nevergrad:OPTIMIZER chooses one",
        requires=("nevergrad",),
        extra="nevergrad",
        variant="optimizer",
    ),
    _placer(
        "cma",
        "blackbox.cma_:Cma",
        "CMA-ES with integer handling by pycma, restarted with larger populations",
        requires=("cma",),
        extra="cma",
    ),
    _placer(
        "optuna",
        "blackbox.optuna_:Optuna",
        "Optuna's samplers, TPE unless optuna:SAMPLER chooses another; slow, for costly evaluations",
        requires=("optuna",),
        extra="optuna",
        variant="sampler",
    ),
    _placer(
        "scipy",
        "blackbox.scipy_:Scipy",
        "SciPy's differential evolution on integers, or another global optimiser by scipy:METHOD",
        requires=("scipy",),
        variant="method",
    ),
    _placer(
        "cpsat",
        "solvers.ortools_:CpSat",
        "OR-Tools CP-SAT on menus of splits and shares, refined around the price of capacity",
        requires=("ortools",),
        extra="ortools",
    ),
    _placer(
        "scip",
        "solvers.scip_:Scip",
        "mixed-integer cone model in SCIP, whose bound is a claim; scip:perspective has a cone a split",
        exact=True,
        requires=("pyscipopt",),
        extra="scip",
        variant="formulation",
    ),
    _placer(
        "bonmin",
        "solvers.casadi_:Bonmin",
        "mixed-integer cone model in CasADi's Bonmin; bonmin:ALGORITHM chooses the algorithm",
        exact=True,
        requires=("casadi",),
        extra="ipopt",
        variant="algorithm",
    ),
    _placer(
        "cvxpy",
        "solvers.cvxpy_cones:CvxpyPlacer",
        "mixed-integer cone model through CVXPY, in SCIP unless cvxpy:SOLVER chooses another",
        exact=True,
        requires=("cvxpy", "pyscipopt"),
        extra="scip",
        variant="solver",
    ),
    _placer(
        "mindtpy",
        "solvers.mindtpy_:MindtPy",
        "mixed-integer cone model in Pyomo's MindtPy: outer approximation by HiGHS and CasADi's IPOPT",
        exact=True,
        requires=("pyomo", "casadi", "highspy"),
        extra="ipopt",
    ),
    _baseline("cloud-only", "CloudOnly", "everything in the cloud, at equal shares"),
    _baseline("cloud-only+", "CloudOnly", "everything in the cloud, at the allocator's shares"),
    _baseline("edge-only", "EdgeOnly", "everything at the edge; the cloud is not used"),
    _baseline("greedy", "Greedy", "fewest upload bytes, shares in proportion to cloud work"),
    _baseline("greedy+", "Greedy", "fewest upload bytes, at the allocator's shares"),
    _baseline("neurosurgeon", "Neurosurgeon", "each node's own least predicted latency, at equal shares"),
    _baseline("neurosurgeon+", "Neurosurgeon", "each node's own least predicted latency, then the allocator's shares"),
)

METHODS: Mapping[tuple[Kind, str], Spec] = MappingProxyType(
    {(row.kind, row.name): replace(row, target=f"dmcjia_opt.methods.{row.kind}s.{row.target}") for row in _ROWS}
)


#: Solvers that a library brings, and what runs methods elsewhere: a benchmark depends on them, too.
_BENEATH = ("clarabel", "scs", "osqp", "ecos", "torch", "distributed")
KINDS: tuple[Kind, Kind] = ("allocator", "placer")
#: What a plan may depend on beside this package.
LIBRARIES = tuple(dict.fromkeys(("numpy", "scipy", *(library for row in _ROWS for library in row.requires))))


def specs(kind: Kind) -> tuple[Spec, ...]:
    """Return every method of one kind that this package brings."""
    return tuple(spec for spec in METHODS.values() if spec.kind == kind)


def with_plugins(kind: Kind) -> tuple[Spec, ...]:
    """Return every method of one kind, plug-ins last; these are imported, and those that fail say so."""
    others = (plugins.find(kind, name) for name in plugins.names(kind) if (kind, name) not in METHODS)
    return specs(kind) + tuple(spec for spec in others if spec is not None)


def specs_called(name: str) -> tuple[Spec, ...]:
    """Return the placer and the allocator of one name, at least one of them (see `spec_of` for what it raises)."""
    found: list[Spec] = []
    errors: list[InputError] = []
    for kind in reversed(KINDS):
        try:
            found.append(spec_of(kind, name))
        except InputError as error:
            errors.append(error)
    if not found:
        raise InputError("; ".join(map(str, errors)))
    return tuple(found)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, this package, all that methods may use, and the plug-ins that are installed."""
    return installed_versions((*LIBRARIES, *_BENEATH, *plugins.distributions()))


def conflicts() -> dict[tuple[Kind, str], str]:
    """Return a sentence for each plug-in that is not used because another method has its name."""
    return plugins.conflicts(METHODS)


def why_not(spec: Spec) -> str | None:
    """Return None if the method can run here, or a sentence that says what is missing and how to get it."""
    if spec.broken:
        return spec.broken
    missing = [module for module in spec.requires if find_spec(module) is None]
    if not missing:
        return None
    remedy = installing(spec.extra) if spec.extra else f"pip install '{' '.join(missing)}'"
    return f"{' and '.join(missing)} not installed; {remedy}"


def variants(spec: Spec) -> tuple[str, ...]:
    """Return what may follow the colon in the method's name on this machine."""
    if not spec.variant or why_not(spec):
        return ()
    return names_of(options(spec)[0])


def options(spec: Spec) -> tuple[Option, ...]:
    """Return what a name of the method may set, importing its class; empty where that cannot run here."""
    if why_not(spec):
        return ()
    return options_of(_class_of(spec), fixed=[name for name, _ in spec.options])


def spec_of(kind: Kind, name: str) -> Spec:
    """Return what is known of the method that `name` builds; its variant and options play no part.

    Raises
    ------
    InputError
        If there is no such method; the message lists those there are.
    BackendMissing, BackendFailed
        If ``module:Class`` or ``file.py:Class`` cannot be imported.
    """
    return _find(kind, name)[0]


def placers() -> tuple[str, ...]:
    """Return the names of the placers that can run here, plug-ins among them.

    Examples
    --------
    >>> from dmcjia_opt import placers
    >>> "exact" in placers()
    True
    """
    return _names("placer")


def allocators() -> tuple[str, ...]:
    """Return the names of the allocators that can run here, plug-ins among them.

    Examples
    --------
    >>> from dmcjia_opt import allocators
    >>> allocators()[:3]
    ('waterfilling', 'alm', 'cvxpy')
    """
    return _names("allocator")


def _names(kind: Kind) -> tuple[str, ...]:
    ours = [spec.name for spec in specs(kind) if why_not(spec) is None]
    return tuple(dict.fromkeys([*ours, *plugins.names(kind)]))


def build_allocator(name: str) -> Allocator:
    """Return the allocator called `name`, such as ``"waterfilling"``, ``"cvxpy:SCS"`` or ``"./mine.py:Mine"``.

    Raises
    ------
    InputError, BackendMissing, BackendFailed
        If there is no such method or option, its library is not installed, or a plug-in cannot be loaded.

    Examples
    --------
    >>> from dmcjia_opt import build_allocator
    >>> build_allocator("alm")
    AugmentedLagrangian(tolerance=1e-09, penalty=100.0, ...)
    """
    check_arguments(build_allocator, locals())
    return cast(Allocator, _build("allocator", name))


def build_placer(name: str) -> Placer:
    """Return the placer called `name`, such as ``"pymoo:DE"`` or ``"dmcjia:population=9"`` (see `build_allocator`).

    Examples
    --------
    >>> from dmcjia_opt import build_placer, generate, solve
    >>> solve(generate("paper", nodes=3, seed=1), build_placer("genetic:population=20:generations=5")).placer
    'Genetic'
    """
    check_arguments(build_placer, locals())
    return cast(Placer, _build("placer", name))


def register_allocator(name: str) -> Callable[[plugins.Class], plugins.Class]:
    """Make a class known in this process as the allocator `name`: ``@register_allocator("mine")``.

    Raises
    ------
    InputError
        If the name cannot be one or is taken, or the class is no allocator.

    Examples
    --------
    >>> from dmcjia_opt import Allocation, evaluate, generate, register_allocator
    >>> import numpy as np
    >>> @register_allocator("even")
    ... class Even:
    ...     def supports(self, problem):
    ...         return None
    ...     def allocate(self, problem, options):
    ...         n_plans, n_nodes = options.shape
    ...         prices, status = np.full(n_plans, np.nan), np.ones(n_plans, np.int8)
    ...         return Allocation(np.full(options.shape, 1 / n_nodes), prices, status)
    ...
    >>> evaluate(generate("paper", nodes=4, seed=1), [0, 0, 0, 0], allocator="even").shares
    array([0.25, 0.25, 0.25, 0.25])
    """
    check_arguments(register_allocator, locals())
    return plugins.register("allocator", name, METHODS)


def register_placer(name: str) -> Callable[[plugins.Class], plugins.Class]:
    """Make a class known in this process as the placer `name` (see `register_allocator`).

    Examples
    --------
    >>> from dmcjia_opt import generate, register_placer, solve
    >>> @register_placer("all-cloud")
    ... class AllCloud:
    ...     def supports(self, problem):
    ...         return None
    ...     def search(self, search, rng):
    ...         search.evaluate([[0] * search.problem.n_nodes])
    ...
    >>> solve(generate("paper", nodes=3, seed=1), "all-cloud").splits
    array([0, 0, 0])
    """
    check_arguments(register_placer, locals())
    return plugins.register("placer", name, METHODS)


def _build(kind: Kind, name: str) -> object:
    spec, rest = _find(kind, name)
    if why := why_not(spec):
        error = BackendFailed if spec.broken else BackendMissing
        raise error(f'{kind} "{spec.name}" cannot run: {why}')
    known = options(spec) if rest or spec.origin else ()
    method = f'{kind} "{spec.name}"'
    variant, texts = settings(rest, known, method, spec.variant)
    if variant:
        texts[spec.variant] = variant
    given: dict[str, object] = {**dict(spec.options), **values(known, texts, method)}
    needed = [option for option in known if not option.default and option.name not in given]
    if needed:
        what = ":".join(f"{option.name}=…" for option in needed)
        raise InputError(f"{method} must be told {'; '.join(map(str, needed))}: write {spec.name}:{what}")
    return plugins.build(spec, _class_of(spec), given) if spec.origin else _class_of(spec)(**given)


def _find(kind: Kind, name: str) -> tuple[Spec, str]:
    """Return the method and what follows it in `name`."""
    base, _, rest = name.partition(":")
    spec = METHODS.get((kind, base)) or plugins.find(kind, base)
    if spec is None and (found := plugins.split_target(name)) is not None:
        target, rest = found
        spec = plugins.of_target(kind, target)
    if spec is None:
        known = list(dict.fromkeys([*(s.name for s in specs(kind)), *plugins.names(kind)]))
        (other,) = (each for each in KINDS if each != kind)
        hint = did_you_mean(base, known) or (
            f" (this is the name of {plugins.a(other)})" if (other, base) in METHODS else ""
        )
        raise InputError(
            f'unknown {kind} "{base}"{hint}; choose one of {", ".join(known)}, or name your own as module:Class or '
            "./file.py:Class"
        )
    return spec, rest


def _class_of(spec: Spec) -> type:
    return plugins.class_of(spec) if spec.origin else cast(type, _load(spec.target))


def _load(target: str) -> object:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
