import numpy as np
import pytest

from dmcjia_opt.studies.reproduce.fig6 import BANDWIDTHS, CLOUDS, FIG6, METHODS, RULES

#: A figure of the paper takes its time; one row of each is made by `test_run`.
pytestmark = pytest.mark.slow

ITEM, SEEDS = FIG6, 2


@pytest.fixture(scope="module")
def delays(finding):
    """Mean delays (clouds, bandwidths) by method, DMCJIA's (clouds, bandwidths, seeds)."""
    table = {key: np.array(values, dtype=object) for key, values in finding.tables["fig6"].items()}
    grid = (len(CLOUDS), len(BANDWIDTHS), -1)
    of = {m: table["mean_delay_s"][table["method"] == m].astype(float).reshape(grid) for m in METHODS}
    return {m: values if m == "dmcjia" else values[..., 0] for m, values in of.items()}


def test_every_point_is_there_once(finding):
    table = finding.tables["fig6"]
    keys = list(zip(*(table[k] for k in ("cloud_gflops", "bandwidth_mib_per_s", "method", "seed")), strict=True))
    assert len(keys) == len(set(keys)) == len(CLOUDS) * len(BANDWIDTHS) * (len(RULES) + 1 + SEEDS)


def test_nothing_beats_the_optimum(finding, delays):
    for method in RULES:
        assert (delays[method] >= delays["exact"] * (1 - 1e-9)).all()
    assert (delays["dmcjia"] >= delays["exact"][..., None] * (1 - 1e-9)).all()
    assert finding.statements[-1].holds


def test_the_known_corner(delays):
    assert delays["exact"][0, 0] == pytest.approx(0.874, abs=5e-4)
    assert delays["cloud-only"][0, 0] == pytest.approx(1.245, abs=5e-4)


def test_cloud_only_is_the_most_affected_by_bandwidth(finding, delays):
    fall = {m: np.ptp(delays[m][0] if m != "dmcjia" else np.median(delays[m][0], axis=-1)) for m in METHODS}
    assert max(fall, key=fall.get) == "cloud-only"
    assert finding.statements[0].holds


def test_greedy_falls_but_little(finding, delays):
    greedy = delays["greedy"][0]
    assert (np.diff(greedy) < 0).all()
    assert np.ptp(greedy) < 0.2 * greedy.max()
    assert finding.statements[1].holds


def test_neurosurgeon_is_not_close_to_dmcjia_but_better(finding, delays):
    # documented as not holding: with equal nodes and so large a cloud the rule is optimal
    np.testing.assert_allclose(delays["neurosurgeon"][0], delays["exact"][0], rtol=1e-9)
    assert (np.median(delays["dmcjia"][0], axis=-1) / delays["neurosurgeon"][0] - 1).max() > 0.1
    assert not finding.statements[2].holds
    assert "neurosurgeon is the better one at 10 of 10" in finding.statements[2].evidence


def test_delay_does_not_fall_linearly(finding, delays):
    step = np.diff(np.median(delays["dmcjia"][0], axis=-1))
    assert step[0] < 2 * step[-1]
    assert not finding.statements[3].holds


def test_dmcjia_is_not_the_best_of_the_methods_unless_the_cloud_is_scarce(finding, delays):
    rules = np.minimum.reduce([delays[rule] for rule in RULES])
    own = np.median(delays["dmcjia"], axis=-1)
    assert (own[0] > rules[0]).any()
    assert (own[1] < rules[1]).all()
    assert not finding.statements[4].holds


def test_a_scarce_cloud_leaves_cloud_only_without_a_plan_and_the_page_says_so(finding, delays):
    assert np.isinf(delays["cloud-only"][1]).all()
    assert "no feasible plan at 10 of 10" in finding.text
    assert "cloud-only: no feasible plan\nat any bandwidth" in [
        text.get_text() for text in finding.figure.axes[1].texts
    ]
    drawn = {line.get_label(): line.get_ydata() for line in finding.figure.axes[1].lines}
    assert np.isnan(drawn["cloud-only"]).all()
    assert np.isfinite(drawn["proved optimum"]).all()


def test_a_gap_in_a_line_is_a_gap(results):
    some = [values.copy() for values in results]
    some[len(BANDWIDTHS) - 1][0] = np.inf  # cloud-only at 5 MiB/s, 400 GFLOPS
    finding = FIG6.conclude(SEEDS, some)
    drawn = {line.get_label(): line.get_ydata() for line in finding.figure.axes[0].lines}
    assert np.isnan(drawn["cloud-only"]).tolist() == [False] * 9 + [True]
    assert [text.get_text() for text in finding.figure.axes[0].texts] == ["cloud-only: no feasible plan\nat its gap"]
    assert "| none |" in finding.text
