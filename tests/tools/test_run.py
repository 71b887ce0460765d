import fcntl
import json
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import TABLES
from dmcjia_opt.model.queues import MD1, OVERLAP, mg1
from dmcjia_opt.testing.problems import random_problem, random_shared_problem
from tools.fuzz import fuzzing as run
from tools.fuzz.fuzzing import BLOCKS, FAILURES, Failure, fuzz, keep
from tools.fuzz.invariants import INVARIANTS
from tools.fuzz.regression import Regression, load_regression, shrink

CHEAP = ["objective", "feasible"]


def go(folder, **changes):
    settings = {"instances": 200, "seconds": None, "seed": 3, "workers": 1, "chosen": CHEAP}
    seen = []
    tally = fuzz(folder, **{**settings, **changes}, progress=lambda part, tally: seen.append(part))
    return tally, seen


@pytest.mark.slow
def test_a_run_is_gone_on_with_and_does_nothing_twice(tmp_path):
    first, parts = go(tmp_path)
    assert (first.instances, first.failures, set(first.checked)) == (200, [], set(CHEAP))
    assert parts == [0.5, 1.0]
    lines = (tmp_path / BLOCKS).read_text().split()
    (tmp_path / BLOCKS).write_text((tmp_path / BLOCKS).read_text()[:-40])  # the last line is torn
    again, parts = go(tmp_path, instances=300)
    assert again.instances == 300
    assert len(parts) == 2
    assert go(tmp_path, instances=300) == (again, [])
    assert lines
    other, _ = go(tmp_path, seed=4, instances=100)
    assert other.instances == 100


def test_it_ends_when_its_time_is_up(tmp_path):
    tally, _ = go(tmp_path, instances=None, seconds=0.0)
    assert tally.instances == 0


def test_a_failure_is_kept_small_and_can_be_looked_at_again(dmcjia, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "broken", lambda problem, *rest: ["too many nodes"] if problem.n_nodes >= 2 else [])
    (tmp_path / FAILURES).mkdir()
    number = next(n for n in range(100) if run.draw(3, n).n_nodes > 3)
    keep(tmp_path, 3, Failure("bound", number, "too many nodes"))
    (path,) = (tmp_path / FAILURES).iterdir()
    kept = load_regression(path)
    assert (kept.invariant, kept.message, kept.seed, kept.number) == ("bound", "too many nodes", 3, number)
    assert kept.problem.fixed_delay.shape == (2, 1)
    monkeypatch.undo()
    assert dmcjia("--replay", path).out.endswith("above what a plan attains: holds\n")


@pytest.mark.parametrize("curve", [MD1, TANDEM, mg1(4.0)], ids=str)
def test_a_kept_problem_is_the_same_to_the_last_bit(tmp_path, curve):
    problem, _ = random_problem(np.random.default_rng(1), 4, 3, curve=curve, ordering="cloud-faster", spread=1e6)
    Regression(problem, "bound", "why", 1, 2).save(tmp_path / "kept.json")
    read = load_regression(tmp_path / "kept.json").problem
    assert read.curve == curve
    for key in TABLES:
        np.testing.assert_array_equal(getattr(read, key), getattr(problem, key))


@pytest.mark.parametrize("seed", range(6))
def test_a_kept_problem_of_several_resources_is_the_same_too(tmp_path, seed):
    shape = (4, 3, 1 + seed % 4, 1 + seed % 3)
    problem, _ = random_shared_problem(np.random.default_rng(seed), *shape, ordering="cloud-faster", spread=1e6)
    Regression(problem, "bound", "why", 1, 2).save(tmp_path / "kept.json")
    read = load_regression(tmp_path / "kept.json").problem
    assert read.use_curves == problem.use_curves
    assert [resource.name for resource in read.resources] == [resource.name for resource in problem.resources]
    for key in TABLES:
        np.testing.assert_array_equal(getattr(read, key), getattr(problem, key))


