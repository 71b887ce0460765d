from dataclasses import dataclass

import numpy as np
import pytest
from pymoo.algorithms.soo.nonconvex.de import DE
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.callback import Callback as PymooCallback
from pymoo.core.crossover import Crossover
from pymoo.core.result import Result
from pymoo.core.termination import TerminateIfAny, Termination
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from pymoo.termination import get_termination

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.genetic.pymoo_ import (
    ALGORITHMS,
    EvolutionaryPlacer,
    PlacementProblem,
    PymooPlacer,
)
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving import search as searching
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import spec_of, variants
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.testing.doubles import Counting, Failing
from dmcjia_opt.testing.placers import trace_of
from dmcjia_opt.testing.problems import all_plans, brute_force, impossible, only_way_out, random_problem
from tests.methods.placers.searches import place


@pytest.fixture
def four():
    return random_problem(np.random.default_rng(11), 4, 6)[0]


def search(name, problem, allocator=None, stop=None, seed=0, **options):
    return place(PymooPlacer(name, **options), problem, stop, seed, allocator)


def test_pymoo_alone_solves_the_problem(four):
    """Evaluations go far beyond the 1296 plans there are: nothing of ours may end the search."""
    best, _, _ = brute_force(four)
    result = minimize(PlacementProblem(four, WaterFilling()), GA(pop_size=200), ("n_eval", 6000), seed=1)
    assert result.algorithm.evaluator.n_eval == 6000
    assert result.F[0] == best
    assert result.G[0] == 0.0


def test_pymoo_alone_and_with_integers_or_differences():
    problem = compile_problem(generate("paper", nodes=4, seed=5))
    ours = PlacementProblem(problem)
    for algorithm in (GA(pop_size=20, sampling=IntegerRandomSampling()), DE(pop_size=20)):
        result = minimize(ours, algorithm, ("n_eval", 400), seed=1)
        best = ours.decode(result.X[None])
        shares = WaterFilling().allocate(problem, best).shares
        assert result.F[0] == problem.objective(best, shares)[0]


def test_what_plain_operators_find_is_a_plan_in_one_call(four):
    """``GA()`` as it is draws floats; they stand for the options that they are rounded to."""
    scenario = generate("paper", nodes=5, seed=1)
    placement = PlacementProblem(scenario)
    result = minimize(placement, GA(), ("n_gen", 10), seed=1)
    plan = placement.plan(result)
    assert plan.objective == result.F[0]
    np.testing.assert_array_equal(plan.options, np.rint(result.X))
    assert plan.evaluations == result.algorithm.evaluator.n_eval
    assert (plan.placer, plan.allocator, plan.scenario_name) == ("GA of pymoo", "waterfilling", scenario.name)
    assert all(check.true for check in verify(scenario, plan))
    of_problem = PlacementProblem(four)
    assert of_problem.plan([0.4, 1.6, 0.0, 2.2]).options.tolist() == [0, 2, 0, 2]


def test_what_is_no_result_is_refused(four):
    placement = PlacementProblem(four)
    for result in (None, 3, "abc", [0.0, 1.0], np.zeros((2, 4))):
        with pytest.raises(InputError, match=r"plan needs what minimize returned for this problem, or 4 variables"):
            placement.plan(result)
    with pytest.raises(InfeasibleError, match="pymoo found no feasible plan"):
        placement.plan(Result())


