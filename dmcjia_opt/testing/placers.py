"""What every placer owes: one that follows a rule, and what one that searches owes on top."""

from __future__ import annotations

import math
import pickle
from functools import cache
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import best_lower_bound, judge
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM, DelayCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.model.scenario.scenario import Average, Ordering
from dmcjia_opt.solving import running
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop, TracePoint
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.testing.doubles import Counting, Even, Failing
from dmcjia_opt.testing.known_answers import KnownAnswer, known_answers
from dmcjia_opt.testing.methods import (
    Conformance,
    assert_equal_if_comparable,
    assert_same_contents,
    contents,
    in_two_processes,
)
from dmcjia_opt.testing.problems import (
    brute_force,
    impossible,
    only_way_out,
    random_problem,
    random_promises,
    random_shared_problem,
)

#: What searches without an end of their own may spend here.
FEW = Stop(evaluations=60)
#: Known answers with a choice to make.
_CHOICES = ("symmetry broken", "all at the edge", "a wait saved")
_CASES: tuple[tuple[int, int, object, Ordering, Average], ...] = (
    (3, 6, MD1, "stability", "nodes"),
    (4, 4, MM1, "stability", "tasks"),
    (5, 3, mg1(4.0), "stability", "nodes"),
    (4, 4, MD1, "cloud-faster", "tasks"),
    (3, 5, mg1(0.3), "cloud-faster", "nodes"),
    (4, 4, TANDEM, "stability", "nodes"),
    (3, 5, TANDEM, "cloud-faster", "tasks"),
)
#: Several resources: a link behind which a server is, two servers, both with least rates, and tandems.
_SHARED: tuple[tuple[int, int, int, tuple[DelayCurve, ...], Ordering, Average], ...] = (
    (3, 4, 3, (OVERLAP, MD1), "stability", "nodes"),
    (4, 3, 2, (MD1,), "stability", "tasks"),
    (3, 4, 3, (TANDEM, TANDEM), "cloud-faster", "nodes"),
)
#: Seeds of problems with deadlines, and of such whose worst node counts: of one resource or several, some percentiles.
_PROMISED = (1, 4), (0, 7)
every_problem = pytest.mark.parametrize("k", range(len(_CASES) + len(_SHARED) + sum(map(len, _PROMISED))))


@cache
def small(k: int) -> tuple[Problem, float]:
    """Return a problem of 3 to 5 nodes with up to 256 plans, and the least delay; the last are promises."""
    if k >= len(_CASES) + len(_SHARED):
        worst, i = divmod(k - len(_CASES) - len(_SHARED), len(_PROMISED[0]))
        problem = random_promises(np.random.default_rng([_PROMISED[worst][i], worst]), worst=bool(worst))
        return problem, brute_force(problem)[0]
    if k >= len(_CASES):
        n, m, r, curves, ordering, average = _SHARED[k - len(_CASES)]
        problem, _ = random_shared_problem(
            np.random.default_rng(k), n, m, r, len(curves), curves=curves, ordering=ordering, average=average
        )
        return problem, brute_force(problem)[0]
    n, m, curve, ordering, average = _CASES[k]
    rng = np.random.default_rng(k)
    problem, _ = random_problem(rng, n, m, curve=curve, ordering=ordering, average=average)  # type: ignore[arg-type]
    return problem, brute_force(problem)[0]


@cache
def middling() -> Problem:
    """Return a problem of 6 nodes and 262,144 plans."""
    return random_problem(np.random.default_rng(21), 6, 8)[0]


def place(
    placer: Placer,
    problem: Problem,
    allocator: Allocator | None = None,
    *,
    stop: Stop = FEW,
    seed: int = 0,
    callback: Callback | None = None,
) -> Placement:
    """Return what `placer` finds, with water-filling and a small budget unless told otherwise."""
    rng = np.random.default_rng(seed)
    return running.place(placer, problem, allocator or WaterFilling(), stop=stop, rng=rng, callback=callback)


def outcome(placer: Placer, problem: Problem, seed: int) -> tuple[list[int], list[list[float]] | None]:
    """Return options and shares as lists, to compare processes."""
    got = place(placer, problem, seed=seed)
    return got.options.tolist(), None if got.shares is None else got.shares.tolist()


def value_of(problem: Problem, placement: Placement) -> float:
    """Return the mean delay of a placement after checking that it is a plan."""
    assert placement.shares is not None
    assert placement.shares.shape == (problem.n_nodes, problem.n_uses)
    verdict = judge(problem, placement.options, placement.shares)
    assert verdict.feasible, verdict.violation
    return verdict.objective


def trace_of(placement: Placement | Plan) -> list[tuple[int, float]]:
    """Return the part of a trace that does not depend on the clock."""
    return [(point.evaluations, point.objective) for point in placement.trace]


