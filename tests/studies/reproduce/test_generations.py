import numpy as np
import pytest

from dmcjia_opt.methods.placers.genetic.dmcjia import Dmcjia
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop, TracePoint
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.reproduce.generations import ByGeneration


@pytest.mark.parametrize("nodes", [1, 3, 12])
def test_each_generation_is_the_end_of_a_search_with_so_many_generations(nodes):
    # a single node has 35 plans, so that most generations ask for nothing new
    scenario = generate("paper", nodes=nodes, seed=1)
    seen = ByGeneration()
    solve(scenario, Dmcjia(generations=12), seed=5, callback=seen)
    for generations in (1, 2, 3, 7, 12):
        shorter = solve(scenario, Dmcjia(generations=generations), seed=5)
        assert seen.after(generations).objective == shorter.objective
        assert seen.after(generations).evaluations == shorter.evaluations


def test_a_search_that_ends_early_stands_where_it_ended():
    scenario = generate("paper", nodes=4, seed=0)
    seen = ByGeneration()
    plan = solve(scenario, Dmcjia(generations=30), stop=Stop(gap=0.1), callback=seen)
    assert len(seen.points) < 30
    assert seen.after(30).objective == plan.objective
    assert seen.after(30).evaluations == plan.evaluations


def test_generations_without_a_feasible_plan_count():
    seen = ByGeneration()
    for objective in (np.inf, np.inf, 2.0, 2.0, 2.0, 1.0, 1.0):
        seen(TracePoint(1, 0.0, objective, 0.0))
    assert [point.objective for point in seen.points] == [np.inf, np.inf, 2.0, 2.0, 1.0]
    assert [seen.after(g).objective for g in (1, 3, 5, 99)] == [np.inf, 2.0, 1.0, 1.0]
