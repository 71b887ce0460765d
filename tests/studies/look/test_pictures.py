import re
import sys
from pathlib import Path

import pytest

from dmcjia_opt.base.errors import BackendMissing
from dmcjia_opt.base.machine import installing
from dmcjia_opt.studies.look.pictures import new_figure, save_figure, tidy
from dmcjia_opt.studies.network.picture import check_picture
from tests.studies.reproduce.looks import flaws


def line(values=(1, 3, 2)):
    figure = new_figure(4, 3)
    axes = figure.subplots()
    axes.plot(values, label="a line")
    tidy(axes, "title", "x, m", "y, s")
    return figure


def test_the_same_figure_is_the_same_bytes(tmp_path):
    one, other = (save_figure(line(), tmp_path / name) for name in ("one", "other"))
    for a, b in zip(one, other, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert [path.suffix for path in one] == [".png", ".svg"]


def test_another_figure_is_other_bytes(tmp_path):
    one, other = save_figure(line(), tmp_path / "one"), save_figure(line((3, 1, 2)), tmp_path / "other")
    for a, b in zip(one, other, strict=True):
        assert a.read_bytes() != b.read_bytes()


def test_no_global_figure_is_made(tmp_path):
    from matplotlib import pyplot

    save_figure(line(), tmp_path / "one")
    assert pyplot.get_fignums() == []


def test_flaws_are_seen():
    assert flaws(line()) == []
    covered = line()
    covered.legend(loc="center")
    assert flaws(covered) == ["a legend covers data"]
    cut = line()
    cut.text(0.95, 0.5, "beyond the edge of the page")
    assert flaws(cut) == ['"beyond the edge of the page" is cut off']
    bare = line()
    bare.axes[0].set_ylabel("delay")
    assert flaws(bare) == ['"delay" has no unit']
    twice = line()
    twice.text(0.5, 0.5, "one")
    twice.text(0.5, 0.5, "other")
    assert flaws(twice) == ['"one" and "other" overlap']


def test_a_missing_library_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "dmcjia_opt.studies.look.pictures")
    with pytest.raises(BackendMissing, match=re.escape(f"drawing needs matplotlib; {installing('plot')}")):
        check_picture(Path("cuts.png"))
