import numpy as np
import pytest
from scipy.optimize import dual_annealing

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.blackbox.asktell import FromFunction, MeanDelay
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.search import Search
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.testing.doubles import Counting, Failing
from dmcjia_opt.testing.placers import trace_of
from dmcjia_opt.testing.problems import all_plans, brute_force, only_way_out, random_problem
from tests.methods.placers.searches import place


@pytest.fixture
def four():
    return random_problem(np.random.default_rng(11), 4, 6)[0]


def search(minimise, problem, allocator=None, *, stop=None, seed=0, **options):
    return place(FromFunction(minimise, **options), problem, stop, seed, allocator)


def every_plan(f, upper, rng):
    f(all_plans(f.problem))


def at_random(f, upper, rng):
    while True:
        f(rng.integers(0, upper + 1))


def test_one_plan_gives_a_float_and_several_an_array(four):
    f = MeanDelay(four)
    plans = all_plans(four)[:10]
    values = f(plans)
    assert values.shape == (10,)
    assert [f(plan) for plan in plans] == values.tolist()
    assert type(f(plans[0])) is float
    assert f(plans[0].tolist()) == f(tuple(plans[0].tolist())) == values[0]
    expected = four.objective(plans, WaterFilling().allocate(four, plans).shares)
    feasible = four.overload(plans) == 0
    np.testing.assert_array_equal(values[feasible], expected[feasible])


def test_it_knows_its_box_and_its_best(four):
    f = MeanDelay(four)
    assert f.best is None
    np.testing.assert_array_equal(f.upper, four.last)
    values = f(all_plans(four))
    np.testing.assert_array_equal(f.best, all_plans(four)[values.argmin()])


def test_floats_are_rounded_and_clipped(four):
    f = MeanDelay(four)
    assert f(np.array([0.4, 0.6, 2.499, 4.9])) == f([0, 1, 2, 5])
    assert f([-3.0, 7.0, 5.4, 5.6]) == f([0, 5, 5, 5])
    assert f.search.evaluations == 2


def test_infeasible_plans_get_a_finite_value_that_grows_with_the_overload():
    problem = only_way_out()
    plans = all_plans(problem)
    overload = problem.overload(plans)
    values = MeanDelay(problem)(plans)
    assert np.isfinite(values).all()
    assert values[overload > 0].min() > 100 * values[overload == 0].max()
    assert (np.diff(values[np.argsort(overload, kind="stable")]) >= 0).all()
    raw = MeanDelay(problem, finite=False)(plans)
    np.testing.assert_array_equal(np.isinf(raw), overload > 0)


def test_plans_whose_allocator_failed_have_finite_values_too(four):
    assert np.isfinite(MeanDelay(four, Failing())(all_plans(four))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([0, 1, 2], r"int64 of shape \(3,\); give numbers of shape \(4,\) or \(n_plans, 4\)"),
        ([[[0, 1, 2, 3]]], "of shape"),
        (3, "of shape"),
        (["a", "b", "c", "d"], "the search proposed <U1"),
        ([[0, 1, 2, 3], [0, 1]], "rows of different lengths"),
        ([0.0, np.nan, 0.0, 0.0], "not finite"),
        ([0.0, np.inf, 0.0, 0.0], "not finite"),
    ],
)
@pytest.mark.parametrize("repair", [True, False])
def test_what_is_no_plan_is_refused(four, options, message, repair):
    with pytest.raises(BackendFailed, match=message):
        MeanDelay(four, repair=repair)(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([0, 1.5, 2, 3], "not integers; round them, or set repair=True"),
        ([0, 1, 6, 3], r"option of node 2 outside 0 … 5; clip it, or set repair=True"),
        ([[0, 1, 5, 3], [0, -1, 5, 3]], r"option of node 1 outside 0 … 5"),
    ],
)
def test_without_repair_only_options_are_taken(four, options, message):
    with pytest.raises(BackendFailed, match=message):
        MeanDelay(four, repair=False)(options)


def test_whole_floats_need_no_repair(four):
    f = MeanDelay(four, repair=False)
    assert f([0.0, 1.0, 5.0, 3.0]) == f([0, 1, 5, 3])


