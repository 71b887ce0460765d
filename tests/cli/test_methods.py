import json
import re

from dmcjia_opt.solving.registry import METHODS
from tests.command_line import fails


def test_methods_lists_every_row(dmcjia):
    ended = dmcjia("methods")
    assert ended.code == 0
    for spec in METHODS.values():
        assert re.search(rf"^ {re.escape(spec.name)} ", ended.out, re.MULTILINE)
    assert "CLARABEL" in ended.out
    assert "NelderMead" in ended.out


def test_methods_as_json(dmcjia):
    ended = dmcjia("methods", "--json")
    assert ended.code == 0
    rows = json.loads(ended.out)
    assert [(row["kind"], row["name"]) for row in rows] == list(METHODS)
    for row in rows:
        assert set(row) == {
            *("name", "kind", "summary", "exact", "baseline", "available"),
            *("why_not", "requires", "variants", "plugin"),
        }
        assert row["available"] == (row["why_not"] is None)
    cvxpy = next(row for row in rows if row["name"] == "cvxpy")
    assert {"CLARABEL", "SCS"} <= set(cvxpy["variants"])


def test_one_method_and_its_options(dmcjia):
    shown = dmcjia("methods", "genetic")
    assert shown.code == 0
    for part in (
        "genetic algorithm on integers",
        "requires  pymoo",
        "Individuals kept, μ.",
        "--placer genetic:population=10",
    ):
        assert part in shown.out
    (row,) = json.loads(dmcjia("methods", "genetic", "--json").out)
    assert row["options"][0] == {
        "name": "population",
        "type": "int >= 2",
        "default": "10",
        "doc": "Individuals kept, μ.",
    }
    both = json.loads(dmcjia("methods", "cvxpy", "--json").out)
    assert [row["kind"] for row in both] == ["placer", "allocator"]
    assert "It has no options." in dmcjia("methods", "cloud-only+").out
    fails(dmcjia("methods", "nope"), 2, 'unknown placer "nope"', 'unknown allocator "nope"')
