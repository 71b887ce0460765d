"""ONNX files: published figures, what flows, and every way a file can be wrong.

Published figures. VGG19, ResNet50, DenseNet-121, SqueezeNet 1.1: torchvision's weights' metadata (``_ops``, in 1e9
multiply–accumulates, and ``num_params``), https://pytorch.org/vision/stable/models.html. AlexNet (two columns,
227 × 227; its convolutions have 666 million, doi:10.1109/ISSCC.2016.7418007) and GoogLeNet (Inception v1): Table II of
Sze et al. 2017, doi:10.1109/JPROC.2017.2761740. BN-Inception (Inception v2): Table 3 of Szegedy et al. 2016,
doi:10.1109/CVPR.2016.308. ShuffleNet: Table 1 of Zhang et al. 2018, doi:10.1109/CVPR.2018.00716.
"""

import os
import re
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.limits import FILES
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.networks.cuts import single_tensor_cuts, take_cuts
from dmcjia_opt.model.networks.given import Given, parse_shape
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo import zoo_profile
from tests.model.networks.onnx_models import Builder, branching, flattened, light, residual_block, resnet34, shufflenet
from tests.refusals import refused

#: file: published GMAC, weighted layers of the longest path
PUBLISHED = {
    "vgg19": (19.632, 19),
    "resnet50": (4.089, 50),
    "densenet121": (2.834, 121),
    "squeezenet": (0.349, 18),
    "inception_v1": (1.43, 22),
    "inception_v2": (2.0, 34),
}
PARAMETERS = {"vgg19": 143_667_240, "resnet50": 25_557_032, "squeezenet": 1_235_496, "bvlc_alexnet": 60_965_224}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_macs(name):
    gmac, layers = PUBLISHED[name]
    network = read_onnx(light(name)).network
    assert network.total_macs / 1e9 == pytest.approx(gmac, rel=0.01)
    assert len(take_cuts(network)) == layers
    assert network.caution() == ""


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_parameters(name):
    assert read_onnx(light(name)).network.parameters == PARAMETERS[name]


def test_published_macs_of_alexnet_at_its_own_size(tmp_path):
    """The file takes 224 × 224 without padding, which shrinks every layer; the published network takes 227 × 227."""
    model = onnx.load(light("bvlc_alexnet"))
    (image,) = (value for value in model.graph.input if value.name == "data_0")
    for k in (2, 3):
        image.type.tensor_type.shape.dim[k].dim_value = 227
    (tmp_path / "alexnet.onnx").write_bytes(model.SerializeToString())
    network = read_onnx(tmp_path / "alexnet.onnx").network
    assert network.total_macs / 1e6 == pytest.approx(724, rel=0.001)
    assert sum(op.macs for op in network.operations if op.kind == "Conv") / 1e6 == pytest.approx(666, rel=0.001)


def test_alexnet_as_shipped_by_hand():
    pixels = (54**2, 26**2, 12**2, 12**2, 12**2)
    weights = (96 * 3 * 121, 256 * 48 * 25, 384 * 256 * 9, 384 * 192 * 9, 256 * 192 * 9)
    dense = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    expected = sum(p * w for p, w in zip(pixels, weights, strict=True)) + dense
    assert read_onnx(light("bvlc_alexnet")).network.total_macs == expected == 654_560_384


@pytest.mark.parametrize(("groups", "channels", "mmac"), [(1, 144, 143), (2, 200, 140), (3, 240, 137)])
def test_published_macs_of_shufflenet(groups, channels, mmac, tmp_path):
    network = read_onnx(shufflenet(groups, channels).save(tmp_path / "s.onnx")).network
    assert network.total_macs / 1e6 == pytest.approx(mmac, rel=0.01)


def test_shufflenet_as_shipped_by_hand():
    """No published figure has its widths (112 to 544, no bottleneck): grouped and depthwise convolutions by hand."""

    def unit(entering, middle, leaving, side_in, side_out):
        return side_in**2 * entering * middle // 4 + side_out**2 * (9 * middle + middle * leaving // 4)

    total = 112**2 * 24 * 27 + unit(24, 112, 112, 56, 28) + 3 * unit(136, 136, 136, 28, 28)
    total += unit(136, 136, 136, 28, 14) + 7 * unit(272, 272, 272, 14, 14)
    total += unit(272, 272, 272, 14, 7) + 3 * unit(544, 544, 544, 7, 7) + 544 * 1000
    assert read_onnx(light("shufflenet")).network.total_macs == total


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return read_onnx(resnet34().save(tmp_path_factory.mktemp("resnet") / "resnet34.onnx")).network


