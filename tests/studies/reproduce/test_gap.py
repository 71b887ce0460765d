import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.methods.placers.genetic.dmcjia import Dmcjia
from dmcjia_opt.methods.placers.genetic.genetic import Genetic
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop, TracePoint
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.reproduce import gap

#: A figure of the paper takes its time; one row of each is made by `test_run`.
pytestmark = pytest.mark.slow

ITEM, SEEDS = gap.GAP, 2
FACTORS = (1, 2, 3)  # 3,200 generations take longer than a test may


@pytest.fixture(scope="module")
def results():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gap, "FACTORS", FACTORS)
        yield [job.work() for job in gap.GAP.jobs(SEEDS)]


@pytest.fixture(scope="module")
def excess(finding):
    """Relative excess (inputs and nodes, factors, seeds, methods)."""
    shape = (len(gap.TASKS) * len(gap.NODES), len(FACTORS), SEEDS, len(gap.METHODS))
    return np.reshape(finding.tables["gap"]["excess"], shape)


def test_the_published_budgets():
    assert gap.FACTORS == (1, 10, 100)
    assert gap.GENERATIONS == 32


def test_rungs_are_what_searches_of_that_length_reach(results):
    scenario = generate("paper", nodes=20, seed=1, tasks="imagenet")
    one = results[SEEDS + 1]
    for rung, factor in zip(one.rungs[0], FACTORS, strict=True):
        plan = solve(scenario, Dmcjia(generations=32 * factor), seed=1)
        assert (rung.objective, rung.evaluations) == (plan.objective, plan.evaluations)
    last = one.rungs[1][-1]
    assert last.objective == solve(scenario, Genetic(), stop=Stop(evaluations=last.evaluations), seed=1).objective


def test_no_search_has_more_evaluations_than_dmcjia(finding):
    table = finding.tables["gap"]
    counts = np.reshape(table["evaluations"], (-1, len(gap.METHODS)))
    assert table["method"][:3] == list(gap.METHODS)
    assert (counts <= counts[:, :1]).all()
    assert (counts > 0).all()


def test_no_search_beats_the_optimum(finding, excess):
    assert excess.min() >= -1e-9
    assert finding.statements[-1].holds


def test_larger_budgets_are_no_worse(excess):
    assert (np.diff(excess, axis=1) <= 0).all()


def test_dmcjia_ends_above_the_optimum_and_the_dual_at_it(finding, excess):
    assert np.median(excess[:, 0, :, 0], axis=-1).min() > 0.03
    assert (np.median(excess[:, 0, :, 1], axis=-1) < np.median(excess[:, 0, :, 0], axis=-1)).all()
    assert excess[..., 2].max() < 0.01
    assert not finding.statements[0].holds


def test_byte_images_are_harder(excess):
    by_input = np.median(excess[:, 0, :, 0], axis=-1).reshape(len(gap.TASKS), len(gap.NODES))
    assert (by_input[1] > 3 * by_input[0]).all()


def test_the_page_has_a_row_for_every_budget(finding):
    rows = [line for line in finding.text.splitlines() if line.startswith(("| 10 nodes", "| 20 nodes"))]
    assert len(rows) == len(gap.TASKS) * len(gap.NODES) * len(FACTORS)
    assert "{" not in finding.text


def test_a_search_without_a_plan_is_infinitely_far(monkeypatch):
    def fail(*args, **kwargs):
        raise InfeasibleError("none")

    monkeypatch.setattr(gap, "solve", fail)
    assert gap._trace(generate("paper", nodes=2), Genetic(), Stop(), 0) == ()
    assert gap._until((), 10).objective == np.inf


def test_a_search_is_read_off_within_the_evaluations():
    trace = tuple(TracePoint(e, 0.0, 10.0 / e, 0.0) for e in (1, 5, 9))
    assert [gap._until(trace, e).evaluations for e in (1, 4, 5, 100)] == [1, 1, 5, 9]
