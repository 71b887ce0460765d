import numpy as np
import pytest

from dmcjia_opt.studies.reproduce.true_delay import DELAY, compared

ITEM, SEEDS = DELAY, 2


@pytest.fixture(scope="module")
def results():
    """Fleets at three loads with fewer tasks."""
    return [compared(factor, seed, 20_000) for factor in (0.5, 1.0, 1.25) for seed in (1, 2)]


def test_the_sum_is_too_high_and_the_tandem_is_not(results):
    assert all(row.md1 >= row.tandem * (1 - 1e-12) for row in results)
    assert np.mean([row.md1 / row.simulated - 1 for row in results if row.factor == 1.25]) > 0.02
    assert all(abs(row.tandem / row.simulated - 1) < 0.02 for row in results)
    assert max(row.changed for row in results) >= 1


def test_the_statements(finding):
    first, *ours = (statement.holds for statement in finding.statements)
    assert not first
    assert ours == [True, True]


def test_a_fleet_without_a_plan_is_left_out(results):
    finding = DELAY.conclude(2, [*results, None])
    assert len(finding.tables["delay"]["seed"]) == len(results)
    assert compared(50.0, 1, 1000) is None


def test_the_page_has_a_row_a_load(finding):
    assert sum(line.startswith(("| 0.5 ", "| 1 ", "| 1.25 ")) for line in finding.text.splitlines()) == 3
