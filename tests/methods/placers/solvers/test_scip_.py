import pyscipopt
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.placers.solvers.cone_model import cone_model
from dmcjia_opt.methods.placers.solvers.scip_ import FORMULATIONS, Scip, _aggregated, _perspective, scip_status
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.registry import build_placer
from tests.methods.placers.anchors import (
    FAMILIES,
    SMALL,
    agrees,
    agrees_with_brute_force,
    family,
    keeps_its_time,
    place,
    stops_at_a_gap,
)

every_formulation = pytest.mark.parametrize("formulation", FORMULATIONS)


@every_formulation
@pytest.mark.parametrize("k", range(len(SMALL)))
def test_agrees_with_brute_force(formulation, k):
    agrees_with_brute_force(Scip(formulation), k)


@pytest.mark.parametrize(("name", "nodes"), FAMILIES)
def test_agrees_with_branch_and_bound(name, nodes):
    agrees(Scip(), *family(name, nodes))


@every_formulation
def test_time_limit(formulation):
    keeps_its_time(Scip(formulation), 0.5, 3.0)


def test_a_bound_is_claimed_at_a_limit_too():
    placement = keeps_its_time(Scip(), 1.0, 3.0)
    assert 0.9 * placement.trace[-1].lower_bound < placement.claimed_bound <= placement.trace[-1].objective


def test_no_time_at_all():
    assert keeps_its_time(Scip(), 0.0, 2.0).shares is None


@every_formulation
def test_gap(formulation):
    stops_at_a_gap(Scip(formulation))


def test_one_cone_a_node_or_one_a_split():
    model = cone_model(SMALL[5])
    counts = []
    for build in (_aggregated, _perspective):
        scip = pyscipopt.Model()
        z = [scip.addVar(vtype="B") for _ in model.node]
        counts.append(len(build(scip, model, z)))
    assert counts == [len(set(model.node[model.root > 0])), int((model.root > 0).sum())]
    assert counts[0] < counts[1]


def test_formulations_are_named():
    assert build_placer("scip") == build_placer("scip:aggregated") == Scip()
    assert build_placer("scip:perspective") == Scip("perspective")
    with pytest.raises(InputError, match=r'Scip: formulation must be "aggregated" or "perspective", got "big-M"'):
        Scip("big-M")


@pytest.mark.parametrize("ended", ["inforunbd", "unknown", "a status to come"])
def test_an_end_of_its_own_is_a_failure(ended):
    with pytest.raises(BackendFailed, match=f'SCIP ended with status "{ended}"'):
        scip_status(ended)
    assert scip_status("userinterrupt") == Status.LIMIT


def test_silence(capfd):
    place(Scip(), SMALL[3])
    assert capfd.readouterr() == ("", "")
