"""What somebody probably meant, in files, on the command line and in the names of methods."""

import re

import pytest

from dmcjia_opt.base.suggesting import did_you_mean, listed
from dmcjia_opt.model.scenario.nodes import Node
from dmcjia_opt.solving.registry import build_placer, specs


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("uplink_MBps", '"uplink_mbps" (Mbit/s)'),
        ("bandwidth", '"uplink_mbps" (Mbit/s)'),
        ("lambda", '"arrival_rate" (tasks/s)'),
        ("λ", '"arrival_rate" (tasks/s)'),
        ("arival_rate", '"arrival_rate" (tasks/s)'),
        ("Compute GFLOPS", '"compute_gflops" (GFLOP/s)'),
        ("network", '"model"'),
    ],
)
def test_keys_are_suggested_by_spelling_and_by_meaning_with_their_unit(given, meant):
    assert did_you_mean(given, Node.model_fields) == f" (did you mean {meant}?)"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("GA", '"genetic" or "pymoo:GA"'),
        ("bnb", '"branch-and-bound"'),
        ("B&B", '"branch-and-bound"'),
        ("brute force", '"exhaustive"'),
        ("genetik", '"genetic"'),
    ],
)
def test_methods_are_suggested_by_spelling_and_by_meaning(given, meant):
    assert did_you_mean(given, [spec.name for spec in specs("placer")]) == f" (did you mean {meant}?)"
    with pytest.raises(ValueError, match=re.escape(f'unknown placer "{given}" (did you mean {meant}?); choose one')):
        build_placer(given)


def test_nothing_is_suggested_where_nothing_is_near():
    assert did_you_mean("colour", Node.model_fields) == ""
    assert did_you_mean("x" * 5000, Node.model_fields) == ""
    assert did_you_mean("lambda", ["seconds"]) == ""  # a synonym of what is not there


def test_a_dozen_problems_are_listed_and_the_rest_counted():
    assert listed(["a", "b"]) == "a; b"
    assert listed(list("abcdefghijklmn")) == "a; b; c; d; e; f; g; h; i; j; k; l (and 2 more problems)"
    assert listed(["a"], 1, "row") == "a (and 1 more row)"
    assert len(listed(["x" * 400] * 2000)) < 1600
