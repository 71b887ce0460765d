import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InfeasibleError, InputError
from dmcjia_opt.bounds.certificate import certify
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.placers.exact.exhaustive import Exhaustive
from dmcjia_opt.methods.placers.genetic.genetic import Genetic
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop, proved
from dmcjia_opt.solving.registry import specs, why_not
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.testing.doubles import Counting, Even, Failing

PAPER = generate("paper", nodes=4, seed=1)
#: The dual leaves a gap here: equal nodes, of which some should go to the cloud and some not.
EQUAL = generate("homogeneous", nodes=3, seed=0)
BUDGET = Stop(evaluations=80)


@dataclass(frozen=True)
class Says:
    """A third party's placer, which offers and claims what it was told to."""

    splits: object
    shares: object = None
    status: Status | None = None
    bound: float = -math.inf
    price: float | None = None
    refusal: str | None = None

    def supports(self, problem):
        return self.refusal

    def search(self, search, rng):
        search.offer(self.splits, self.shares)
        search.prove(self.bound, "exhaustive")
        search.claim(self.status, self.bound)
        if self.price is not None:
            search.raise_bound(self.price)


def optimum(scenario):
    return solve(scenario, "exhaustive")


@pytest.mark.parametrize(
    "placer", [spec.name for spec in specs("placer") if why_not(spec) is None and not spec.baseline]
)
def test_every_placer_makes_a_certified_plan(placer):
    plan = solve(PAPER, placer, stop=BUDGET, seed=2)
    problem = compile_problem(PAPER)
    certificate = certify(problem, plan.splits, plan.shares)
    assert certificate.feasible
    assert plan.objective == certificate.objective
    assert plan.lower_bound <= plan.objective
    assert plan.gap == pytest.approx(1 - plan.lower_bound / plan.objective, abs=1e-15)
    assert plan.objective == pytest.approx((problem.weight * plan.delays.total).sum(), rel=1e-14)
    assert (plan.placer, plan.allocator, plan.seed) == (placer, "waterfilling", 2)
    assert plan.evaluations <= 80
    assert plan.scenario_sha256 == PAPER.sha256()
    assert plan.names == PAPER.nodes.names
    assert plan.networks == ("resnet34",) * 4
    assert (plan.status == Status.OPTIMAL) == (plan.gap <= 1e-9)


@pytest.mark.parametrize("placer", ["genetic", "dmcjia", "pymoo:DE"])
def test_same_seed_same_plan(placer):
    first, second, other = (solve(PAPER, placer, stop=BUDGET, seed=seed) for seed in (4, 4, 5))
    own = {"started", "wall_s", "trace"}
    assert {k: v for k, v in first.to_dict().items() if k not in own} == {
        k: v for k, v in second.to_dict().items() if k not in own
    }
    assert [p.objective for p in first.trace] == [p.objective for p in second.trace]
    assert [p.objective for p in first.trace] != [p.objective for p in other.trace]


def test_the_inner_solver_does_not_change_the_search():
    plans = [solve(PAPER, "genetic", name, stop=BUDGET, seed=1) for name in ("waterfilling", "cvxpy:CLARABEL", "alm")]
    for plan in plans[1:]:
        np.testing.assert_array_equal(plan.splits, plans[0].splits)
        assert plan.objective == pytest.approx(plans[0].objective, rel=1e-7)


def test_the_papers_own_algorithm():
    plan = solve(PAPER, "dmcjia", "alm", stop=BUDGET)
    assert plan.gap < 1.0
    assert (plan.placer, plan.allocator) == ("dmcjia", "alm")


def test_objects_do_instead_of_names():
    plan = solve(PAPER, Genetic(population=10), CvxpyAllocator(), stop=BUDGET, seed=1)
    assert (plan.placer, plan.allocator) == ("Genetic", "CvxpyAllocator")


def test_the_defaults_are_the_proved_optimum_and_water_filling():
    plan = solve(EQUAL)
    assert (plan.placer, plan.allocator, plan.seed) == ("exact", "waterfilling", 0)
    assert plan.status == Status.OPTIMAL


def test_a_bound_proved_by_our_own_search_counts():
    plan = optimum(EQUAL)
    assert plan.status == Status.OPTIMAL
    assert plan.bound_from == "exhaustive"
    dual = solve(EQUAL, "genetic", stop=BUDGET)
    assert dual.bound_from == "dual"
    assert dual.lower_bound < plan.lower_bound * (1 - 1e-6)
    assert dual.objective >= plan.lower_bound


def test_a_third_partys_bound_does_not():
    plan = solve(PAPER, Says(np.zeros(4, dtype=int), status=Status.OPTIMAL, bound=1e9))
    assert plan.lower_bound <= optimum(PAPER).objective
    assert plan.bound_from == "dual"
    best = optimum(EQUAL)
    own = solve(EQUAL, Says(best.splits, status=Status.OPTIMAL, bound=best.lower_bound))
    assert (own.status, own.bound_from) == (Status.FEASIBLE, "dual")
    assert solve(EQUAL, Exhaustive()).status == Status.FEASIBLE


