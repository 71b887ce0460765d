import pickle
import warnings

import cma
import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.blackbox.asktell import AskTell, Searcher
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.testing.problems import all_plans, brute_force, impossible, only_way_out, random_problem
from tests.methods.placers.searches import place


@pytest.fixture
def four():
    return random_problem(np.random.default_rng(11), 4, 6)[0]


class AtRandom:
    """Proposes `count` plans at a time, or one plan without a second dimension; remembers what it was told."""

    def __init__(self, problem, stop, rng, count=None):
        self.upper, self.rng, self.stop, self.count = problem.last, rng, stop, count
        self.told = []

    def ask(self):
        shape = self.upper.shape if self.count is None else (self.count, *self.upper.shape)
        self.asked = self.rng.integers(0, self.upper + 1, shape)
        return self.asked

    def tell(self, candidates, values):
        assert candidates is self.asked
        self.told.append(values)


class Stubborn:
    """Proposes one and the same."""

    def __init__(self, candidates):
        self.candidates, self.asked, self.told = candidates, 0, []

    def ask(self):
        self.asked += 1
        return self.candidates

    def tell(self, candidates, values):
        self.told.append(values)


def search(start, problem, allocator=None, *, stop=None, seed=0, **options):
    return place(AskTell(start, **options), problem, stop, seed, allocator)


def test_it_is_a_placer_and_can_be_pickled():
    placer = AskTell(AtRandom)
    assert isinstance(placer, Placer)
    assert pickle.loads(pickle.dumps(placer)) == placer
    assert isinstance(Stubborn(()), Searcher)


def test_three_lines_for_an_ask_tell_object_of_ones_own():
    scenario = generate("paper", nodes=3, seed=1)
    plan = solve(scenario, AskTell(AtRandom), stop=Stop(evaluations=200), seed=3)
    assert plan.evaluations == 200
    assert plan.placer == "AskTell"


@pytest.mark.parametrize("count", [None, 1, 7])
def test_one_plan_or_several(four, count):
    searchers = []

    def start(problem, stop, rng):
        searchers.append(AtRandom(problem, stop, rng, count))
        return searchers[-1]

    placement = search(start, four, stop=Stop(evaluations=40))
    assert placement.evaluations == 40
    told = searchers[0].told[0]
    if count is None:
        assert isinstance(told, float)
    else:
        assert told.shape == (count,)
    assert placement.trace[-1].objective <= min(np.min(values) for values in searchers[0].told)


def test_values_told_are_the_mean_delays(four):
    plans = all_plans(four)
    searcher = Stubborn(plans)
    placement = search(lambda *_: searcher, four, stop=Stop(evaluations=len(plans) + 1, gap=0.0), patience=1)
    assert searcher.told == []  # the whole space was tried, and that was the end
    assert placement.trace[-1].objective == brute_force(four)[0]
    half = Stubborn(plans[::2])
    search(lambda *_: half, four, patience=1)
    feasible = four.overload(plans[::2]) == 0
    expected = four.objective(plans[::2], WaterFilling().allocate(four, plans[::2]).shares)
    np.testing.assert_array_equal(half.told[0][feasible], expected[feasible])


@pytest.mark.parametrize("finite", [True, False])
def test_infeasible_plans_are_finite_on_request(finite):
    problem = only_way_out()
    searcher = Stubborn([[0, 0, 0], [3, 3, 3]])
    search(lambda *_: searcher, problem, patience=1, finite=finite)
    assert np.isfinite(searcher.told[0]).tolist() == [finite, True]


