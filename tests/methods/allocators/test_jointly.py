"""Tandems over several resources: prices prove the shares at all scales, and a solver without prices agrees."""

import numpy as np
import pytest
from scipy.optimize import minimize

from dmcjia_opt.bounds.dual import fixed_dual
from dmcjia_opt.methods.allocators import jointly
from dmcjia_opt.methods.allocators.jointly import Uses, balanced, fill_jointly, is_optimal
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.testing.doubles import Even
from dmcjia_opt.testing.problems import ORDERINGS, random_shared_problem

SERIES = [(TANDEM, TANDEM), (OVERLAP, TANDEM, TANDEM), (MD1, TANDEM, TANDEM), (TANDEM, TANDEM, TANDEM, TANDEM)]
series = pytest.mark.parametrize("curves", SERIES, ids=lambda curves: "-".join(curve.name for curve in curves))


def coupled(rng, curves, *, nodes=(1, 20), resources=10, utilisations=(0.05, 0.5, 0.9, 0.99, 0.999)):
    """Return a problem whose options have several stages of one tandem, and options for which shares exist."""
    while True:
        problem, options = random_shared_problem(
            rng,
            int(rng.integers(*nodes)),
            4,
            int(rng.integers(2, resources + 1)),
            len(curves),
            utilisation=float(rng.choice(utilisations)),
            spread=float(rng.choice([3.0, 100.0, 1e4])),
            curves=curves,
            ordering=ORDERINGS[int(rng.integers(2))],
        )
        if problem.coupled:
            return problem, options


def gap(problem, options, found):
    """Return the relative duality gap, and check the plan."""
    assert problem.residuals(options[None], found.shares).feasible.all()
    value = problem.objective(options[None], found.shares)[0]
    return (value - fixed_dual(problem, options[None], found.prices)[0]) / value


@series
@pytest.mark.parametrize("seed", [31, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (301, 302))])
def test_prices_prove_the_shares(curves, seed):
    """The gap is that of rounding; at 0.999 of the load a share is known to 1e-13 of what it has beyond it."""
    rng = np.random.default_rng(seed)
    for _ in range(50):
        problem, options = coupled(rng, curves)
        found = fill_jointly(problem, options[None])
        assert found.status[0] == Status.OPTIMAL
        assert gap(problem, options, found) <= 1e-11


def test_many_nodes_and_resources():
    rng = np.random.default_rng(32)
    for curves in SERIES:
        for _ in range(4):
            problem, options = coupled(rng, curves, nodes=(200, 301))
            found = fill_jointly(problem, options[None])
            assert found.status[0] == Status.OPTIMAL
            assert gap(problem, options, found) <= 1e-11


def test_more_resources_than_a_full_matrix_is_for():
    rng = np.random.default_rng(33)
    n, cells = 900, 300
    service = rng.uniform(0.5, 1.0, (n, 1, 2)) * [0.2, 1.0 / n]
    resource = np.stack([rng.integers(cells, size=n), np.full(n, cells)], axis=-1)[:, None]
    rate = 0.4 / np.bincount(resource[:, 0, 0], service[:, 0, 0], cells)[resource[:, 0, 0]]
    wait = rng.uniform(0.0, 0.5, (n, 1))
    resources = tuple(Resource(f"cell-{r}") for r in range(cells + 2))  # the last one is not used
    tables = wait + 0.1, service, rate, np.full(n, 1.0 / n), TANDEM
    problem = Problem(*tables, wait=wait, resource=resource, resources=resources)
    options = np.zeros(n, dtype=np.int64)
    found = fill_jointly(problem, options[None])
    assert problem.n_resources > jointly._DENSE
    assert found.status[0] == Status.OPTIMAL
    assert found.prices[0, -1] == 0.0
    assert gap(problem, options, found) <= 1e-12


