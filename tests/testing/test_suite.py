"""The conformance suite finds what is wrong: a method with one fault fails the test that asks for it."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.queues import MD1
from dmcjia_opt.solving.contract import Allocation, Status, Stop
from dmcjia_opt.solving.search import Search
from dmcjia_opt.testing import AllocatorConformance, BaselineConformance, PlacerConformance


@dataclass(frozen=True)
class AtRandom:
    """Random plans; honest, but for what `fault` names."""

    fault: str = ""

    def supports(self, problem):
        return "no" if self.fault == "refuses in a word" else None

    def search(self, search, rng):
        problem = search.problem
        rng = np.random.default_rng() if self.fault == "draws its own numbers" else rng
        if self.fault == "ignores the budget":
            search = Search(problem, search.allocator, Stop(evaluations=200))
        if self.fault == "claims a bound":
            search.prove(1e9, "exact")
        if self.fault == "claims the optimum":
            search.claim(Status.OPTIMAL)
        if self.fault == "knows its process":
            search.offer(problem.last, np.full(problem.n_nodes, 1e-12 * os.getpid()))
            return
        for _ in range(20 if self.fault == "claims the optimum" else 200):
            plan = rng.integers(0, problem.last + 1)
            if self.fault == "brings its own shares":
                search.offer(plan, WaterFilling().allocate(problem, plan[None]).shares[0, :, 0])
            search.evaluate(plan[None])


@pytest.mark.parametrize(
    ("fault", "test", "arguments"),
    [
        ("refuses in a word", "test_its_plans_are_plans", (0,)),
        ("draws its own numbers", "test_the_same_seed_gives_the_same_plan", ()),
        ("knows its process", "test_two_other_processes_give_the_same_plan", ()),
        ("ignores the budget", "test_a_budget_of_evaluations_is_kept", (7,)),
        ("claims the optimum", "test_its_plans_are_plans", (4,)),
        ("claims a bound", "test_its_plans_are_plans", (0,)),
        ("brings its own shares", "test_an_allocator_that_always_fails", ()),
        ("brings its own shares", "test_a_third_partys_allocator_will_do", ()),
    ],
)
def test_faults_of_placers_are_found(fault, test, arguments):
    class Suite(PlacerConformance):
        method = AtRandom(fault)

    class Honest(PlacerConformance):
        method = AtRandom

    getattr(Honest(), test)(Honest().make(), *arguments)
    with pytest.raises(AssertionError):
        getattr(Suite(), test)(Suite().make(), *arguments)


@dataclass(frozen=True)
class Filling(WaterFilling):
    """Water-filling, but for what `fault` names."""

    fault: str = ""

    def allocate(self, problem, options):
        good = super().allocate(problem, options)
        shares, price, status = good.shares.copy(), good.prices, good.status
        if self.fault == "wastes":
            shares *= 0.99
        if self.fault == "overspends":
            shares *= 1.001
        if self.fault == "depends on the batch":
            shares *= 1 - 1e-9 * len(options)
        if self.fault == "fills in":
            shares[np.isnan(shares)] = 0.0
        if self.fault == "misprices":
            price = 1.1 * price
        if self.fault == "has long statuses":
            status = status.astype(np.int64)
        return Allocation(shares, price, status)


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("wastes", "test_random_problems"),
        ("overspends", "test_random_problems"),
        ("wastes", "test_several_resources"),
        ("overspends", "test_several_resources"),
        ("fills in", "test_several_resources"),
        ("misprices", "test_several_resources"),
        ("fills in", "test_plans_without_shares_are_infeasible_and_hold_no_numbers"),
        ("has long statuses", "test_results_have_one_row_a_plan"),
        ("depends on the batch", "test_a_batch_is_the_same_as_a_loop"),
        ("depends on the batch", "test_a_batch_with_several_resources_is_the_same_as_a_loop"),
    ],
)
def test_faults_of_allocators_are_found(fault, test):
    class Suite(AllocatorConformance):
        method = Filling(fault)

    class Honest(AllocatorConformance):
        method = Filling

    more = {
        "test_random_problems": (True,),
        "test_several_resources": (True,),
        "test_a_batch_is_the_same_as_a_loop": (MD1,),
        "test_a_batch_with_several_resources_is_the_same_as_a_loop": (True,),
    }.get(test, ())
    getattr(Honest(), test)(Honest().make(), *more)
    with pytest.raises(AssertionError):
        getattr(Suite(), test)(Suite().make(), *more)


def test_an_object_a_class_or_a_function_will_do():
    for method, again in ((AtRandom("x"), True), (AtRandom, False), (lambda: AtRandom("x"), False)):
        suite = type("Suite", (BaselineConformance,), {"method": method})
        assert (suite.make() is suite.make()) == again
        assert suite.used() is suite.used()
        assert isinstance(suite.make(), AtRandom)


def test_exactness_is_what_the_class_says_unless_the_suite_does():
    class Sure(AtRandom):
        exact = True

    assert not type("Suite", (PlacerConformance,), {"method": AtRandom}).is_exact()
    assert type("Suite", (PlacerConformance,), {"method": Sure}).is_exact()
    assert not type("Suite", (PlacerConformance,), {"method": Sure, "exact": False}).is_exact()


def test_without_pytest_it_says_so():
    code = "import sys; sys.modules['pytest'] = None; import dmcjia_opt.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        "BackendMissing: dmcjia_opt.testing runs in pytest, which is not installed; pip install pytest" in done.stderr
    )