def test_the_budget_that_start_sees_is_the_one_that_counts(four):
    stops = []

    def start(problem, stop, rng):
        stops.append(stop)
        return AtRandom(problem, stop, rng)

    own = search(start, four, evaluations=30)
    assert (own.evaluations, own.status) == (30, Status.FEASIBLE)
    given = search(start, four, evaluations=30, stop=Stop(evaluations=50))
    assert (given.evaluations, given.status) == (50, Status.LIMIT)
    search(start, four, evaluations=30, stop=Stop(gap=0.99))
    search(start, four, evaluations=30, stop=Stop(seconds=0.0))
    assert stops == [Stop(evaluations=30), Stop(evaluations=50), Stop(evaluations=30, gap=0.99), Stop(seconds=0.0)]


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 4))])
def test_no_candidates_end_the_search(four, nothing):
    class Ending(AtRandom):
        def ask(self):
            return super().ask() if len(self.told) < 12 else nothing

    placement = search(Ending, four, stop=Stop(evaluations=1000))
    assert placement.status == Status.FEASIBLE
    assert 1 < placement.evaluations <= 12


def test_a_search_that_repeats_itself_has_ended(four):
    searcher = Stubborn([0, 0, 0, 0])
    placement = search(lambda *_: searcher, four, patience=25)
    assert placement.evaluations == 1
    assert searcher.asked == 1 + 25 + 1 + 1  # the new plan, which earns a repeat, those allowed, and one too many
    both = Stubborn([[0, 0, 0, 0], [1, 1, 1, 1]])
    search(lambda *_: both, four, patience=25)
    assert both.asked < searcher.asked


def test_candidates_are_repaired_on_request_alone(four):
    off = Stubborn([0.4, 9.0, -1.0, 2.0])
    with pytest.raises(BackendFailed, match="not integers; round them, or set repair=True"):
        search(lambda *_: off, four)
    with pytest.raises(BackendFailed, match=r"node 1 outside 0 … 5; clip it, or set repair=True"):
        search(lambda *_: Stubborn([0, 9, -1, 2]), four)
    assert search(lambda *_: off, four, repair=True, patience=1).trace[-1].evaluations == 1
    assert off.candidates == [0.4, 9.0, -1.0, 2.0]


def test_pycma_as_it_is_works_with_repair():
    """An optimiser that has never heard of this package, and was told nothing but its bounds."""
    problem = compile_problem(generate("paper", nodes=5, seed=1))

    def start(problem, stop, rng):
        options = {"bounds": [0, problem.last], "randn": lambda *shape: rng.standard_normal(shape), "seed": np.nan}
        return cma.CMAEvolutionStrategy(problem.last / 2, 8.0, options | {"verbose": -10, "verb_log": 0})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycma's own
        first, second = (search(start, problem, stop=Stop(evaluations=150), seed=5, repair=True) for _ in range(2))
    assert first.evaluations == 150
    np.testing.assert_array_equal(first.options, second.options)
    assert first.trace[-1].objective < first.trace[0].objective


def test_an_impossible_problem_is_not_searched():
    searcher = Stubborn([0, 0, 0])
    placement = search(lambda *_: searcher, impossible())
    assert placement.status == Status.INFEASIBLE
    assert searcher.told == []


@pytest.mark.parametrize("patience", [0, 20])
def test_an_interrupt_returns_the_incumbent_if_there_is_one(four, patience):
    class Interrupting(AtRandom):
        def ask(self):
            if len(self.told) == patience:
                raise KeyboardInterrupt
            return super().ask()

    if patience:
        placement = search(Interrupting, four)
        assert placement.status == Status.LIMIT
        assert four.residuals(placement.options, placement.shares).feasible
    else:
        with pytest.raises(KeyboardInterrupt):
            search(Interrupting, four)


def test_what_cannot_be_asked_and_told_is_refused(four):
    with pytest.raises(InputError, match="start must return an object with ask and tell, got list"):
        search(lambda *_: [1, 2], four)


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"patience": 0}])
def test_nonsense_is_refused(options):
    with pytest.raises(InputError, match="must be int >= 1, got 0"):
        AskTell(AtRandom, **options)


def test_errors_of_the_searcher_are_its_authors(four):
    class Broken(AtRandom):
        def tell(self, candidates, values):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        search(Broken, four)
