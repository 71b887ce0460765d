"""Fleets priced from their columns, by NumPy and by JAX, against tables and exact sums."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import compile_problem, generate
from dmcjia_opt.bounds.crowds import Between, Chosen, FleetPart
from dmcjia_opt.bounds.dual import dual_point, priced, rounding_slack
from dmcjia_opt.bounds.jax_part import JaxPart
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.scenario import Options

NODES = 60


def _with(family, options=None, *, nodes=NODES, further=(), **columns):
    scenario = generate(family, nodes=nodes, seed=3, **dict(further))
    rng = np.random.default_rng(7)
    drawn = {key: draw(rng, nodes) for key, draw in columns.items()}
    return replace(scenario, options=options or scenario.options, nodes=replace(scenario.nodes, **drawn))


def _between(low, high):
    return lambda rng, n: rng.uniform(low, high, n)


def _some(low, high):
    return lambda rng, n: np.where(rng.random(n) < 0.5, rng.uniform(low, high, n), np.nan)


def _periodic(rng, n):
    return np.where(rng.random(n) < 0.5, 0.0, np.nan)


P95 = Options(delay="tandem", statistic="p95")
ENERGY = {"energy_j": _some(0.5, 4.0), "joule_per_gflop": _between(0.1, 0.6), "transmit_watts": _between(0.5, 2.0)}
SCENARIOS = {
    "md1": lambda: _with("paper"),
    "mm1": lambda: _with("paper", Options(delay="mm1")),
    "mg1": lambda: _with("scarce", Options(delay="mg1", service_scv=0.7)),
    "tandem": lambda: _with("paper", Options(delay="tandem")),
    "tandem, queue": lambda: _with("paper", Options(delay="tandem", uplink="queue")),
    "md1, queue": lambda: _with("paper", Options(uplink="queue")),
    "p95": lambda: _with("paper", P95),
    "literal": lambda: _with("scarce", Options(ordering="cloud-faster")),
    "networks": lambda: _with("mixed"),
    "arrivals": lambda: _with("paper", arrivals=_between(0.0, 3.0)),
    "periodic tandem": lambda: _with("paper", Options(delay="tandem"), arrivals=_periodic),
    "round trips": lambda: _with("paper", rtt_ms=_some(1, 50), input_bytes=_some(1e4, 1e6)),
    "deadlines": lambda: _with("paper", deadline_ms=_some(900, 4000)),
    "weights": lambda: _with("paper", weight=_some(0.5, 3.0)),
    "memory": lambda: _with("paper", memory_mb=_some(5, 120)),
    "energy": lambda: _with("paper", **(ENERGY | {"energy_j": _between(5.0, 9.0)})),
    "links": lambda: _with("links", further={"links": 3}),
    "links, tandem": lambda: _with("links", Options(delay="tandem", uplink="queue"), further={"links": 3}),
    "links, deadlines": lambda: _with("links", further={"links": 3}, deadline_ms=_some(2000, 9000)),
    "servers": lambda: _with("servers", nodes=20),
    "tiers": lambda: _with("tiers", nodes=20),
    "hosts": lambda: _with("hosts"),
}


def _prices(fleet, rng):
    n = len(fleet.resources)
    return np.exp(rng.normal(size=n)) * 0.3 / n


@pytest.mark.parametrize("name", SCENARIOS)
def test_columns_come_to_what_tables_do(name):
    scenario = SCENARIOS[name]()
    problem, fleet = compile_problem(scenario), Fleet.of(scenario)
    rng = np.random.default_rng(1)
    part = FleetPart(fleet)
    for _ in range(3):
        prices = _prices(fleet, rng)
        point, sums = dual_point(problem, prices), part.ask((), prices)
        assert sums.cost - prices.sum() == pytest.approx(point.value, rel=1e-13)
        assert sums.use == pytest.approx(point.use, rel=1e-11, abs=1e-13)
        options, shares = part.plan((), prices)
        assert (options == point.options).all()
        alone = fleet.at(options)
        first = np.zeros(NODES if len(options) == NODES else len(options), dtype=np.int64)
        assert np.allclose(alone.at(alone.fixed_delay, first), problem.at(problem.fixed_delay, options), rtol=1e-14)
        assert alone.node_delay(first, shares) == pytest.approx(problem.node_delay(options, shares), rel=1e-13)
        stages = zip(alone.own_stages(first), problem.own_stages(options), strict=True)
        assert all(mine == pytest.approx(theirs, rel=1e-12, abs=1e-15) for mine, theirs in stages)


QUICK = ("md1", "p95", "periodic tandem", "literal", "energy", "links, deadlines", "servers")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SCENARIOS]
)
def test_two_backends_come_to_the_same(name):
    scenario = SCENARIOS[name]()
    fleet = Fleet.of(scenario)
    ours, jax = FleetPart(fleet), JaxPart(fleet)
    prices = _prices(fleet, np.random.default_rng(2))
    mine, other = ours.ask((), prices), jax.ask((), prices)
    assert other.cost <= mine.cost  # lowered by what its sums may err
    assert other.cost == pytest.approx(mine.cost, rel=1e-12)
    assert other.use == pytest.approx(mine.use, rel=1e-10, abs=1e-12)
    options, shares = ours.plan((), prices)
    theirs, used = jax.plan((), prices)
    cost = priced(compile_problem(scenario), prices)[0]
    rows = np.arange(len(options))
    ties = np.isclose(cost[rows, options], cost[rows, theirs], rtol=1e-13)
    assert (ties | (options == theirs)).all()
    same = options == theirs
    assert used[same] == pytest.approx(shares[same], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("part_of", "family"), [(FleetPart, "mixed"), (JaxPart, "fleet")])
def test_steps_leave_what_is_cheapest(part_of, family):
    fleet = Fleet.of(generate(family, nodes=3000, seed=1))
    part, whole = part_of(fleet), part_of(fleet)
    low, high = np.array([0.2]), np.array([0.3])
    step = Between((0.2,), (0.3,))
    ends = part.between((), step)
    for sums, prices in zip(ends, (low, high), strict=True):
        assert sums.cost == pytest.approx(whole.ask((), prices).cost, rel=1e-12)
    for price in np.linspace(0.2, 0.3, 5):
        inside = part.ask((step,), np.array([price]))
        anew = whole.ask((), np.array([price]))
        assert inside.cost == pytest.approx(anew.cost, rel=1e-13)
        assert inside.use == pytest.approx(anew.use, rel=1e-12)
    options = whole.plan((), high)[0]
    chosen = Chosen((0.2,), (0.3,))
    assert (part.plan((step, chosen), low)[0] == options).all()
    assert (part_of(fleet).plan((step, chosen), low)[0] == options).all()  # taken up elsewhere
    other, more = whole.plan((), low)
    gained = part.more((step,), low, high)
    assert gained == pytest.approx(float(more.sum() - whole.plan((), high)[1].sum()), rel=1e-9)
    switched = part.plan((step, Chosen((0.2,), (0.3,), (0.5 * gained,))), low)[0]
    differ = options != other
    assert 0 < (switched[differ] == other[differ]).sum() < differ.sum()
    assert ((switched == options) | (switched == other)).all()


@pytest.mark.parametrize("seed", range(6))
def test_no_bucket_drops_what_some_node_chooses(seed):
    rng = np.random.default_rng(seed)
    columns = {"rtt_ms": _some(1, 50), "weight": _between(0.5, 3.0)}
    further = [columns | {"memory_mb": _some(30, 120)}, columns, ENERGY | {"energy_j": _between(3.0, 9.0)}][seed % 3]
    options = [Options(), Options(delay="tandem"), Options(delay="mm1", uplink="queue")][seed // 2]
    scenario = _with("fleet" if seed % 3 == 0 else "mixed", options, nodes=20_000, **further)
    fleet = Fleet.of(scenario)
    price = 0.25 * math.exp(rng.normal())
    part, whole = FleetPart(fleet), FleetPart(fleet)
    step = Between((price / 1.1,), (price * 1.1,))
    part.between((), step)
    for at in price * np.exp(rng.uniform(-0.09, 0.09, 3)):
        assert part.ask((step,), np.array([at])).cost == whole.ask((), np.array([at])).cost


@pytest.mark.parametrize("nodes", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_bounds_are_below_exact_sums_and_near(nodes):
    fleet = Fleet.of(generate("fleet", nodes=nodes, seed=2))
    prices = np.array([0.16])
    blocks = np.array_split(np.arange(nodes), max(nodes // 20_000, 1))
    terms = [priced(fleet.problem(0, rows), prices)[0].min(axis=1) for rows in blocks]
    exact = math.fsum(np.concatenate(terms))
    for part in (FleetPart(fleet), JaxPart(fleet)):
        sums = part.ask((), prices)
        bound = sums.cost - rounding_slack(nodes, sums.magnitude)
        assert exact * (1 - 1e-12) < bound < exact


def test_a_part_that_is_taken_up_elsewhere_answers_to_the_last_bit():
    fleet = Fleet.of(generate("mixed", nodes=3000, seed=1))
    wide, narrow, price = Between((0.2,), (0.3,)), Between((0.24,), (0.26,)), np.array([0.25])
    part = FleetPart(fleet)
    part.ask((wide,), price)
    mine, other = part.ask((wide, narrow), price), FleetPart(fleet).ask((wide, narrow), price)
    wider = FleetPart(fleet)
    wider.ask((wide,), price)
    assert _entries(part) < _entries(wider)
    for key in ("cost", "magnitude", "use", "response"):
        assert np.array_equal(getattr(mine, key), getattr(other, key))


def _entries(part):
    return sum(group.option.size for group in part.columns())