def test_uses_and_resources_are_shrunk_too():
    problem, _ = random_shared_problem(np.random.default_rng(3), 4, 3, 4, 3, curves=(OVERLAP, OVERLAP, OVERLAP))
    small = shrink(problem, lambda other: bool((other.service[..., 0] > 0).any()))
    assert small.service.shape == (1, 1, 1)
    assert (small.n_resources, small.use_curves) == (1, (OVERLAP,))
    two = shrink(problem, lambda other: len(np.unique(other.resource[other.service > 0])) >= 2)
    assert two.n_resources == 2
    assert two.service.size == 2


def test_what_is_shrunk_still_fails():
    problem, _ = random_problem(np.random.default_rng(2), 6, 5)
    small = shrink(problem, lambda other: bool((other.service[..., 0] == 0).any()))
    assert small.fixed_delay.shape == (1, 1)
    assert (small.service[..., 0] == 0).all()


def test_a_process_that_dies_is_a_sentence(tmp_path, monkeypatch):
    def dead(*args, **options):
        from concurrent.futures.process import BrokenProcessPool

        raise BrokenProcessPool

    monkeypatch.setattr(run, "wait", dead)
    with pytest.raises(BackendFailed, match="a process died on one of the problems 0 to 399 of series 3"):
        go(tmp_path, workers=2, instances=1000)


def test_two_runs_do_not_share_a_folder(tmp_path):
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing here"):
            go(tmp_path)


def test_the_command(dmcjia, tmp_path):
    done = dmcjia("--out", tmp_path, "--instances", 100, "--invariants", "feasible,objective", "--workers", 1)
    assert done.code == 0
    assert "100 problems" in done.out
    assert "the mean delay of a plan is that of rational" in done.out
    assert not list((tmp_path / FAILURES).iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "add --out DIR"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere: cannot write"),
        (
            ["--out", "{here}", "--invariants", "luck"],
            'no invariant is called "luck"; choose from bound, dual, no-plan',
        ),
        (["--replay", "{here}/none.json"], "none.json: cannot read the problem (No such file or directory)"),
        (["--replay", "{here}/bad.json"], '"local_delay[0]": input should be a valid array'),
        (["--replay", "{here}/ragged.json"], "a table's rows differ in length"),
        (["--replay", "{here}/curves.json"], "service_scv has 1 numbers; give one for each of the 2 of delay"),
        (["--replay", "{here}/other.json"], 'no invariant is called "luck"; correct the field "invariant"'),
    ],
)
def test_what_is_refused(dmcjia, tmp_path, arguments, message):
    problem, _ = random_problem(np.random.default_rng(1), 2, 2)
    Regression(problem, "luck", "", 0, 0).save(tmp_path / "other.json")
    content = json.loads((tmp_path / "other.json").read_text())
    (tmp_path / "bad.json").write_text(json.dumps(content | {"local_delay": [1.0]}))
    (tmp_path / "ragged.json").write_text(json.dumps(content | {"local_delay": [[1.0], [1.0, 2.0]]}))
    (tmp_path / "curves.json").write_text(json.dumps(content | {"delay": ["md1", "delay"], "service_scv": [0.0]}))
    done = dmcjia(*(argument.format(here=tmp_path) for argument in arguments))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert message in done.err


def test_every_invariant_says_what_holds():
    assert len({invariant.name for invariant in INVARIANTS}) == len(INVARIANTS)
    assert all(invariant.says and invariant.every >= 1 for invariant in INVARIANTS)


@pytest.mark.parametrize("path", sorted(Path(__file__).with_name("found").iterdir()), ids=lambda path: path.stem)
def test_what_was_found_and_mended(path):
    kept = load_regression(path)
    (invariant,) = (invariant for invariant in INVARIANTS if invariant.name == kept.invariant)
    assert run.broken(kept.problem, invariant, kept.seed, kept.number) == []
