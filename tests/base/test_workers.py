import multiprocessing
import operator
from functools import partial

import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.processes import Job, run_jobs
from dmcjia_opt.model.scenario.families import generate
from tests.waiting import until


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_the_jobs_and_every_cost_is_reported(workers):
    jobs = [Job(partial(operator.mul, k, k), cost) for k, cost in enumerate((1.0, 5.0, 2.0, 4.0))]
    done = []
    assert run_jobs(jobs, workers, done.append) == [0, 1, 4, 9]
    assert sorted(done) == [1.0, 2.0, 4.0, 5.0]


def test_the_costliest_go_first():
    done = []
    run_jobs([Job(partial(operator.neg, 1), cost) for cost in (1.0, 3.0, 2.0)], 1, done.append)
    assert done == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller_and_ends_the_workers(workers):
    jobs = [Job(partial(generate, "paper", nodes=3)), Job(partial(generate, "nonsense", nodes=3))]
    with pytest.raises(InputError, match="nonsense"):
        run_jobs(jobs, workers, lambda cost: None)
    until(lambda: not multiprocessing.active_children())  # the pool's own thread buries them


def test_no_jobs_no_work():
    assert run_jobs([], 4, lambda cost: None) == []
