import json

import pytest

from dmcjia_opt.cli.progress import SearchProgress
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop, TracePoint
from dmcjia_opt.solving.registry import METHODS
from tests.cli.scenarios import CLOUD, OPTIONS, node
from tests.command_line import fails


def test_solve_verify_round_trip(dmcjia, tmp_path):
    solved = dmcjia("solve", "s.toml", "--out", "plan.json")
    assert solved.code == 0
    assert solved.err == ""
    assert "optimal" in solved.out
    assert "Plan written to plan.json; check it with: dmcjia verify s.toml plan.json" in solved.out
    assert json.loads((tmp_path / "plan.json").read_text())["status"] == "optimal"
    verified = dmcjia("verify", "s.toml", "plan.json")
    assert verified.code == 0
    assert "Every claim holds." in verified.out


@pytest.mark.parametrize("spec", METHODS.values(), ids=lambda spec: f"{spec.kind}-{spec.name}")
def test_every_method_by_name(dmcjia, tmp_path, spec):
    dmcjia("solve", "s.toml", f"--{spec.kind}", spec.name, "--evaluations", 40, "--out", "plan.json")
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content[spec.kind] == spec.name
    assert content["evaluations"] <= 40
    assert dmcjia("verify", "s.toml", "plan.json").code == 0


def test_the_papers_algorithm_and_its_seed(dmcjia, tmp_path):
    generate("paper", nodes=6, seed=1).save(tmp_path / "paper.toml")
    plans = []
    for seed in (1, 1, 2):
        ended = dmcjia(
            *("solve", "paper.toml", "--placer", "dmcjia", "--allocator", "alm"),
            *("--evaluations", 60, "--seed", seed, "--out", "p.json"),
        )
        assert ended.code == 0
        assert f"dmcjia + alm, seed {seed}" in ended.out
        plans.append(json.loads((tmp_path / "p.json").read_text())["splits"])
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize("variant", ["cvxpy:SCS", "cvxpy:clarabel"])
def test_variants(dmcjia, variant):
    ended = dmcjia("solve", "s.toml", "--allocator", variant)
    assert ended.code == 0
    assert variant in ended.out


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("[cloud\n", ["not valid TOML", "line 1"]),
        ("", ["[[nodes]] or by nodes_file"]),
        (node(), ['"cloud" is missing']),
        (CLOUD, ["[[nodes]] or by nodes_file"]),
        (f"nodes = []\n{CLOUD}", ["at least one node"]),
        (CLOUD.replace("400.0", "-1.0") + node(), ['"cloud.compute_gflops"', "greater than 0", "-1.0"]),
        (CLOUD.replace("400.0", "0.0") + node(), ['"cloud.compute_gflops"', "greater than 0"]),
        (CLOUD.replace("400.0", "nan") + node(), ['"cloud.compute_gflops"', "finite"]),
        (CLOUD.replace("400.0", "inf") + node(), ['"cloud.compute_gflops"', "finite"]),
        (CLOUD.replace("400.0", '"fast"') + node(), ['"cloud.compute_gflops"', "number", "'fast'"]),
        (CLOUD.replace("compute", "computer") + node(), ["compute"]),
        (CLOUD + node(more="colour = 3\n"), ['unknown key "nodes[0].colour"', "remove it"]),
        (CLOUD + "[option]\n" + node(), ['unknown key "option"']),
        (CLOUD + node(rate=-1.0), ['"nodes[0].arrival_rate"', "greater than 0"]),
        (CLOUD + node() + node("b", rate="nan"), ['"nodes[1].arrival_rate"', "finite"]),
        (CLOUD + node(uplink="inf"), ['"nodes[0].uplink_mbps"', "finite"]),
        (CLOUD + node(compute=0), ['"nodes[0].compute_gflops"', "greater than 0"]),
        (CLOUD + node(more="input_bytes = -5\n"), ['"nodes[0].input_bytes"']),
        (CLOUD + node() + node(), ['the name "camera" is used twice']),
        (CLOUD + node(model="resnet35"), ['unknown model "resnet35"', "resnet34"]),
        (CLOUD + node(model="lost.json"), ["lost.json", "cannot read"]),
        (CLOUD + '[options]\ndelay = "md2"\n' + node(), ['"options.delay"', "md1"]),
        (CLOUD + "[options]\nflops_per_mac = 0\n" + node(), ['"options.flops_per_mac"']),
        (CLOUD.replace("[", 'nodes_file = "n.csv"\n[', 1) + node(), ["one of the two"]),
        (CLOUD.replace("[", 'nodes_file = "n.csv"\n[', 1), ["n.csv", "No such file"]),
        (CLOUD.replace("[", 'nodes_file = "n.xls"\n[', 1), ["n.xls", ".csv or .parquet"]),
    ],
)
def test_malformed_scenarios_are_refused_in_a_sentence(dmcjia, tmp_path, content, parts):
    (tmp_path / "bad.toml").write_text(content, encoding="utf-8")
    fails(dmcjia("solve", "bad.toml"), 2, "bad.toml: ", *parts)
    (tmp_path / "plan.json").write_text("{}")
    fails(dmcjia("verify", "bad.toml", "plan.json"), 2, "bad.toml: ", *parts)