def test_callbacks_terminations_and_operators_of_the_users_choosing():
    """What a pymoo user writes: a callback that follows the best, an end by time without progress, a crossover."""
    problem = compile_problem(generate("paper", nodes=6, seed=5))

    def run(seed):
        crossover, callback = SwapTail(), Follow()
        algorithm = GA(
            pop_size=20,
            sampling=IntegerRandomSampling(),
            crossover=crossover,
            mutation=PM(prob=1.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        termination = Stagnation(8)
        result = minimize(
            PlacementProblem(problem), algorithm, termination, seed=seed, callback=callback, copy_algorithm=False
        )
        assert crossover.calls >= len(callback.best) - 1
        return result, callback.best

    result, best = run(1)
    assert best == sorted(best, reverse=True)
    assert best[-1] == result.F[0] < best[0]
    assert best[-8:] == [best[-1]] * 8
    assert len(best) == result.algorithm.n_gen - 1 < 500
    splits = PlacementProblem(problem).decode(result.X[None])
    assert result.F[0] == problem.objective(splits, WaterFilling().allocate(problem, splits).shares)[0]
    again, _ = run(1)
    np.testing.assert_array_equal(again.X, result.X)
    assert again.algorithm.evaluator.n_eval == result.algorithm.evaluator.n_eval
    assert run(2)[1] != best


def test_several_terminations_of_pymoos_own_end_it():
    problem = PlacementProblem(compile_problem(generate("paper", nodes=4, seed=5)))
    algorithm = GA(pop_size=10, sampling=IntegerRandomSampling())
    for termination, generations in (
        (TerminateIfAny(get_termination("n_gen", 7), get_termination("n_eval", 1000)), 7),
        (TerminateIfAny(get_termination("n_gen", 50), get_termination("n_eval", 40)), 4),
    ):
        assert minimize(problem, algorithm, termination, seed=1).algorithm.n_gen - 1 == generations


class SwapTail(Crossover):
    """Exchanges all nodes from the middle on."""

    def __init__(self):
        super().__init__(2, 2)
        self.calls = 0

    def _do(self, problem, x, **kwargs):
        self.calls += 1
        swapped = x.copy()
        half = problem.n_var // 2
        swapped[0, :, half:], swapped[1, :, half:] = x[1, :, half:], x[0, :, half:]
        return swapped


class Follow(PymooCallback):
    """Keeps the best objective of each generation."""

    def __init__(self):
        super().__init__()
        self.best = []

    def notify(self, algorithm):
        self.best.append(float(algorithm.opt.get("F")[0, 0]))


class Stagnation(Termination):
    """Ends after so many generations without progress."""

    def __init__(self, patience):
        super().__init__()
        self.patience, self.seen = patience, []

    def _update(self, algorithm):
        self.seen.append(float(algorithm.opt.get("F")[0, 0]))
        recent = self.seen[-self.patience :]
        return 1.0 if len(recent) == self.patience and len(set(recent)) == 1 else 0.0


def test_the_problem_as_pymoo_sees_it():
    problem = compile_problem(generate("mixed", nodes=5, seed=1))
    seen = PlacementProblem(problem)
    assert (seen.n_var, seen.n_obj, seen.n_ieq_constr, seen.vtype) == (5, 1, 1, int)
    np.testing.assert_array_equal(seen.xu, problem.last)
    assert not seen.xl.any()


def test_variables_are_rounded_and_clipped(four):
    seen = PlacementProblem(four)
    x = np.array([[0.4, 0.6, 2.499, 4.9], [-3.0, 7.0, 5.4, 5.6]])
    assert seen.decode(x).tolist() == [[0, 1, 2, 5], [0, 5, 5, 5]]
    assert seen.decode(x).dtype == np.int64


def test_infeasible_plans_have_finite_values_and_say_by_how_much():
    problem = only_way_out()
    plans = all_plans(problem)
    out = PlacementProblem(problem).evaluate(plans, return_as_dictionary=True)
    overload = problem.overload(plans)
    np.testing.assert_array_equal(out["G"][:, 0], overload)
    assert np.isfinite(out["F"]).all()
    feasible = overload == 0
    assert out["F"][~feasible].min() > 100 * out["F"][feasible].max()
    order = np.argsort(overload, kind="stable")
    assert (np.diff(out["F"][order, 0]) >= 0).all()
    assert len(np.unique(out["F"])) == len(np.unique(overload))


def test_plans_whose_allocator_failed_have_finite_values_too(four):
    out = PlacementProblem(four, Failing()).evaluate(all_plans(four), return_as_dictionary=True)
    assert np.isfinite(out["F"]).all()


def test_a_node_with_one_split_is_refused():
    problem, _ = random_problem(np.random.default_rng(0), 3, 1)
    with pytest.raises(InputError, match="two options"):
        PlacementProblem(problem)
    assert PymooPlacer().supports(problem) == "a node has only one option"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_runs_within_its_budget_and_by_its_seed(four, name, monkeypatch):
    monkeypatch.setattr(searching, "STALLED_AFTER", 300)
    best, _, _ = brute_force(four)
    counting = Counting()
    placement = search(name, four, counting, Stop(evaluations=60))
    assert 15 <= placement.evaluations <= 60
    assert len(counting.plans) == len(set(counting.plans)) <= placement.evaluations
    assert placement.shares is not None
    assert four.residuals(placement.options, placement.shares).feasible
    objective = float(four.objective(placement.options, placement.shares))
    assert placement.lower_bound <= best <= objective == placement.trace[-1].objective
    again = search(name, four, stop=Stop(evaluations=60))
    assert trace_of(again) == trace_of(placement)
    np.testing.assert_array_equal(again.options, placement.options)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_ends_on_its_own(name):
    problem, _ = random_problem(np.random.default_rng(3), 2, 3)
    placement = search(name, problem, generations=5)
    assert placement.status in (Status.FEASIBLE, Status.LIMIT)
    assert problem.residuals(placement.options, placement.shares).feasible


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_algorithm_stumbles_over_an_impossible_problem(name):
    placement = search(name, impossible())
    assert placement.status == Status.INFEASIBLE
    assert placement.evaluations == 0


def test_the_names_are_the_tables():
    assert variants(spec_of("placer", "pymoo")) == tuple(ALGORITHMS)
    assert "GA" in ALGORITHMS


def test_an_unknown_algorithm_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r'PymooPlacer: algorithm must be "GA", "DE", .* or "NelderMead", got "nsga2"'):
        PymooPlacer("nsga2")


def test_without_a_budget_the_generations_end_the_search():
    problem = compile_problem(generate("paper", nodes=6))
    few, more = (search("GA", problem, generations=n) for n in (2, 4))
    assert few.status == more.status == Status.FEASIBLE
    assert few.evaluations < more.evaluations <= 400


def test_an_interrupt_returns_the_incumbent_if_there_is_one(four):
    class Interrupting(GA):
        def __init__(self, patience):
            super().__init__(pop_size=10)
            self.patience = patience

        def _infill(self):
            if self.n_iter > self.patience:
                raise KeyboardInterrupt
            return super()._infill()

    @dataclass(frozen=True)
    class Placer(EvolutionaryPlacer):
        patience: int

        def start(self, search):
            return Interrupting(self.patience), PlacementProblem(four, search=search), 100

    def start(patience, allocator):
        return place(Placer(patience), four, allocator=allocator)

    placement = start(3, WaterFilling())
    assert placement.status == Status.LIMIT
    assert four.residuals(placement.options, placement.shares).feasible
    with pytest.raises(KeyboardInterrupt):
        start(3, Failing())
