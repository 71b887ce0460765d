from dataclasses import dataclass, replace

import numpy as np
import pytest

from dmcjia_opt.model.networks.profile import CutTensor, LayerProfile
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.studies.look.words import (
    cuts_of,
    deadlines_kept,
    dearness,
    delay_called,
    in_plain_words,
    share_of,
    source_of_bound,
    tensors_at,
)


@dataclass
class Made:
    status: Status
    objective: float = 0.4
    lower_bound: float = 0.3
    gap: float = 0.25
    bound_holds_for: str = "reserved shares"
    worst: bool = False


@pytest.mark.parametrize("status", [Status.WITHIN, Status.FEASIBLE, Status.LIMIT, Status.ROUNDED])
def test_a_bound_is_told_with_its_distance_and_its_rule(status):
    expected = (
        "Proved: no plan is faster than 300 ms, 25.00 % below this one. That holds for plans with reserved shares."
    )
    assert in_plain_words(Made(status)) == expected


def test_a_closed_gap_is_told_with_its_rule():
    said = in_plain_words(Made(Status.OPTIMAL, gap=1e-12))
    rule = "That holds for plans with reserved shares."
    assert said == f"Proved: no plan is faster by more than 1e-12 of this delay. {rule}"


def test_a_bound_on_the_worst_node_is_called_one():
    said = in_plain_words(Made(Status.LIMIT, worst=True))
    assert said.startswith("Proved: no plan has a worst node that is faster than 300 ms, 25.00 % below this one.")


@pytest.mark.parametrize(
    ("statistic", "worst", "words"),
    [
        ("mean", False, "mean delay"),
        ("p95", False, "mean p95 delay"),
        ("mean", True, "delay of the worst node"),
        ("p99.9", True, "p99.9 delay of the worst node"),
    ],
)
def test_what_was_minimised_has_a_name(statistic, worst, words):
    assert delay_called(statistic, worst=worst) == words


def test_the_deadline_with_least_to_spare_is_told():
    names, delays = ("a", "b", "c"), np.array([0.3, 0.19, 9.0])
    assert deadlines_kept(names, delays, np.full(3, np.inf)) == ""
    dated = deadlines_kept(names, delays, np.array([0.4, 0.2, np.inf]))
    assert dated == "2, all kept; the tightest is that of b, which takes 190 ms of 200 ms"
    assert deadlines_kept(names, delays, np.array([0.4, np.inf, np.inf])).startswith(
        "1, kept; the tightest is that of a,"
    )


def test_prices_of_a_worst_node_are_parts():
    prices = np.array([0.3, 0.1, 0.0])
    assert [dearness(price, prices, worst=False) for price in prices] == ["3 ms", "1 ms", "nothing"]
    assert [dearness(price, prices, worst=True) for price in prices] == ["75 %", "25 %", "none"]


def test_a_bound_of_nothing_is_told_too():
    assert "no plan is faster than ∞" not in in_plain_words(Made(Status.LIMIT, lower_bound=0.0, gap=1.0))


@pytest.mark.parametrize(
    ("status", "tolerance", "words"),
    [
        (Status.OPTIMAL, 0.2, "optimal, proved"),
        (Status.WITHIN, 0.2, "within 20 % of the optimum, proved"),
        (Status.WITHIN, 0.07, "within 7 % of the optimum, proved"),
        (Status.WITHIN, 1e-6, "within 0.0001 % of the optimum, proved"),
        (Status.ROUNDED, 1e-9, "closed up to rounding: nothing was left out"),
        (Status.FAILED, 1e-9, "failed"),
    ],
)
def test_statuses_in_words(status, tolerance, words):
    assert status.in_words(tolerance) == words


@pytest.mark.parametrize(
    ("source", "n_resources", "words"),
    [
        ("dual", 1, "the price of cloud capacity"),
        ("dual", 3, "the prices of what is shared"),
        ("benders", 3, "Benders cuts; it rests on HiGHS"),
        ("branch-and-bound", 3, "branch-and-bound"),
    ],
)
def test_what_a_bound_rests_on(source, n_resources, words):
    assert source_of_bound(source, n_resources) == words


def test_tensors_at_a_cut_in_words():
    tensors = tuple(CutTensor(name, (1, 2), "int64") for name in "xyz")
    profile = LayerProfile("p", 1.0, ("a",), [1.0], [1.0], tensor_names=(("x", "y", "z"),), cut_tensors=tensors)
    assert tensors_at(profile, 1) == "x 1x2 int64, y 1x2 int64, 1 more"
    assert tensors_at(profile, 1, most=3) == "x 1x2 int64, y 1x2 int64, z 1x2 int64"
    assert tensors_at(replace(profile, cut_tensors=()), 1, most=1) == "x, 2 more"
    assert tensors_at(profile, 0) == tensors_at(replace(profile, tensor_names=None), 1) == ""


def test_cuts_and_shares_in_words():
    assert (cuts_of([16], 34), cuts_of([4, 16], 34)) == ("16/34", "4 | 16")
    assert share_of("wifi", 0.123456) == "wifi 12.3 %"
    assert share_of("wifi", [0.1, 0.25]) == "wifi 10 % + 25 %"
