"""What somebody probably meant: the nearest of the names there are, by spelling or meaning; and lists of problems."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from types import MappingProxyType

from dmcjia_opt.base.quantities import unit_of_key

_MOST_SHOWN, _MOST_CHARACTERS, _LONGEST = 12, 1500, 60
#: By each name of ours, what others call it; a name is suggested only where it is one of those there are.
_SYNONYMS = MappingProxyType(
    {
        # keys and columns
        "name": "node id nodename hostname label",
        "model": "network net dnn neuralnetwork architecture modelname",
        "compute_gflops": "gflops flops tflops mflops computetflops computemflops compute cpu speed capacity",
        "uplink_mbps": "bandwidth bandwidthmbps uplink bw upload uploadmbps throughput mbps mbits uplinkkbps uplinkbps "
        "uplinkgbps uplinkmbits bitrate linkmbps",
        "arrival_rate": "lambda λ rate rps qps fps hz requestspersecond taskspersecond frequency arrivals",
        "input_bytes": "inputsize inputkb inputmb imagesize rawbytes bytes",
        "device": "board hardware machine",
        "link": "accesspoint cell wifi router gateway",
        "servers": "server edgeserver edges",
        "tiers": "tier layers levels chain hierarchy",
        "host": "board machine",
        "rtt_ms": "rtt latency ping roundtrip roundtripms delayms",
        "result_bytes": "result outputsize resultsize responsebytes",
        "downlink_mbps": "downlink download downloadmbps",
        "memory_mb": "memory ram rammb memorymib maxmemory",
        "min_split": "minsplit firstsplit leastsplit",
        "max_split": "maxsplit lastsplit mostsplit",
        "splits": "split cuts allowedsplits",
        "energy_j": "energy joule energybudget maxenergy",
        "joule_per_gflop": "computeenergy jpergflop",
        "transmit_watts": "watts txpower power transmitpower",
        "weight": "priority importance",
        "deadline_ms": "deadline slo sla target maxdelay maxlatency latencyms budgetms deadlines deadlinesec",
        "price_per_gflops": "price cost costpergflops pricegflops",
        "step_gflops": "step stepsize machinegflops",
        "price_per_mbps": "price cost costpermbps pricembps",
        "step_mbps": "step stepsize",
        "statistic": "percentile quantile statistics tail",
        "objective": "goal minimise minimize criterion",
        "links": "link cells accesspoints networks",
        "mbps": "bandwidth capacity uplinkmbps mbits",
        "cloud": "server edgeserver",
        "nodes": "node devices clients",
        "nodes_file": "nodes nodesfile fleet csv table",
        "times_file": "times timesfile measured measurements",
        "delay": "queue queueing curve latency delaymodel",
        "service_scv": "cv scv cs2 variance",
        "flops_per_mac": "flopspermac mac macs",
        "input_shapes": "inputshape shape shapes",
        "upload_dtype": "dtype quantisation quantization precision",
        "layers": "layer",
        "macs": "flops mac macc",
        "output_bytes": "outputsize bytes size",
        "seconds": "time times secs s latency latencyms ms timems duration",
        "layer": "layername op operator",
        "time_s": "time timestamp t times seconds arrival",
        # commands, and their options
        "solve": "plan optimise optimize run",
        "verify": "check validate certify prove",
        "methods": "list solvers placers allocators",
        "bench": "benchmark compare",
        "simulate": "sim simulation",
        "generate": "gen new create draw",
        "profile": "network onnx measure",
        "--seconds": "timelimit timeout time maxtime budget",
        "--evaluations": "maxevaluations maxevals iterations",
        "--gap": "tolerance tol relgap mipgap",
        "--out": "output outfile o save",
        "--placer": "method solver algorithm optimizer optimiser",
        "--methods": "method solvers solver algorithms",
        "--allocator": "inner",
        "--workers": "jobs threads processes",
        "--seed": "randomstate",
        # options of methods
        "population": "popsize populationsize pop npop",
        "generations": "ngen maxgen iterations",
        # methods
        "genetic": "ga geneticalgorithm evolutionary ea",
        "pymoo:GA": "ga geneticalgorithm",
        "pymoo:DE": "de differentialevolution",
        "pymoo:PSO": "pso particleswarm",
        "branch-and-bound": "bnb bb bab branchbound bandb",
        "exhaustive": "bruteforce enumeration enumerate allplans",
        "exact": "optimal optimum optimal milp mip minlp best",
        "lagrangian": "dual relaxation subgradient lagrange",
        "memetic": "localsearch hybrid",
        "cpsat": "cp ortools constraintprogramming",
        "scip": "pyscipopt",
        "cma": "cmaes",
        "scipy": "de differentialevolution dualannealing",
        "optuna": "tpe bayesian bayesianoptimization",
        "alm": "augmentedlagrangian al",
        "waterfilling": "closedform kkt waterfill",
        "cvxpy": "clarabel ecos scs mosek cone socp convex",
        "ipopt": "pyomo nlp interiorpoint",
        "cloud-only": "cloud allcloud offload offloading",
        "edge-only": "edge local alledge deviceonly localonly",
        # arrivals
        "deterministic": "periodic constant regular camera fixed",
        "poisson": "exponential random markov",
        "hyperexponential:SCV": "bursty h2",
    }
)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def nearest(given: str, known: Collection[str]) -> tuple[str, ...]:
    """Return which of the `known` names `given` may mean, three at most: by its letters, by meaning, or by spelling."""
    sought = _plain(given[:_LONGEST])
    heads = {name.partition(":")[0] for name in known}
    same = [name for name in known if _plain(name) == sought]
    meant = [
        ours for ours, others in _SYNONYMS.items() if sought in others.split() and (ours.partition(":")[0] in heads)
    ]
    if same or meant:
        return tuple(dict.fromkeys([*same, *meant]))[:3]
    plain = {_plain(name): name for name in known}
    return tuple(plain[close] for close in difflib.get_close_matches(sought, plain, 1, 0.65))


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` (did you mean "a" or "b"?)``, and nothing where no name is near."""
    found = " or ".join(f'"{name}"{unit_of_key(name)}' for name in nearest(given, tuple(known)))
    return f" (did you mean {found}?)" if found else ""


def listed(problems: Sequence[str], more: int = 0, what: str = "problem") -> str:
    """Return problems in one line: a dozen at most, and then how many there are beside; `more` are not in the list."""
    shown: list[str] = []
    for problem in problems[:_MOST_SHOWN]:
        if shown and sum(map(len, shown)) + len(problem) > _MOST_CHARACTERS:
            break
        shown.append(problem)
    more += len(problems) - len(shown)
    return "; ".join(shown) + (f" (and {more:,} more {what}{'s' if more > 1 else ''})" if more else "")
