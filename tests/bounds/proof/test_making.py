"""From a scenario to a proof file and back, as the command line does it."""

from functools import partial

import pytest

from dmcjia_opt import check_proof, compile_problem, generate, load_plan, load_proof, prove, solve, verify
from dmcjia_opt.base.errors import InputError
from tests.command_line import run

CASES = [("paper", 10), ("homogeneous", 20), ("scarce", 20), ("mixed", 20), ("near", 10), ("fleet", 200)]


@pytest.mark.parametrize(("family", "nodes"), CASES)
def test_optimal_plans_of_every_family_are_proved(family, nodes):
    scenario = generate(family, nodes=nodes, seed=1)
    plan = solve(scenario)
    proof = prove(scenario, plan)
    assert proof.leaves < 500
    bound = check_proof(compile_problem(scenario), proof)
    assert plan.objective * (1 - plan.gap_tolerance) <= proof.bound <= bound <= plan.objective


def test_a_plan_that_is_not_optimal_gets_a_proof_of_its_own_bound():
    scenario = generate("paper", nodes=10, seed=1)
    plan = solve(scenario, placer="cloud-only")
    proof = prove(scenario, plan)
    assert proof.leaves == 1
    assert proof.bound == pytest.approx(plan.lower_bound, rel=1e-12)


def test_a_plan_of_another_scenario():
    scenario = generate("paper", nodes=3, seed=1)
    with pytest.raises(InputError, match="another scenario"):
        prove(generate("paper", nodes=3, seed=2), solve(scenario))


@pytest.fixture
def dmcjia(monkeypatch, capsys):
    return partial(run, monkeypatch, capsys)


@pytest.fixture
def files(tmp_path, dmcjia):
    scenario, plan, proof = tmp_path / "s.toml", tmp_path / "plan.json", tmp_path / "proof.json"
    assert dmcjia("generate", "near", "--nodes", 8, "--seed", 0, "--out", scenario).code == 0
    done = dmcjia("solve", scenario, "--out", plan, "--proof", proof)
    assert done.code == 0
    assert "cases at" in done.out
    assert f"--proof {proof}" in done.out.replace("\n", "")
    return scenario, plan, proof


def test_the_command_line_checks_a_proof_and_refuses_a_changed_one(files, dmcjia):
    scenario, plan, proof = files
    done = dmcjia("verify", scenario, plan, "--proof", proof)
    assert done.code == 0
    assert "the proof" in done.out
    text = proof.read_text()
    proof.write_text(text.replace('"prices_s": [\n  ', '"prices_s": [\n  1', 1))
    done = dmcjia("verify", scenario, plan, "--proof", proof)
    assert (done.code, "proof: bound_s" in done.err) == (1, True)
    head, _, tail = text.rpartition(',\n  {"price"')
    proof.write_text(head + tail[tail.index("}") + 1 :])
    done = dmcjia("verify", scenario, plan, "--proof", proof)
    assert (done.code, "cases open" in done.err) == (1, True)


def test_a_proof_of_another_scenario(files, tmp_path):
    _, _, proof = files
    other = generate("homogeneous", nodes=8, seed=2)
    plan = solve(other)
    plan.save(tmp_path / "other.json")
    checks = verify(other, load_plan(tmp_path / "other.json"), load_proof(proof))
    assert [check.what for check in checks if not check.true] == ["proof: scenario"]


def test_where_a_proof_cannot_be_written(files, tmp_path, dmcjia):
    scenario, _, _ = files
    done = dmcjia("solve", scenario, "--proof", tmp_path / "none" / "proof.json")
    assert (done.code, "--proof" in done.err, "create it first" in done.err) == (2, True, True)
