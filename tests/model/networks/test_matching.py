import numpy as np
import onnxruntime
import pytest

from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.model.networks.matching import match
from dmcjia_opt.model.networks.measured import Timed
from dmcjia_opt.model.networks.reading import Profiled, read_profile
from dmcjia_opt.model.networks.recorded import Recorded, RecordedRow, read_recorded
from tests.model.networks.onnx_models import residual_block

#: The block's operators: stem entry | a middle | b sum pool flat | fc, a bar between layers.
LAYERS = ("stem", "a", "b", "fc")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return residual_block().save(tmp_path_factory.mktemp("block") / "net.onnx")


@pytest.fixture(scope="module")
def block(path):
    return read_profile(str(path))


def matched(profiled, *rows):
    """Return the seconds of each layer, and what is said."""
    found = match(Recorded(tuple(RecordedRow(*row) for row in rows), "trtexec"), profiled, "pi")
    ((key, layers),) = found.times.seconds.items()
    assert key == Timed("pi", "net", profiled.profile.graph_id)
    assert tuple(layers) == profiled.profile.layer_names
    return [*layers.values()], " ".join(found.sentences)


EVERY = (("stem", 1.0), ("a", 2.0), ("b", 3.0), ("fc", 4.0))


def test_rows_are_summed_by_layer(block):
    seconds, said = matched(block, *EVERY, ("entry", 0.5), ("sum", 0.25), ("pool", 0.125))
    assert seconds == [1.5, 2.0, 3.375, 4.0]
    assert said == "7 of 7 rows name parts of the network, each of one layer."


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stem + entry", 0),
        ("PWN(entry)", 0),
        ("PWN(PWN(sum), pool)", 2),
        ("sum || pool", 2),
        ("Reformatting CopyNode for Input Tensor 0 to a + middle", 1),
        ("Reformatting CopyNode for Output Tensor 0 to fc", 3),
        ("Reformatting CopyNode for Network Input x", 0),
        ("Reformatting CopyNode for Network Output fc", 3),
        ("a + middle input reformatter 0", 1),
        ("b output reformatter 0", 2),
        ("pool copy", 2),
        ("node_of_flat", 2),
        ("{ForeignNode[b...flat]}", 2),
        ("fused b", 2),
        ("middle_nchwc", 1),
        ("b/MatMulAddFusion", 2),
        ("sum_token_3", 2),
        ("STEM", 0),
        ("Gemm_8", 3),
    ],
)
def test_names_that_tools_make_are_understood(name, layer, block):
    seconds, _ = matched(block, *EVERY, (name, 0.5))
    assert seconds == [value + 0.5 * (k == layer) for k, (_, value) in enumerate(EVERY)]


def test_a_row_of_several_layers_is_spread_by_their_work(block):
    macs = block.profile.macs
    seconds, said = matched(block, ("stem + entry", 1.0), ("a + middle + b + sum", 6.0), ("fc", 4.0))
    np.testing.assert_allclose(seconds, [1.0, *(6.0 * macs[1:3] / macs[1:3].sum()), 4.0], rtol=1e-15)
    assert said == (
        "3 of 3 rows name parts of the network: 2 of one layer each, 1 of several, over which their time is spread by "
        "work."
    )
    whole, _ = matched(block, ("{ForeignNode[stem...fc]}", 1.0))
    np.testing.assert_allclose(whole, macs / macs.sum(), rtol=1e-15)
    again, _ = matched(block, ("{ForeignNode[unknown...middle]}", 1.0), ("b", 1.0), ("fc", 1.0))
    np.testing.assert_allclose(again, [*(macs[:2] / macs[:2].sum()), 1.0, 1.0], rtol=1e-15)
    idle, _ = matched(block, *EVERY, ("entry + middle", 1.0))  # neither works: half each
    assert idle == [1.5, 2.5, 3.0, 4.0]


def test_what_names_nothing_goes_to_what_is_not_named_or_to_all(block):
    macs = block.profile.macs
    seconds, said = matched(block, *EVERY, ("__myl_copy", 0.5), ("shuffle", 0.25))
    np.testing.assert_allclose(seconds, [value for _, value in EVERY] + 0.75 * macs / macs.sum(), rtol=1e-15)
    assert said.endswith(
        '2 rows name no part of it ("__myl_copy", "shuffle"): 750 ms, 7 % of all, spread by work over all layers.'
    )
    seconds, said = matched(block, ("stem", 1.0), ("fc", 4.0), ("__myl", 5.0))
    np.testing.assert_allclose(seconds, [1.0, *(5.0 * macs[1:3] / macs[1:3].sum()), 4.0], rtol=1e-15)
    assert said.endswith('5000 ms, 50 % of all, spread by work over layers "a", "b", which no row names.')


