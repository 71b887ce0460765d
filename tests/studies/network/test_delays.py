import numpy as np
import pytest

from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.reading import read_profile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.network.delays import best_split, delay_along_cuts
from tests.model.networks.onnx_models import two_branches
from tests.studies.network.nodes import on_a_node

TINY = LayerProfile("tiny", 1e6, ("a", "b"), [1e9, 1e9], [1e5, 10.0])


@pytest.mark.parametrize("given", [{}, {"uplink_mbps": 0.5}, {"compute_gflops": 50.0, "uplink_mbps": 0.1}])
def test_the_best_cut_is_the_proved_optimum(given):
    scenario = on_a_node(zoo_profile("alexnet"), **given)
    delays, plan = delay_along_cuts(scenario), solve(scenario)
    assert best_split(delays) == plan.splits[0]
    assert delays.total[plan.splits[0]] == pytest.approx(plan.objective, rel=1e-9)
    assert scenario.nodes.networks == ("alexnet",)


def test_a_cheap_branch_before_a_heavy_one_saves_most_of_the_delay(tmp_path):
    """In one order by levels the large input is sent raw, or the heavy branch is done first."""
    path = two_branches().save(tmp_path / "net.onnx")
    plans = {
        cuts: solve(on_a_node(LayerProfile.from_onnx(path, cuts=cuts), cloud_gflops=400.0))
        for cuts in ("layers", "all", "blocks", "graph")
    }
    found = {cuts: plan.objective for cuts, plan in plans.items()}
    assert found["layers"] == pytest.approx(1.30976, rel=1e-5)
    assert found["graph"] == pytest.approx(0.0831183, rel=1e-5)
    assert found["graph"] < min(found["layers"], found["all"], found["blocks"]) / 10
    assert plans["graph"].choices.cut_tensors_of(0) == [["small", "cheap.pool"]]


def test_measured_times_drive_the_delay():
    times = MeasuredTimes({Timed("pi", "tiny"): {"a": 0.001, "b": 10.0}})
    delays = delay_along_cuts(on_a_node(TINY, device="pi", arrival_rate=0.05, times=times))
    service = np.array([0.0, 0.001, 10.001])
    np.testing.assert_allclose(delays.edge, service + 0.05 * service**2 / (2 * (1 - 0.05 * service)))
    assert best_split(delays) == 1


def test_where_nothing_is_stable_there_is_no_best_cut():
    delays = delay_along_cuts(on_a_node(TINY, arrival_rate=1e6))
    assert best_split(delays) is None
    assert np.isinf(delays.total).all()


def test_a_changed_profile_of_the_zoos_name_is_not_taken_for_the_zoos(tmp_path):
    small = read_profile("resnet34", upload_dtype="uint8").profile
    on_a_node(small).save(tmp_path / "one.toml")
    loaded = load_scenario(tmp_path / "one.toml")
    assert loaded.nodes.networks == ("resnet34.json",)
    assert loaded.profiles["resnet34.json"].to_dict() == small.to_dict()
