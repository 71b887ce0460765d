import numpy as np
import pytest

from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.solvers.cone_model import SMOOTHING, cone_model, refusal
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP, mg1
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.problems import all_plans, impossible, random_problem
from tests.methods.placers.solvers.test_general_solvers import SHARED, SMALL


def of_each_use(model, values, z):
    return np.bincount(model.use, values * z[model.candidate], len(model.user))


def product(matrix, x, n_rows):
    return np.bincount(matrix.row, matrix.value * x[matrix.column], n_rows)


def cost_of(model, z, share, smoothing=0.0):
    """The model's objective, s, at z (n_candidates,) and shares (n_uses,), and its least slack of any constraint.

    With `smoothing` r²/(y + ε·idle) takes the place of r²/y.
    """
    share = share * model.n_nodes
    root, load, idle = (of_each_use(model, v, z) for v in (model.root, model.load, model.idle))
    total = np.bincount(model.resource, share, model.n_resources)
    slack = [(model.n_nodes - total).min(), (share - load).min()]
    if model.least is not None:
        slack.append((share - of_each_use(model, model.least, z)).min())
    rows, weight = model.rows, model.weight[model.user]
    cost, pieces = model.cost @ z, -product(rows.relief, z, len(rows.most))
    for which, own, of_pieces, rate in (
        (model.with_spare, model.on_spare, rows.on_spare, share - load),
        (model.with_share, model.on_share, rows.on_share, share),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            delay = np.where(root > 0, root**2 / (rate + smoothing * idle), 0.0)
        assert set(np.flatnonzero(own)) | set(of_pieces.column) == set(which)
        cost += weight * own @ delay
        pieces += product(of_pieces, delay, len(rows.most))
    if model.most:
        most = np.full(len(model.most), -np.inf)
        np.maximum.at(most, rows.most, pieces)
        cost += model.weight[[tandem.node for tandem in model.most]] @ most
    return float(model.unit * cost), min(slack)


def shares_of(problem, model, options, shares):
    """The share of each use (n_uses,) in a plan with shares (n_nodes, n_slots)."""
    found = np.zeros(len(model.user))
    for d, k in zip(*np.nonzero(problem.at(problem.service, options)), strict=True):
        r = problem.resource[d, options[d], k]
        mine = [i for i in model.uses[d] if model.resource[i] == r and has(model, i, options[d], problem, k)]
        found[mine] = shares[d, k]
        assert len(mine) == 1
    return found


def has(model, use, option, problem, slot):
    """Whether a use is the one at a place in the path: √s tells them apart."""
    rows = model.entries[use]
    at = [j for j in rows if model.option[model.candidate[j]] == option]
    s = problem.n_nodes * problem.service[model.user[use], option, slot] / model.unit
    return model.root[at[0]] == np.sqrt(s)


def choice(model, options):
    return (model.option == options[model.node]).astype(float)


@pytest.mark.parametrize("problem", [*SMALL, *SHARED])
@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_every_plan_of_candidates_costs_what_it_costs(problem, smoothing):
    model = cone_model(problem)
    plans = all_plans(problem)
    plans = plans[pareto_options(problem)[np.arange(problem.n_nodes), plans].all(axis=1)]
    shares = WaterFilling().allocate(problem, plans).shares
    feasible = problem.overload(plans) == 0
    assert feasible.any()
    for options, share, value in zip(
        plans[feasible], shares[feasible], problem.objective(plans, shares)[feasible], strict=True
    ):
        cost, slack = cost_of(model, choice(model, options), shares_of(problem, model, options, share), smoothing)
        assert cost == pytest.approx(value, rel=1e-9)
        assert slack >= -1e-9


@pytest.mark.parametrize("k", [3, 4, 5])
def test_the_ordering_constraint_is_in_it(k):
    problem = SMALL[k]
    model = cone_model(problem)
    assert (model.least >= model.load).all()
    assert (model.least > model.load * 1.01).any()
    options = model.options(np.ones(len(model.node)))
    expected = problem.n_nodes * problem.least_share(options)[:, 0]
    np.testing.assert_allclose(of_each_use(model, model.least, choice(model, options)), expected)


def test_without_one_there_is_none():
    assert cone_model(SMALL[0]).least is None


def test_numbers_are_of_order_one_whatever_the_units():
    problem = compile_problem(generate("paper", nodes=6, seed=1))
    slow = Problem(problem.fixed_delay * 1e6, problem.service[..., 0] * 1e6, problem.arrival_rate / 1e6, problem.weight)
    one, other = cone_model(problem), cone_model(slow)
    assert other.unit == pytest.approx(1e6 * one.unit)
    for key in ("cost", "root", "load"):
        np.testing.assert_allclose(getattr(one, key), getattr(other, key), rtol=1e-12)
    assert 1.0 <= np.bincount(one.node, one.cost).sum() / one.weight.sum() <= 100.0
    assert one.root.max() < 10.0


def test_candidates_are_the_pareto_options_by_node():
    problem = SMALL[0]
    model = cone_model(problem)
    np.testing.assert_array_equal(np.column_stack([model.node, model.option]), np.argwhere(pareto_options(problem)))
    assert [list(model.node[rows]) for rows in model.candidates] == [
        [d] * len(r) for d, r in enumerate(model.candidates)
    ]
    assert model.candidates[0].start == 0
    assert model.candidates[-1].stop == len(model.node)
    busy = problem.service[..., 0][model.node, model.option] > 0
    np.testing.assert_array_equal(model.idle, np.where(busy, 0.0, 1.0))


def test_the_option_with_the_largest_z_is_chosen():
    model = cone_model(SMALL[0])
    rng = np.random.default_rng(0)
    for _ in range(5):
        z = rng.random(len(model.node))
        expected = [model.option[rows][z[rows].argmax()] for rows in model.candidates]
        assert model.options(z).tolist() == expected


def test_what_is_a_choice():
    model = cone_model(SMALL[0])
    one = np.zeros(len(model.node))
    one[[rows.start for rows in model.candidates]] = 1.0
    assert model.is_choice(one)
    assert model.is_choice(one * (1 - 1e-6) + 1e-7)
    two, none, half, lost = one.copy(), one.copy(), one.copy(), one.copy()
    two[1], none[0], half[0], lost[0] = 1.0, 0.0, 0.5, np.nan
    assert model.candidates[0].stop > 1
    assert not any(map(model.is_choice, (two, none, half, lost)))


def test_a_node_without_a_stable_option_has_no_model():
    local = np.array([[0.1, 0.2], [np.inf, np.inf]])
    problem = Problem(local, np.array([[0.1, 0.0], [0.1, 0.0]]), np.ones(2), np.full(2, 0.5))
    assert cone_model(problem) is None
    assert cone_model(impossible()) is not None


def test_free_delays_have_a_unit_too():
    problem = Problem(np.zeros((2, 1)), np.zeros((2, 1)), np.ones(2), np.full(2, 0.5))
    assert cone_model(problem).unit == 1.0


def test_what_is_refused():
    problem, _ = random_problem(np.random.default_rng(0), 5, 3, curve=mg1(4.0))
    assert "negative term (a = -1.5)" in refusal(problem, 1000)
    problem, _ = random_problem(np.random.default_rng(0), 5, 3, curve=MD1)
    assert refusal(problem, 5) is None
    assert refusal(problem, 4) == (
        "there are 5 nodes, more than a general solver is given (max_nodes = 4); use the placer exact"
    )


def test_uses_are_told_apart_by_place_and_resource():
    """Node 0 may use server 0 or 1 behind link 2, node 1 nothing: it has one use that no candidate has."""
    service = np.array([[[0.1, 0.2], [0.1, 0.3], [0.0, 0.0]], [[0.0, 0.0]] * 3])
    resource = np.array([[[2, 0], [2, 1], [0, 0]], [[0, 0]] * 3])
    fixed = np.array([[0.1, 0.1, 0.5], [0.1, 0.2, 0.3]])
    problem = Problem(fixed, service, np.ones(2), np.full(2, 0.5), (OVERLAP, MD1), resource=resource)
    model = cone_model(problem)
    assert model.user.tolist() == [0, 0, 0, 1]
    assert model.resource.tolist() == [2, 0, 1, 0]
    assert model.option.tolist() == [0, 1, 2, 0]
    assert [list(model.candidate[rows]) for rows in model.entries] == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3]]
    np.testing.assert_allclose(
        model.root**2 * model.unit, 2 * np.array([0.1, 0.1, 0.0, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0])
    )
    assert model.with_spare == [1, 2, 3]
    assert model.with_share == [0, 1, 2, 3]
    assert model.most == ()


def test_stages_that_are_shared_together_have_one_delay():
    together, apart = cone_model(SHARED[4]), cone_model(SHARED[3])
    assert all(len(tandem.uses) == 1 for tandem in apart.most)
    assert len({tandem.node for tandem in together.most}) == len(together.most)
    for tandem in together.most:
        assert len(tandem.pieces) == len(tandem.uses) + 1
        assert [piece.relieved for piece in tandem.pieces] == [True] * len(tandem.uses) + [False]
