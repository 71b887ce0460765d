"""Values that are probably in another unit than their key says."""

import warnings

import numpy as np
import pytest

from dmcjia_opt.base.errors import Doubt
from dmcjia_opt.base.quantities import PLAUSIBLE, doubt
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.scenario.families import FAMILIES, generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.nodes import QUANTITIES

NODE = '[[nodes]]\nname = "gate"\nmodel = "resnet34"\ncompute_gflops = {}\nuplink_mbps = {}\narrival_rate = 1\n'


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("uplink_mbps", 25e6, r'uplink_mbps of "gate" is 25,000,000 Mbit/s, .* did you mean Mbit/s, not bit/s\?'),
        ("compute_gflops", 5e9, r'compute_gflops of "gate" is 5,000,000,000 GFLOP/s, .* not FLOP/s\?'),
        ("compute_gflops", 1e-9, r"1e-09 GFLOP/s, less than 0\.0001; did you mean GFLOP/s, not TFLOP/s\?"),
    ],
)
def test_units_are_doubted_when_a_scenario_is_read(key, value, words, tmp_path):
    values = {"compute_gflops": 5, "uplink_mbps": 25} | {key: value}
    text = "[cloud]\ncompute_gflops = 80\n" + NODE.format(values["compute_gflops"], values["uplink_mbps"])
    (tmp_path / "s.toml").write_text(text)
    with pytest.warns(Doubt, match=r"s\.toml: .*" + words):
        load_scenario(tmp_path / "s.toml")


def test_a_cloud_in_flop_a_second_is_doubted(tmp_path):
    (tmp_path / "s.toml").write_text("[cloud]\ncompute_gflops = 8e10\n" + NODE.format(5, 25))
    with pytest.warns(Doubt, match=r"cloud\.compute_gflops is 80,000,000,000 GFLOP/s, .* not FLOP/s\?"):
        load_scenario(tmp_path / "s.toml")


def test_times_in_milliseconds_are_doubted(tmp_path):
    (tmp_path / "t.csv").write_text("device,model,layer,seconds\npi,net,a,125\npi,net,b,0\n")
    with pytest.warns(Doubt, match=r'seconds of "net, a" is 125 s, more than 100; did you mean s, not ms\?'):
        load_times(tmp_path / "t.csv")


def test_many_are_doubted_in_one_sentence():
    with pytest.warns(Doubt, match=r'"a" is 25,000,000 .* \(and 1 more like it\)') as said:
        doubt("uplink_mbps", np.array([25e6, 8.0, 3e6]), "f", ["a", "b", "c"])
    assert len(said) == 1


def test_what_people_have_is_not_doubted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for family in FAMILIES:
            scenario = generate(family, nodes=50, seed=1)
            for key in QUANTITIES:
                doubt(key, getattr(scenario.nodes, key), "f", scenario.nodes.names)
            doubt("cloud.compute_gflops", scenario.cloud_gflops, "f")
        for key, plausible in PLAUSIBLE.items():
            doubt(key, np.array([0.0, np.nan, plausible.least, plausible.most]), "f")
