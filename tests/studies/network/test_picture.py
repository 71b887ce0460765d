import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.studies.network.delays import best_split, delay_along_cuts
from dmcjia_opt.studies.network.picture import draw_profile
from tests.studies.network.nodes import on_a_node


@pytest.mark.parametrize(
    ("name", "rate", "suffix", "start"),
    [("alexnet", 0.5, ".png", b"\x89PNG"), ("alexnet", 0.1, ".svg", b"<?xml"), ("alexnet", 1e6, ".svg", b"<?xml")],
)
def test_the_picture_is_the_same_bytes_for_the_same_data(name, rate, suffix, start, tmp_path):
    for k in range(2):
        draw_profile(on_a_node(zoo_profile(name), arrival_rate=rate), tmp_path / f"{k}{suffix}")
    content = (tmp_path / f"0{suffix}").read_bytes()
    assert content.startswith(start)
    assert content == (tmp_path / f"1{suffix}").read_bytes()


def test_the_cut_of_least_delay_is_marked(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("dmcjia_opt.studies.look.pictures.save_as", lambda figure, path: drawn.update(figure=figure))
    scenario = on_a_node(zoo_profile("resnet34"), uplink_mbps=1.0)
    best = best_split(delay_along_cuts(scenario))
    draw_profile(scenario, tmp_path / "p.png")
    work, sent, delay = drawn["figure"].axes
    for axes in (work, sent, delay):
        assert any(np.array_equal(line.get_xdata(), [best] * 2) for line in axes.lines)
    labels = delay.get_legend_handles_labels()[1]
    assert {"edge", "upload", "cloud"} < set(labels)
    assert any(label.endswith(f"at split {best}") for label in labels)
    assert sent.get_legend_handles_labels()[1] == ["one tensor", "several tensors"]
    assert len(delay.get_xticks()) == 35


def test_other_pictures_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_profile(on_a_node(zoo_profile("alexnet")), tmp_path / "p.pdf")
