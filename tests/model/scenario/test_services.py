import numpy as np
import pytest

from dmcjia_opt.model.scenario import services as stages
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.services import stage_times

MIXED = generate("mixed", nodes=30, seed=2)


def by_hand(scenario, d, split):
    """Service times, s, of one node straight from its row and its profile."""
    nodes = scenario.nodes
    profile = scenario.profiles[nodes.network_of(d)]
    flops = scenario.options.flops_per_mac
    before, total = flops * profile.macs[:split].sum(), flops * profile.macs.sum()
    sent = profile.output_bytes[split - 1] if split else profile.input_bytes
    return (
        before / (nodes.compute_gflops[d] * 1e9),
        8 * sent / (nodes.uplink_mbps[d] * 1e6),
        (total - before) / (scenario.cloud_gflops * 1e9),
    )


@pytest.mark.parametrize("entries", [7 * 35, 1 << 19])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_service_times_at_splits(monkeypatch, entries, where):
    monkeypatch.setattr(stages, "BLOCK_ENTRIES", entries)
    last = MIXED.menus.last()
    splits = {"first": 0 * last, "middle": last // 2, "last": last}[where]
    found = stage_times(MIXED).at(splits)
    assert not found.constant.any()
    for d, split in enumerate(splits):
        expected = by_hand(MIXED, d, split)
        assert (found.edge[d], found.upload[d], found.used[d, 0]) == pytest.approx(expected, rel=1e-12)


def test_a_nodes_own_input_is_what_it_sends_at_split_0():
    scenario = generate("paper", nodes=20, seed=1, tasks="table4")
    found = stage_times(scenario).at(np.zeros(20, dtype=np.int64))
    assert found.upload == pytest.approx(8 * scenario.nodes.input_bytes / (scenario.nodes.uplink_mbps * 1e6))
    assert len(set(scenario.nodes.input_bytes)) == 3
    assert not found.edge.any()


def test_the_compiled_tables_are_these_times_and_the_waits():
    problem, times = compile_problem(MIXED), stage_times(MIXED)
    splits = MIXED.menus.last() // 2
    found, delays = times.at(splits), problem.breakdown(splits, np.full(30, 1 / 30))
    stable = np.isfinite(delays.edge)
    load = problem.arrival_rate * found.edge
    assert stable.any()
    assert (delays.edge / found.edge)[stable] == pytest.approx((1 + load / (2 * (1 - load)))[stable])
    assert delays.upload == pytest.approx(found.upload)
    assert (problem.at(problem.service, splits) == found.used).all()


def test_more_of_a_resource_shortens_what_is_done_there_and_nothing_else():
    times = stage_times(MIXED)
    splits = MIXED.menus.last() // 2
    more, found = times.with_more(0, 1.25).at(splits), times.at(splits)
    np.testing.assert_allclose(more.used, found.used / 1.25, rtol=1e-15)
    np.testing.assert_array_equal(more.edge, found.edge)