def test_what_cannot_be_read(dmcjia, tmp_path):
    fails(dmcjia("solve", "none.toml"), 2, "none.toml: cannot read the scenario (No such file or directory)")
    fails(dmcjia("solve", tmp_path), 2, "cannot read the scenario (Is a directory)")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"\n')
    fails(dmcjia("solve", "latin.toml"), 2, "latin.toml: not TOML in UTF-8")
    fails(dmcjia("verify", "s.toml", "none.json"), 2, "none.json: cannot read the plan")
    fails(dmcjia("verify", "s.toml", "s.toml"), 2, "s.toml: invalid JSON")


@pytest.mark.parametrize("placer", ["exact", "genetic", "dmcjia", "exhaustive"])
def test_arrivals_that_nothing_can_serve(dmcjia, tmp_path, placer):
    (tmp_path / "hot.toml").write_text(CLOUD + OPTIONS + node(rate=1000.0))
    fails(dmcjia("solve", "hot.toml", "--placer", placer), 3, "no plan exists", "lower arrival_rate")


@pytest.mark.parametrize(
    ("placer", "budget"), [("exact", ()), ("genetic", ("--evaluations", 500)), ("dmcjia", ()), ("exhaustive", ())]
)
def test_an_overloaded_cloud_leaves_the_edge(dmcjia, tmp_path, placer, budget):
    tiny = CLOUD.replace("400.0", "0.001") + OPTIONS
    (tmp_path / "edge.toml").write_text(tiny + node("a") + node("b", compute=7.0))
    ended = dmcjia("solve", "edge.toml", "--placer", placer, *budget, "--out", "p.json")
    assert ended.code == 0
    content = json.loads((tmp_path / "p.json").read_text())
    assert content["splits"] == [34, 34]
    assert content["shares"] == [0.0, 0.0]
    assert dmcjia("verify", "edge.toml", "p.json").code == 0


def test_one_node(dmcjia, tmp_path):
    (tmp_path / "one.toml").write_text(CLOUD + OPTIONS + node())
    for placer in ("exact", "genetic", "dmcjia", "exhaustive", "pymoo:PSO"):
        ended = dmcjia("solve", "one.toml", "--placer", placer, "--gap", 1e-9)
        assert ended.code == 0
        assert "camera" in ended.out


@pytest.mark.parametrize(
    "line",
    [
        node(compute=1e30),
        node(compute=1e-30),
        node(uplink=1e30),
        node(uplink=1e-30),
        node(rate=1e-30),
        node(rate=1e30),
        node(more="input_bytes = 1e30\n"),
    ],
)
def test_absurd_but_legal_numbers_end_without_a_traceback(dmcjia, tmp_path, line):
    (tmp_path / "odd.toml").write_text(CLOUD + OPTIONS + line)
    assert dmcjia("solve", "odd.toml", "--evaluations", 50).code in (0, 2, 3)


