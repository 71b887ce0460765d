import numpy as np
import pytest

from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.solvers.cone_model import SMOOTHING, cone_model, refusal
from dmcjia_opt.model.delay import MD1, mg1
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.problems import all_plans, impossible, random_problem
from tests.methods.placers.solvers.test_general_solvers import SMALL


def of_each_node(model, values, z):
    return np.bincount(model.node, values * z, model.n_nodes)


def cost_of(model, z, shares, smoothing=0.0):
    """The model's objective, s, at z (n_candidates,) and true shares (n_nodes,), and its least slack of any constraint.

    With `smoothing` r²/(y + ε·idle) takes the place of r²/y.
    """
    share = shares * model.n_nodes
    root, load, idle = (of_each_node(model, v, z) for v in (model.root, model.load, model.idle))
    slack = [model.n_nodes - share.sum(), (share - load).min()]
    if model.least is not None:
        slack.append((share - of_each_node(model, model.least, z)).min())
    pieces = [0.0 if relief is None else -of_each_node(model, relief, z) for relief in model.reliefs]
    for coefficients, rate in ((model.on_spare, share - load), (model.on_share, share)):
        with np.errstate(divide="ignore", invalid="ignore"):
            delay = np.where(root > 0, root**2 / (rate + smoothing * idle), 0.0)
        pieces = [piece + c * delay for piece, c in zip(pieces, coefficients, strict=True)]
    return float(model.unit * (model.cost @ z + model.weight @ np.max(pieces, axis=0))), min(slack)


def choice(model, splits):
    return (model.split == splits[model.node]).astype(float)


@pytest.mark.parametrize("problem", SMALL)
@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_every_plan_of_candidates_costs_what_it_costs(problem, smoothing):
    model = cone_model(problem)
    plans = all_plans(problem)
    plans = plans[pareto_options(problem)[np.arange(problem.n_nodes), plans].all(axis=1)]
    shares = WaterFilling().allocate(problem, plans).shares[..., 0]
    feasible = problem.overload(plans) == 0
    assert feasible.any()
    for splits, share, value in zip(
        plans[feasible], shares[feasible], problem.objective(plans, shares)[feasible], strict=True
    ):
        cost, slack = cost_of(model, choice(model, splits), share, smoothing)
        assert cost == pytest.approx(value, rel=1e-9)
        assert slack >= -1e-9


@pytest.mark.parametrize("k", [3, 4, 5])
def test_the_ordering_constraint_is_in_it(k):
    problem = SMALL[k]
    model = cone_model(problem)
    assert (model.least >= model.load).all()
    assert (model.least > model.load * 1.01).any()
    splits = model.splits(np.ones(len(model.node)))
    expected = problem.n_nodes * problem.least_share(splits)[:, 0]
    np.testing.assert_allclose(of_each_node(model, model.least, choice(model, splits)), expected)


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
    np.testing.assert_array_equal(np.column_stack([model.node, model.split]), np.argwhere(pareto_options(problem)))
    assert [list(model.node[rows]) for rows in model.candidates] == [
        [d] * len(r) for d, r in enumerate(model.candidates)
    ]
    assert model.candidates[0].start == 0
    assert model.candidates[-1].stop == len(model.node)
    busy = problem.service[..., 0][model.node, model.split] > 0
    np.testing.assert_array_equal(model.idle, np.where(busy, 0.0, 1.0))


def test_the_split_with_the_largest_z_is_chosen():
    model = cone_model(SMALL[0])
    rng = np.random.default_rng(0)
    for _ in range(5):
        z = rng.random(len(model.node))
        expected = [model.split[rows][z[rows].argmax()] for rows in model.candidates]
        assert model.splits(z).tolist() == expected


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


def test_a_node_without_a_stable_split_has_no_model():
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
