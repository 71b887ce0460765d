"""Summary tables of rows made by hand: what is counted, and that failures are."""

import math

import pandas as pd
import pytest

from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.results import asked, table
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.statistics import TARGETS
from tests.studies.bench.runs import LIMIT, allocator_rows, answer, placer_rows, row

GOOD, BAD = "exact + waterfilling", "genetic + waterfilling"


def frame():
    """Return two instances: the good method proves both, the bad one is 1 % off on one and is killed on the other."""
    rows = []
    for instance, nodes, seconds in (("paper-n5-s1", 5, 0.01), ("paper-n10-s1", 10, 0.04)):
        where = {"instance": instance, "n_nodes": nodes}
        proved = {"claimed_status": "optimal", "claimed_objective_s": 1.0, "own_bound_s": 1.0, "correct": True}
        best = {"objective_s": 1.0, "gap": 0.0, "wall_seconds": seconds, "evaluations": 2}
        rows.append(answer(f"good-{nodes}", method=GOOD, **where, **proved, **best))
    wrong = {"claimed_status": "optimal", "claimed_objective_s": 1.0, "correct": False}
    rows.append(answer("bad-5", method=BAD, wall_seconds=0.5, evaluations=40, **wrong))
    rows.append(row("bad-10", method=BAD, instance="paper-n10-s1", n_nodes=10))
    return table(rows)


def of(found, method, *columns):
    return found.set_index("method").loc[method, list(columns)].tolist()


def test_reliability_counts_every_run_and_ranks_by_the_last_target():
    found = frames.reliability(frame())
    assert found["method"].tolist() == [GOOD, BAD]
    assert of(found, GOOD, "runs", "answers", "successes_1e-06") == [2, 2, 2]
    assert of(found, BAD, "runs", "answers", "successes_1e-02", "successes_1e-04") == [2, 1, 1, 0]
    assert of(found, BAD, "error", "error_high") == [pytest.approx(0.01), math.inf]


def test_speed_counts_a_failure_at_the_limit():
    found = frames.speed(frame(), 1e-2)
    assert found["method"].tolist() == [GOOD, BAD, frames.VIRTUAL_BEST]
    assert of(found, BAD, "runs", "reached") == [2, 1]
    shifted = math.sqrt((0.5 + 1e-3) * (LIMIT + 1e-3)) - 1e-3
    assert of(found, BAD, "geometric_mean", "par10") == pytest.approx([shifted, (0.5 + 10 * LIMIT) / 2])
    assert of(found, BAD, "ert_seconds") == pytest.approx([0.5 + LIMIT])
    assert of(found, GOOD, "ert_seconds", "ert_evaluations") == pytest.approx([0.025, 2.0])
    assert of(found, frames.VIRTUAL_BEST, "reached", "par10") == pytest.approx([2, 0.025])
    assert of(frames.speed(frame(), 1e-4), BAD, "reached", "ert_seconds") == [0, math.inf]


def test_set_up_stands_apart():
    found = frames.speed(frame().assign(setup_seconds=[0.5, 0.25, 0.125, math.nan]), 1e-2)
    assert of(found, GOOD, "setup") == [0.25]
    assert of(found, BAD, "setup") == [0.125]
    assert of(found, GOOD, "seconds_high") == [0.04]


def test_what_dropping_failures_would_change():
    found = frames.dropping(frame(), 1e-2)
    kept = math.sqrt((0.5 + 1e-3) * (LIMIT + 1e-3)) - 1e-3
    assert of(found, BAD, "runs", "reached", "kept", "dropped") == pytest.approx([2, 1, kept, 0.5])
    assert of(found, BAD, "factor", "rank", "rank_dropped") == pytest.approx([kept / 0.5, 2, 2])
    assert of(found, GOOD, "factor", "rank") == pytest.approx([1.0, 1.0])
    lucky = frame()
    sooner = [curve * [1, 0.01, 1] if key == "bad-5" else curve for key, curve in lucky[["key", "curve"]].to_numpy()]
    lucky["curve"] = sooner
    passed = frames.dropping(lucky, 1e-2)
    assert of(passed, BAD, "rank", "rank_dropped") == [2, 1]
    never = frames.dropping(frame(), 1e-4)
    assert of(never, BAD, "reached", "kept") == pytest.approx([0, LIMIT])
    assert math.isnan(of(never, BAD, "dropped")[0])
    assert math.isnan(of(never, BAD, "rank_dropped")[0])


