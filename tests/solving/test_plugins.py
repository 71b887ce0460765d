import json
import sys

import pytest

from dmcjia_opt import register_allocator, register_placer, solve
from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.methods.placers.genetic.genetic import Genetic
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving import plugins
from dmcjia_opt.solving.registry import build_allocator, build_placer, conflicts, spec_of, why_not, with_plugins
from tests.solving import misbehaving

GOOD = '''"""A module of methods."""

print("printed on import")

class Mine:
    """Leaves everything in the cloud.

    More of it.
    """

    exact = True

    def __init__(self, depth: int = 0):
        self.depth = depth

    def supports(self, problem):
        return None

    def search(self, search, rng):
        search.offer(search.problem.last * 0)

class Other(Mine):
    summary = "leaves everything in the cloud, too"
    baseline = True

class Half:
    def supports(self, problem):
        return None

def function():
    return Mine()
'''


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch):
    """What a test registers, imports or puts on the path is gone afterwards."""
    modules = set(sys.modules)
    monkeypatch.setattr(plugins, "_HERE", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - modules:
        if not name.startswith(("dmcjia_opt", "tests")) and "site-packages" not in str(
            getattr(sys.modules[name], "__file__", "site-packages")
        ):
            del sys.modules[name]


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Return a function that installs a distribution with modules and entry points."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def installed(name, entry_points, **modules):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for module, content in modules.items():
            (site / f"{module}.py").write_text(content, encoding="utf-8")

    return installed


@pytest.fixture
def dmcjia(dmcjia, tmp_path):
    generate("paper", nodes=3, seed=1).save(tmp_path / "s.toml")
    return dmcjia


BROKEN = {
    "raises": ("raise ValueError('no\\nlicence')", "cannot be imported: ValueError: no licence"),
    "exits": ("raise SystemExit(5)", "cannot be imported: SystemExit: 5"),
    "needs": ("import no_such_library", 'it needs "no_such_library", which is not installed'),
    "syntax": ("def (:", "cannot be imported: SyntaxError: invalid syntax"),
}


def test_plug_ins_are_listed_and_broken_ones_break_nothing(install, dmcjia):
    lines = "\n".join(f"{name} = {name}_module:Mine" for name in BROKEN)
    install(
        "acme",
        f"[dmcjia_opt.placers]\nmine = good:Mine\nother = good:Other\nhalf = good:Half\nfunction = good:function\n"
        f"absent = good:Absent\nlost = lost_module:Mine\nwith space = good:Mine\n{lines}\n",
        good=GOOD,
        **{f"{name}_module": content for name, (content, _) in BROKEN.items()},
    )
    ended = dmcjia("methods", "--json")
    assert ended.code == 0
    rows = {row["name"]: row for row in json.loads(ended.out) if row["plugin"]}
    assert ended.err.strip().splitlines() == ["printed on import"]
    assert {row["plugin"] for row in rows.values()} == {"acme 1.0"}
    assert rows["mine"]["summary"] == "Leaves everything in the cloud"
    assert (rows["mine"]["exact"], rows["mine"]["baseline"], rows["mine"]["available"]) == (True, False, True)
    assert rows["other"]["summary"] == "leaves everything in the cloud, too"
    assert rows["other"]["baseline"]
    for name, (_, why) in BROKEN.items():
        assert why in rows[name]["why_not"]
        assert not rows[name]["available"]
    assert "it has no method search, which every placer needs" in rows["half"]["why_not"]
    assert "it is no class but a function" in rows["function"]["why_not"]
    assert "good has no class Absent; its placers are Mine, Other" in rows["absent"]["why_not"]
    assert 'there is no module "lost_module"' in rows["lost"]["why_not"]
    assert "a name starts with a letter or digit" in rows["with space"]["why_not"]
    assert all("\n" not in (row["why_not"] or "") for row in rows.values())
    shown = dmcjia("methods")
    assert shown.code == 0
    assert "SystemExit: 5" in shown.out
    ended = dmcjia("solve", "s.toml", "--placer", "mine:depth=2", "--out", "p.json")
    assert ended.code == 0
    assert dmcjia("solve", "s.toml", "--placer", "genetic", "--evaluations", 30).code == 0
    ended = dmcjia("solve", "s.toml", "--placer", "raises")
    assert ended.code == 4
    assert ended.err.startswith('dmcjia: placer "raises" cannot run: placer "raises_module:Mine" cannot be imported: ')


def test_a_plug_in_proves_nothing(install):
    install("acme", "[dmcjia_opt.placers]\nmine = good:Mine\n", good=GOOD.replace("exact = True", "proves = True"))
    assert not spec_of("placer", "mine").proves
    assert not spec_of("placer", "dmcjia_opt.methods.placers.exact.exact:Exact").proves


def test_names_that_are_taken_are_not_used_and_that_is_said(install, dmcjia):
    install("acme", "[dmcjia_opt.placers]\ngenetic = good:Mine\nmine = good:Mine\n", good=GOOD)
    install("zeta", "[dmcjia_opt.placers]\nmine = good:Other\nhere = good:Other\n")
    register_placer("here")(misbehaving.Dawdles)
    said = conflicts()
    assert set(said) == {("placer", "genetic"), ("placer", "mine"), ("placer", "here")}
    assert said["placer", "genetic"] == (
        'the placer "genetic" of acme 1.0 is not used: this name is built in; '
        "it needs another name in that package's entry points"
    )
    assert "of zeta 1.0 is not used: acme 1.0 has one of the same name" in said["placer", "mine"]
    assert "it is registered by tests.solving.misbehaving:Dawdles" in said["placer", "here"]
    assert isinstance(build_placer("genetic"), Genetic)
    assert isinstance(build_placer("here"), misbehaving.Dawdles)
    assert type(build_placer("mine")).__name__ == "Mine"
    ended = dmcjia("methods")
    assert ended.code == 0
    assert ended.err.count("dmcjia: warning: the placer ") == 3
    ended = dmcjia("solve", "s.toml", "--placer", "genetic:population=8", "--evaluations", 20)
    assert ended.code == 0
    assert 'warning: the placer "genetic" of acme 1.0 is not used' in ended.err
    assert dmcjia("solve", "s.toml").err == ""


def test_decorators_make_names_for_this_process():
    decorated = register_placer("slow")(misbehaving.Dawdles)
    assert decorated is misbehaving.Dawdles
    assert isinstance(build_placer("slow"), misbehaving.Dawdles)
    register_placer("slow")(misbehaving.Dawdles)
    register_allocator("single")(misbehaving.SingleAllocator)
    assert isinstance(build_allocator("single"), misbehaving.SingleAllocator)
    plan = solve(generate("paper", nodes=3, seed=1), "slow", "single")
    assert (plan.placer, plan.allocator) == ("slow", "single")
    names = [spec.name for spec in with_plugins("placer")]
    assert names[-1] == "slow"
    with pytest.raises(InputError, match=r"one of .*, slow, or name your own"):
        build_placer("slower")


@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        (
            "genetic",
            misbehaving.Dawdles,
            'the placer "genetic" is built in; register tests.solving.misbehaving:Dawdles under',
        ),
        ("taken", misbehaving.Dawdles, 'the placer "taken" is tests.solving.misbehaving:Sleeps already; register'),
        ("a:b", misbehaving.Dawdles, "a name starts with a letter or digit and holds only these"),
        ("", misbehaving.Dawdles, "a name starts with a letter or digit"),
        ("mine", misbehaving.Incomplete, "it has no method search, which every placer needs"),
        ("mine", misbehaving.Dawdles(), "it is no class but a Dawdles"),
    ],
)
def test_what_cannot_be_registered(name, method, message):
    register_placer("taken")(misbehaving.Sleeps)
    with pytest.raises(InputError, match=message):
        register_placer(name)(method)


