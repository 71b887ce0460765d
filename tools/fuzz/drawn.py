"""Problems that are small, odd and at the edge: what a benchmark never holds.

Some are tables of one resource, some of several, and some scenarios compiled to tables. Scales reach from 1e-9 to 1e12
and beyond, resources are nearly full, and options and nodes are repeated, free, or impossible.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent
from dmcjia_opt.model.delay import TANDEM, DelayCurve
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario

Table = FloatArray | IntArray
_CURVES: tuple[DelayCurve, ...] = (MD1, MD1, MM1, mg1(0.3), mg1(4.0), mg1(1e4), TANDEM, TANDEM)
_SCALES = (1e-9, 1e-3, 1.0, 1.0, 1.0, 1e3, 1e12)
#: How much of a resource is left when everything is at its least.
_SURPLUS = (0.9, 0.5, 0.1, 1e-3, 1e-6, 1e-9, 1e-12)


def draw(seed: int, number: int) -> Problem:
    """Return problem `number` of the series `seed`; the same on every machine of one NumPy version."""
    rng = np.random.default_rng((seed, number))
    make = (_of_tables, _of_scenario, _of_resources, _of_resources)[int(rng.integers(4))]
    return make(rng)


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Mostly as small as can be, now and then with many nodes or many splits."""
    kind = rng.random()
    if kind < 0.01:
        return int(rng.integers(1, 3)), int(rng.integers(1000, 3000))
    if kind < 0.05:
        return int(rng.integers(10, 40)), int(rng.integers(2, 12))
    return int(rng.integers(1, 6)), int(rng.integers(1, 7))