def by_slsqp(problem, options, shares):
    """Return the least mean delay that SLSQP finds, from the definition: services, and the longest wait beyond W."""
    s, node, use = problem.at(problem.service, options), *np.nonzero(problem.at(problem.service, options) > 0)
    s, rate, resource = s[node, use], problem.arrival_rate[node], problem.at(problem.resource, options)[node, use]
    least, n = problem.least_share(options)[node, use], problem.n_nodes
    stage = np.array([curve == TANDEM for curve in problem.use_curves])[use]
    queue = np.array([curve == MD1 for curve in problem.use_curves])[use]
    room = (1.0 - np.bincount(resource, least, problem.n_resources))[resource]
    allowed = problem.at(problem.wait, options)[node][stage]

    def waits(part):
        excess = np.maximum((least + room * part) / s - rate, 1e-12)
        return 0.5 * rate / ((rate + excess) * excess)

    def value(z):
        delay = s / (least + room * z[:-n]) + np.where(queue, waits(z[:-n]), 0.0)
        fixed = problem.at(problem.fixed_delay, options)
        return problem.weight @ (fixed + z[-n:]) + problem.weight[node] @ delay

    first = (shares[node, use] - least) / room
    beyond = np.zeros(n)
    np.maximum.at(beyond, node[stage], waits(first)[stage] - allowed)
    first = np.concatenate([first, beyond])
    unit = value(first)
    budgets = {"type": "ineq", "fun": lambda z: 1.0 - np.bincount(resource, z[:-n])[np.unique(resource)]}
    longest = {"type": "ineq", "fun": lambda z: (z[-n:][node[stage]] + allowed) / waits(z[:-n])[stage] - 1.0}
    found = minimize(
        lambda z: value(z) / unit,
        first,
        method="SLSQP",
        bounds=[(0.0, None)] * len(first),
        constraints=[budgets, longest],
        options={"maxiter": 500, "ftol": 1e-13},
    )
    part = found.x[:-n] / np.maximum(np.bincount(resource, found.x[:-n], problem.n_resources), 1.0)[resource]
    moved = np.zeros_like(shares)
    moved[node, use] = (least + room * part) * (1 - 1e-15)
    return float(problem.objective(options, moved))


@pytest.mark.slow
def test_a_general_solver_finds_nothing_better():
    """100 plans, from equal parts of what the least shares leave, by a method that knows no prices."""
    rng = np.random.default_rng(34)
    agreed = 0
    for k in range(100):
        problem, options = coupled(
            rng, SERIES[k % len(SERIES)], nodes=(2, 6), resources=4, utilisations=(0.3, 0.6, 0.9)
        )
        found = fill_jointly(problem, options[None])
        assert gap(problem, options, found) <= 1e-10
        value = problem.objective(options[None], found.shares)[0]
        other = by_slsqp(problem, options, Even().allocate(problem, options[None]).shares[0])
        assert value <= other * (1 + 1e-12)
        agreed += abs(other / value - 1.0) <= 1e-7
    assert agreed >= 95  # it may stop early


@series
def test_derivatives_are_those_of_the_shares(curves):
    rng = np.random.default_rng(35)
    moving = 0
    for _ in range(10):
        problem, options = coupled(rng, curves, nodes=(5, 15), utilisations=(0.5,))
        uses = Uses.of(problem, options)
        prices = uses.first_prices() * np.exp(rng.uniform(-1.0, 1.0, problem.n_resources))
        _, fall = uses.response(prices)
        slopes = uses.slopes(fall, np.zeros(problem.n_resources))
        np.testing.assert_array_equal(slopes, slopes.T)
        for r in np.flatnonzero(uses.used):
            step = 1e-6 * prices[r] * (np.arange(problem.n_resources) == r)
            change = uses.total(uses.response(prices + step)[0]) - uses.total(uses.response(prices - step)[0])
            expected = slopes[:, r] * 2e-6 * prices[r]
            np.testing.assert_allclose(
                -change, expected, rtol=1e-4, atol=1e-5 * np.abs(slopes[r, r]) * prices[r] * 2e-6
            )
            moving += (slopes[:, r] > 0).sum() > 1
    assert moving > 2  # stages that move together


@series
def test_budgets_that_may_be_overstepped(curves):
    rng = np.random.default_rng(36)
    for _ in range(40):
        problem, options = coupled(rng, curves, utilisations=(0.5, 0.9))
        uses = Uses.of(problem, options)
        anchor = uses.first_prices() * np.exp(rng.uniform(-1.0, 1.0, problem.n_resources))
        give = uses.surplus / np.where(uses.used, anchor, 1.0) * 10 ** rng.uniform(-3, 1, problem.n_resources)
        prices = balanced(uses, anchor, anchor, give)
        over = uses.total(uses.response(prices)[0]) - 1.0
        rest = np.where(uses.used, (over + give * (anchor - prices)) / uses.surplus, 0.0)
        assert np.abs(rest).max() <= 1e-12


