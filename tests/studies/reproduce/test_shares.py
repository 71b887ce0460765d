import numpy as np
import pytest

from dmcjia_opt.studies.reproduce.shares import SHARES

ITEM, SEEDS = SHARES, 1


@pytest.fixture(scope="module")
def table(finding):
    return {key: np.array(values) for key, values in finding.tables["shares"].items()}


@pytest.mark.parametrize("method", ["dmcjia", "exact"])
def test_shares_are_a_plan(table, method):
    share, least = table[f"share_{method}"], table[f"least_share_{method}"]
    assert share.sum() == pytest.approx(1.0, abs=1e-9)
    assert (share[least > 0] > least[least > 0]).all()
    assert (table[f"split_{method}"][share == 0] == 34).all()


def test_nodes_are_ordered_by_load(table):
    assert (np.diff(table["arrival_rate"] / table["compute_gflops"]) <= 0).all()


def test_nodes_differ_and_so_do_their_shares(table):
    assert len(set(table["split_exact"])) >= 4
    assert 0 < (table["share_exact"] > 0).sum() < 10


def test_the_statements_hold(finding):
    assert [statement.holds for statement in finding.statements] == [True, True]


def test_the_page_has_a_row_a_node(finding):
    assert sum(line.startswith("| node-") for line in finding.text.splitlines()) == 10
