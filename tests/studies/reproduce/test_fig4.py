import numpy as np
import pytest

from dmcjia_opt.studies.reproduce.fig4 import FIG4

ITEM, SEEDS = FIG4, 10


def test_the_spread_is_that_of_float32_activations_at_one_mebibyte_a_second(finding):
    delay = finding.tables["fig4"]["upload_ms_at_1_mib_per_s"]
    assert len(delay) == 34
    assert delay[0] == pytest.approx(1000 * 3136 / 1024)
    assert delay[32] == pytest.approx(1000 * 98 / 1024)
    assert delay[0] - delay[32] == pytest.approx(2967, abs=0.5)
    assert "**2967 ms** beside the paper's 2945 ms, 0.74 % more" in " ".join(finding.text.split())
    assert "24.9 s" in finding.text


def test_work_sums_to_the_networks(finding):
    assert np.sum(finding.tables["fig4"]["macs"]) == pytest.approx(3.66e9, rel=2e-3)


def test_the_papers_three_statements_hold(finding):
    assert [statement.holds for statement in finding.statements] == [True, True, True]
    assert "27 of 34 layers" in finding.statements[0].evidence
