"""What a scenario names lies beneath its folder, wherever links lead, unless it is allowed to lie elsewhere."""

import json

import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.studies.bench.instances import named
from tests.command_line import run
from tests.studies.network.nodes import on_a_node

CLOUD = "[cloud]\ncompute_gflops = 40.0\n"
NODE = '[[nodes]]\nname = "a"\nmodel = "{}"\ncompute_gflops = 5.0\nuplink_mbps = 8.0\narrival_rate = 0.1\n'
TABLE = "name,model,compute_gflops,uplink_mbps,arrival_rate\na,resnet34,5,8,0.1\n"
TIMES = "device,model,layer,seconds\npi,net,one,0.1\n"


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "here" / "beneath").mkdir(parents=True)
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "here" / "beneath", tmp_path / "there"):
        LayerProfile("net", 8.0, ("one",), [1e9], [4.0]).save(folder / "net.json")
        (folder / "n.csv").write_text(TABLE, encoding="utf-8")
        (folder / "times.csv").write_text(TIMES, encoding="utf-8")
    (tmp_path / "here" / "link.json").symlink_to(tmp_path / "there" / "net.json")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "there")
    (tmp_path / "here" / "inner.json").symlink_to(tmp_path / "here" / "beneath" / "net.json")
    (tmp_path / "here" / "ring.json").symlink_to(tmp_path / "here" / "ring.json")
    return tmp_path / "here", tmp_path / "there"


def scenario(folder, text):
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return folder / "s.toml"


@pytest.mark.parametrize("model", ["beneath/net.json", "./beneath/../beneath/net.json", "inner.json"])
def test_what_lies_beneath_is_read(folders, model):
    assert load_scenario(scenario(folders[0], CLOUD + NODE.format(model))).n_nodes == 1


@pytest.mark.parametrize(
    "text",
    [
        CLOUD + NODE.format("../there/net.json"),
        CLOUD + NODE.format("THERE/net.json"),
        CLOUD + NODE.format("link.json"),
        CLOUD + NODE.format("linked/net.json"),
        CLOUD + NODE.format("beneath/../../there/net.json"),
        'nodes_file = "../there/n.csv"\n' + CLOUD,
        'nodes_file = "THERE/n.csv"\n' + CLOUD,
        CLOUD + '[profiles]\ntimes_file = "linked/times.csv"\n' + NODE.format("beneath/net.json") + 'device = "pi"\n',
    ],
)
def test_what_lies_elsewhere_is_read_only_where_allowed(folders, text):
    here, there = folders
    path = scenario(here, text.replace("THERE", str(there)))
    with pytest.raises(InputError, match=r"(model|nodes_file|times_file) = .* is outside the folder .* --outside"):
        load_scenario(path)
    with pytest.raises(InputError, match="is outside the folder"):
        named([str(path)], {})
    assert load_scenario(path, outside=True).n_nodes == 1
    assert named([str(path)], {}, outside=True)[0].n_nodes == 1


def test_a_ring_of_links_is_refused(folders):
    with pytest.raises(InputError, match=r"ring\.json"):
        load_scenario(scenario(folders[0], CLOUD + NODE.format("ring.json")))
    with pytest.raises(InputError, match=r"ring\.json"):
        load_scenario(scenario(folders[0], CLOUD + NODE.format("ring.json")), outside=True)


def test_the_command_line_has_an_option_for_it(folders, monkeypatch, capsys):
    here, _ = folders
    monkeypatch.chdir(here)
    scenario(here, CLOUD + NODE.format("../there/net.json"))
    ended = run(monkeypatch, capsys, "solve", "s.toml", "--out", "plan.json")
    assert ended.code == 2
    assert ended.err == (
        'dmcjia: s.toml: model = "../there/net.json" is outside the folder of the scenario; put the file there, or '
        "allow it with --outside\n"
    )
    assert run(monkeypatch, capsys, "solve", "s.toml", "--outside", "--out", "plan.json").code == 0
    for command in ("verify", "simulate"):
        assert run(monkeypatch, capsys, command, "s.toml", "plan.json").code == 2
        assert run(monkeypatch, capsys, command, "s.toml", "plan.json", "--outside").code == 0


def test_nothing_is_written_outside_the_folder_either(folders):
    here, there = folders
    before = (there / "net.json").read_bytes()
    loaded = load_scenario(scenario(here, CLOUD + NODE.format("../there/net.json")), outside=True)
    with pytest.raises(InputError, match=r'"\.\./there/net\.json" would be written outside the folder'):
        loaded.save(here / "again.toml")
    with pytest.raises(InputError, match=r'"\.\./n\.csv" would be written outside the folder'):
        generate("paper", nodes=3, seed=1).save(here / "again.toml", nodes_file="../n.csv")
    assert not (here / "again.toml").exists()
    assert (there / "net.json").read_bytes() == before


def test_the_name_of_a_profile_is_no_way_out(folders, monkeypatch, capsys):
    here, there = folders
    content = json.loads((there / "net.json").read_text()) | {"name": "../there/stolen"}
    (here / "evil.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.chdir(here)
    ended = run(monkeypatch, capsys, "profile", "evil.json", "--scenario", "one.toml")
    assert ended.code == 2
    assert "would be written outside the folder" in ended.err
    assert not (there / "stolen.json").exists()
    assert on_a_node(LayerProfile("net", 8.0, ("one",), [1e9], [4.0])).n_nodes == 1
