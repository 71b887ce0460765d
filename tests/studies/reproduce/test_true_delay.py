import numpy as np
import pytest

from dmcjia_opt.studies.reproduce.true_delay import DELAY, compared
from tests.studies.reproduce.looks import flaws


@pytest.fixture(scope="module")
def rows():
    return [compared(factor, seed, 20_000) for factor in (0.5, 1.0, 1.25) for seed in (1, 2)]


@pytest.fixture(scope="module")
def finding(rows):
    return DELAY.conclude(2, rows)


def test_the_sum_is_too_high_and_the_tandem_is_not(rows):
    assert all(row.md1 >= row.tandem * (1 - 1e-12) for row in rows)
    assert np.mean([row.md1 / row.simulated - 1 for row in rows if row.factor == 1.25]) > 0.02
    assert all(abs(row.tandem / row.simulated - 1) < 0.02 for row in rows)
    assert max(row.changed for row in rows) >= 1


def test_the_statements(finding):
    first, *ours = (statement.holds for statement in finding.statements)
    assert not first
    assert ours == [True, True]


def test_a_fleet_without_a_plan_is_left_out(rows):
    finding = DELAY.conclude(2, [*rows, None])
    assert len(finding.tables["delay"]["seed"]) == len(rows)
    assert compared(50.0, 1, 1000) is None


def test_the_page_has_a_row_a_load(finding):
    assert sum(line.startswith(("| 0.5 ", "| 1 ", "| 1.25 ")) for line in finding.text.splitlines()) == 3


def test_the_figure_looks_right(finding):
    assert flaws(finding.figure) == []