def test_a_network_without_work_or_data(dmcjia, tmp_path):
    layers = [{"name": "l", "macs": 0.0, "output_bytes": 0.0}] * 2
    (tmp_path / "nil.json").write_text(json.dumps({"name": "nil", "input_bytes": 0.0, "layers": layers}))
    (tmp_path / "nil.toml").write_text(CLOUD + node(model="nil.json"))
    ended = dmcjia("solve", "nil.toml", "--out", "p.json")
    assert ended.code == 0
    assert json.loads((tmp_path / "p.json").read_text())["objective_s"] == 0.0
    assert dmcjia("verify", "nil.toml", "p.json").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("--placer", "nope"), 2, ['unknown placer "nope"', "choose one of", "dmcjia", "genetic"]),
        (("--allocator", "nope"), 2, ['unknown allocator "nope"', "choose one of waterfilling, alm, cvxpy, ipopt"]),
        (("--placer", "geneti"), 2, ['unknown placer "geneti" (did you mean "genetic"?); choose one of exact']),
        (("--placer", ""), 2, ["unknown placer"]),
        (("--placer", "waterfilling"), 2, ["unknown placer"]),
        (("--placer", "genetic:fast"), 2, ["takes option=value after a colon", "population (int >= 2, 10)"]),
        (("--placer", "pymoo:NOPE"), 2, ['algorithm must be "GA", "DE"', 'got "NOPE"']),
        (("--allocator", "cvxpy:NOPE"), 4, ["NOPE", "choose one of", "CLARABEL", "SCS"]),
        (("--allocator", "cvxpy:GUROBI"), 4, ["GUROBI", "install it or choose one of", "CLARABEL"]),
        (("--seconds", "-1"), 2, ["seconds must be a finite number >= 0, got -1.0"]),
        (("--seconds", "nan"), 2, ["seconds must be", "nan"]),
        (("--seconds", "inf"), 2, ["seconds must be", "inf"]),
        (("--evaluations", "0"), 2, ["evaluations must be at least 1, got 0"]),
        (("--evaluations", "-3"), 2, ["evaluations must be"]),
        (("--gap", "-0.1"), 2, ["gap must be"]),
        (("--gap", "1e300"), 2, ["gap is a part of the delay, below 1: 5 % is 0.05, got 1e+300"]),
        (("--gap", "5"), 2, ["gap is a part of the delay, below 1: 5 % is 0.05, got 5"]),
        (("--gap", "nan"), 2, ["gap must be"]),
        (("--out", "missing/p.json"), 2, ["--out missing/p.json: the folder missing does not exist; create it first"]),
        (("--out", "."), 2, ["--out .: this is a folder"]),
    ],
)
def test_nonsense_is_answered_with_a_sentence(dmcjia, arguments, code, parts):
    fails(dmcjia("solve", "s.toml", *arguments), code, *parts)


def test_a_gap_in_percent_is_answered_with_the_remedy(dmcjia):
    ended = dmcjia("solve", "s.toml", "--gap", "5%")
    assert ended.code == 2
    assert "'5%' is no number; 5 % is 0.05" in ended.err


def test_a_looser_gap_that_is_met_is_said_as_a_number(dmcjia, tmp_path):
    ended = dmcjia("solve", "s.toml", "--placer", "genetic", "--gap", "0.4", "--out", "plan.json")
    assert "within 40 % of the optimum, proved" in ended.out
    assert "optimal, proved" not in ended.out
    assert json.loads((tmp_path / "plan.json").read_text())["status"] == "within"
    verified = dmcjia("verify", "s.toml", "plan.json")
    assert verified.code == 0
    assert "within 40 % of the optimum" in " ".join(verified.out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--evaluations", "1"),
        ("--evaluations", "9" * 30),
        ("--evaluations", "9" * 400),
        ("--seconds", "0"),
        ("--seconds", "1e-9"),
        ("--seconds", "1e300"),
        ("--gap", "0"),
        ("--gap", "0.999"),
        ("--seed", "9" * 60),
    ],
)
def test_extreme_budgets_are_fine(dmcjia, arguments):
    assert dmcjia("solve", "s.toml", *arguments).code == 0


def test_options_in_names(dmcjia, tmp_path):
    name = "genetic:population=8:offspring=4:generations=3"
    ended = dmcjia("solve", "s.toml", "--placer", name, "--out", "plan.json")
    assert ended.code == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["placer"] == name
    assert plan["evaluations"] <= 8 + 2 * 4
    assert dmcjia("verify", "s.toml", "plan.json").code == 0


def test_names_cannot_play_with_the_terminal(dmcjia, tmp_path):
    (tmp_path / "odd.toml").write_text(CLOUD + OPTIONS + node("[bold red]x[/]"))
    ended = dmcjia("solve", "odd.toml")
    assert ended.code == 0
    assert "[bold red]x[/]" in ended.out


def test_a_plan_of_another_fleet(dmcjia, tmp_path):
    generate("paper", nodes=3, seed=1).save(tmp_path / "three.toml")
    assert dmcjia("solve", "three.toml", "--out", "three.json").code == 0
    fails(dmcjia("verify", "s.toml", "three.json"), 2, "3 splits", "the scenario 2 nodes", "it was made for")


