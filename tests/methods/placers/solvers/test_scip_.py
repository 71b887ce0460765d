import pyscipopt
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.placers.solvers.cone_model import cone_model
from dmcjia_opt.methods.placers.solvers.scip_ import Scip, _aggregated, _perspective, scip_status
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.registry import build_placer
from tests.methods.placers.solvers.test_general_solvers import SMALL


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
    with pytest.raises(InputError, match=r'scip has no formulation "big-M"; choose aggregated or perspective'):
        Scip("big-M")


@pytest.mark.parametrize("ended", ["inforunbd", "unknown", "a status to come"])
def test_an_end_of_its_own_is_a_failure(ended):
    with pytest.raises(BackendFailed, match=f'SCIP ended with status "{ended}"'):
        scip_status(ended)
    assert scip_status("userinterrupt") == Status.LIMIT
