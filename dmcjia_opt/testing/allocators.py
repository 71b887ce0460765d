"""What every allocator owes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from dmcjia_opt.base.arrays import EPS, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM, DelayCurve, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.model.residuals import BUDGET_TOLERANCE
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import OPTIMALITY_GAP, Allocation, Allocator, Status
from dmcjia_opt.testing.known_answers import KnownAnswer, known_answers
from dmcjia_opt.testing.methods import (
    Conformance,
    assert_equal_if_comparable,
    assert_same_contents,
    contents,
    in_two_processes,
)
from dmcjia_opt.testing.problems import CURVES, ORDERINGS, random_problem, random_shared_problem

#: Delay curves of the uses of problems with several resources.
SHARED: tuple[tuple[DelayCurve, ...], ...] = (
    (MD1, MD1),
    (OVERLAP, MM1),
    (OVERLAP, mg1(4.0)),
    (mg1(0.3), OVERLAP, TANDEM),
    (TANDEM, TANDEM),
    (OVERLAP, TANDEM, TANDEM),
    (MD1, TANDEM, TANDEM, TANDEM),
)
NOT_CONVERGED = (Status.INACCURATE, Status.LIMIT, Status.FAILED)


def plans_of(problem: Problem, options: IntArray, rng: np.random.Generator, n_plans: int) -> IntArray:
    """Return plans that mix `options`, for which shares exist, with others, for which they may not."""
    others = rng.integers(0, problem.last + 1, (n_plans, problem.n_nodes))
    plans = np.where(rng.random(others.shape) < rng.uniform(0.0, 0.3, (n_plans, 1)), others, options)
    plans[0] = options
    return plans


def batches() -> Iterator[tuple[Problem, IntArray]]:
    """Yield random problems of 5 to 20 nodes over every curve and ordering, with plans."""
    rng = np.random.default_rng(20)
    for k, (curve, ordering) in enumerate((c, o) for c in CURVES for o in ORDERINGS):
        problem, options = random_problem(
            rng,
            int(rng.integers(5, 21)),
            4,
            utilisation=(0.05, 0.5, 0.9, 0.99)[k % 4],
            spread=(10.0, 1e4)[k % 2],
            curve=curve,
            ordering=ordering,
        )
        yield problem, plans_of(problem, options, rng, 8)


def shared_batches() -> Iterator[tuple[Problem, IntArray]]:
    """Yield random problems of 4 to 12 nodes with several resources, some of them stages of one tandem, with plans."""
    rng = np.random.default_rng(21)
    for k, curves in enumerate(SHARED):
        problem, options = random_shared_problem(
            rng,
            int(rng.integers(4, 13)),
            4,
            len(set(curves)) + int(rng.integers(1, 4)),
            len(curves),
            utilisation=(0.3, 0.9, 0.6)[k % 3],
            spread=(10.0, 100.0)[k % 2],
            curves=curves,
            ordering=ORDERINGS[k // 2 % 2],
        )
        yield problem, plans_of(problem, options, rng, 6)


def promised_batches() -> Iterator[tuple[Problem, IntArray]]:
    """Yield random problems of 3 to 6 nodes of percentiles, with deadlines, or of the worst node, with plans."""
    rng = np.random.default_rng(22)
    p50, p95 = tandem("p50"), tandem("p95")
    cases: tuple[tuple[int, tuple[DelayCurve, ...], bool, bool], ...] = (
        (1, (p95,), False, False),
        (2, (p50, p50), False, False),
        (1, (MD1,), True, False),
        (2, (p95,), True, False),
        (2, (OVERLAP, MM1), True, False),
        (1, (mg1(4.0),), False, True),
        (3, (p95,), False, True),
        (2, (OVERLAP, MD1), True, True),
    )
    for resources, curves, late, worst in cases:
        n = 3 if worst else int(rng.integers(3, 7))
        problem, options = random_shared_problem(rng, n, 3, resources, len(curves), curves=curves)
        plans = plans_of(problem, options, rng, 6)
        if late:
            delay = problem.node_delay(options, WaterFilling().allocate(problem, options[None]).shares[0])
            problem = replace(problem, deadline=np.where(rng.random(n) < 0.6, 1.2 * delay, np.inf))
        yield replace(problem, worst=worst), plans


def refused(allocator: Allocator, problem: Problem, options: IntArray) -> bool:
    """Return whether `problem` is refused, and if it is, check that this is done with a sentence."""
    why = allocator.supports(problem)
    if why is None:
        return False
    assert len(why.split()) >= 5
    assert "\n" not in why
    with pytest.raises(InputError, match=re.escape(why)):
        allocator.allocate(problem, options)
    return True


class AllocatorConformance(Conformance):
    """Known answers, batch and loop, budgets, infeasible plans, shapes, pickling.

    Attributes
    ----------
    accuracy
        Relative error of the mean delay that the method may have and still call its shares optimal.

    Examples
    --------
    >>> from dmcjia_opt import build_allocator
    >>> from dmcjia_opt.testing import AllocatorConformance
    >>> class TestMine(AllocatorConformance):
    ...     method = build_allocator("waterfilling")
    ...
    """

    accuracy: ClassVar[float] = 1e-6

    @pytest.fixture
    def allocator(self) -> Allocator:
        """Return one object for all tests: solver models are compiled once, and state that leaks would show."""
        made: Allocator = self.used()
        return made

    @pytest.fixture
    def optimal(self) -> bool:
        """Return whether the shares must be optimal."""
        return self.is_exact()

    def claims(self, got: Allocation, optimal: bool) -> list[int]:
        """Return the statuses that a row with good shares may have."""
        return [Status.OPTIMAL] if optimal else [Status.OPTIMAL, Status.FEASIBLE]

    def test_it_is_an_allocator(self, allocator: Allocator) -> None:
        """It has both methods of the protocol."""
        assert isinstance(allocator, Allocator)

    @pytest.mark.parametrize("known", known_answers(), ids=lambda known: known.name)
    def test_known_answers(self, allocator: Allocator, optimal: bool, known: KnownAnswer) -> None:
        """Shares, price and delay of problems solved by hand; where it does not claim the optimum, a plan."""
        problem, options = known.problem, known.splits[None]
        if refused(allocator, problem, options):
            return
        got = allocator.allocate(problem, options)
        assert got.status[0] in self.claims(got, optimal)
        assert problem.residuals(options, got.shares).feasible[0]
        value = problem.objective(options, got.shares)[0]
        if got.status[0] != Status.OPTIMAL:
            assert value >= known.objective * (1 - self.accuracy)
            return
        assert value == pytest.approx(known.objective, rel=self.accuracy)
        np.testing.assert_allclose(got.shares[0, :, 0], known.shares, rtol=0, atol=np.sqrt(self.accuracy))
        if optimal or not np.isnan(got.prices[0, 0]):
            assert got.prices[0, 0] == pytest.approx(known.price, rel=10 * np.sqrt(self.accuracy))

    def test_random_problems(self, allocator: Allocator, optimal: bool) -> None:
        """Shares are a plan wherever one exists, and within the accuracy of a proved bound where called optimal."""
        solved = unsolved = 0
        for problem, options in batches():
            if refused(allocator, problem, options):
                continue
            got = allocator.allocate(problem, options)
            price = WaterFilling().allocate(problem, options).prices
            bound = options_lower_bound(problem, options, price)
            value = problem.objective(options, got.shares)
            solvable = problem.overload(options) == 0
            for row in np.flatnonzero(solvable):
                status = Status(got.status[row])
                if status in NOT_CONVERGED:
                    unsolved += 1
                    continue
                solved += 1
                assert status in self.claims(got, optimal)
                slack = 64 * EPS * price[row]
                assert bound[row] <= value[row]
                assert status != Status.OPTIMAL or value[row] <= bound[row] * (1 + self.accuracy) + slack
            kept = solvable & (got.status != Status.FAILED)
            assert problem.residuals(options[kept], got.shares[kept]).feasible.all()
            assert (got.shares[kept].sum((-2, -1)) <= 1.0).all()
        assert solved >= 20
        assert unsolved <= solved // 10

    @pytest.mark.parametrize("drawn", [shared_batches, promised_batches])
    def test_several_resources(
        self, allocator: Allocator, optimal: bool, drawn: Callable[[], Iterator[tuple[Problem, IntArray]]]
    ) -> None:
        """As above, where options use links and servers that nodes share; prices of optimal shares prove them so."""
        solved = unsolved = taken = 0
        for problem, options in drawn():
            if refused(allocator, problem, options):
                continue
            taken += 1
            got, best = allocator.allocate(problem, options), WaterFilling().allocate(problem, options)
            assert got.shares.shape == (*options.shape, problem.n_uses)
            assert got.prices.shape == (len(options), problem.n_resources)
            bound = options_lower_bound(problem, options, best.prices)
            proved = options_lower_bound(problem, options, got.prices)
            value = problem.objective(options, got.shares)
            solvable = (problem.overload(options) == 0) & (best.status != Status.INFEASIBLE)
            np.testing.assert_array_equal(got.status == Status.INFEASIBLE, ~solvable)
            assert np.isnan(got.shares[~solvable]).all()
            assert np.isnan(got.prices[~solvable]).all()
            for row in np.flatnonzero(solvable):
                status = Status(got.status[row])
                if status in NOT_CONVERGED:
                    unsolved += 1
                    continue
                solved += 1
                assert status in self.claims(got, optimal)
                slack = 64 * EPS * best.prices[row].sum()
                assert bound[row] <= value[row]
                if status != Status.OPTIMAL:
                    continue
                # the worst node of uses that are tied together is sought until it may be called optimal
                accuracy = max(self.accuracy, OPTIMALITY_GAP if problem.worst and problem.joint else 0.0)
                assert value[row] <= bound[row] * (1 + accuracy) + slack
                if optimal or not np.isnan(got.prices[row]).any():
                    assert proved[row] >= value[row] * (1 - max(self.accuracy, OPTIMALITY_GAP)) - slack
            kept = solvable & (got.status != Status.FAILED)
            assert problem.residuals(options[kept], got.shares[kept]).feasible.all()
            assert (problem.by_resource(options[kept], got.shares[kept]) <= 1.0 + BUDGET_TOLERANCE).all()
        assert solved >= 3 * taken
        assert unsolved <= solved // 10

    def test_plans_without_shares_are_infeasible_and_hold_no_numbers(self, allocator: Allocator) -> None:
        """An unstable edge queue or an overloaded cloud is a row of NaN with status INFEASIBLE."""
        rng = np.random.default_rng(1)
        problem, fine = random_problem(rng, 6, 4)
        table = problem.fixed_delay.copy()
        table[0, 2] = np.inf
        problem = Problem(table, problem.service * 1.2, problem.arrival_rate, problem.weight)
        unstable = fine.copy()
        unstable[0] = 2
        overloaded = np.zeros(6, dtype=np.int64)
        options = np.stack([fine, unstable, fine, overloaded])
        assert (problem.overload(options) > 0).tolist() == [False, True, False, True]
        got = allocator.allocate(problem, options)
        assert (got.status == Status.INFEASIBLE).tolist() == [False, True, False, True]
        assert np.isnan(got.shares[[1, 3]]).all()
        assert np.isnan(got.prices[[1, 3]]).all()
        assert np.isfinite(got.shares[[0, 2]]).all()

    def test_exactly_full_is_infeasible(self, allocator: Allocator) -> None:
        """Σ λs = 1: a queue as fast as its arrivals waits for ever."""
        problem = Problem(np.zeros((4, 1)), np.full((4, 1), 0.25), np.ones(4), np.full(4, 0.25))
        got = allocator.allocate(problem, np.zeros((1, 4), dtype=np.int64))
        assert got.status[0] == Status.INFEASIBLE
        assert np.isnan(got.shares).all()

    def test_a_node_without_cloud_work_gets_no_share(self, allocator: Allocator, optimal: bool) -> None:
        """And a plan without any needs no cloud, whose price is then zero."""
        drawn, options = random_problem(np.random.default_rng(3), 6, 4)
        table = np.where(np.isinf(drawn.fixed_delay), 1.0, drawn.fixed_delay)
        problem = Problem(table, drawn.service, drawn.arrival_rate, drawn.weight)
        idle = np.full(6, 3)
        options[[1, 4]] = 3
        got = allocator.allocate(problem, np.stack([options, idle]))
        assert (got.shares[0, :, 0] > 0).tolist() == [True, False, True, True, False, True]
        assert not got.shares[1].any()
        assert got.prices[1] == 0.0 or (np.isnan(got.prices[1]) and not optimal)
        assert np.isin(got.status, self.claims(got, optimal)).all()

    def test_one_node_gets_the_whole_cloud(self, allocator: Allocator, optimal: bool) -> None:
        """All of it where it claims the optimum, and never more."""
        problem = Problem(np.zeros((1, 1)), np.full((1, 1), 0.1), np.ones(1), np.ones(1))
        got = allocator.allocate(problem, np.zeros((1, 1), dtype=np.int64))
        assert 0.1 < got.shares[0, 0, 0] <= 1.0
        if optimal or got.status[0] == Status.OPTIMAL:
            assert got.shares[0, 0, 0] == pytest.approx(1.0, rel=self.accuracy)

    def test_results_have_one_row_a_plan(self, allocator: Allocator) -> None:
        """For no plan, one and several; in the types that the protocol names."""
        problem, options = random_problem(np.random.default_rng(3), 6, 4)
        for n in (0, 1, 3):
            got = allocator.allocate(problem, np.repeat(options[None], n, axis=0))
            assert got.shares.shape == (n, 6, 1)
            assert (got.prices.shape, got.status.shape) == ((n, 1), (n,))
            assert got.status.dtype == np.int8
            assert got.shares.dtype == got.prices.dtype == np.float64

    @pytest.mark.parametrize("curve", [MD1, mg1(0.3), TANDEM], ids=lambda curve: curve.name)
    def test_a_batch_is_the_same_as_a_loop(self, allocator: Allocator, curve: DelayCurve) -> None:
        """In any order, to the last bit, whatever was solved before."""
        rng = np.random.default_rng(8)
        problem, options = random_problem(rng, 8, 4, curve=curve)
        plans = plans_of(problem, options, rng, 6)
        self.check_batch(allocator, problem, plans)

    @pytest.mark.parametrize("coupled", [False, True])
    def test_a_batch_with_several_resources_is_the_same_as_a_loop(self, allocator: Allocator, coupled: bool) -> None:
        """Likewise, whether shares separate by resource or not."""
        rng = np.random.default_rng(11)
        curves = (OVERLAP, TANDEM, TANDEM) if coupled else (OVERLAP, MD1)
        problem, options = random_shared_problem(rng, 12, 4, 3, len(curves), curves=curves)
        self.check_batch(allocator, problem, plans_of(problem, options, rng, 6))

    def check_batch(self, allocator: Allocator, problem: Problem, plans: IntArray) -> None:
        """Check that plans get the same in any order and alone."""
        if refused(allocator, problem, plans):
            return
        whole = allocator.allocate(problem, plans)
        backwards = allocator.allocate(problem, plans[::-1])
        fresh = self.make()
        for row in range(len(plans)):
            alone = fresh.allocate(problem, plans[row : row + 1])
            for key in ("shares", "prices", "status"):
                np.testing.assert_array_equal(getattr(whole, key)[row], getattr(alone, key)[0])
                np.testing.assert_array_equal(getattr(whole, key)[row], getattr(backwards, key)[-1 - row])

    def test_inputs_are_not_modified(self, allocator: Allocator) -> None:
        """Neither the options nor the problem, and options that are read-only will do."""
        rng = np.random.default_rng(9)
        problem, options = random_problem(rng, 7, 4, ordering="cloud-faster")
        plans = plans_of(problem, options, rng, 6)
        if refused(allocator, problem, plans):
            return
        before, tables = plans.copy(), contents(problem)
        allocator.allocate(problem, plans)
        np.testing.assert_array_equal(plans, before)
        plans.setflags(write=False)
        allocator.allocate(problem, plans)
        assert_same_contents(problem, tables)

    def test_other_processes_give_the_same_shares(self, allocator: Allocator) -> None:
        """A used object is sent to two others, and answers there to the last bit as here."""
        problem, options = random_problem(np.random.default_rng(10), 6, 4)
        here = allocator.allocate(problem, options[None])
        twin = pickle.loads(pickle.dumps(allocator))
        assert_equal_if_comparable(twin, allocator)
        elsewhere = in_two_processes(allocator.allocate, problem, options[None])
        for there in (twin.allocate(problem, options[None]), *elsewhere):
            for key in ("shares", "prices", "status"):
                np.testing.assert_array_equal(getattr(here, key), getattr(there, key))

    def test_a_scenario_in_si_units(self, allocator: Allocator) -> None:
        """Table 5's scales: shares of 400 GFLOP/s, cloud times of 10 ms, and nodes whose edge queues are unstable."""
        problem = compile_problem(generate("paper", nodes=8, seed=4))
        options = np.random.default_rng(0).integers(0, 35, (5, 8))
        got, best = allocator.allocate(problem, options), WaterFilling().allocate(problem, options)
        np.testing.assert_array_equal(got.status == Status.INFEASIBLE, best.status == Status.INFEASIBLE)
        rows = np.isin(got.status, (Status.OPTIMAL, Status.FEASIBLE))
        assert rows.sum() >= 2
        value = problem.objective(options, got.shares)
        least = problem.objective(options, best.shares)
        assert (value[rows] >= least[rows] * (1 - self.accuracy)).all()
        rows = got.status == Status.OPTIMAL
        np.testing.assert_allclose(value[rows], least[rows], rtol=self.accuracy)
