"""The quickest worst node of given options: beside bisection by others, a fine grid, and a solver without prices."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import STATISTICS, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.quantiles import PERCENTILES
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.testing.problems import ORDERINGS, random_problem, random_shared_problem

KINDS = [MD1, MM1, *(tandem(statistic) for statistic in STATISTICS)]
kinds = pytest.mark.parametrize("curve", KINDS, ids=lambda curve: curve.name)


def filled(problem, options):
    """Return the shares (n_nodes, n_uses) and the value of one plan after judging them and what its prices prove."""
    found = WaterFilling().allocate(problem, options[None])
    assert found.status[0] == Status.OPTIMAL
    assert problem.residuals(options[None], found.shares).feasible[0]
    value = float(problem.objective(options, found.shares[0]))
    bound = float(options_lower_bound(problem, options[None], found.prices)[0])
    assert value * (1 - 1e-9) <= bound <= value * (1 + 1e-13)
    return found.shares[0], value


def fraction_within(y, load):
    """Return P(wait ≤ y services) of M/D/1, by A. K. Erlang's sum, which alternates: for waits of few services."""
    total, factor = 0.0, 1.0
    for j in range(int(y) + 1):
        factor = factor / j if j else 1.0
        total += (load * (j - y)) ** j * np.exp(load * (y - j)) * factor
    return (1.0 - load) * total


def delay_of(curve, mu, rate, wait):
    """Return the delay of one use from the textbook, s."""
    if curve == MD1:
        return 0.5 / mu + 0.5 / (mu - rate)
    if curve == MM1:
        return 1.0 / (mu - rate)
    load = rate / mu
    if curve.statistic == "mean":
        waited = load / (2.0 * (mu - rate))
    elif 1.0 - load >= PERCENTILES[curve.statistic]:
        waited = 0.0
    else:
        p, most = PERCENTILES[curve.statistic], 1.0
        while fraction_within(most, load) < p:
            most += 1.0
        waited = brentq(lambda y: fraction_within(y, load) - p, most - 1.0, most, xtol=1e-14) / mu
    return 1.0 / mu + max(0.0, waited - wait)


def by_brentq(problem, options):
    """Return the least delay that all nodes of given options of one use can keep, by two bisections in each other."""
    d = np.arange(problem.n_nodes)
    fixed, wait = problem.fixed_delay[d, options], problem.wait[d, options]
    service, resource = problem.service[d, options, 0], problem.resource[d, options, 0]
    level = fixed.max()
    for r in range(problem.n_resources):
        mine = np.flatnonzero((resource == r) & (service > 0))

        def over(t, mine=mine):
            asked = 0.0
            for i in mine:
                room, rate = t - fixed[i], problem.arrival_rate[i]
                slow = rate * (1.0 + 2e-3)  # quick enough already where it is loaded so far
                if delay_of(problem.curve, slow, rate, wait[i]) > room:
                    slow = brentq(
                        lambda mu, i=i, room=room, rate=rate: delay_of(problem.curve, mu, rate, wait[i]) - room,
                        slow,
                        1e9 * rate,
                        xtol=1e-300,
                        rtol=1e-14,
                    )
                asked += service[i] * max(slow, problem.least_rate[i, options[i], 0])
            return asked - 1.0

        least = fixed[mine].max(initial=0.0) * (1 + 1e-6)
        if len(mine) and over(max(level, least)) > 0:
            most = max(level, least)
            while over(most) > 0:
                most *= 2.0
            level = brentq(over, max(level, least), most, xtol=1e-300, rtol=1e-13)
    return level


@kinds
@pytest.mark.parametrize("resources", [1, 3])
def test_one_use_beside_bisection(curve, resources):
    rng = np.random.default_rng([7, resources])
    for k in range(2):
        ordering = ORDERINGS[k % 2]
        if resources == 1:
            problem, options = random_problem(rng, 5, 3, curve=curve, utilisation=0.5, spread=3.0, ordering=ordering)
        else:
            problem, options = random_shared_problem(
                rng, 6, 3, resources, 1, curves=(curve,), utilisation=0.5, spread=3.0, ordering=ordering
            )
        _, value = filled(replace(problem, worst=True), options)
        assert value == pytest.approx(by_brentq(problem, options), rel=1e-7)


