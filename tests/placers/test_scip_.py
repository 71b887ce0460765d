import pyscipopt
import pytest

from dmcjia_opt.errors import BackendFailed, InputError
from dmcjia_opt.placers.scip_ import Scip, formulations
from dmcjia_opt.registry import build_placer
from tests.placers.anchors import (
    FAMILIES,
    SMALL,
    agrees,
    agrees_with_brute_force,
    family,
    keeps_its_time,
    place,
    stops_at_a_gap,
)

every_formulation = pytest.mark.parametrize("formulation", formulations())


@every_formulation
@pytest.mark.parametrize("k", range(len(SMALL)))
def test_agrees_with_brute_force(formulation, k):
    agrees_with_brute_force(Scip(formulation), k)


@pytest.mark.parametrize(("name", "nodes"), FAMILIES)
def test_agrees_with_branch_and_bound(name, nodes):
    agrees(Scip(), *family(name, nodes))


@every_formulation
def test_time_limit(formulation):
    placement = keeps_its_time(Scip(formulation), 0.5, 3.0)
    assert placement.lower_bound <= 1.0


def test_a_bound_is_claimed_at_a_limit_too():
    placement = keeps_its_time(Scip(), 1.0, 3.0)
    assert 0.9 * placement.trace[-1].lower_bound < placement.lower_bound <= placement.trace[-1].objective


def test_no_time_at_all():
    assert keeps_its_time(Scip(), 0.0, 2.0).shares is None


@every_formulation
def test_gap(formulation):
    stops_at_a_gap(Scip(formulation))


def test_formulations_differ_and_are_named(monkeypatch):
    cones = []
    add = pyscipopt.Model.addVar
    monkeypatch.setattr(pyscipopt.Model, "addVar", lambda self, *a, **k: cones.append(k) or add(self, *a, **k))
    sizes = []
    for formulation in formulations():
        cones.clear()
        place(build_placer(f"scip:{formulation}"), SMALL[0])
        sizes.append(len(cones))
    assert sizes[0] < sizes[1]
    with pytest.raises(InputError, match=r'scip has no formulation "big-M"; choose aggregated or perspective'):
        Scip("big-M")


def test_an_end_of_its_own_is_a_failure(monkeypatch):
    monkeypatch.setattr(pyscipopt.Model, "getStatus", lambda self: "inforunbd")
    with pytest.raises(BackendFailed, match='SCIP ended with status "inforunbd"'):
        place(Scip(), SMALL[0])


def test_silence(capfd):
    place(Scip(), SMALL[3])
    assert capfd.readouterr() == ("", "")