def test_resnet34_in_onnx_is_the_zoos_chain(resnet):
    """The paper's chain, layer by layer: MACs, bytes, parameters, and where a real cut sends a second tensor."""
    ours, zoo = LayerProfile.of_network(resnet, "chain"), zoo_profile("resnet34")
    np.testing.assert_array_equal(ours.macs, zoo.macs)
    np.testing.assert_array_equal(ours.output_bytes, zoo.output_bytes)
    np.testing.assert_array_equal(ours.tensors, zoo.tensors)
    assert ours.layer_names == zoo.layer_names
    assert ours.input_bytes == zoo.input_bytes
    assert ours.parameters == zoo.parameters


def test_resnet34_hides_its_shortcuts_inside_blocks_only(resnet):
    """At the end of a block the chain is right; inside, a real cut sends the block's input too."""
    real, zoo = LayerProfile.of_network(resnet), zoo_profile("resnet34")
    np.testing.assert_array_equal(real.macs, zoo.macs)
    outer = [k for k, name in enumerate(zoo.layer_names) if name.endswith("b")][:-1]  # the last is pooled before
    inner = [k for k, name in enumerate(zoo.layer_names) if name.endswith("a")]
    np.testing.assert_array_equal(real.output_bytes[outer], zoo.output_bytes[outer])
    entering = np.array([real.output_bytes[k - 1] for k in inner])
    np.testing.assert_array_equal(real.output_bytes[inner] - zoo.output_bytes[inner], entering)
    assert real.output_bytes[0] == zoo.output_bytes[0] / 4  # conv1 is pooled before it is sent
    blocks = LayerProfile.of_network(resnet, "blocks")
    assert blocks.layer_names == tuple(n for n in zoo.layer_names if not n.endswith("a"))
    assert (blocks.tensors == 1).all()


@pytest.mark.parametrize("name", ["vgg19", "resnet50"])
def test_the_zoo_against_independent_files(name):
    """VGG19 and ResNet50 of the zoo agree with the files of the onnx package at every cut."""
    ours, zoo = LayerProfile.of_network(read_onnx(light(name)).network), zoo_profile(name)
    np.testing.assert_array_equal(ours.macs, zoo.macs)
    np.testing.assert_array_equal(ours.output_bytes, zoo.output_bytes)
    np.testing.assert_array_equal(ours.tensors, zoo.tensors)
    assert ours.input_bytes == zoo.input_bytes
    assert ours.parameters == zoo.parameters


def test_a_densely_connected_network_by_hand():
    """Inside a dense block everything made so far crosses every cut; between blocks one tensor does."""
    network = read_onnx(light("densenet121")).network
    cuts = take_cuts(network)
    assert cuts[0].upload_bytes == 64 * 56**2 * 4  # after the first pooling
    assert cuts[2].upload_bytes == (64 + 32) * 56**2 * 4  # the block's input and one layer of growth 32
    assert max(cut.upload_bytes for cut in cuts[1:13]) > 256 * 56**2 * 4  # never less than what has grown
    assert len(single_tensor_cuts(network)) >= 4


@pytest.mark.parametrize("seed", range(3))
def test_nothing_depends_on_the_order_of_nodes(seed, tmp_path):
    model = onnx.load(light("squeezenet"))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[i] for i in np.random.default_rng(seed).permutation(len(nodes)))
    (tmp_path / "light_squeezenet.onnx").write_bytes(model.SerializeToString())
    one, other = (
        LayerProfile.of_network(read_onnx(p).network) for p in (light("squeezenet"), tmp_path / "light_squeezenet.onnx")
    )
    assert one.to_dict() == other.to_dict()


def test_the_residual_block(tmp_path):
    profile = LayerProfile.from_onnx(residual_block().save(tmp_path / "net.onnx"))
    assert profile.name == "net"
    assert profile.layer_names == ("stem", "a", "b", "fc")
    assert list(profile.macs) == [8 * 64 * 36, 8 * 64 * 72, 8 * 64 * 72, 80]
    assert list(profile.output_bytes) == [2048, 4096, 32, 40]
    assert list(profile.tensors) == [1, 2, 1, 1]
    assert profile.input_bytes == 1024
    assert profile.parameters == 8 * 36 + 2 * 8 * 72 + 80 + 10


