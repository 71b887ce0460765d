import typing

import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.cli.reproduce import reproduce as command
from dmcjia_opt.studies.reproduce import fig6, gap
from dmcjia_opt.studies.reproduce.run import ITEMS, reproduce
from tests.command_line import run

PAGES = [f"{name}.md" for name in ITEMS]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Fewer points and generations, where the full ones would take minutes."""
    monkeypatch.setattr(gap, "FACTORS", (1, 2, 3))
    monkeypatch.setattr(fig6, "BANDWIDTHS", (0.5, 5.0))


def test_all_writes_data_figures_and_pages(tmp_path):
    done = []
    findings = reproduce(list(ITEMS), tmp_path / "new" / "folder", seeds=1, workers=1, progress=done.append)
    out = tmp_path / "new" / "folder"
    assert list(findings) == list(ITEMS) == ["table1", "fig4", "fig5", "fig6", "shares", "gap", "delay"]
    for name, finding in findings.items():
        suffixes = [".csv", ".parquet", ".md", *((".png", ".svg") if finding.figure else ())]
        for suffix in suffixes:
            assert (out / f"{name}{suffix}").stat().st_size > 50
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1.0)
    page = (out / "REPRODUCED.md").read_text()
    assert page.startswith("# The paper's evaluation, reproduced")
    for name, item in ITEMS.items():
        assert f"## {item.title}\n" in page
        assert (out / f"{name}.md").read_text() in page
        assert findings[name].figure is None or f"({name}.png)" in page
    assert "does not hold" in page
    assert "nan" not in page


@pytest.mark.slow
def test_the_same_seeds_are_the_same_bytes_with_any_number_of_workers(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for out, workers in ((one, 1), (two, 2)):
        reproduce(["fig5", "shares"], out, seeds=1, workers=workers)
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_pages_of_other_runs_are_joined_in(tmp_path):
    reproduce(["fig4"], tmp_path, workers=1)
    reproduce(["table1"], tmp_path, workers=1)
    page = (tmp_path / "REPRODUCED.md").read_text()
    assert page.index(ITEMS["table1"].title) < page.index(ITEMS["fig4"].title)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"names": ["fig7"]}, r'is called "fig7" \(did you mean "fig6"\?\); choose of table1, fig4'),
        ({"names": ["fig4"], "seeds": 0}, "seeds must be at least 1, got 0"),
        ({"names": ["fig4"], "workers": 0}, "workers must be at least 1, got 0"),
    ],
)
def test_nonsense_is_refused(tmp_path, arguments, words):
    with pytest.raises(InputError, match=words):
        reproduce(out=tmp_path, **arguments)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        reproduce(["table1"], tmp_path / "file")


def test_the_command(tmp_path, monkeypatch, capsys):
    ended = run(monkeypatch, capsys, "reproduce", "fig4", "--out", tmp_path / "out")
    assert ended.code == 0
    assert "Fig. 4: work and upload delay of each layer of ResNet34: 3 of 3 statements hold" in ended.out
    assert str(tmp_path / "out" / "REPRODUCED.md") in ended.out
    assert (tmp_path / "out" / "fig4.csv").is_file()


def test_seeds_where_nothing_is_random_have_no_effect_and_a_word(tmp_path, monkeypatch, capsys):
    ended = run(monkeypatch, capsys, "reproduce", "table1", "--out", tmp_path, "--seeds", 3)
    assert (ended.code, ended.err) == (0, "dmcjia: warning: --seeds has no effect: nothing in table1 is random\n")
    assert {item.name for item in ITEMS.values() if not item.random} == {"table1", "fig4", "shares"}


def test_the_command_knows_every_item(monkeypatch, capsys, tmp_path):
    annotation = typing.get_type_hints(command)["item"]
    assert typing.get_args(annotation) == (*ITEMS, "all")
    ended = run(monkeypatch, capsys, "reproduce", "fig7", "--out", tmp_path)
    assert ended.code == 2