def test_rows_of_another_network_are_refused(block):
    with pytest.raises(InputError, match=r'trtexec: no row has the time of layers "a", "b", \d+ % of the work of net'):
        matched(block, ("stem", 1.0), ("fc", 4.0))
    with pytest.raises(InputError, match='operator of net, such as "stem"; the first is called "conv2d": take'):
        matched(block, ("conv2d", 1.0), ("dense", 4.0))


def test_absurd_times_are_refused_or_doubted(block):
    with pytest.raises(InputError, match=r"trtexec: a layer takes more than 1e\+15 s; check the unit"):
        matched(block, *EVERY, ("a", 1e15))
    with pytest.warns(Doubt, match="trtexec"):
        matched(block, *EVERY, ("a", 1e4))
    seconds, _ = matched(block, ("stem", 1e-40), *EVERY[1:])
    assert seconds == [0.0, 2.0, 3.0, 4.0]


def test_rows_without_a_name_in_common_are_taken_in_order_if_there_are_as_many(block):
    seconds, said = matched(block, ("conv2d", 1.0), ("conv2d_1", 2.0), ("conv2d_2", 3.0), ("dense", 4.0))
    assert seconds == [1.0, 2.0, 3.0, 4.0]
    assert said.startswith("No row has the name of a layer; the 4 rows are taken for as many layers, in their order.")


def test_without_a_graph_rows_name_layers(block):
    alone = Profiled(block.profile)
    seconds, _ = matched(alone, *EVERY, ("a + b", 1.0))
    macs = block.profile.macs
    np.testing.assert_allclose(seconds, [1.0, *([2.0, 3.0] + macs[1:3] / macs[1:3].sum()), 4.0], rtol=1e-15)


@pytest.mark.parametrize("cuts", ["layers", "blocks", "all", "graph"])
def test_every_operator_that_onnxruntime_ran_is_found(cuts, path, tmp_path):
    """What it fuses is called after the last of what it does in one."""
    profiled = read_profile(str(path), cuts)
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.intra_op_num_threads = True, 1
    options.profile_file_prefix = str(tmp_path / "ran")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for _ in range(3):
        session.run(None, {"x": np.zeros((1, 4, 8, 8), dtype=np.float32)})
    recorded = read_recorded(session.end_profiling())
    found = match(recorded, profiled, "pi")
    (layers,) = found.times.seconds.values()
    assert sum(layers.values()) == pytest.approx(sum(row.seconds for row in recorded.rows))
    lost = [row.name for row in recorded.rows if f'"{row.name}"' in " ".join(found.sentences)]
    assert all(name.startswith("Reorder") for name in lost)
    working = dict(zip(layers, profiled.profile.macs > 0, strict=True))
    assert all(layers[name] > 0 for name, works in working.items() if works)


def test_modules_of_pytorch_are_understood(path, tmp_path):
    proto = read_profile(str(path)).model.proto
    scopes = ("/stem/Conv", "/stem/Relu", "/layer1/layer1.0/conv1/Conv", "/layer1/layer1.0/relu/Relu", "/b.1/Conv")
    for node, name in zip(proto.graph.node, (*scopes, "/Add", "/pool/Pool", "/Flatten", "/fc/Gemm"), strict=True):
        node.name = name
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    profiled = read_profile(str(tmp_path / "net.onnx"), "all")
    rows = ("stem", "layer1.0.conv1", "layer1.0.relu", "b.1", "pool", "fc")
    seconds, said = matched(profiled, *((name, float(k + 1)) for k, name in enumerate(rows)))
    assert seconds == [1.0, 0.0, 2.0, 3.0, 4.0, 0.0, 5.0, 0.0, 6.0]
    assert said.startswith("6 of 6 rows")


def test_operators_without_names_go_by_their_number(path, tmp_path):
    bare = read_profile(str(path)).model.proto
    for node in bare.graph.node:
        node.name = ""
    (tmp_path / "net.onnx").write_bytes(bare.SerializeToString())
    profiled = read_profile(str(tmp_path / "net.onnx"))
    kinds = ["Conv", "Relu", "Conv", "Relu", "Conv", "Add", "GlobalAveragePool", "Flatten", "Gemm"]
    seconds, said = matched(profiled, *((f"{kind}_{k}", 1.0, kind) for k, kind in enumerate(kinds)))
    assert seconds == [2.0, 2.0, 4.0, 1.0]
    assert said.startswith("9 of 9 rows")