DATED = """
[cloud]
compute_gflops = 60.0
[options]
{options}
[[nodes]]
name = "gate"
model = "resnet34"
compute_gflops = 5.0
uplink_mbps = 25.0
arrival_rate = 1.0
deadline_ms = {gate}
[[nodes]]
name = "yard"
model = "resnet34"
compute_gflops = 5.0
uplink_mbps = 8.0
arrival_rate = 1.0
{more}
"""


def dated(folder, gate, options="", more=""):
    (folder / "d.toml").write_text(DATED.format(gate=gate, options=options, more=more))


def test_deadlines_that_are_kept_are_counted_and_the_tightest_is_told(dmcjia, tmp_path):
    dated(tmp_path, 440, more="deadline_ms = 1500")
    ended = dmcjia("solve", "d.toml", "--out", "plan.json")
    assert ended.code == 0
    assert "2, all kept; the tightest is that of gate, which takes 440 ms of 440 ms" in ended.out
    assert "every deadline kept." in ended.out
    assert dmcjia("verify", "d.toml", "plan.json").code == 0
    dated(tmp_path, 420, more="deadline_ms = 1500")
    refused = dmcjia("verify", "d.toml", "plan.json")
    assert refused.code == 1
    assert '"gate"' in refused.out
    assert "420 ms" in refused.out


def test_a_deadline_that_nothing_keeps_ends_with_three(dmcjia, tmp_path):
    dated(tmp_path, 200)
    ended = dmcjia("solve", "d.toml")
    assert ended.code == 3
    assert '"gate" takes at least 323.3 ms and has deadline_ms = 200; raise deadline_ms there' in ended.err


def test_the_worst_node_is_told_with_the_mean(dmcjia, tmp_path):
    dated(tmp_path, 5000, 'objective = "worst"')
    ended = dmcjia("solve", "d.toml")
    assert ended.code == 0
    told = dict(line.split("  ", 1) for line in ended.out.splitlines() if "  " in line)
    assert told["delay of the worst node"].strip() in ("789.8 ms, gate and 1 more", "789.8 ms, yard and 1 more")
    assert "mean delay" in told
    assert "no plan has a worst node that is faster" in ended.out


def test_a_percentile_is_told_where_its_delay_is(dmcjia, tmp_path):
    dated(tmp_path, 2000, 'delay = "tandem"\nstatistic = "p95"')
    ended = dmcjia("solve", "d.toml")
    assert ended.code == 0
    assert "mean p95 delay" in ended.out
    assert "the tandem delay at its 95th percentile" in ended.out
    dated(tmp_path, 2000, 'delay = "md1"\nstatistic = "p95"')
    refused = dmcjia("solve", "d.toml")
    assert refused.code == 2
    assert 'write delay = "tandem"' in refused.err


def test_json_is_the_plan_without_its_lists_and_nothing_else(dmcjia, tmp_path):
    ended = dmcjia("solve", "s.toml", "--json", "--out", "plan.json")
    assert (ended.code, ended.err) == (0, "")
    written = json.loads((tmp_path / "plan.json").read_text())
    said = json.loads(ended.out)
    lists = {"resources", "splits", "shares", "nodes", "notes", "cautions", "trace"}
    assert written.keys() - said.keys() == lists
    same = said.keys() - {"scenario_file"}  # it is named from the plan's own folder
    assert {key: said[key] for key in same} == {key: written[key] for key in same}
    both = dmcjia("solve", "s.toml", "--json", "--out", "-")
    fails(both, 2, "--json -: --out asks for the same file")


def test_quiet_says_only_what_is_doubtful(dmcjia, tmp_path):
    ended = dmcjia("solve", "s.toml", "--quiet", "--out", "plan.json", "--proof", "proof.json", "--report", "r.html")
    assert ended == (0, "", "")
    assert all((tmp_path / name).stat().st_size for name in ("plan.json", "proof.json", "r.html"))


def test_how_many_plans_is_said_in_singular_too(monkeypatch):
    shown = []
    monkeypatch.setattr(SearchProgress, "show", lambda self, fraction, state="": shown.append((fraction, state)))
    progress = SearchProgress(Stop(evaluations=10), "by hand")
    for n, delay, bound in ((0, float("inf"), 0.0), (1, 0.2, 0.1), (2000, 0.2, 0.2 * (1 - 3e-6))):
        progress.update(TracePoint(n, 1.0, delay, bound))
    assert shown == [
        (0.0, "no plan, no feasible plan yet"),
        (0.1, "1 plan, best 200 ms, gap 50.00 %"),
        (200.0, "2,000 plans, best 200 ms, gap 3e-6"),
    ]
