"""Suites, what may be put in their place, and the order and keys of their runs."""

import pytest

from dmcjia_opt.base import machine
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.registry import specs, versions, why_not
from dmcjia_opt.studies.bench import planning
from dmcjia_opt.studies.bench.instances import Instance
from dmcjia_opt.studies.bench.library import find_library
from dmcjia_opt.studies.bench.lineup import EVERY, check, expand, full_name, parts, sources
from dmcjia_opt.studies.bench.planning import changed, estimate, plan_runs, suite_called
from dmcjia_opt.studies.bench.suites import SUITES
from tests.studies.bench.small import misbehaving, small_suite

HASHES = {"paper-n5-s1": "1" * 64, "paper-n10-s1": "2" * 64}


def plan(suite, own=()):
    return plan_runs(suite, own, HASHES)


def test_names_of_placers_have_an_allocator():
    assert full_name("placer", "genetic") == "genetic + waterfilling"
    assert full_name("placer", " dmcjia + alm ") == "dmcjia + alm"
    assert full_name("placer", "greedy+") == "greedy+ + waterfilling"
    assert full_name("allocator", "cvxpy:SCS") == "cvxpy:SCS"
    assert parts("placer", "greedy+ + alm") == ("greedy+", "alm")
    assert parts("allocator", "alm") == (None, "alm")


def test_the_star_stands_for_what_is_not_listed():
    heuristics = expand("placer", ["dmcjia + alm", EVERY], exact=False)
    assert heuristics[0] == "dmcjia + alm"
    assert "genetic + waterfilling" in heuristics
    assert not any(name.startswith(("dmcjia + w", "greedy", "exact", "scip +", "lagrangian")) for name in heuristics)
    exact = expand("placer", [EVERY], exact=True)
    assert {"exact + waterfilling", "scip + waterfilling"} <= set(exact)
    allocators = expand("allocator", ["cvxpy:SCS", EVERY], exact=False)
    here = [spec.name for spec in specs("allocator") if why_not(spec) is None]
    assert set(allocators) == {"cvxpy:SCS", *here} - {"cvxpy"}


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_every_suite_can_be_planned(suite):
    library = find_library()
    runs = plan_runs(suite, (), library.hashes)
    assert len({run.key for run in runs}) == len(runs) == estimate(suite, 1)[0]
    assert [run.number for run in runs] == list(range(len(runs)))
    for block in suite.blocks:
        for name in expand(block.kind, block.methods, exact=block.exact):
            check(block.kind, name)
        assert block.hard_limit > (block.stop.seconds or 0.0)
        assert (block.plans > 0) == (block.kind == "allocator")
        assert bool(block.trace) == (block.kind == "policy")


def test_all_suites_take_less_than_forty_minutes_on_two_cores():
    assert sum(estimate(suite, 2)[1] for suite in SUITES.values()) < 40 * 60


def test_methods_take_turns_on_each_instance_and_seed():
    suite = small_suite("exact", "genetic", instances=("paper-n5-s1", "paper-n10-s1"), seeds=2)
    order = [(run.task.instance.name, run.task.seed, run.task.method.split()[0]) for run in plan(suite)]
    assert order == [
        (name, seed, method)
        for name in ("paper-n5-s1", "paper-n10-s1")
        for seed in (0, 1)
        for method in ("exact", "genetic")
    ]


def test_a_key_changes_with_whatever_decides_the_result(monkeypatch):
    def key(*methods, own=(), **options):
        return plan(small_suite(*methods, **options), own)[0].key

    keys = [
        key("exact"),
        key("genetic"),
        key("exact + alm"),
        key("exact", instances=("paper-n10-s1",)),
        key("exact", stop=Stop(evaluations=31)),
        key("exact", stop=Stop(evaluations=30, gap=1e-6)),
        key("exact", wall_seconds=3.0),
        key("waterfilling", kind="allocator", plans=2),
        key("waterfilling", kind="allocator", plans=3),
        plan(small_suite("exact", seeds=2))[1].key,
    ]
    monkeypatch.setattr(planning, "revision", lambda: "other")
    keys.append(key("exact"))
    monkeypatch.undo()
    monkeypatch.setattr(planning, "versions", lambda: {"numpy": "0"})
    keys.append(key("exact"))
    monkeypatch.undo()
    assert len(set(keys)) == len(keys)
    assert key("exact") == keys[0]
    assert key("exact", own=[Instance("paper-n5-s1", "own", 5, "1" * 64)]) == keys[0]


