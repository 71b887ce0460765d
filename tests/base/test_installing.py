"""The remedy for a missing extra is true for whoever reads it."""

import pytest

from dmcjia_opt.base import machine


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Let the package lie in an empty folder."""
    (tmp_path / "dmcjia_opt").mkdir()
    monkeypatch.setattr(machine, "_PACKAGE", tmp_path / "dmcjia_opt")
    monkeypatch.setattr(machine, "_installed_from", lambda: "")
    return tmp_path


def test_a_clone_is_installed_from_where_it_lies(clone, monkeypatch):
    (clone / "pyproject.toml").write_text('[project]\nname = "dmcjia-opt"\n')
    assert machine.installing("fleet") == f"pip install -e '{clone}[fleet]'"
    monkeypatch.chdir(clone)
    assert machine.installing("fleet") == "pip install -e '.[fleet]'"


def test_a_package_of_an_index_is_installed_by_its_name(clone, monkeypatch):
    assert machine.installing("fleet") == "pip install 'dmcjia-opt[fleet]'"
    (clone / "pyproject.toml").write_text('[project]\nname = "another"\n')  # of whoever holds a copy of it
    assert machine.installing("fleet") == "pip install 'dmcjia-opt[fleet]'"
    monkeypatch.setattr(machine, "_installed_from", lambda: "/home/me/dmcjia")
    assert machine.installing("fleet") == "pip install '/home/me/dmcjia[fleet]'"