class BaselineConformance(Conformance):
    """What a placer owes that follows a rule, and may end without a plan where there are some.

    Attributes
    ----------
    bound_accuracy
        How far, relative to the optimum, a lower bound it claims may be above it: the tolerance of a solver.
    nondeterministic
        Why the same seed may give another plan, as where a solver looks at the clock; empty where it may not.

    Examples
    --------
    >>> from dmcjia_opt import build_placer
    >>> from dmcjia_opt.testing import BaselineConformance
    >>> class TestMine(BaselineConformance):
    ...     method = build_placer("greedy+")
    ...
    """

    bound_accuracy: ClassVar[float] = 1e-12
    nondeterministic: ClassVar[str] = ""

    @pytest.fixture
    def placer(self) -> Placer:
        """Return the placer under test."""
        made: Placer = self.make()
        return made

    def refused(self, placer: Placer, problem: Problem) -> bool:
        """Return whether the problem is refused, and if it is, check that this is done with a sentence."""
        why = placer.supports(problem)
        assert why is None or (len(why.split()) >= 5 and "\n" not in why)
        return why is not None

    def test_it_is_a_placer(self, placer: Placer) -> None:
        """It has both methods of the protocol."""
        assert isinstance(placer, Placer)

    @every_problem
    def test_its_plans_are_plans(self, placer: Placer, k: int) -> None:
        """Feasible unless it says otherwise, not better than the best of all plans, and no bound above that."""
        problem, best = small(k)
        if self.refused(placer, problem):
            return
        placement = place(placer, problem)
        if placement.status not in (Status.INFEASIBLE, Status.FAILED):
            assert value_of(problem, placement) >= best * (1 - 1e-12)
        self.check_bounds(placement, best)

    def check_bounds(self, placement: Placement, best: float) -> None:
        """Check that no bound, proved or claimed, is above the least delay."""
        assert placement.lower_bound <= best * (1 + 1e-12)
        assert placement.claimed_bound is None or placement.claimed_bound <= best * (1 + self.bound_accuracy)

    def test_the_same_seed_gives_the_same_plan(self, placer: Placer) -> None:
        """To the last bit, with the same trace."""
        problem = middling()
        first, second = place(placer, problem, seed=5), place(self.make(), problem, seed=5)
        if self.nondeterministic:
            assert value_of(problem, first) > 0
            assert value_of(problem, second) > 0
            return
        np.testing.assert_array_equal(first.options, second.options)
        np.testing.assert_array_equal(first.shares, second.shares)
        assert trace_of(first) == trace_of(second)
        assert first.evaluations == second.evaluations
        assert first.lower_bound == second.lower_bound

    def test_two_other_processes_give_the_same_plan(self, placer: Placer) -> None:
        """It can be sent there and is the same placer there; both at once find the plan that is found here."""
        assert_equal_if_comparable(pickle.loads(pickle.dumps(placer)), placer)
        problem = small(1)[0]
        here = outcome(placer, problem, 5)
        for there in in_two_processes(outcome, placer, problem, 5):
            assert there == here or self.nondeterministic

    @pytest.mark.parametrize("budget", [1, 7, 60])
    def test_a_budget_of_evaluations_is_kept(self, placer: Placer, budget: int) -> None:
        """No more distinct plans are asked for than the budget allows, and they are counted."""
        counting = Counting()
        placement = place(placer, middling(), counting, stop=Stop(evaluations=budget))
        assert len(set(counting.plans)) <= budget
        assert len(counting.plans) <= placement.evaluations <= budget
        assert placement.trace[-1].evaluations == placement.evaluations

    def test_an_impossible_problem(self, placer: Placer) -> None:
        """No plan is claimed where there is none."""
        placement = place(placer, impossible(), stop=Stop(evaluations=60))
        assert placement.status in (Status.INFEASIBLE, Status.LIMIT, Status.FAILED)
        assert placement.shares is None or not judge(impossible(), placement.options, placement.shares).feasible

    def test_inputs_are_not_modified(self, placer: Placer) -> None:
        """Nor does what it found change what it finds next."""
        problem, _ = small(3)
        before = contents(problem)
        placement = place(placer, problem)
        assert_same_contents(problem, before)
        again = place(placer, problem).options
        assert self.nondeterministic or again.tolist() == placement.options.tolist()