def test_grouped_and_transposed_convolutions_and_batches(tmp_path):
    b = Builder()
    b.input("x", [2, 4, 5, 5])
    b.conv("x", "grouped", 4, 8, 3, pad=1, groups=2)
    b.add("ConvTranspose", ["grouped", b.weight("w", 8, 3, 2, 2)], "up", strides=[2, 2], group=2)
    b.add("MatMul", ["up", b.weight("m", 10, 7)], "out")
    b.output("out")
    profile = LayerProfile.from_onnx(b.save(tmp_path / "net.onnx"))
    assert list(profile.macs) == [2 * 8 * 25 * 2 * 9, 2 * 8 * 25 * 3 * 4, 2 * 6 * 10 * 7 * 10]
    assert profile.output_bytes[-1] == 2 * 6 * 10 * 7 * 4


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_networks(kind, gates, tmp_path):
    b = Builder()
    b.input("x", [9, 2, 5])
    b.add(
        kind,
        ["x", b.weight("w", 2, gates * 3, 5), b.weight("r", 2, gates * 3, 3)],
        "y",
        2,
        hidden_size=3,
        direction="bidirectional",
    )
    b.output("y:1")
    profile = LayerProfile.from_onnx(b.save(tmp_path / "net.onnx"))
    assert list(profile.macs) == [9 * 2 * 2 * gates * (3 * 5 + 3 * 3)]
    assert list(profile.output_bytes) == [2 * 2 * 3 * 4]  # the whole sequence is not read
    assert profile.parameters == 2 * gates * 3 * 8


def attention_from_parts():
    b = Builder()
    b.input("x", [1, 6, 16])
    for name in "qkv":
        b.add("MatMul", ["x", b.weight(f"{name}.w", 16, 16)], name)
    b.add("Transpose", ["k"], "k.t", perm=[0, 2, 1])
    b.add("MatMul", ["q", "k.t"], "scores")
    b.add("Softmax", ["scores"], "weights", axis=-1)
    b.add("MatMul", ["weights", "v"], "mixed")
    b.output("mixed", [1, 6, 16])
    return b


def attention_operator():
    b = Builder(opset=23)
    b.input("x", [1, 6, 16])
    for name in "qkv":
        b.add("MatMul", ["x", b.weight(f"{name}.w", 16, 16)], name)
    b.add("Attention", ["q", "k", "v"], "mixed", q_num_heads=4, kv_num_heads=4)
    b.output("mixed", [1, 6, 16])
    return b


def test_attention_costs_the_same_as_one_operator_or_as_its_parts(tmp_path):
    expected = 3 * 6 * 16 * 16 + 2 * 6 * 6 * 16
    for k, builder in enumerate((attention_from_parts(), attention_operator())):
        network = read_onnx(builder.save(tmp_path / f"{k}.onnx")).network
        assert network.total_macs == expected
        assert network.parameters == 3 * 256


def test_bytes_follow_the_type(tmp_path):
    b = Builder()
    b.input("tokens", [1, 6], TensorProto.INT64)
    b.add("Gather", [b.weight("table", 100, 16), "tokens"], "embedded")
    b.add("MatMul", ["embedded", b.weight("w", 16, 8)], "dense")
    b.add("Cast", ["dense"], "half", to=TensorProto.FLOAT16)
    b.output("half", None, TensorProto.FLOAT16)
    path = b.save(tmp_path / "net.onnx")
    profile = LayerProfile.from_onnx(path)
    assert (profile.input_bytes, profile.output_bytes[-1]) == (48, 96)
    assert profile.parameters == 1600 + 128
    quantised = LayerProfile.from_onnx(path, upload_dtype="uint8")
    assert (quantised.input_bytes, quantised.output_bytes[-1]) == (48, 48)  # tokens are no floats