def test_a_module_of_the_working_folder_or_a_file_will_do(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "my-method.py").write_text(GOOD)
    by_module, by_file = build_placer("good:Mine:depth=3"), build_placer("./good.py:Mine")
    assert by_module.depth == 3
    assert type(by_module) is type(by_file)
    assert sys.path[-1] == str(tmp_path)
    odd = build_placer(f"{tmp_path}/my-method.py:Other:depth=1")
    assert type(odd) is type(build_placer("./my-method.py:Other"))
    assert odd.depth == 1
    spec = spec_of("placer", "good:Other:depth=7")
    assert (spec.name, spec.origin, spec.baseline, why_not(spec)) == ("good:Other", "good", True, None)


def test_a_file_with_the_name_of_a_library_hides_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text(GOOD)
    assert type(build_placer("./json.py:Mine")).__name__ == "Mine"
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("./none.py:Mine", InputError, r"^none\.py: there is no such file; name one that is there"),
        ("good:Absent", InputError, 'placer "good:Absent": good has no class Absent; its placers are Mine, Other'),
        ("good:Half", InputError, '"good:Half" is no placer: it has no method search, which every placer needs'),
        ("good:function", InputError, "it is no class but a function"),
        ("good.sub:Mine", InputError, 'there is no module "good.sub"; install it, run in the folder that holds it'),
        ("absent:Mine", InputError, 'unknown placer "absent"; choose one of exact, .*, or name your own as module:Cla'),
        ("good:Mine:width=3", InputError, r'"good:Mine" has no option "width"; it has depth \(int, 0\)'),
        ("good:Mine:depth=x", InputError, 'placer "good:Mine": depth must be int, got "x"'),
        ("raises:Mine", BackendFailed, 'placer "raises:Mine" cannot be imported: ValueError: no licence'),
        ("needs:Mine", BackendMissing, 'placer "needs:Mine" cannot be imported: it needs "no_such_library"'),
        (
            "tests.solving.misbehaving:Deep",
            InputError,
            r"must be told depth \(int, required\): write tests.solving.misbehaving:Deep:dep",
        ),
        ("tests.solving.misbehaving:Deep:depth=12", BackendFailed, 'Deep" cannot be made: RuntimeError: too deep'),
    ],
)
def test_what_cannot_be_built(monkeypatch, tmp_path, name, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "raises.py").write_text(BROKEN["raises"][0])
    (tmp_path / "needs.py").write_text(BROKEN["needs"][0])
    with pytest.raises(error, match=message):
        build_placer(name)


def test_options_of_plug_ins_are_shown(dmcjia):
    ended = dmcjia("methods", "tests.solving.misbehaving:Deep")
    assert ended.code == 0
    for part in ("Needs to be told how deep to look", "depth   int   –        Layers looked ahead.", "Deep:depth=…"):
        assert part in ended.out
