import numpy as np
import onnx
import pytest

from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.identity import graph_id
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
from tests.model.networks.onnx_models import flattened, residual_block


@pytest.fixture
def path(tmp_path):
    return residual_block().save(tmp_path / "net.onnx")


def test_names_and_trained_numbers_do_not_matter(path, tmp_path):
    proto = onnx.load(path)
    for k, node in enumerate(proto.graph.node):
        node.name = f"another{k}"
    for weight in proto.graph.initializer:
        numbers = onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(np.ones_like(numbers), weight.name))
    (tmp_path / "copy.onnx").write_bytes(proto.SerializeToString())
    assert graph_id(read_onnx(tmp_path / "copy.onnx").network) == graph_id(read_onnx(path).network)


def test_shapes_do(tmp_path):
    path = flattened().save(tmp_path / "net.onnx")
    ids = {graph_id(read_onnx(path, Given({"x": (n, 3, 4, 4)})).network) for n in (1, 2, 2)}
    assert len(ids) == 2
    assert all(len(one) == 12 and int(one, 16) >= 0 for one in ids)


def test_a_profile_keeps_it_wherever_it_is_cut(path, tmp_path):
    profiles = [LayerProfile.from_onnx(path, cuts=cuts) for cuts in ("layers", "blocks", "all")]
    profiles[0].save(tmp_path / "p.json")
    profiles.append(load_profile(tmp_path / "p.json"))
    assert {profile.graph_id for profile in profiles} == {graph_id(read_onnx(path).network)}