def _spread(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Positive numbers around 1 that all agree, differ a little, or differ by up to twenty orders of magnitude."""
    orders = float(rng.choice([0.0, 1e-13, 1e-3, 1.0, 1.0, 3.0, 20.0]))
    drawn: FloatArray = 10.0 ** (orders * rng.uniform(-0.5, 0.5, shape))
    return drawn


def _of_tables(rng: np.random.Generator) -> Problem:
    n, m = _size(rng)
    scale = float(rng.choice(_SCALES))
    curve = _CURVES[int(rng.integers(len(_CURVES)))]
    rate = _spread(rng, (n,)) / scale
    s = -np.sort(-_spread(rng, (n, m)), axis=1) * scale
    if rng.random() < 0.3:  # the work of a network falls along its layers, that of any table need not
        s = rng.permuted(s, axis=1)
    if rng.random() < 0.7:
        s[:, -1] = 0.0
    local = _spread(rng, (n, m)) * scale * float(rng.choice(_SCALES))
    local[rng.random((n, m)) < 0.1] = 0.0
    local[rng.random((n, m)) < 0.1] = np.inf
    here = rng.integers(m, size=n)
    _fill(rng, s, rate, here)
    weight = _spread(rng, (n,)) if rng.random() < 0.3 else np.ones(n)
    least, wait = absent(), absent()
    if rng.random() < 0.3:
        least = rate[:, None] * _spread(rng, (n, m)) * (rng.random((n, m)) < 0.5) * (s > 0)
    if curve is TANDEM and rng.random() < 0.9:
        wait = np.where(np.isfinite(local), local, 0.0) * rng.choice([0.0, 1e-9, 0.1, 0.9, 1.0], size=(n, m))
    _repeat(rng, (s, local, least, wait), (rate, weight))
    return Problem(local, s, rate, weight / weight.sum(), curve, least, wait, name="tables")


def _repeat(rng: np.random.Generator, menus: tuple[Table, ...], columns: tuple[FloatArray, ...]) -> None:
    """Make twins of some nodes and ties of some options, in place, in tables by node and option and by node."""
    n, m = menus[0].shape[:2]
    for _ in range(int(rng.integers(3))):
        one, other = rng.integers(n, size=2)
        for table in (*menus, *columns):
            if table.size:
                table[other] = table[one]
    for _ in range(int(rng.integers(3))):
        one, other = rng.integers(m, size=2)
        for table in menus:
            if table.size:
                table[:, other] = table[:, one]


def _of_resources(rng: np.random.Generator) -> Problem:
    """Up to four resources, of which an option uses up to three; all uses of one have the same curve."""
    n, m, k = int(rng.integers(1, 6)), int(rng.integers(1, 6)), int(rng.integers(1, 4))
    n_resources = int(rng.integers(1, 5))
    curves = _curves(rng, k, n_resources)
    kinds = list(dict.fromkeys(curves))
    kind = np.array([kinds.index(curve) for curve in curves])
    of_kind = np.array([len(range(i, n_resources, len(kinds))) for i in kind])
    shape = (n, m, k)
    resource = kind + len(kinds) * rng.integers(of_kind, size=shape)
    if rng.random() < 0.5:
        resource[:] = resource[:, :1]
    scale = float(rng.choice(_SCALES))
    rate = _spread(rng, (n,)) / scale
    s = _spread(rng, shape) * scale * (rng.random(shape) < 0.7)
    if rng.random() < 0.7:
        s[:, -1] = 0.0
    local = _spread(rng, (n, m)) * scale * float(rng.choice(_SCALES))
    local[rng.random((n, m)) < 0.1] = 0.0
    local[rng.random((n, m)) < 0.1] = np.inf
    here = rng.integers(m, size=n)
    weight = _spread(rng, (n,)) if rng.random() < 0.3 else np.ones(n)
    least, wait = absent(), absent()
    if rng.random() < 0.3:
        least = rate[:, None, None] * _spread(rng, shape) * (rng.random(shape) < 0.5) * (s > 0)
    if TANDEM in curves and rng.random() < 0.9:
        wait = np.where(np.isfinite(local), local, 0.0) * rng.choice([0.0, 1e-9, 0.1, 0.9, 1.0], size=(n, m))
    at = np.arange(n), here
    load = np.bincount(resource[at].ravel(), (rate[:, None] * s[at]).ravel(), n_resources)
    wanted = 1.0 - rng.choice(_SURPLUS, size=n_resources)
    s *= np.where(load > 0, wanted / np.where(load > 0, load, 1.0), 1.0)[resource]
    _repeat(rng, (s, local, least, wait, resource), (rate, weight))
    names = tuple(Resource(f"resource-{r}") for r in range(n_resources))
    tables = (local, s, rate, weight / weight.sum(), curves, least, wait)
    return Problem(*tables, name="resources", resource=resource, resources=names)


def _curves(rng: np.random.Generator, n_uses: int, n_resources: int) -> tuple[DelayCurve, ...]:
    """All of one kind, or any; often with links on which tasks overlap before the last."""
    one = _CURVES[int(rng.integers(len(_CURVES)))]
    mixed = rng.random() < 0.3
    drawn = [_CURVES[int(rng.integers(len(_CURVES)))] if mixed else one for _ in range(n_uses)]
    drawn[:-1] = [OVERLAP if rng.random() < 0.3 else curve for curve in drawn[:-1]]
    return tuple(drawn) if len(set(drawn)) <= n_resources else (one,) * n_uses


def _fill(rng: np.random.Generator, s: FloatArray, rate: FloatArray, here: IntArray) -> None:
    """Scale the cloud's times, in place, so that the plan `here` leaves a drawn part of the cloud."""
    load = float((rate * s[np.arange(len(rate)), here]).sum())
    if load > 0:
        s *= (1.0 - float(rng.choice(_SURPLUS))) / load


def _of_scenario(rng: np.random.Generator) -> Problem:
    n, m = _size(rng)
    delay, scv = rng.choice(["md1", "mm1", "mg1", "tandem"]), float(rng.choice([0.0, 0.5, 10.0]))
    options = Options(
        delay=delay,
        service_scv=scv if delay == "mg1" else 0.0,
        ordering=rng.choice(["stability", "stability", "cloud-faster"]),
        average=rng.choice(["nodes", "tasks"]),
    )
    if options.delay == "tandem" and rng.random() < 0.5:
        options = options.model_copy(update={"uplink": "queue"})
    macs = _spread(rng, (m,)) * 1e8 * (rng.random(m) < 0.9)
    sent = _spread(rng, (m,)) * 1e5 * (rng.random(m) < 0.9)
    names = tuple(f"layer {i}" for i in range(m))
    profile = LayerProfile("drawn", float(rng.choice([0.0, 1.0, 6e5, 1e12])), names, macs, sent)
    work = max(2e-9 * float(macs.sum()), 1e-12)  # GFLOP a task
    rate = _spread(rng, (n,)) * float(rng.choice(_SCALES))
    edge = work * rate * _spread(rng, (n,)) * float(rng.choice([0.01, 0.5, 1.0 + 1e-9, 2.0, 100.0]))
    bits = max(8e-6 * float(sent.max()), 1e-6)
    uplink = bits * rate * _spread(rng, (n,)) * float(rng.choice([0.5, 2.0, 100.0, 1e6]))
    twins = rng.random(n) < 0.3
    for column in (rate, edge, uplink):
        column[twins] = column[0]
    nodes = NodeTable(
        names=tuple(f"node {d}" for d in range(n)),
        networks=("drawn",),
        compute_gflops=edge,
        uplink_mbps=uplink,
        arrival_rate=rate,
    )
    cloud = (
        work * float(rate.sum()) / (1.0 - float(rng.choice(_SURPLUS))) * float(rng.choice([1.0, 1.0, 0.3, 3.0, 0.9]))
    )
    scenario = Scenario(cloud, nodes, options, {"drawn": profile}, "scenario")
    return replace(compile_problem(scenario), uplinks=None)
