"""Where to split the DNN of each edge node, and how to share the cloud, with a proof of how good the answer is.

The names below are imported when first used; importing the package imports no solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmcjia_opt.certificate import Certificate, best_lower_bound, certify, lower_bound
    from dmcjia_opt.model.instances import generate
    from dmcjia_opt.model.problem import Problem, compile_problem
    from dmcjia_opt.model.profile import LayerProfile, load_profile
    from dmcjia_opt.model.scenario import Scenario, load_scenario
    from dmcjia_opt.placers.asktell import AskTell, Searcher
    from dmcjia_opt.placers.callables import FromFunction, MeanDelay
    from dmcjia_opt.placers.evaluation import BudgetSpent, Evaluation
    from dmcjia_opt.plan import Plan, load_plan
    from dmcjia_opt.proof.checking import check_proof
    from dmcjia_opt.proof.document import Proof, load_proof
    from dmcjia_opt.proof.making import prove
    from dmcjia_opt.protocols import Allocation, Allocator, Callback, Placement, Placer, Status, Stop
    from dmcjia_opt.registry import build_allocator, build_placer, register_allocator, register_placer
    from dmcjia_opt.simulation import Simulation, build_arrivals, compare, simulate
    from dmcjia_opt.solving import solve
    from dmcjia_opt.verification import verify

__version__ = "0.1.0"

_HOMES = {
    "certificate": ("Certificate", "best_lower_bound", "certify", "lower_bound"),
    "model.instances": ("generate",),
    "model.problem": ("Problem", "compile_problem"),
    "model.profile": ("LayerProfile", "load_profile"),
    "model.scenario": ("Scenario", "load_scenario"),
    "placers.evaluation": ("BudgetSpent", "Evaluation"),
    "placers.asktell": ("AskTell", "Searcher"),
    "placers.callables": ("FromFunction", "MeanDelay"),
    "plan": ("Plan", "load_plan"),
    "proof.checking": ("check_proof",),
    "proof.document": ("Proof", "load_proof"),
    "proof.making": ("prove",),
    "simulation": ("Simulation", "build_arrivals", "compare", "simulate"),
    "protocols": ("Allocation", "Allocator", "Callback", "Placement", "Placer", "Status", "Stop"),
    "registry": ("build_allocator", "build_placer", "register_allocator", "register_placer"),
    "solving": ("solve",),
    "verification": ("verify",),
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