def test_on_its_own_it_never_ends_a_search(four):
    best, _, _ = brute_force(four)
    f = MeanDelay(four)
    bounds = [(0, last) for last in f.upper.tolist()]
    result = dual_annealing(f, bounds, maxfun=3000, no_local_search=True, rng=np.random.default_rng(0))
    assert result.nfev >= 2000 > f.search.evaluations
    assert result.fun == f(f.best) == best


def test_any_function_is_a_placer():
    scenario = generate("paper", nodes=3, seed=1)
    plan = solve(scenario, FromFunction(at_random), stop=Stop(evaluations=200), seed=3)
    assert plan.evaluations == 200
    assert plan.placer == "FromFunction"
    again = solve(scenario, FromFunction(at_random), stop=Stop(evaluations=200), seed=3)
    np.testing.assert_array_equal(again.splits, plan.splits)
    assert solve(scenario, FromFunction(at_random), stop=Stop(evaluations=3), seed=4).gap > plan.gap


def test_a_search_that_ends_has_ended(four):
    best, options, _ = brute_force(four)
    few = all_plans(four)[:7]
    placement = search(lambda f, upper, rng: f(few), four)
    assert placement.status == Status.FEASIBLE
    assert placement.evaluations == 7
    whole = search(every_plan, four)
    np.testing.assert_array_equal(whole.options, options)
    assert whole.trace[-1].objective == best


def test_evaluations_are_the_default_end_and_a_budget_replaces_them(four, clock):
    own = search(at_random, four, evaluations=30)
    assert (own.evaluations, own.status) == (30, Status.FEASIBLE)
    given = search(at_random, four, evaluations=30, stop=Stop(evaluations=50))
    assert (given.evaluations, given.status) == (50, Status.LIMIT)
    slow = Counting(seconds_a_plan=1 / 64)
    search(at_random, four, slow, evaluations=1, stop=Stop(seconds=0.25))
    assert len(slow.plans) == 16


def test_the_trace_has_points_between_improvements():
    problem = compile_problem(generate("paper", nodes=10, seed=1))
    placement = search(at_random, problem, stop=Stop(evaluations=400))
    counts = [point.evaluations for point in placement.trace]
    assert {50, 100, 150, 200, 250, 300, 350, 400} <= set(counts)
    assert trace_of(search(at_random, problem, stop=Stop(evaluations=400))) == trace_of(placement)


def test_a_search_that_swallows_the_end_gets_no_further(four):
    def stubborn(f, upper, rng):
        for _ in range(5):
            try:
                at_random(f, upper, rng)
            except Exception:  # noqa: BLE001 - the point
                continue

    assert search(stubborn, four, stop=Stop(evaluations=20)).evaluations == 20


@pytest.mark.parametrize("patience", [0, 20])
def test_an_interrupt_returns_the_incumbent_if_there_is_one(four, patience):
    def interrupted(f, upper, rng):
        for _ in range(patience):
            f(rng.integers(0, upper + 1))
        raise KeyboardInterrupt

    if patience:
        placement = search(interrupted, four)
        assert placement.status == Status.LIMIT
        assert four.residuals(placement.options, placement.shares).feasible
    else:
        with pytest.raises(KeyboardInterrupt):
            search(interrupted, four)


def test_errors_of_the_function_are_its_authors(four):
    def broken(f, upper, rng):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        search(broken, four)


def test_without_repair_a_bad_proposal_is_a_failure(four):
    with pytest.raises(BackendFailed, match="outside 0 … 5"):
        search(lambda f, upper, rng: f(upper + 1), four, repair=False)
    assert search(lambda f, upper, rng: f(upper + 1), four).options.tolist() == four.last.tolist()


@pytest.mark.parametrize("evaluations", [0, -1, float("nan")])
def test_nonsense_is_refused(evaluations):
    with pytest.raises(InputError, match="FromFunction: evaluations must be int >= 1, got"):
        FromFunction(at_random, evaluations=evaluations)


def test_it_shares_a_search(four):
    search = Search(four, WaterFilling())
    f = MeanDelay(four, search=search)
    f(np.zeros((3, 4), dtype=int))
    assert search.evaluations == 1
