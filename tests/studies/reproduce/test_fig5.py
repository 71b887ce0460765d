import numpy as np
import pytest

from dmcjia_opt.studies.reproduce.fig5 import FIG5, NODES, converge
from dmcjia_opt.studies.reproduce.paper import GENERATIONS

#: A figure of the paper takes its time; one row of each is made by `test_run`.
pytestmark = pytest.mark.slow

ITEM, SEEDS = FIG5, 10


@pytest.fixture(scope="module")
def runs(finding):
    table = finding.tables["fig5"]
    shape = (len(NODES), SEEDS, GENERATIONS)
    return np.reshape(table["mean_delay_s"], shape), np.reshape(table["optimum_s"], shape)


def test_rows_are_in_order(finding):
    table = finding.tables["fig5"]
    rows = list(zip(table["nodes"], table["seed"], table["iteration"], strict=True))
    assert rows == [(n, s, i) for n in NODES for s in range(SEEDS) for i in range(1, GENERATIONS + 1)]


def test_the_same_seed_is_the_same_run(results):
    curve, optimum = converge(NODES[1], 2)
    np.testing.assert_array_equal(curve, results[SEEDS + 2][0])
    assert optimum == results[SEEDS + 2][1]


def test_delay_never_rises_and_never_falls_below_the_optimum(runs):
    delay, optimum = runs
    assert (np.diff(delay, axis=-1) <= 0).all()
    assert (delay >= optimum * (1 - 1e-9)).all()


def test_delay_grows_with_the_number_of_nodes(finding, runs):
    delay, optimum = runs
    assert (np.diff(np.median(delay[..., -1], axis=1)) > 0).all()
    assert (np.diff(np.median(optimum[..., -1], axis=1)) > 0).all()
    assert finding.statements[2].holds


def test_fewer_nodes_converge_faster(finding, runs):
    delay, optimum = runs
    way = np.median((delay[..., 0] - delay[..., 15]) / (delay[..., 0] - optimum[..., 0]), axis=1)
    assert (np.diff(way) < 0).all()
    assert finding.statements[1].holds


def test_it_does_not_converge_to_the_optimum(finding, runs):
    delay, optimum = runs
    excess = np.median(delay[..., -1] / optimum[..., -1] - 1, axis=1)
    assert excess[-1] > 0.05
    assert excess[-1] > excess[0] > 0.005
    assert not finding.statements[0].holds


def test_the_page_shows_the_medians(finding, runs):
    assert f"| 20 | {np.median(runs[0][-1, :, 0]):.3f} | {np.median(runs[0][-1, :, -1]):.3f} |" in finding.text