def test_a_quantised_network(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    scale, zero = b.values("scale", 0.1, np.float32), b.values("zero", 0, np.uint8)
    b.add("QuantizeLinear", ["x", scale, zero], "q")
    b.add(
        "QLinearMatMul", ["q", scale, zero, b.weight("w", 4, 3, kind=TensorProto.UINT8), scale, zero, scale, zero], "m"
    )
    b.add("DequantizeLinear", ["m", scale, zero], "y")
    b.output("y", [1, 3])
    profile = LayerProfile.from_onnx(b.save(tmp_path / "net.onnx"), cuts="all")
    assert list(profile.macs) == [0, 12, 0]
    assert list(profile.output_bytes) == [4, 3, 3]  # what is dequantised by constants is sent as it was
    assert profile.parameters == 12


def test_computed_shapes_are_evaluated(tmp_path):
    network = read_onnx(flattened().save(tmp_path / "net.onnx"), Given({"x": (2, 3, 4, 4)})).network
    assert [op.kind for op in network.operations] == ["Conv", "Reshape", "MatMul"]  # sizes are no data
    assert network.total_macs == 2 * 5 * 4 * 27 + 2 * 20 * 7
    assert network.caution() == ""


def test_open_shapes_are_asked_for(tmp_path):
    path = flattened().save(tmp_path / "net.onnx")
    refused(read_onnx, path, 'input "x" is open (nx3x4x4)', "--input-shape x=1x3x4x4", "[profiles] input_shapes")
    refused(lambda path: read_onnx(path, Given({"y": (1,)})), path, 'no input "y"', "its inputs are x")
    refused(lambda path: read_onnx(path, Given({"x": (1, 3, 4)})), path, "1x3x4 does not fit", "nx3x4x4")
    refused(lambda path: read_onnx(path, Given({"x": (1, 3, 4, 5)})), path, "1x3x4x5 does not fit", "nx3x4x4")
    assert read_onnx(path, Given({"": (1, 3, 4, 4)})).network.inputs == ("x",)
    assert read_onnx(path, shared=Given({"x": (1, 3, 4, 4), "other": (1,)})).network.inputs == ("x",)


def test_inputs_of_unknown_rank_are_asked_for(tmp_path):
    b = Builder()
    b.input("x", None)
    b.add("Relu", ["x"], "y")
    b.output("y")
    refused(read_onnx, b.save(tmp_path / "net.onnx"), "unknown rank", "--input-shape x=1x3x224x224")


def test_the_shape_of_one_of_several_inputs_needs_its_name(tmp_path):
    b = Builder()
    b.add("Add", [b.input("x", ["n"]), b.input("y", ["n"])], "z")
    b.output("z")
    refused(lambda path: read_onnx(path, Given({"": (3,)})), b.save(tmp_path / "net.onnx"), "2 inputs (x, y)")


def test_initializers_listed_as_inputs_are_weights(tmp_path):
    b = residual_block()
    for tensor in b.weights:
        b.input(tensor.name, list(tensor.dims))
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert network.inputs == ("x",)


def test_weights_in_other_files_are_not_looked_for(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.weight("w", 4, 3)], "y")
    b.output("y", [1, 3])
    assert read_onnx(b.save(tmp_path / "net.onnx")).network.total_macs == 12


def test_what_subgraphs_capture_is_alive(tmp_path):
    path = branching().save(tmp_path / "net.onnx")
    profile = LayerProfile.from_onnx(path, cuts="all")
    names = dict(zip(profile.layer_names, profile.output_bytes, strict=True))
    assert names["positive"] == 16 + 16 + 1  # x and m are read inside the branches


def test_loops_of_free_operators_are_free(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.weight("w", 4, 4)], "m")
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["state", "state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 4]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 4]),
        ],
    )
    b.add("Loop", [b.values("times", 3), "", "m"], "out", body=body)
    b.output("out", [1, 4])
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert not network.cautions