def test_defaults_beside_options():
    rows = frame()
    tuned = rows[rows["method"] == BAD].assign(method="genetic:population=9 + waterfilling")
    alone = rows[rows["method"] == GOOD].assign(method="pymoo:DE + waterfilling")
    both = pd.concat([rows, tuned.assign(limit=2 * LIMIT), alone], ignore_index=True)
    (found,) = frames.variants(both, 1e-2).to_dict("records")
    assert (found["method"], found["tuned"]) == (BAD, "genetic:population=9 + waterfilling")
    assert (found["reached"], found["reached_tuned"], found["runs_tuned"]) == (1, 1, 2)
    assert found["geometric_mean_tuned"] == pytest.approx(math.sqrt((0.5 + 1e-3) * (2 * LIMIT + 1e-3)) - 1e-3)
    assert found["factor"] == pytest.approx(found["geometric_mean"] / found["geometric_mean_tuned"])
    assert frames.variants(rows, 1e-2).empty


def test_proofs_are_those_who_said_so_and_were_right():
    found = frames.proofs(frame(), 1e-2)
    right, wrong = of(found, GOOD, "runs", "proved", "seconds"), of(found, BAD, "runs", "proved", "seconds")
    assert right[:2] == [2, 2]
    assert right[2] < LIMIT
    assert wrong == pytest.approx([2, 0, LIMIT])
    humble = frame().assign(claimed_status="feasible")
    assert (frames.proofs(humble, 1e-2)["proved"] == 0).all()


def test_targets_that_nobody_was_asked_for_are_left_out():
    assert asked(frame()) == TARGETS == (1e-2, 1e-4, 1e-6, 1e-9)
    assert asked(frame().assign(limit_gap=[1e-9, 1e-6, math.nan, 1e-6])) == TARGETS[:3]
    assert asked(frame().assign(limit_gap=1e-9)) == TARGETS
    assert asked(frame().assign(limit_gap=0.5)) == TARGETS[:1]
    found = frames.reliability(frame().assign(limit_gap=1e-4))
    assert "rate_1e-04" in found
    assert "rate_1e-06" not in found


def test_claims_beside_what_was_verified():
    found = frames.claims(frame())
    assert of(found, GOOD, "claims", "held", "false", "said_optimal", "within", "proved") == [2, 2, 0, 2, 2, 2]
    assert of(found, BAD, "claims", "held", "false", "said_optimal", "within", "proved") == [1, 0, 1, 1, 0, 0]
    assert of(found, BAD, "worst_claim") == pytest.approx([0.01])


def test_outcomes_and_failures():
    counts = frames.outcomes(frame())
    assert of(counts, BAD, str(Outcome.ANSWER), str(Outcome.TIMEOUT)) == [1, 1]
    assert str(Outcome.CRASH) not in counts
    (failed,) = frames.failures(frame()).to_dict("records")
    assert (failed["instance"], failed["message"], failed["runs"]) == ("paper-n10-s1", "killed after 2 s", 1)


def test_pairs_are_compared_on_common_instances():
    (pair,) = frames.pairs(frame()).to_dict("records")
    assert (pair["first"], pair["second"], pair["better"], pair["problems"]) == (GOOD, BAD, 2, 2)
    only = table([answer("a", method=GOOD), answer("b", method=BAD, instance="another")])
    assert frames.pairs(only).empty


def test_sizes_and_slopes():
    found = frames.sizes(frame(), 1e-2)
    assert found[found["method"] == GOOD]["seconds"].tolist() == [0.01, 0.04]
    assert found[found["method"] == BAD]["solved"].tolist() == [1, 0]
    assert frames.slopes(frame(), 1e-2).empty  # two sizes are no slope
    slopes = frames.slopes(table(placer_rows()), 1e-6)
    assert {"exponent", "low", "high"} <= set(slopes)
    assert (slopes["low"] <= slopes["high"]).all()


def test_detail_has_a_row_an_instance_and_method():
    found = frames.detail(frame(), 1e-2).set_index(["instance", "method"])
    assert len(found) == 4
    assert found.loc[("paper-n10-s1", BAD), "outcome"] == "1 timeout"
    assert found.loc[("paper-n10-s1", BAD), "ert_seconds"] == math.inf


def test_allocators_are_judged_by_their_worst_plan():
    found = frames.reliability(table(allocator_rows()))
    assert of(found, "waterfilling", "successes_1e-06", "error") == [3, 0.0]
    assert of(found, "cvxpy:SCS", "answers", "successes_1e-06") == [2, 2]


def test_tables_of_real_runs_and_of_failures_only():
    for one in (table(placer_rows()), table([row("a"), row("b", method=BAD, outcome=Outcome.CRASH)])):
        assert len(frames.reliability(one)) == one["method"].nunique()
        assert len(frames.claims(one)) == one["method"].nunique()
        assert frames.speed(one, 1e-4)["runs"].min() >= 1