def test_a_claim_of_optimality_needs_a_closed_gap():
    best, other = optimum(PAPER), np.array([0, 0, 0, 2])
    assert solve(PAPER, Says(other, status=Status.OPTIMAL)).status == Status.FEASIBLE
    assert solve(PAPER, Says(other, status=Status.LIMIT)).status == Status.LIMIT
    assert solve(PAPER, Says(best.splits, status=Status.LIMIT)).status == Status.OPTIMAL


def test_a_looser_gap_that_is_met_is_no_optimum():
    plan = solve(PAPER, "genetic", stop=Stop(gap=0.3, evaluations=5000))
    assert str(plan.status) == "within"
    assert plan.status.in_words(plan.gap_tolerance) == "within 30 % of the optimum, proved"
    assert 1e-9 < plan.gap <= plan.gap_tolerance == 0.3
    assert plan.evaluations < 5000
    best = solve(PAPER, stop=Stop(gap=0.3))
    assert best.status == (Status.OPTIMAL if best.gap <= 1e-9 else Status.WITHIN)


@pytest.mark.parametrize(
    ("gap", "tolerance", "status"),
    [
        (1e-9, 1e-9, Status.OPTIMAL),
        (1.1e-9, 1e-9, Status.LIMIT),
        (1e-10, 1e-12, Status.LIMIT),
        (1e-12, 1e-12, Status.OPTIMAL),
        (0.0, 0.0, Status.OPTIMAL),
        (1e-9, 0.2, Status.OPTIMAL),
        (2e-9, 0.2, Status.WITHIN),
        (0.2, 0.2, Status.WITHIN),
        (0.21, 0.2, Status.LIMIT),
        (0.9, 1.0, Status.LIMIT),
        (math.inf, 0.2, Status.LIMIT),
    ],
)
def test_optimal_has_one_meaning(gap, tolerance, status):
    assert proved(gap, tolerance, Status.LIMIT) == status


@pytest.mark.parametrize("gap", [1.0, 5, 20.0, "5%", "0.05"])
def test_a_gap_in_percent_is_refused_with_the_remedy(gap):
    with pytest.raises(InputError, match=r"5 % is 0\.05, got|got .*; 5 % is 0\.05"):
        Stop(gap=gap)


def test_a_gap_that_is_all_rounding_has_a_status_of_its_own():
    plan = solve(EQUAL, "exhaustive", stop=Stop(gap=0.0))
    assert plan.status == (Status.ROUNDED if plan.gap > 0 else Status.OPTIMAL)
    assert solve(EQUAL, "branch-and-bound", stop=Stop(gap=0.0)).status == Status.ROUNDED
    # shares that are no optimum to the last digit leave more than rounding
    assert solve(EQUAL, "branch-and-bound", "alm", stop=Stop(gap=0.0)).status != Status.ROUNDED


def test_a_plan_names_the_rule_of_its_bound():
    assert optimum(PAPER).bound_holds_for == "reserved shares, these cuts and the M/D/1 delay"
    other = PAPER.options.model_copy(update={"delay": "tandem", "ordering": "cloud-faster"})
    rule = "reserved shares, these cuts, a cloud faster than its edges and the tandem delay"
    assert solve(replace(PAPER, options=other), "greedy+").bound_holds_for == rule


def test_missing_shares_are_filled_by_the_allocator():
    counting = Counting()
    plan = solve(PAPER, Says(np.array([0, 2, 0, 0])), counting)
    assert counting.plans == [(0, 2, 0, 0)]
    assert plan.shares.sum() == pytest.approx(1.0)
    assert plan.shares.sum() <= 1.0


def test_shares_that_came_with_the_plan_are_kept():
    shares = np.array([0.3, 0.3, 0.2, 0.2])
    plan = solve(PAPER, Says(np.zeros(4, dtype=np.int64), shares))
    np.testing.assert_array_equal(plan.shares, shares)


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0, 0.0, 1e-300, 1e300])
def test_a_useless_price_costs_nothing(price):
    assert solve(PAPER, Says(optimum(PAPER).splits, price=price)).status == Status.OPTIMAL