def test_the_source_of_ones_own_class_is_part_of_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_placer.py"
    file.write_text("class Mine: ...\n", encoding="utf-8")
    first = sources("placer", "my_placer:Mine + alm")
    file.write_text("class Mine:\n    better = True\n", encoding="utf-8")
    second = sources("placer", "my_placer:Mine + alm")
    assert list(first) == list(second) == ["my_placer"]
    assert first != second
    assert sources("placer", f"{file}:Mine + waterfilling") == {str(file): second["my_placer"]}
    assert sources("placer", "exact + waterfilling") == {}
    assert sources("placer", "nowhere.at_all:Mine + alm") == {}


def test_what_is_put_in_the_place_of_a_suites_own():
    smoke = suite_called("smoke")
    both = changed(smoke, methods=["alm", "genetic + alm"], instances=["paper-n5-s1"], seeds=3, seconds=1.5)
    assert [block.methods for block in both.blocks] == [("genetic + alm",), ("alm",)]
    assert {block.instances for block in both.blocks} == {("paper-n5-s1",)}
    assert {block.seeds for block in both.blocks} == {3}
    assert {block.stop.seconds for block in both.blocks} == {1.5}
    assert both.blocks[0].stop.evaluations == smoke.blocks[0].stop.evaluations
    mine = changed(smoke, methods=[misbehaving("Good")])
    assert [block.kind for block in mine.blocks] == ["placer"]
    mine = changed(suite_called("allocators"), methods=[misbehaving("HalfAllocator")])
    assert [block.kind for block in mine.blocks] == ["allocator"]


@pytest.mark.parametrize(
    ("suite", "what", "message"),
    [
        (
            "placers",
            {"methods": ["waterfilling"]},
            r'unknown placer "waterfilling" \(this is the name of an alloc',
        ),
        ("placers", {"methods": ["genetic + nonsense"]}, 'unknown allocator "nonsense"'),
        ("allocators", {"methods": ["exact"]}, 'unknown allocator "exact"'),
        ("smoke", {"methods": ["genetic", "genetics"]}, 'unknown placer "genetics"'),
        ("smoke", {"seconds": 0.0}, "--seconds must be > 0"),
    ],
)
def test_what_cannot_be(suite, what, message):
    with pytest.raises(InputError, match=message):
        changed(suite_called(suite), **what)


def test_unknown_suite():
    with pytest.raises(InputError, match=r'unknown suite "smok" \(did you mean "smoke"\?\); choose one of smoke'):
        suite_called("smok")


def test_other_methods_run_once_on_every_instance_of_a_suite():
    suite = suite_called("exact")
    runs = plan_runs(changed(suite, methods=["exact"]), (), find_library().hashes)
    assert [run.task.instance.name for run in runs] == [*suite.blocks[0].instances, *suite.blocks[1].instances]
    assert {run.task.stop for run in runs} == {suite.blocks[0].stop}


def test_runs_of_two_blocks_that_are_the_same_are_made_once():
    suite = changed(suite_called("exact"), instances=["paper-n5-s1"])
    runs = plan(suite)
    assert len(suite.blocks) == 2
    assert [run.task.method for run in runs].count("exact + waterfilling") == 1


def test_the_revision_is_that_of_the_source():
    assert machine.revision().startswith("0.2.0-")
    assert versions()["highspy"]
    assert "cores" in machine.machine()
