"""Where to split the DNN of each edge node, and how to share the cloud, with a proof of how good the answer is.

The names below are imported when first used; importing the package imports no solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dmcjia_opt.base.machine import __version__ as __version__

if TYPE_CHECKING:
    from dmcjia_opt.bounds.certificate import Certificate, best_lower_bound, certify, lower_bound
    from dmcjia_opt.bounds.proof.checking import check_proof
    from dmcjia_opt.bounds.proof.document import Proof, load_proof
    from dmcjia_opt.methods.placers.blackbox.asktell import AskTell, Searcher
    from dmcjia_opt.methods.placers.blackbox.callables import FromFunction, MeanDelay
    from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
    from dmcjia_opt.model.problem import Problem
    from dmcjia_opt.model.scenario.compiling import compile_problem
    from dmcjia_opt.model.scenario.families import generate
    from dmcjia_opt.model.scenario.scenario import Scenario, load_scenario
    from dmcjia_opt.solving.contract import Allocation, Allocator, Callback, Placement, Placer, Status, Stop
    from dmcjia_opt.solving.plan import Plan, load_plan
    from dmcjia_opt.solving.registry import build_allocator, build_placer, register_allocator, register_placer
    from dmcjia_opt.solving.search import BudgetSpent, Evaluation
    from dmcjia_opt.solving.solve import solve
    from dmcjia_opt.solving.verifying import prove, verify
    from dmcjia_opt.studies.simulation.arrivals import build_arrivals
    from dmcjia_opt.studies.simulation.fleet import simulate
    from dmcjia_opt.studies.simulation.result import Simulation, compare

_HOMES = {
    "bounds.certificate": ("Certificate", "best_lower_bound", "certify", "lower_bound"),
    "bounds.proof.checking": ("check_proof",),
    "bounds.proof.document": ("Proof", "load_proof"),
    "methods.placers.blackbox.asktell": ("AskTell", "Searcher"),
    "methods.placers.blackbox.callables": ("FromFunction", "MeanDelay"),
    "model.networks.profile": ("LayerProfile", "load_profile"),
    "model.problem": ("Problem",),
    "model.scenario.compiling": ("compile_problem",),
    "model.scenario.families": ("generate",),
    "model.scenario.scenario": ("Scenario", "load_scenario"),
    "solving.contract": ("Allocation", "Allocator", "Callback", "Placement", "Placer", "Status", "Stop"),
    "solving.plan": ("Plan", "load_plan"),
    "solving.registry": ("build_allocator", "build_placer", "register_allocator", "register_placer"),
    "solving.search": ("BudgetSpent", "Evaluation"),
    "solving.solve": ("solve",),
    "solving.verifying": ("prove", "verify"),
    "studies.simulation.arrivals": ("build_arrivals",),
    "studies.simulation.fleet": ("simulate",),
    "studies.simulation.result": ("Simulation", "compare"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - as a reader meets them
    "LayerProfile",
    "load_profile",
    "Scenario",
    "load_scenario",
    "generate",
    "Problem",
    "compile_problem",
    "Allocator",
    "Allocation",
    "Placer",
    "Placement",
    "Status",
    "Stop",
    "Callback",
    "Evaluation",
    "BudgetSpent",
    "build_allocator",
    "build_placer",
    "register_allocator",
    "register_placer",
    "AskTell",
    "Searcher",
    "FromFunction",
    "MeanDelay",
    "solve",
    "verify",
    "simulate",
    "Simulation",
    "build_arrivals",
    "compare",
    "Plan",
    "load_plan",
    "Certificate",
    "certify",
    "lower_bound",
    "best_lower_bound",
    "prove",
    "Proof",
    "load_proof",
    "check_proof",
]


def __getattr__(name: str) -> object:
    if name in _HOME:  # modules are never called like a name they export, so neither can hide the other
        return getattr(import_module(f"dmcjia_opt.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dmcjia_opt' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
