from dmcjia_opt.base.machine import __version__ as __version__
from dmcjia_opt.base.errors import (
    BackendFailed as BackendFailed,
    BackendMissing as BackendMissing,
    ClaimFalse as ClaimFalse,
    DmcjiaError as DmcjiaError,
    Doubt as Doubt,
    InfeasibleError as InfeasibleError,
    InputError as InputError,
    UncountedOperators as UncountedOperators,
)
from dmcjia_opt.model.networks.profile import LayerProfile as LayerProfile, load_profile as load_profile
from dmcjia_opt.model.scenario.loading import load_scenario as load_scenario
from dmcjia_opt.model.scenario.nodes import Node as Node
from dmcjia_opt.model.scenario.servers import Host as Host, Link as Link, Server as Server
from dmcjia_opt.model.scenario.scenario import Options as Options, Scenario as Scenario
from dmcjia_opt.model.scenario.families import generate as generate
from dmcjia_opt.model.problem import Problem as Problem
from dmcjia_opt.model.scenario.compiling import compile_problem as compile_problem
from dmcjia_opt.solving.contract import (
    Allocation as Allocation,
    Allocator as Allocator,
    Callback as Callback,
    Placement as Placement,
    Status as Status,
    Stop as Stop,
)
from dmcjia_opt.solving.ending import BudgetSpent as BudgetSpent
from dmcjia_opt.solving.search import Placer as Placer, Search as Search
from dmcjia_opt.solving.registry import (
    allocators as allocators,
    build_allocator as build_allocator,
    build_placer as build_placer,
    placers as placers,
    register_allocator as register_allocator,
    register_placer as register_placer,
)
from dmcjia_opt.methods.placers.blackbox.asktell import (
    AskTell as AskTell,
    FromFunction as FromFunction,
    MeanDelay as MeanDelay,
    Searcher as Searcher,
)
from dmcjia_opt.methods.placers.genetic.pymoo_ import PlacementProblem as PlacementProblem
from dmcjia_opt.solving.solve import solve as solve
from dmcjia_opt.solving.evaluating import evaluate as evaluate
from dmcjia_opt.solving.sweeping import sweep as sweep
from dmcjia_opt.solving.verifying import prove as prove, verify as verify
from dmcjia_opt.studies.simulation.arrivals import build_arrivals as build_arrivals
from dmcjia_opt.studies.simulation.fleet import simulate as simulate
from dmcjia_opt.studies.simulation.result import Simulation as Simulation, compare as compare
from dmcjia_opt.solving.plan import Plan as Plan, load_plan as load_plan
from dmcjia_opt.bounds.certificate import (
    Certificate as Certificate,
    best_lower_bound as best_lower_bound,
    certify as certify,
    lower_bound as lower_bound,
)
from dmcjia_opt.bounds.proof.document import Proof as Proof, load_proof as load_proof
from dmcjia_opt.bounds.proof.checking import check_proof as check_proof
from dmcjia_opt.studies.purchase.frontier import Frontier as Frontier
from dmcjia_opt.studies.purchase.frontier import frontier as frontier
from dmcjia_opt.studies.purchase.size import Size as Size
from dmcjia_opt.studies.purchase.size import size as size
from dmcjia_opt.studies.online.replay import Replay as Replay, Switching as Switching
from dmcjia_opt.studies.online.replay import replay as replay
from dmcjia_opt.studies.online.traces import LinkTrace as LinkTrace, load_links as load_links