@pytest.mark.parametrize(
    "splits",
    [
        np.array([0, 0, 0, 35]),
        np.array([0, 0, 0, -1]),
        np.array([0, 0, 0]),
        np.array([0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_a_placer_that_offers_no_plan_failed(splits):
    with pytest.raises(BackendFailed, match=r'placer "Says" asked for a plan that is none: '):
        solve(PAPER, Says(splits))


@pytest.mark.parametrize(
    ("splits", "shares"),
    [((4,), (3,)), ((4,), (1, 4)), ((1, 4), (1, 4)), ((1, 4), (4,)), ((2, 4), None), ((4,), ())],
)
def test_a_placer_that_offers_another_shape_failed(splits, shares):
    says = Says(np.zeros(splits, dtype=np.int64), None if shares is None else np.full(shares, 0.1))
    with pytest.raises(
        BackendFailed, match=r'placer "Says" (asked for options|offered shares) of shape \(.*it must be'
    ):
        solve(PAPER, says)


@pytest.mark.parametrize("status", [Status.INACCURATE, Status.INFEASIBLE, Status.FAILED])
def test_a_feasible_plan_is_at_least_that(status):
    assert solve(PAPER, Says(np.array([0, 2, 0, 0]), status=status)).status == Status.FEASIBLE


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        (np.full(4, 0.3), "its shares exceed the cloud by 0.2"),
        (np.array([1.0, 0.0, 0.0, 0.0]), 'the share of "node-0002", 0, leaves its cloud queue unstable at split 0'),
        (np.full(4, np.nan), 'the share of "node-0001" is nan'),
        (np.array([0.5, 0.5, 0.5, -0.5]), 'the share of "node-0004" is -0.5'),
    ],
)
def test_a_plan_that_breaks_a_constraint_is_none(shares, why):
    says = Says(np.zeros(4, dtype=np.int64), shares, Status.FEASIBLE)
    with pytest.raises(BackendFailed, match=f'placer "Says" calls a plan feasible that is none: {re.escape(why)}'):
        solve(PAPER, says)
    for status in (None, Status.INFEASIBLE):
        with pytest.raises(
            InfeasibleError, match=f'"Says" gives no feasible plan: {re.escape(why)}; other placers may'
        ):
            solve(PAPER, replace(says, status=status))


def test_failing_allocators_leave_no_plan():
    with pytest.raises(InfeasibleError, match="raise its budget or choose another placer"):
        solve(PAPER, "genetic", Failing(), stop=BUDGET)


def test_an_overloaded_fleet_has_no_plan():
    nodes = replace(PAPER.nodes, arrival_rate=np.full(4, 1000.0))
    with pytest.raises(
        InfeasibleError,
        match=r'"node-0001" can carry less than 109\.2 of its 1000 tasks/s; "node-0002" less',
    ):
        solve(replace(PAPER, nodes=nodes))


def test_a_cloud_too_small_for_any_offloading_leaves_the_edge():
    nodes = replace(PAPER.nodes, arrival_rate=np.full(4, 0.5))
    scenario = replace(PAPER, nodes=nodes, cloud_gflops=0.001)
    plan = optimum(scenario)
    assert plan.splits.tolist() == [34] * 4
    assert not plan.shares.any()
    assert plan.status == Status.OPTIMAL


def test_refusals_name_the_method_and_its_reason():
    with pytest.raises(InputError, match=r'"Says" cannot take this scenario: it is Sunday'):
        solve(PAPER, Says(np.zeros(4), refusal="it is Sunday"))
    bursty = replace(PAPER, options=PAPER.options.model_copy(update={"delay": "mg1", "service_scv": 4.0}))
    with pytest.raises(InputError, match=r'"cvxpy" cannot take this scenario: the delay curve "mg1"'):
        solve(bursty, allocator="cvxpy")
    with pytest.raises(InputError, match=r'"exhaustive" cannot take this scenario: there are .* plans'):
        solve(generate("paper", nodes=30), "exhaustive")


@pytest.mark.parametrize(
    ("placer", "allocator", "error"),
    [
        ("nope", "waterfilling", InputError),
        ("genetic", "nope", InputError),
        ("pymoo:NOPE", "waterfilling", InputError),
        ("genetic", "cvxpy:NOPE", BackendMissing),
    ],
)
def test_unknown_methods(placer, allocator, error):
    with pytest.raises(error, match=r"NOPE|nope"):
        solve(PAPER, placer, allocator)


def test_an_allocator_of_a_minutes_work_will_do():
    plan = solve(PAPER, "genetic", Even(), stop=BUDGET)
    assert plan.allocator == "Even"
    assert plan.lower_bound <= plan.objective


def test_the_callback_follows_the_search():
    seen = []
    plan = solve(PAPER, "genetic", stop=BUDGET, callback=seen.append)
    assert seen[-1] == plan.trace[-1]
    assert set(plan.trace) <= set(seen)


def test_weights_by_tasks_count():
    scenario = generate("mixed", nodes=3, seed=2)
    plan = optimum(scenario)
    rates = scenario.nodes.arrival_rate
    assert plan.objective == pytest.approx((rates * plan.delays.total).sum() / rates.sum(), rel=1e-12)
    assert plan.networks == tuple(scenario.profiles[scenario.nodes.network_of(d)].name for d in range(3))
