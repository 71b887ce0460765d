"""What changes with a number: a row for each combination, and keys that mean something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import InputError, Options, generate, solve, sweep
from tests.sites import ACCESS_POINT, site

pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def paper():
    return generate("paper", nodes=4, seed=1)


def test_rows_are_the_plans_of_the_changed_scenarios(paper):
    found = sweep(paper, cloud_gflops=[100, 400], delay=["md1", "tandem"])
    assert found[["cloud_gflops", "delay"]].to_numpy().tolist() == [
        [100, "md1"],
        [100, "tandem"],
        [400, "md1"],
        [400, "tandem"],
    ]
    for row in found.itertuples():
        plan = solve(replace(paper, cloud_gflops=row.cloud_gflops, options=Options(delay=row.delay, flops_per_mac=1.0)))
        assert (row.delay_s, row.lower_bound_s, row.status) == (plan.objective, plan.lower_bound, str(plan.status))


def test_numbers_of_nodes_and_capacities_by_name(tmp_path):
    scenario = site(tmp_path, ACCESS_POINT)
    found = sweep(scenario, arrivals=["poisson", "periodic"], **{"wifi": [30, 60.0], "edge-server": [12]})
    assert list(found["wifi"]) == [30, 60.0, 30, 60.0]
    assert found["delay_s"][3] < found["delay_s"][2] <= found["delay_s"][0]
    assert found["delay_s"][1] == solve(scenario).objective


def test_where_there_is_no_plan_the_row_says_so(paper):
    found = sweep(paper, arrival_rate=[1.0, 1e4])
    assert list(found["status"]) == ["optimal", "infeasible"]
    assert np.isnan(found["delay_s"][1])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "sweep needs what to try"),
        ({"cloud_gflop": [1]}, 'there is no "cloud_gflop" to change (did you mean "cloud_gflops"?)'),
        ({"cloud_gflops": 3}, "cloud_gflops must be a list of values to try, got 3"),
        ({"cloud_gflops": ["a"]}, "cloud_gflops must be a number"),
        ({"arrival_rate": ["a"]}, "arrival_rate must be a number for all nodes, got 'a'"),
        ({"delay": ["median"]}, "input should be 'md1', 'mm1', 'mg1' or 'tandem', got 'median'"),
    ],
)
def test_what_cannot_be_tried_is_refused(paper, given, told):
    with pytest.raises(InputError) as caught:
        sweep(paper, **given)
    assert told in str(caught.value)