def two_nodes(rng, curves):
    """Return two nodes that use two resources each, one option, loaded by half."""
    problem, options = random_shared_problem(rng, 2, 1, 2, 2, curves=curves, utilisation=0.5, spread=3.0)
    service = np.array(problem.service)
    service[service == 0] = service.max() / 3
    resource = np.broadcast_to([0, 1], (2, 1, 2)).copy()
    load = (problem.arrival_rate[:, None] * service[:, 0]).sum(0)
    return replace(problem, service=service * 0.5 / load, resource=resource), options


def by_grid(problem, options):
    """Return the least objective of two nodes over their parts of two resources: a convex function of both parts.

    On each axis a grid closes in on the best point and its neighbours, of the first for each point of the second. What
    is late comes after all that is not.
    """
    load = problem.arrival_rate[:, None] * problem.at(problem.service, options)
    least, steps = problem.least_share(options), np.linspace(0.0, 1.0, 25)

    def value(x, y):
        first = np.stack([x, y], axis=-1)
        shares = least + (1.0 - least.sum(0)) * np.stack([first, 1.0 - first], axis=-2)
        plans = np.broadcast_to(options, (*x.shape, 2))
        late = (problem.node_delay(plans, shares) / problem.deadline - 1.0).max(-1)
        found = np.where(late > 0, 1e6 + late, problem.objective(plans, shares))
        return np.where((shares > load).all((-2, -1)), found, np.inf)

    def best_of(x):
        low, high = np.full(len(x), 1e-9), np.full(len(x), 1.0 - 1e-9)
        for _ in range(9):
            y = low[:, None] + (high - low)[:, None] * steps
            found = value(np.broadcast_to(x[:, None], y.shape), y)
            k = found.argmin(-1)
            low, high = (np.take_along_axis(y, np.clip(k + i, 0, 24)[:, None], 1)[:, 0] for i in (-1, 1))
        return found.min(-1)

    low, high = 1e-9, 1.0 - 1e-9
    for _ in range(9):
        x = low + (high - low) * steps
        found = best_of(x)
        k = int(found.argmin())
        low, high = x[max(k - 1, 0)], x[min(k + 1, 24)]
    return float(found.min())


#: These take seconds each; other tests of percentiles are quick.
RARE = [(tandem(s), tandem(s)) for s in STATISTICS]
MIXED = [(MD1, MD1), (OVERLAP, MD1), (MM1, MD1)]


@pytest.mark.parametrize(
    "curves",
    [*MIXED, *(pytest.param(curves, marks=pytest.mark.slow) for curves in RARE)],
    ids=lambda curves: "-".join(curve.name for curve in curves),
)
@pytest.mark.parametrize("seed", [11, pytest.param(15, marks=pytest.mark.slow)])
def test_two_uses_beside_a_fine_grid(curves, seed):
    """The worst node, and deadlines that bind with a mean that is least."""
    problem, options = two_nodes(np.random.default_rng(seed), curves)
    fair = replace(problem, worst=True)
    _, value = filled(fair, options)
    assert value == pytest.approx(by_grid(fair, options), rel=1e-7)
    shares, _ = filled(problem, options)
    least = problem.node_delay(options, shares)
    late = int(least.argmax())
    most = np.full(2, np.inf)
    most[late] = value + 0.3 * (least[late] - value)  # between what is best for all and what the mean gives it
    promised = replace(problem, deadline=most)
    found = WaterFilling().allocate(promised, options[None])
    assert promised.residuals(options[None], found.shares).feasible[0]
    assert found.status[0] == Status.OPTIMAL
    assert promised.objective(options, found.shares[0]) == pytest.approx(by_grid(promised, options), rel=1e-7)