class PlacerConformance(BaselineConformance):
    """What a placer owes that searches: budgets, a trace that tells the story, and a plan where there is one.

    Examples
    --------
    >>> from dmcjia_opt import build_placer
    >>> from dmcjia_opt.testing import PlacerConformance
    >>> class TestMine(PlacerConformance):
    ...     method = build_placer("genetic")
    ...
    """

    @every_problem
    def test_its_plans_are_plans(self, placer: Placer, k: int) -> None:
        """Feasible, with no bound above the best of all plans; what is called optimal is, and an exact placer's is."""
        problem, best = small(k)
        if self.refused(placer, problem):
            return
        placement = place(placer, problem, stop=Stop() if self.is_exact() else FEW)
        value = value_of(problem, placement)
        assert value >= best * (1 - 1e-12)
        if self.is_exact():
            assert placement.status == Status.OPTIMAL
        if placement.status == Status.OPTIMAL:
            assert value <= best * (1 + max(1e-9, self.bound_accuracy))
        self.check_bounds(placement, best)

    @pytest.mark.parametrize("known", [known for known in known_answers() if known.name in _CHOICES])
    def test_known_choices(self, placer: Placer, known: KnownAnswer) -> None:
        """Problems whose best options were found by hand."""
        if self.refused(placer, known.problem):
            return
        placement = place(placer, known.problem, stop=Stop())
        assert value_of(known.problem, placement) >= known.objective * (1 - 1e-12)
        self.check_bounds(placement, known.objective)
        if self.is_exact():
            assert value_of(known.problem, placement) == pytest.approx(known.objective, rel=1e-9)

    def test_a_budget_of_seconds_is_kept(self, placer: Placer) -> None:
        """Each plan takes 5 ms: within the limit there is time for 60, and without it searches ask for thousands."""
        problem = random_problem(np.random.default_rng(21), 5, 8)[0]
        counting = Counting(seconds_a_plan=0.005)
        placement = place(placer, problem, counting, stop=Stop(seconds=0.3))
        assert len(counting.plans) <= 100
        value_of(problem, placement)
        is_solver = self.bound_accuracy > 1e-12  # which may have nothing yet when its time is up
        assert placement.evaluations >= 1 or is_solver

    def test_a_gap_that_is_reached_ends_the_search(self, placer: Placer) -> None:
        """A gap of 90 % is reached by nearly any plan."""
        problem = middling()
        placement = place(placer, problem, stop=Stop(gap=0.9, evaluations=150))
        bound, _ = best_lower_bound(problem)
        value = value_of(problem, placement)
        assert value <= bound / (1 - 0.9)
        assert placement.status in (Status.WITHIN, Status.OPTIMAL)
        if self.bound_accuracy <= 1e-12:  # a solver calls what it was asked for optimal, and nobody believes it
            assert placement.status == Status.WITHIN or value <= bound * (1 + 1e-8)
        assert placement.evaluations <= 150

    def test_the_trace_tells_the_story(self, placer: Placer) -> None:
        """It never gets worse, ends with the plan that is found, and the callback was told every point."""
        problem = random_problem(np.random.default_rng(22), 4, 5)[0]
        best, _, _ = brute_force(problem)
        seen: list[TracePoint] = []
        placement = place(placer, problem, callback=seen.append)
        trace = placement.trace
        assert trace
        assert set(trace) <= set(seen)
        for before, after in pairwise(trace):
            assert after.evaluations >= before.evaluations
            assert after.seconds >= before.seconds
            assert after.objective <= before.objective
            assert after.lower_bound >= before.lower_bound
        assert all(point.lower_bound <= best * (1 + 1e-12) for point in trace)
        assert value_of(problem, placement) == trace[-1].objective

    def test_one_node_with_two_options(self, placer: Placer) -> None:
        """The smallest choice there is: 0.2 + 1/10 s in the cloud, or 0.25 s at the edge."""
        problem = Problem(np.array([[0.2, 0.25]]), np.array([[0.1, 0.0]]), np.ones(1), np.ones(1))
        placement = place(placer, problem, stop=Stop())
        assert placement.options.tolist() == [1]
        assert value_of(problem, placement) == 0.25

    def test_from_an_infeasible_start(self, placer: Placer) -> None:
        """One of 64 plans is feasible. A search may miss it, but not claim to have a plan, or that there is none."""
        problem = only_way_out()
        placement = place(placer, problem, stop=Stop(evaluations=40))
        if placement.shares is None:
            assert placement.status in (Status.LIMIT, Status.FAILED) or placement.options.tolist() == [3, 3, 3]
            assert placement.evaluations == 40
        else:
            assert placement.options.tolist() == [3, 3, 3]
        if self.is_exact():
            assert place(placer, problem, stop=Stop()).options.tolist() == [3, 3, 3]

    def test_problems_that_nothing_solves(self, placer: Placer) -> None:
        """An overloaded cloud, and a node without a stable option: INFEASIBLE, without shares."""
        stuck = Problem(
            fixed_delay=np.array([[0.1, 0.2], [np.inf, np.inf]]),
            service=np.array([[0.1, 0.0], [0.1, 0.0]]),
            arrival_rate=np.ones(2),
            weight=np.full(2, 0.5),
        )
        for problem in (impossible(), stuck):
            placement = place(placer, problem, stop=Stop())
            assert placement.status == Status.INFEASIBLE
            assert placement.shares is None
            assert placement.lower_bound == math.inf

    def test_a_third_partys_allocator_will_do(self, placer: Placer) -> None:
        """Its shares are those of the plan, and its lack of prices no excuse for a wrong bound."""
        problem, best = small(0)
        placement = place(placer, problem, Even())
        assert value_of(problem, placement) >= best * (1 - 1e-12)
        expected = Even().allocate(problem, placement.options[None]).shares[0]
        np.testing.assert_array_equal(placement.shares, expected)
        self.check_bounds(placement, best)

    def test_an_allocator_that_always_fails(self, placer: Placer) -> None:
        """There is no plan then, and no proof that there is none."""
        problem, best = small(0)
        placement = place(placer, problem, Failing())
        assert placement.shares is None
        assert placement.status == Status.LIMIT
        self.check_bounds(placement, best)
