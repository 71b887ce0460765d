import re
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import compute, parquet

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import lower_bound
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.solving.parts.auditing import audit
from dmcjia_opt.solving.parts.crews import Foreman, in_process
from dmcjia_opt.solving.plan import load_claims, load_plan
from tests.solving.parts.conftest import PART


def audited(parted, claims, path):
    return audit(Foreman(parted, in_process(parted)), claims, path)


def false(found):
    return {check.what: check.recomputed for check in found.checks if not check.true}


@pytest.fixture
def claims(plan, folder):
    return load_claims(folder / "plan.json")


def test_a_plan_that_was_made_is_true(plan, claims, parted, folder, whole):
    found = audited(parted, claims, folder / "plan.parquet")
    assert not false(found)
    assert found.objective == plan.objective
    assert found.lower_bound == pytest.approx(lower_bound(compile_problem(whole), plan.prices), rel=1e-13)
    assert {check.what for check in found.checks} >= {"scenario", "feasible", "price_s", "resources", "rows"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"objective_s": 0.5}, {"objective_s"}),
        ({"lower_bound_s": 0.41}, {"lower_bound_s", "price_s", "gap", "status"}),
        ({"price_s": 0.3}, {"price_s", "resources"}),
        ({"gap": 0.1}, {"gap", "status"}),
        ({"worst_delay_s": 9.0}, {"worst_delay_s"}),
        ({"status": "rounded"}, {"status"}),
        ({"bound_holds_for": "all"}, {"rule"}),
        ({"scenario_sha256": "ab" * 32}, {"scenario"}),
        ({"resources": []}, {"resources"}),
    ],
)
def test_a_false_claim_is_found(change, what, claims, parted, folder):
    found = false(audited(parted, claims.model_copy(update=change), folder / "plan.parquet"))
    assert found.keys() <= what
    assert what & found.keys()


def rewritten(folder, tmp_path, change):
    """Return a copy of the rows, of which one column of the third part is changed."""
    with parquet.ParquetFile(folder / "plan.parquet") as file:
        groups = [file.read_row_group(k) for k in range(file.num_row_groups)]
        schema = file.schema_arrow
    key, how = change
    column = groups[2].column_names.index(key)
    groups[2] = groups[2].set_column(column, key, how(groups[2].column(key)).cast(schema.field(key).type))
    path = tmp_path / "rows.parquet"
    with parquet.ParquetWriter(path, schema) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=len(group))
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("share", lambda column: compute.multiply(column, 1.01)), {"feasible", "objective_s"}),
        (("edge_s", lambda column: compute.add(column, 1e-3)), {"rows"}),
        (("total_s", lambda column: compute.multiply(column, 1 + 1e-8)), {"rows"}),
        (("name", lambda column: pa.array(["another"] * PART)), {"rows"}),
        (("model", lambda column: pa.array(["alexnet"] * PART)), {"rows"}),
    ],
)
def test_a_false_row_is_found(change, told, claims, parted, folder, tmp_path):
    found = false(audited(parted, claims, rewritten(folder, tmp_path, change)))
    assert found.keys() >= told


def test_rows_that_no_node_can_have_are_refused(claims, parted, folder, tmp_path):
    for key, how, told in (
        ("split", lambda column: pa.array([99] * PART), "needs a split of 0 … 34, not 99"),
        ("server", lambda column: pa.array(["nowhere"] * PART), 'server "nowhere" in row 1 of a part'),
    ):
        with pytest.raises(InputError, match=re.escape(told)):
            audited(parted, claims, rewritten(folder, tmp_path, (key, how)))


def test_rows_of_another_fleet_are_refused(claims, parted, folder, tmp_path):
    with parquet.ParquetFile(folder / "plan.parquet") as file:
        parquet.write_table(file.read(), tmp_path / "one.parquet")
    with pytest.raises(InputError, match="4,500 rows in 1 groups, and the fleet has 4,500 nodes in 5 parts"):
        audited(parted, claims, tmp_path / "one.parquet")
    with pytest.raises(InputError, match="put it beside the plan"):
        audited(parted, claims, tmp_path / "none.parquet")


def test_a_plan_in_parts_is_no_plan_in_memory(plan, folder):
    with pytest.raises(InputError, match="a plan of a fleet in parts is read by"):
        load_plan(folder / "plan.json")


def test_a_plan_in_memory_may_have_its_rows_in_a_file(whole, tmp_path):
    from dmcjia_opt.solving.solve import solve
    from dmcjia_opt.solving.verifying import verify

    some = replace(whole, nodes=whole.nodes)
    made = solve(some)
    made.save(tmp_path / "plan.json", "rows.parquet")
    found = load_plan(tmp_path / "plan.json")
    assert found.splits == made.splits.tolist()
    assert found.shares == made.shares.tolist()
    assert all(check.true for check in verify(some, found))