def by_slsqp(problem, options):
    """Return the least objective that SLSQP finds from equal parts of what the loads leave."""
    load = problem.arrival_rate[:, None] * problem.at(problem.service, options)
    free = 1.0 - load.sum(0)

    def shares(x):
        return load + free * x[:-1].reshape(load.shape)

    def delays(x):
        return problem.node_delay(options, shares(np.maximum(x, 1e-6)))

    first = np.full(load.size + 1, 1.0 / len(load))
    first[-1] = delays(first).max()
    unit, promised = first[-1], np.isfinite(problem.deadline)
    most = problem.deadline[promised]
    constraints = [{"type": "ineq", "fun": lambda x: 1.0 - x[:-1].reshape(load.shape).sum(0)}]
    if promised.any():
        constraints.append({"type": "ineq", "fun": lambda x: 1.0 - delays(x)[promised] / most})
    if problem.worst:
        constraints.append({"type": "ineq", "fun": lambda x: (x[-1] - delays(x)) / unit})

    found = minimize(
        lambda x: (x[-1] if problem.worst else problem.weight @ delays(x)) / unit,
        first,
        method="SLSQP",
        bounds=[(1e-6, 1.0)] * load.size + [(0.0, None)],
        constraints=constraints,
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    part = found.x[:-1].reshape(load.shape)
    value = problem.node_delay(options, load + free * part / np.maximum(part.sum(0), 1.0))
    late = (value[promised] > most * (1 + 1e-7)).any()
    return np.inf if late else float(value.max() if problem.worst else problem.weight @ value)


@pytest.mark.parametrize(
    ("curves", "worst"),
    [
        pytest.param((MD1, MD1), False, id="deadlines"),
        pytest.param((OVERLAP, MD1), False, id="deadlines-links"),
        pytest.param((MD1, MD1), True, id="worst"),
        pytest.param((OVERLAP, MD1), True, id="worst-links", marks=pytest.mark.slow),
        pytest.param((MM1, MM1), False, id="deadlines-mm1", marks=pytest.mark.slow),
        pytest.param((MM1, MM1), True, id="worst-mm1", marks=pytest.mark.slow),
    ],
)
def test_two_uses_beside_a_general_solver(curves, worst):
    """Four nodes behind a link and a server; the solver may stop early, and is never better."""
    agreed = 0
    for seed in range(4):
        rng = np.random.default_rng([seed, 12])
        service = rng.uniform(0.2, 1.0, (4, 1, 2))
        rate = rng.uniform(0.5, 2.0, 4)
        service *= 0.5 / (rate[:, None] * service[:, 0]).sum(0)
        resource = np.broadcast_to([0, 1], (4, 1, 2)).copy()
        problem = Problem(rng.uniform(0.0, 1.0, (4, 1)), service, rate, np.full(4, 0.25), curves, resource=resource)
        options = np.zeros(4, dtype=np.int64)
        if worst:
            problem = replace(problem, worst=True)
        else:
            least = problem.node_delay(options, WaterFilling().allocate(problem, options[None]).shares[0])
            slow = np.argsort(least)[-2:]
            most = np.full(4, np.inf)
            most[slow] = least[slow] - 0.3 * (least[slow] - problem.fixed_delay[slow, 0]) * rng.random(2)
            problem = replace(problem, deadline=most)
        found = WaterFilling().allocate(problem, options[None])
        if found.status[0] == Status.INFEASIBLE:
            assert by_slsqp(problem, options) == np.inf
            continue
        value, other = float(problem.objective(options, found.shares[0])), by_slsqp(problem, options)
        assert value <= other * (1 + 1e-7)
        agreed += other <= value * (1 + 1e-7)
    assert agreed >= 3


def test_what_the_worst_node_leaves_goes_to_the_others():
    """One server; a node that is slow whatever it gets decides, and the others share the rest as for the mean."""
    tables = [[5.0], [0.1], [0.2]], [[0.0], [0.2], [0.3]], [1.0, 1.0, 1.0], np.full(3, 1 / 3)
    options = np.zeros(3, dtype=np.int64)
    plain = WaterFilling().allocate(Problem(*tables), options[None])
    fair = WaterFilling().allocate(Problem(*tables, worst=True), options[None])
    np.testing.assert_allclose(fair.shares, plain.shares, rtol=1e-12)
    np.testing.assert_array_equal(fair.shares[0, 0], 0.0)


def test_no_plan_depends_on_its_batch_and_infeasible_ones_hold_no_numbers():
    rng = np.random.default_rng(13)
    problem, options = random_problem(rng, 5, 4, utilisation=0.9)
    problem = replace(problem, worst=True)
    plans = np.where(rng.random((30, 5)) < 0.4, rng.integers(0, 4, (30, 5)), options)
    batch = WaterFilling().allocate(problem, plans)
    lost = problem.overload(plans) > 0
    assert 0 < lost.sum() < 30
    np.testing.assert_array_equal(batch.status == Status.INFEASIBLE, lost)
    np.testing.assert_array_equal(np.isnan(batch.shares).all((1, 2)), lost)
    for row in np.flatnonzero(~lost):
        alone = WaterFilling().allocate(problem, plans[row : row + 1])
        np.testing.assert_array_equal(alone.shares[0], batch.shares[row])
