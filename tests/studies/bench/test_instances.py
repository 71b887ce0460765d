import pytest

from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.studies.bench.instances import OWN, family_and_nodes, generated, instance, is_name, named


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("paper-n20-s3", {"nodes": 20, "seed": 3}),
        ("paper-table4-n5-s0", {"nodes": 5, "tasks": "table4"}),
        ("near-epsilon0.01-cloud20-n40-s1", {"nodes": 40, "seed": 1, "epsilon": 0.01, "cloud_gflops": 20.0}),
        ("near-epsilon1e-05-n4-s1", {"nodes": 4, "seed": 1, "epsilon": 1e-5}),
        ("mixed-n7-s2", {"nodes": 7, "seed": 2}),
        ("links-links5-n30-s1", {"nodes": 30, "seed": 1, "links": 5}),
        ("servers-cloud9-servers2-n6-s1", {"nodes": 6, "seed": 1, "cloud_gflops": 9.0, "servers": 2}),
        ("tiers-n6-s1", {"nodes": 6, "seed": 1}),
        ("hosts-n6-s1", {"nodes": 6, "seed": 1}),
        ("hard-epsilon0.0001-cloud4-n4-s1", {"nodes": 4, "seed": 1, "epsilon": 1e-4, "cloud_gflops": 4.0}),
        ("hard-knapsack-n6-s1", {"nodes": 6, "seed": 1, "kind": "knapsack"}),
        ("hard-cells-links3-n6-s1", {"nodes": 6, "seed": 1, "kind": "cells", "links": 3}),
        ("measured-servers2-n6-s1", {"nodes": 6, "seed": 1, "servers": 2}),
    ],
)
def test_a_name_is_what_generate_calls_its_scenario(name, arguments):
    scenario = generate(name.partition("-")[0], **arguments)
    assert scenario.name == name
    assert is_name(name)
    assert generated(name).sha256() == scenario.sha256()
    assert family_and_nodes(name) == (name.partition("-")[0], arguments["nodes"])


def test_options_after_a_plus_sign():
    plain, changed = generated("scarce-n5-s1"), generated("scarce-n5-s1+mm1+cloud-faster+tasks")
    assert changed.name == "scarce-n5-s1+mm1+cloud-faster+tasks"
    options = changed.options
    assert (options.delay, options.ordering, options.average) == ("mm1", "cloud-faster", "tasks")
    assert options.flops_per_mac == plain.options.flops_per_mac
    assert changed.sha256() != plain.sha256()


def test_promises_after_a_plus_sign():
    changed = generated("mixed-n5-s1+tandem+p99.9+worst+deadline1500")
    assert (changed.options.statistic, changed.options.objective) == ("p99.9", "worst")
    assert changed.nodes.deadline_ms.tolist() == [1500.0] * 5
    assert not generated("mixed-n5-s1").nodes.has("deadline_ms")
    assert family_and_nodes(changed.name) == ("worst", 5)


def test_periodic_tasks_and_pooled_servers_after_a_plus_sign():
    changed = generated("servers-n5-s1+ps+periodic")
    assert changed.cloud_sharing == "ps"
    assert {server.sharing for server in changed.servers} == {"ps"}
    assert changed.nodes.arrivals.tolist() == [0.0] * 5
    assert generated("servers-n5-s1").cloud_sharing == "reserved"
    assert len({generated(f"servers-n5-s1{more}").sha256() for more in ("", "+ps", "+fifo", "+periodic")}) == 4


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("paper-n5-s1", "paper"),
        ("paper-n5-s1+mm1", "paper"),
        ("paper-n5-s1+tandem+p95", "p95"),
        ("paper-n5-s1+tandem+p95+deadline600", "deadline"),
        ("paper-n5-s1+deadline600+worst", "worst"),
        ("servers-n5-s1+fifo+periodic", "pooled"),
        ("measured-n5-s1+tandem+periodic", "periodic"),
    ],
)
def test_what_is_asked_of_a_fleet_is_a_family(name, family):
    assert family_and_nodes(name) == (family, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("paper-n020-s1", 'write the instance "paper-n020-s1" as "paper-n20-s1"'),
        ("paper-epsilon0.1-n3-s1", "option epsilon does not apply"),
        ("paper-n3-s1+fast", r'no option "\+fast"; choose one of \+md1.* or a deadline such as \+deadline800'),
        ("paper-n3-s1+p95", 'statistic = "p95" needs delay = "tandem"'),
        ("paper-n3-s1+deadline0", r'no option "\+deadline0"'),
        ("nonsense-n3-s1", "is not the name of an instance.*paper"),
        ("paper", "is not the name of an instance"),
        ("paper-n99999999-s1", "more than 10,000,000 nodes"),
        ("paper-n0-s1", "nodes must be at least 1"),
    ],
)
def test_names_that_are_none(name, message):
    with pytest.raises(InputError, match=message):
        generated(name)


def test_a_hash_that_does_not_fit_is_refused():
    wrong = instance("paper-n3-s1", {"paper-n3-s1": "0" * 64})
    with pytest.raises(InputError, match="not the one the library's hash was taken of"):
        wrong.load()


def test_scenarios_of_ones_own(tmp_path):
    for seed in (1, 2):
        generate("paper", nodes=3, seed=seed).save(tmp_path / f"site{seed}.toml")
    found = named([str(tmp_path), "paper-n5-s1"], {})
    assert [(each.name, each.family, each.n_nodes) for each in found] == [
        ("site1", OWN, 3),
        ("site2", OWN, 3),
        ("paper-n5-s1", "paper", 5),
    ]
    assert found[0].sha256 == generated("paper-n3-s1").sha256()
    assert found[0].load().name == "paper-n3-s1"


def test_an_instance_that_equals_another_is_left_out_with_a_word(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        generate("paper", nodes=3, seed=seed).save(tmp_path / f"{name}.toml")
    with pytest.warns(Doubt) as said:
        found = named([str(tmp_path), "paper-n3-s2"], {})
    assert [each.name for each in found] == ["a", "b"]
    assert [str(one.message) for one in said] == [
        'the instance "c" equals "a" and is left out',
        'the instance "paper-n3-s2" equals "b" and is left out',
    ]


def test_what_is_no_instance(tmp_path):
    with pytest.raises(InputError, match="no scenario"):
        named([str(tmp_path)], {})
    with pytest.raises(InputError, match="neither a scenario file, nor a folder"):
        named(["my-fleet"], {})
    with pytest.raises(InputError, match="cannot read the scenario"):
        named([str(tmp_path / "absent.toml")], {})
    (tmp_path / "a.toml").write_text("cloud = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.toml: .*cloud"):
        named([str(tmp_path)], {})
    with pytest.raises(InputError, match='two instances are called "paper-n3-s1"'):
        named(["paper-n3-s1", "paper-n3-s1"], {})
