import re

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.studies.network.delays import Device, Profiled, delay_along_cuts, one_node, read_profile
from dmcjia_opt.studies.network.picture import draw_profile, say_best, show_profile
from tests.model.networks.onnx_models import residual_block


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def cells(text, layer):
    (line,) = (line for line in text.splitlines() if re.search(rf"^ +\d+ +{layer}\s", line))
    return line.split()


def test_the_table_shows_the_shortcut_inside_a_block(tmp_path, capsys):
    show_profile(read_profile(str(residual_block().save(tmp_path / "net.onnx"))))
    out = capsys.readouterr().out
    assert "net: 4 layers, 0.09224 MMAC, 1,530 parameters" in out
    assert cells(out, "a") == ["2", "a", "0.03686", "59.9", "2.0", "4.0", "2"]
    assert "Single-tensor cuts: 3 of 4." in out
    assert "all data passes through 5 single tensors" in out
    assert "At 1 of 4 cuts more crosses than the layer's own output" in out


def test_the_table_of_a_zoo_network(capsys):
    show_profile(Profiled(zoo_profile("resnet34")))
    out = capsys.readouterr().out
    assert "resnet34: 34 layers, 3.664 GMAC, 21,797,672 parameters" in out
    assert cells(out, "conv3_1b") == ["9", "conv3_1b", "122", "27.1", "392.0", "1"]
    assert cells(out, "conv3_1a")[-1] == "2"
    assert "Single-tensor cuts: 18 of 34." in out
    assert "own KiB" not in out


def test_what_nobody_counted_is_a_question_mark(capsys):
    show_profile(Profiled(LayerProfile("[bold]odd[/bold]", 8.0, ("a",), [0.0], [4.0])))
    out = capsys.readouterr().out
    assert "[bold]odd[/bold]" in out
    assert cells(out, "a") == ["1", "a", "0", "0.0", "0.0039", "?"]
    assert "Single-tensor" not in out


@pytest.mark.parametrize(
    ("name", "rate", "suffix", "start"),
    [("resnet34", 0.5, ".png", b"\x89PNG"), ("alexnet", 0.1, ".svg", b"<?xml"), ("alexnet", 1e6, ".svg", b"<?xml")],
)
def test_the_picture_is_the_same_bytes_for_the_same_data(name, rate, suffix, start, tmp_path):
    profile, device = zoo_profile(name), Device(arrival_rate=rate)
    delays = delay_along_cuts(one_node(profile, device))
    for k in range(2):
        draw_profile(profile, delays, device, tmp_path / f"{k}{suffix}")
    content = (tmp_path / f"0{suffix}").read_bytes()
    assert content.startswith(start)
    assert content == (tmp_path / f"1{suffix}").read_bytes()


def test_the_cut_of_least_delay_is_marked(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("dmcjia_opt.studies.look.pictures.save_as", lambda figure, path: drawn.update(figure=figure))
    profile, device = zoo_profile("resnet34"), Device(uplink_mbps=1.0)
    delays = delay_along_cuts(one_node(profile, device))
    draw_profile(profile, delays, device, tmp_path / "p.png")
    work, sent, delay = drawn["figure"].axes
    for axes in (work, sent, delay):
        assert any(np.array_equal(line.get_xdata(), [delays.best] * 2) for line in axes.lines)
    labels = delay.get_legend_handles_labels()[1]
    assert {"edge", "upload", "cloud"} < set(labels)
    assert any(label.endswith(f"at split {delays.best}") for label in labels)
    assert sent.get_legend_handles_labels()[1] == ["one tensor", "several tensors"]
    assert len(delay.get_xticks()) == 35


def test_the_sentence_on_the_best_cut():
    profile = LayerProfile("tiny", 1e6, ("a", "b"), [1e9, 1e9], [1e5, 10.0])
    fast = delay_along_cuts(one_node(profile, Device(uplink_mbps=1000.0)))
    assert "before the first layer" in say_best(profile, fast, Device(uplink_mbps=1000.0))
    slow = delay_along_cuts(one_node(profile, Device(uplink_mbps=0.01)))
    assert say_best(profile, slow, Device(name="pi", uplink_mbps=0.01)).endswith("split 2, after b.")
    never = delay_along_cuts(one_node(profile, Device(arrival_rate=1e6)))
    assert "No cut is stable" in say_best(profile, never, Device())


def test_other_pictures_are_refused(tmp_path):
    profile = zoo_profile("alexnet")
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_profile(profile, delay_along_cuts(one_node(profile, Device())), Device(), tmp_path / "p.pdf")