def test_no_plan_depends_on_its_batch_and_infeasible_ones_hold_no_numbers():
    rng = np.random.default_rng(37)
    problem, options = coupled(rng, SERIES[1], nodes=(6, 10), utilisations=(0.9,))
    plans = np.where(rng.random((30, problem.n_nodes)) < 0.3, rng.integers(0, 4, (30, problem.n_nodes)), options)
    plans[3] = problem.n_options - 1
    batch = fill_jointly(problem, plans)
    lost = problem.overload(plans) > 0
    assert 0 < lost.sum() < 29
    np.testing.assert_array_equal(batch.status, np.where(lost, Status.INFEASIBLE, Status.OPTIMAL))
    np.testing.assert_array_equal(np.isnan(batch.shares).all((1, 2)), lost)
    np.testing.assert_array_equal(np.isnan(batch.prices).any(1), lost)
    for row, plan in enumerate(plans):
        alone = fill_jointly(problem, plan[None])
        np.testing.assert_array_equal(alone.shares[0], batch.shares[row])
        np.testing.assert_array_equal(alone.prices[0], batch.prices[row])


def test_two_stages_of_one_node_in_closed_form():
    """Each resource is its own: a node alone has all of both, and at the kink any pair of prices will do."""
    problem = Problem([[0.4]], [[[0.25, 0.125]]], [1.0], [1.0], TANDEM, wait=[[0.1]], resource=np.array([[[0, 1]]]))
    found = fill_jointly(problem, np.array([[0]]))
    np.testing.assert_array_equal(found.shares, [[[1.0, 1.0]]])
    assert found.status[0] == Status.OPTIMAL
    assert problem.objective(np.array([0]), found.shares[0]) == pytest.approx(0.4 + 0.25 + 0.125, rel=1e-15)


def test_all_nodes_at_their_crossings():
    """Four equal nodes that are exactly as fast as their edges on both resources: prices between the two slopes."""
    n = 4
    wait = np.full((n, 1), 0.25)  # λ = 1 and a longest service upstream of 1/2 s
    resource = np.broadcast_to([0, 1], (n, 1, 2)).copy()
    problem = Problem(
        wait, np.full((n, 1, 2), 0.125), np.ones(n), np.full(n, 0.25), TANDEM, wait=wait, resource=resource
    )
    found = fill_jointly(problem, np.zeros((1, n), dtype=np.int64))
    np.testing.assert_allclose(found.shares, 0.25, rtol=1e-13)
    assert found.status[0] == Status.OPTIMAL
    assert problem.objective(np.zeros(n, dtype=int), found.shares[0]) == pytest.approx(0.25 + 2 * 0.5, rel=1e-13)


def test_floors_that_take_all_there_is():
    problem = Problem(
        np.full((2, 1), 0.1),
        np.full((2, 1, 2), 0.25),
        np.ones(2),
        np.full(2, 0.5),
        TANDEM,
        least_rate=[[[2.5, 0.0]], [[1.5, 0.0]]],
        resource=np.array([[[0, 1]], [[0, 1]]]),
    )
    options = np.zeros(2, dtype=np.int64)
    found = fill_jointly(problem, options[None])
    np.testing.assert_allclose(found.shares[0, :, 0], [0.625, 0.375], rtol=1e-14)
    assert found.shares[0, :, 1].sum() == pytest.approx(1.0, rel=1e-14)
    assert problem.residuals(options, found.shares[0]).feasible


def test_what_has_not_converged_says_so(monkeypatch):
    problem, options = coupled(np.random.default_rng(38), SERIES[0], nodes=(6, 10), utilisations=(0.5,))
    assert fill_jointly(problem, options[None]).status[0] == Status.OPTIMAL
    monkeypatch.setattr(jointly, "_STEPS", 1)
    found = fill_jointly(problem, options[None])
    assert found.status[0] == Status.INACCURATE
    assert problem.residuals(options[None], found.shares).feasible[0]
    assert gap(problem, options, found) > 1e-9


def test_a_wrong_price_proves_nothing():
    problem, options = coupled(np.random.default_rng(39), SERIES[0], nodes=(6, 10), utilisations=(0.5,))
    uses, found = Uses.of(problem, options), fill_jointly(problem, options[None])
    assert is_optimal(uses, found.shares[0], found.prices[0])
    assert not is_optimal(uses, found.shares[0], 1.01 * found.prices[0])
    assert not is_optimal(uses, 0.999 * found.shares[0], found.prices[0])
    assert is_optimal(uses, (1 - 1e-10) * found.shares[0], found.prices[0], 1e-6)
