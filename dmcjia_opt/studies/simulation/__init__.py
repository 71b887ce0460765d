"""Discrete-event simulation of a plan: each node's edge queue, uplink and cloud queue, task by task."""

from dmcjia_opt.studies.simulation.arrivals import (
    Arrivals,
    Deterministic,
    Erlang,
    HyperExponential,
    Poisson,
    Trace,
    build_arrivals,
    load_trace,
)
from dmcjia_opt.studies.simulation.fleet import made_for, simulate
from dmcjia_opt.studies.simulation.result import Difference, Simulation, compare, content, save

__all__ = [
    "Arrivals",
    "Deterministic",
    "Difference",
    "Erlang",
    "HyperExponential",
    "Poisson",
    "Simulation",
    "Trace",
    "build_arrivals",
    "compare",
    "content",
    "load_trace",
    "made_for",
    "save",
    "simulate",
]
