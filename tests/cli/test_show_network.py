import re

import pytest

from dmcjia_opt.cli.show_network import best_cut, show_profile
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.reading import Profiled, read_profile
from dmcjia_opt.model.networks.zoo import zoo_profile
from tests.model.networks.onnx_models import residual_block
from tests.studies.network.nodes import on_a_node


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def shown(names):
    return ", ".join(f"{name} 1x8x8x8 float32" for name in names.split(", ")).split()


def cells(text, layer):
    (line,) = (line for line in text.splitlines() if re.search(rf"^ +\d+ +{layer}\s", line))
    return line.split()


def test_the_table_shows_the_shortcut_inside_a_block(tmp_path, capsys):
    show_profile(read_profile(str(residual_block().save(tmp_path / "net.onnx"))))
    out = capsys.readouterr().out
    assert "net: 4 layers, 0.09224 MMAC, 1,530 parameters" in out
    assert cells(out, "a") == ["2", "a", "0.03686", "59.9", "2.0", "4.0", "2", *shown("entry, middle")]
    assert cells(out, "fc")[-3:] == ["fc", "1x10", "float32"]
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


def test_the_sentence_on_the_best_cut():
    profile = LayerProfile("tiny", 1e6, ("a", "b"), [1e9, 1e9], [1e5, 10.0])
    assert "before the first layer" in best_cut(on_a_node(profile, uplink_mbps=1000.0))
    times = MeasuredTimes({Timed("pi", "tiny"): {"a": 0.1, "b": 0.1}})
    slow = best_cut(on_a_node(profile, uplink_mbps=0.01, device="pi", times=times))
    assert slow.startswith("Least delay on one node (pi, 0.01 Mbit/s, 0.1 tasks/s, cloud 40 GFLOP/s): ")
    assert slow.endswith("split 2, after b.")
    assert "No cut is stable on one node (5 GFLOP/s" in best_cut(on_a_node(profile, arrival_rate=1e6))
