"""Options that are left out: at no prices, in no fleet, is one of them any better than all that are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario import menus as making
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.nodes import Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario, Statistic
from dmcjia_opt.model.scenario.servers import Link, Server
from dmcjia_opt.solving.registry import build_allocator, build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.solve import solve

STATISTICS = get_args(Statistic)


def drawn(rng: np.random.Generator) -> Scenario:
    """Return a small fleet with any of the keys, on networks whose layers grow and shrink as they like."""
    n, layers = int(rng.integers(1, 5)), tuple("abcde")
    net = LayerProfile(
        "net",
        10.0 ** rng.uniform(4, 6.5),
        layers,
        rng.uniform(0.0, 1e9, 5) * (rng.random(5) < 0.8) + 1e5,
        10.0 ** rng.uniform(3, 6.5, 5),
        weight_bytes=rng.uniform(0.0, 1e6, 5),
    )
    times = MeasuredTimes(
        {Timed(who, "net"): {layer: float(rng.uniform(0.001, 0.2)) for layer in layers} for who in ("pi", "box")}
    )

    def some(values: object, chance: float = 0.5) -> np.ndarray:
        return np.where(rng.random(n) < chance, values, np.nan)

    def cells(choices: list[object], chance: float = 0.5) -> Labels:
        return Labels.of(choices[rng.integers(len(choices))] if rng.random() < chance else None for _ in range(n))

    linked = rng.random() < 0.5
    link = Labels.of(["cell", "wan"][int(rng.integers(2))] for _ in range(n)) if linked else Labels()
    rows = cells([("site", "cloud"), ("cloud", "site")]) if rng.random() < 0.5 else Labels()
    chosen = Labels() if rows.values else cells([("site", "cloud"), ("site",), ("cloud",)])
    spread = rng.random() < 0.5
    table = NodeTable(
        tuple(f"n{d}" for d in range(n)),
        ("net.json",),
        10.0 ** rng.uniform(-1, 2) * (rng.uniform(0.5, 2.0, n) if spread else 1.0),
        some(10.0 ** rng.uniform(-1, 3)) if linked else 10.0 ** rng.uniform(-1, 3, n if spread else None),
        rng.uniform(0.05, 2.0, n),
        input_bytes=some(10.0 ** rng.uniform(3, 6, n)) if rng.random() < 0.5 else np.nan,
        devices=("pi",),
        device_index=rng.choice([-1, 0], n) if rng.random() < 0.3 else -1,
        link=link,
        servers=chosen,
        tiers=rows,
        rtt_ms=some(rng.uniform(0, 100, n)) if rng.random() < 0.5 else np.nan,
        memory_mb=some(rng.uniform(3.5, 9.0, n)) if rng.random() < 0.3 else np.nan,
    )
    if rng.random() < 0.3:
        energy = some(rng.uniform(0.5, 5.0, n))
        watts = np.where(np.isnan(energy), np.nan, rng.uniform(0.0, 1.0, n))
        table = replace(table, energy_j=energy, joule_per_gflop=watts, transmit_watts=watts)
    delay = ["md1", "mm1", "mg1", "tandem"][int(rng.integers(4))]
    options = Options(
        delay=delay,
        service_scv=0.5 if delay == "mg1" else 0.0,
        uplink=["delay", "queue"][int(rng.integers(2))],
        ordering=["stability", "cloud-faster"][int(rng.random() < 0.2)],
        statistic=STATISTICS[int(rng.integers(len(STATISTICS)))] if delay == "tandem" else "mean",
    )
    if rng.random() < 0.3:
        table = replace(table, deadline_ms=some(10.0 ** rng.uniform(2.0, 4.0, n)))
    if rng.random() < 0.4:
        known = [0.0, 1.0] if options.statistic != "mean" else [0.0, 0.3, 1.0, 4.0]
        table = replace(table, arrivals=some(rng.choice(known, n), 0.8))
    site = Server(
        name="site",
        compute_gflops=20.0,
        rtt_ms=float(rng.uniform(0, 50)),
        device="box" if rng.random() < 0.2 else None,
        link="wan" if rng.random() < 0.3 else None,
    )
    return Scenario(
        40.0,
        table,
        options,
        {"net.json": net},
        times=times,
        servers=(site,),
        links=(Link(name="cell", mbps=20.0), Link(name="wan", mbps=90.0)),
        cloud_link="wan" if rng.random() < 0.3 else "",
        cloud_rtt_ms=float(rng.uniform(0, 50)),
    )


def mostly_slow(seeds, quick):
    """Return seeds as parameters, all but the first few for `make test-all`."""
    return [*range(quick), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(quick, seeds))]


@pytest.mark.parametrize("seed", mostly_slow(8, 3))
def test_no_price_misses_what_is_left_out(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    fewer = 0
    for _ in range(40):
        scenario = drawn(rng)
        with monkeypatch.context() as patch:
            patch.setattr(making, "needed", lambda scenario, kinds, index: kinds)
            whole = replace(scenario)
            _ = whole.menus
        try:
            kept, every = compile_problem(scenario), compile_problem(whole)
        except InfeasibleError:
            continue
        assert kept.resources == every.resources
        fewer += kept.n_options < every.n_options
        for _ in range(20):
            prices = 10.0 ** rng.uniform(-6, 2, kept.n_resources)
            cheapest = [priced(problem, prices)[0].min(axis=1) for problem in (kept, every)]
            np.testing.assert_allclose(*cheapest, rtol=1e-12)
    assert fewer > 10


@pytest.mark.parametrize("seed", mostly_slow(4, 1))
def test_no_plan_of_what_is_pooled_misses_them(seed, monkeypatch):
    rng = np.random.default_rng(100 + seed)
    fewer = 0
    for _ in range(8):
        scenario = drawn(rng)
        nodes = replace(scenario.nodes, deadline_ms=np.array(np.nan))
        how = {"sharing": ["fifo", "ps"][int(rng.integers(2))]}
        scenario = replace(
            scenario,
            nodes=nodes,
            options=scenario.options.model_copy(update={"statistic": "mean", "ordering": "stability"}),
            cloud_sharing=["reserved", "fifo", "ps"][int(rng.integers(3))],
            servers=tuple(server.model_copy(update=how) for server in scenario.servers),
            links=tuple(link.model_copy(update=how) for link in scenario.links),
        )
        with monkeypatch.context() as patch:
            patch.setattr(making, "needed", lambda scenario, kinds, index: kinds)
            whole = replace(scenario)
            _ = whole.menus
        try:
            kept, every = compile_problem(scenario), compile_problem(whole)
        except InfeasibleError:
            continue
        fewer += kept.n_options < every.n_options
        best = [place(build_placer("exact"), problem, build_allocator("waterfilling")) for problem in (kept, every)]
        if best[1].shares is None:
            assert best[0].shares is None
            continue
        values = [problem.objective(one.options, one.shares) for problem, one in zip((kept, every), best, strict=True)]
        np.testing.assert_allclose(*values, rtol=1e-9)
    assert fewer


def test_an_option_that_is_not_allowed_is_in_nobodys_way():
    # all at the edge is faster than sending, and this node must send
    net = LayerProfile("net", 1e6, ("a", "b"), np.array([1e6, 1e6]), np.array([1e5, 1e3]))
    nodes = NodeTable(("one", "other"), ("net.json",), 10.0, 8.0, 0.1, splits=Labels.of([(0,), None]))
    scenario = Scenario(40.0, nodes, profiles={"net.json": net}, servers=(Server(name="site", compute_gflops=20.0),))
    plan = solve(scenario)
    assert plan.splits.tolist() == [0, 2]
