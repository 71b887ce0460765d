"""hypothesis strategies: problems of every kind, and scenarios of every scale."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Delay, Options, Scenario, Uplink
from dmcjia_opt.testing.problems import AVERAGES, CURVES, ORDERINGS, random_problem

DELAYS: tuple[Delay, ...] = ("md1", "mm1", "mg1", "tandem")
UPLINKS: tuple[Uplink, ...] = ("delay", "queue")


@st.composite
def problems(
    draw: st.DrawFn, *, max_nodes: int = 4, max_splits: int = 4, max_spread: float = 1e6
) -> tuple[Problem, IntArray]:
    """Draw what `random_problem` returns, over every curve, ordering and average."""
    return random_problem(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        draw(st.integers(1, max_nodes)),
        draw(st.integers(1, max_splits)),
        utilisation=draw(st.sampled_from((0.01, 0.3, 0.7, 0.95, 0.999))),
        spread=draw(st.sampled_from((1.0, 10.0, max_spread))),
        curve=draw(st.sampled_from(CURVES)),
        ordering=draw(st.sampled_from(ORDERINGS)),
        average=draw(st.sampled_from(AVERAGES)),
    )


@st.composite
def scenarios(draw: st.DrawFn, *, max_nodes: int = 4, max_layers: int = 6) -> Scenario:
    """Draw a scenario, sensible or not: scales from 1e-9 to 1e12, twins, free layers, nothing to send, no plan at all.

    Compute, bandwidth and rates are drawn around what the network needs, so that queues are often nearly full.
    """
    n, m = draw(st.integers(1, max_nodes)), draw(st.integers(1, max_layers))
    near_one = st.floats(0.01, 100.0)
    scale = st.sampled_from((1e-9, 1e-3, 1.0, 1e3, 1e12))

    def column(size: int, *, free: bool) -> list[float]:
        entry = st.one_of(st.just(0.0), near_one) if free else near_one
        return draw(st.lists(entry, min_size=size, max_size=size))

    macs = np.array(column(m, free=True)) * 1e6 * draw(scale)
    sent = np.array(column(m, free=True)) * 1e3 * draw(scale)
    input_bytes = draw(st.one_of(st.just(0.0), near_one)) * 1e3 * draw(scale)
    profile = LayerProfile("drawn", input_bytes, tuple(f"layer {i}" for i in range(m)), macs, sent)
    rate = np.array(column(n, free=False)) * draw(scale)
    work, bits = max(2e-9 * float(macs.sum()), 1e-12), max(8e-6 * float(sent.max()), 1e-9)
    edge, uplink = work * rate * column(n, free=False), bits * rate * column(n, free=False)
    for table in (rate, edge, uplink):
        table[draw(st.integers(0, n - 1))] = table[0]
    delay = draw(st.sampled_from(DELAYS))
    options = Options(
        delay=delay,
        uplink=draw(st.sampled_from(UPLINKS)) if delay == "tandem" else "delay",
        service_scv=draw(st.sampled_from((0.0, 0.5, 100.0))) if delay == "mg1" else 0.0,
        ordering=draw(st.sampled_from(ORDERINGS)),
        average=draw(st.sampled_from(AVERAGES)),
    )
    names = tuple(f"node {d}" for d in range(n))
    nodes = NodeTable(names, ("drawn",), edge, uplink, rate)
    load = draw(st.sampled_from((0.01, 0.5, 0.99, 1.0 - 1e-9, 1.0, 3.0)))
    return Scenario(work * float(rate.sum()) / load, nodes, options, {"drawn": profile}, "drawn")