def test_foreign_operators_are_named_and_their_declared_shape_is_believed(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("Strange", ["x"], "s", domain="my.domain")
    b.add("MatMul", ["s", b.weight("w", 6, 4)], "y")
    b.output("y", [1, 4])
    refused(read_onnx, b.save(tmp_path / "net.onnx", ["my.domain"]), '"s"', "my.domain:Strange", "cannot be known")
    model = b.model(["my.domain"])
    model.graph.value_info.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [1, 6]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    network = read_onnx(tmp_path / "net.onnx").network
    assert network.uncounted == {"my.domain:Strange": 1}
    assert network.total_macs == 24


def test_local_functions_are_counted_inside(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("Dense", ["x", b.weight("w", 4, 3)], "y", domain="local")
    b.output("y", [1, 3])
    model = b.model(["local"])
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    model.functions.append(
        helper.make_function("local", "Dense", ["a", "b"], ["c"], nodes, [helper.make_opsetid("", 17)])
    )
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert read_onnx(tmp_path / "net.onnx").network.total_macs == 12


def test_sizes_that_depend_on_data_are_refused(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("NonZero", ["x"], "where")
    b.add("Cast", ["where"], "y", to=TensorProto.FLOAT)
    b.output("y")
    refused(read_onnx, b.save(tmp_path / "net.onnx"), '"where"', '"where" (NonZero)', "cannot be known before running")


def test_text_has_no_size(tmp_path):
    b = Builder()
    b.input("x", [3], TensorProto.STRING)
    b.add("Identity", ["x"], "y")
    b.output("y", [3], TensorProto.STRING)
    refused(read_onnx, b.save(tmp_path / "net.onnx"), '"x"', "STRING")


def test_shapes_that_contradict_each_other_are_refused(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.weight("w", 5, 3)], "product")
    b.output("product")
    said = ('operator "product" (MatMul)', "do not fit", "; give the inputs other shapes")
    refused(read_onnx, b.save(tmp_path / "net.onnx"), *said)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda b: b.nodes.append(b.nodes[0]), ['make the tensor "stem"']),
        (lambda b: b.nodes.pop(0), ['reads "stem", which nothing makes']),
        (lambda b: b.outputs.clear(), ["the graph has no output"]),
        (lambda b: b.output("lost", [1]), ['output "lost" is made by no operator']),
        (lambda b: b.inputs.clear(), ['reads "x", which nothing makes']),
        (lambda b: b.nodes.clear(), ["empty", "no operators"]),
        (lambda b: b.nodes[0].input.append("fc"), ["cycle"]),
    ],
)
def test_invalid_graphs_are_refused(change, parts, tmp_path):
    b = residual_block()
    change(b)
    refused(read_onnx, b.save(tmp_path / "net.onnx"), *parts)


def test_a_network_that_ignores_its_input_is_refused(tmp_path):
    b = Builder()
    b.input("x", [1])
    b.add("Constant", [], "c", value_float=1.0)
    b.output("c", [])
    refused(read_onnx, b.save(tmp_path / "net.onnx"), "every output is constant")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "the file is empty"),
        (b"this is no model at all", "not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not an ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"{}", "not an ONNX file"),
    ],
)
def test_what_is_not_onnx_is_refused(content, part, tmp_path):
    (tmp_path / "net.onnx").write_bytes(content)
    refused(read_onnx, tmp_path / "net.onnx", part)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_broken_files_are_refused(kept, tmp_path):
    content = light("squeezenet").read_bytes()
    (tmp_path / "net.onnx").write_bytes(content[: int(kept * len(content))])
    refused(read_onnx, tmp_path / "net.onnx", "")


def test_missing_files_and_folders_are_refused(tmp_path):
    refused(read_onnx, tmp_path / "absent.onnx", "cannot read the model (No such file or directory)")
    refused(read_onnx, tmp_path, "cannot read the model (Is a directory)")


def test_enormous_files_are_refused_unread(tmp_path):
    with (tmp_path / "net.onnx").open("wb") as stream:
        os.truncate(stream.fileno(), FILES["the model"][0] + 1)  # a hole: no disk is used
    refused(read_onnx, tmp_path / "net.onnx", "2,147,483,649 bytes", "the most is 2,147,483,648", "external data")


def test_without_onnx_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendMissing, match=re.escape(installing("onnx"))):
        read_onnx(residual_block().save(tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x=1x3x224x224", ("x", (1, 3, 224, 224))), ("1X3", ("", (1, 3))), ("a=b=7", ("a=b", (7,))), ("x=", ("x", ()))],
)
def test_shapes_on_the_command_line(text, expected):
    assert parse_shape(text) == expected


@pytest.mark.parametrize("text", ["x=1x-3", "x=1x-0.5", "x=1,3", "x=threex3", "x=1xx3", "x=1.5"])
def test_malformed_shapes_are_refused(text):
    with pytest.raises(InputError, match="name=1x3x224x224"):
        parse_shape(text)
