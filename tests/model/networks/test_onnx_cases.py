"""ONNX files as people have them: open and stale sizes, branches, loops, masks, weights that come in, values, ends."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from dmcjia_opt.base.errors import Doubt, InputError, UncountedOperators
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.measuring import measure
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.model.networks.profile import LayerProfile
from tests.model.networks.onnx_interpreter import Interpreted
from tests.model.networks.onnx_models import Builder
from tests.refusals import refused

MS = "com.microsoft"
value = helper.make_tensor_value_info


def branches(b, name, condition, then, other, outputs=("o",)):
    """Add an If whose branches are lists of nodes that make `o`, of a shape that nobody writes down."""
    made = [helper.make_empty_tensor_value_info(output) for output in outputs]
    graphs = [helper.make_graph(nodes, kind, [], made) for kind, nodes in (("yes", then), ("no", other))]
    return b.add("If", [condition], name, then_branch=graphs[0], else_branch=graphs[1])


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], name=f"{kind} {output}", **attributes)


def looped(b, times, condition="", on="go", kind="MatMul"):
    """Add a Loop of products with an 8 by 8 matrix; `on` says what of the body decides whether it goes on."""
    b.random("v", 8, 8)
    parts = [node(kind, ["h", "v"], "m"), node("Identity", ["go"], "on")]
    if on == "h":
        parts = [parts[0], node("ReduceMax", ["m"], "most", keepdims=0), node("Cast", ["most"], "on", to=9)]
    inputs = [value("i", 7, []), value("go", 9, []), value("h", 1, [1, 8])]
    body = helper.make_graph(parts, "body", inputs, [value("on", 9, []), value("m", 1, [1, 8])])
    return b.add("Loop", [times, condition, b.input("x", [1, 8])], "y", body=body)


def test_shapes_given_beat_shapes_written_down(tmp_path):
    b = Builder()
    b.input("x", [1, 3, "h", "w"])
    b.add("Conv", ["x", b.weight("a.w", 16, 3, 3, 3)], "a", pads=[1] * 4)
    b.add("FastGelu", ["a"], "g", domain=MS)
    b.add("Strange", ["g"], "s", domain="own")
    b.add("Conv", ["s", b.weight("b.w", 8, 16, 3, 3)], "y", pads=[1] * 4)
    b.output("y", [1, 8, "h", "w"])
    model = b.model([MS, "own"])
    path = tmp_path / "net.onnx"
    model.graph.value_info.extend([value("g", 1, [1, 16, 224, 224]), value("s", 1, [1, 16, "h", "w"])])
    path.write_bytes(model.SerializeToString())
    for given in (Given({"x": (1, 3, 64, 64)}), Given(dims={"h": 64, "w": 64})):
        network = read_onnx(path, given).network
        assert network.total_macs == 64 * 64 * 9 * (3 * 16 + 16 * 8)  # the symbols of "s" are bound
        assert network.tensors["g"].shape == (1, 16, 64, 64)
    del model.graph.value_info[:]
    model.graph.value_info.append(value("s", 1, [1, 16, 224, 224]))
    path.write_bytes(model.SerializeToString())
    refused(lambda path: read_onnx(path, Given(dims={"h": 64, "w": 64})), path, '"s"', "own:Strange", "--outputs g")
    refused(read_onnx, path, 'input "x" is open (1x3xhxw)', "--input-shape x=1x3x224x224 or --dim h=1")


def test_symbols_bind_across_inputs(tmp_path):
    b = Builder()
    b.input("tokens", ["batch", "length", 8])
    b.input("mask", ["batch", "length", 1])
    b.input("odd", ["?", "?"])
    b.add("Mul", ["tokens", "mask"], "m")
    b.add("MatMul", ["m", b.weight("w", 8, 4)], "y")
    b.add("Relu", ["odd"], "z")
    b.output("y")
    b.output("z")
    path = b.save(tmp_path / "net.onnx")
    for given in (
        Given({"tokens": (2, 5, 8), "odd": (3, 4)}),  # "?" is two sizes, and so no symbol
        Given({"mask": (2, 5, 1), "odd": (3, 4)}),
        Given({"odd": (3, 4)}, {"batch": 2, "length": 5}),
    ):
        network = read_onnx(path, given).network
        assert [network.tensors[name].shape for name in ("tokens", "mask")] == [(2, 5, 8), (2, 5, 1)]
        assert network.total_macs == 2 * 5 * 8 * 4
    assert "--dim" not in refused(lambda path: read_onnx(path, Given(dims={"batch": 2, "length": 5})), path, "odd=1x1")
    clash = Given({"tokens": (2, 5, 8), "odd": (3, 4)}, {"batch": 3})
    refused(lambda path: read_onnx(path, clash), path, 'input "tokens" has 2 for "batch"', "given as 3")
    refused(lambda path: read_onnx(path, Given(dims={"lenght": 3})), path, 'dimension "lenght"', 'mean "length"?')


@pytest.mark.parametrize(("height", "macs"), [(3, 4 * 6 * 9 + 6 * 4 * 2), (4, 4 * 6 * 2 * 9 + 2 * 6 * 4 * 2)])
def test_a_condition_of_sizes_takes_its_branch(height, macs, tmp_path):
    b = Builder()
    b.input("x", ["n", 1, "h", 8])
    b.add("Conv", ["x", b.weight("c.w", 4, 1, 3, 3)], "c")
    b.add("Shape", ["c"], "shape")
    b.add("Gather", ["shape", b.values("two", 2)], "height")
    b.add("Equal", ["height", b.values("one", 1)], "flat")
    axes = node("Constant", [], "axes", value=helper.make_tensor("t", TensorProto.INT64, [1], [2]))
    then = [axes, node("Squeeze", ["c", "axes"], "o")]
    branches(b, "either", "flat", then, [node("Identity", ["c"], "o")])
    b.add("Transpose", ["either"], "t", perm=[0, 2, 1] if height == 3 else [0, 2, 3, 1])
    b.add("MatMul", ["t", b.weight("l.w", 4, 2)], "y")
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx"), Given({"x": (1, 1, height, 8)})).network
    assert "If" not in {op.kind for op in network.operations}
    assert network.total_macs == macs
    assert not network.cautions


def rated(tmp_path):
    """Return a network that has another filter bank for each sample rate, one within the other's branch."""
    b = Builder()
    b.input("x", [1, 16])
    b.input("sr", [], TensorProto.INT64)
    for name, columns in (("low", 4), ("high", 8), ("most", 2)):
        b.weight(name, 16, columns)
    b.add("Equal", ["sr", b.values("16k", 16000)], "fast")
    b.add("Equal", ["sr", b.values("8k", 8000)], "slow")
    inner = Builder()
    branches(inner, "i", "slow", [node("MatMul", ["x", "low"], "o")], [node("MatMul", ["x", "most"], "o")])
    other = [*inner.nodes, node("Identity", ["i"], "o")]
    branches(b, "either", "fast", [node("MatMul", ["x", "high"], "o")], other)
    b.output("either")
    return b.save(tmp_path / "net.onnx")


@pytest.mark.parametrize(("rate", "columns"), [(16000, 8), (8000, 4), (1, 2)])
def test_a_value_that_is_given_decides_branches_within_branches(rate, columns, tmp_path):
    network = read_onnx(rated(tmp_path), Given(input_values={"sr": (rate,)})).network
    assert network.inputs == ("x",)  # the rate is known there, and not sent
    assert network.total_macs == 16 * columns
    assert network.parameters == 16 * columns
    assert network.tensors[network.outputs[0]].shape == (1, columns)


def test_an_unknown_condition_counts_as_the_larger_branch_and_says_so(tmp_path):
    path = rated(tmp_path)
    with pytest.warns(Doubt, match='net: the If "either" counts as the larger of its branches'):
        profile = LayerProfile.from_onnx(path)
    assert profile.total_macs == 16 * 8
    assert profile.output_bytes[-1] == 4 * 8
    assert len(profile.cautions) == 1


def test_a_branch_that_does_not_fit_is_refused_unless_the_condition_is_given(tmp_path):
    b = Builder()
    b.input("x", [1, 16])
    b.input("sr", [], TensorProto.INT64)
    b.weight("fits", 16, 4)
    b.weight("other", 8, 4)
    b.add("Equal", ["sr", b.values("16k", 16000)], "fast")
    inner = Builder()
    branches(inner, "i", "fast", [node("Identity", ["x"], "o")], [node("MatMul", ["x", "other"], "o")])
    branches(b, "either", "fast", [node("MatMul", ["x", "fits"], "o")], [*inner.nodes, node("Identity", ["i"], "o")])
    b.output("either")
    path = b.save(tmp_path / "net.onnx")
    sentence = refused(read_onnx, path, "do not fit", 'in a branch of the If "', "--input-value NAME=1")
    assert sentence.count("--input-value") == 1  # though there is a branch in a branch
    assert read_onnx(path, Given(input_values={"sr": (16000,)})).network.total_macs == 16 * 4


def test_values_are_checked(tmp_path):
    path = rated(tmp_path)
    for values, part in (
        ({"sr": (0.5,)}, "takes no such value as 0.5"),
        ({"sr": (1.0, 2.0)}, 'input "sr", which is a scalar, does not take 2 values'),
        ({"rate": (1.0,)}, 'no input "rate"'),
        ({"sr": (float("inf"),)}, "takes no such value"),
    ):
        refused(lambda path, values=values: read_onnx(path, Given(input_values=values)), path, part)
    both = Given({"sr": ()}, input_values={"sr": (1.0,)})
    refused(lambda path: read_onnx(path, both), path, "leave its shape out")


@pytest.mark.parametrize(("axis", "out_axis", "shape"), [(0, 0, (50, 1, 16)), (1, -1, (1, 16, 50))])
def test_a_scan_does_the_work_of_its_body_at_every_step(axis, out_axis, shape, tmp_path):
    b = Builder()
    b.input("x", [50, 1, 8] if axis == 0 else [1, 50, 8])
    for name, rows in (("wx", 8), ("wh", 16)):
        b.random(name, rows, 16)
    parts = [node("MatMul", ["t", "wx"], "p"), node("MatMul", ["h", "wh"], "q"), node("Add", ["p", "q"], "n")]
    parts.append(node("Identity", ["n"], "o"))
    body = helper.make_graph(
        parts, "body", [value("h", 1, None), value("t", 1, None)], [value("n", 1, None), value("o", 1, None)]
    )
    b.values("h0", np.zeros((1, 16)), np.float32)
    b.add(
        "Scan",
        ["h0", "x"],
        "r",
        outputs=2,
        num_scan_inputs=1,
        body=body,
        scan_input_axes=[axis],
        scan_output_axes=[out_axis],
    )
    b.output("r:1")
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert network.total_macs == 50 * (8 * 16 + 16 * 16)
    assert network.parameters == 8 * 16 + 16 * 16 + 16  # though no input of the operator itself; it begins with h0
    assert network.tensors["r:1"].shape == shape
    assert not network.cautions


@pytest.mark.parametrize(
    ("times", "on", "passes", "said"),
    [
        (5, "go", 5, ""),
        (0, "go", 0, ""),
        (5, "h", 5, "counts as 5 passes, the most that it may make"),
        (2**63 - 1, "h", 1, "counts as one pass of its body"),
        (None, "go", 1, "counts as one pass of its body"),
    ],
)
def test_a_loop_does_the_work_of_its_body_at_every_pass(times, on, passes, said, tmp_path):
    b = Builder()
    looped(b, b.input("n", [], TensorProto.INT64) if times is None else b.values("n", times), on=on)
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert network.total_macs == passes * 64
    assert [said in caution for caution in network.cautions] == [True] * bool(said)


def counting(b, until, *, step=2, times="", noise=False):
    """Add a Loop of products that goes on while a counter, which each pass makes larger, is less than `until`."""
    b.random("v", 8, 8)
    parts = [node("MatMul", ["h", "v"], "m"), node("Add", ["at", "step"], "next"), node("Identity", ["end"], "same")]
    if noise:
        parts.append(node("RandomUniformLike", ["next"], "drawn", dtype=TensorProto.FLOAT))
    parts += [node("Less", ["drawn" if noise else "next", "same"], "on"), node("Identity", ["m"], "kept")]
    states = [("at", 1, []), ("end", 1, []), ("h", 1, ["rows", 8])]
    inputs = [value("i", 7, []), value("go", 9, []), *(value(*each) for each in states)]
    outputs = [value(name, kind, None) for name, kind in (("on", 9), ("next", 1), ("same", 1), ("m", 1), ("kept", 1))]
    body = helper.make_graph(parts, "body", inputs, outputs)
    b.values("step", step, np.float32)
    b.values("begin", 0, np.float32)
    b.input("x", [1, 8])
    return b.add("Loop", [times, "", "begin", until, "x"], "y", outputs=4, body=body)


@pytest.mark.parametrize(("times", "passes"), [("", 4), (9, 4), (3, 3)])
def test_a_loop_that_counts_to_a_known_number_runs_that_often(times, passes, tmp_path):
    b = Builder()
    counting(b, b.values("until", 7, np.float32), times=times and b.values("times", times))
    b.add("MatMul", ["y:3", b.random("w", 8, 2)], "z")
    b.output("z")
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    truth = Interpreted(tmp_path / "net.onnx")
    assert network.tensors["y:3"].shape == truth.arrays["y:3"].shape == (passes, 1, 8)
    assert network.total_macs == passes * 64 + truth.macs()  # the interpreter leaves out what is in the body
    assert not network.cautions


@pytest.mark.parametrize("until", ["an input", "never", "drawn"])
def test_a_loop_whose_counter_is_not_known_counts_once(until, tmp_path):
    b = Builder()
    never = {"step": 0} if until == "never" else {}
    # what is drawn is not less than 0, so that one pass of many is all there is to see
    end = b.input("until", []) if until == "an input" else b.values("until", 7 * (until == "never"), np.float32)
    counting(b, end, noise=until == "drawn", **never)
    b.output("y:2")
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert network.total_macs == 64
    assert "counts as one pass of its body" in network.cautions[0]


def test_a_product_in_a_loop_of_a_shape_that_is_not_known_is_refused_with_the_remedy(tmp_path):
    b = Builder()
    b.input("x", [1, 8])
    b.add("NonZero", ["x"], "places")
    b.add("Cast", ["places"], "numbers", to=TensorProto.FLOAT)
    b.random("v", 2, 2)
    ends = [value("on", 9, []), value("m", 1, None)]
    begins = [value("i", 7, []), value("go", 9, []), value("h", 1, None)]
    parts = [node("MatMul", ["v", "h"], "m"), node("Identity", ["go"], "on")]
    b.add("Loop", [b.values("n", 2), "", "numbers"], "y", body=helper.make_graph(parts, "body", begins, ends))
    b.output("y")
    refused(read_onnx, b.save(tmp_path / "net.onnx"), 'the shape of "h"', '"MatMul m" (MatMul)', "with --outputs")


def test_the_trips_of_a_loop_may_be_given(tmp_path):
    b = Builder()
    looped(b, b.input("n", [], TensorProto.INT64))
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx"), Given(input_values={"n": (7.0,)})).network
    assert (network.total_macs, network.cautions, network.inputs) == (7 * 64, (), ("x",))


def test_what_no_rule_knows_in_a_loop_is_named_with_its_work(tmp_path):
    b = Builder()
    looped(b, b.values("n", 5), kind="Strange")
    b.nodes[-1].attribute[0].g.node[0].domain = "own"
    b.add("MatMul", ["y", b.random("w", 8, 8)], "z")
    b.output("z")
    with pytest.warns(UncountedOperators, match="at least 83 % of the work is not counted"):
        LayerProfile.from_onnx(b.save(tmp_path / "net.onnx", ["own"]))


@pytest.mark.parametrize(
    ("shape", "weight", "said"),
    [
        ([1, 56, 64], (64, 64), "at least 99.8 % of the work is not counted"),  # 56 times 64 by 64, and 56 by 8
        ([1, 64], (1, 64), "an unknown part"),  # lies over its output
        ([1, 64], (64,), "an unknown part"),
    ],
)
def test_the_weights_of_what_no_rule_knows_say_what_it_does_at_least(shape, weight, said, tmp_path):
    b = Builder()
    b.input("x", shape)
    b.add("Strange", ["x", b.weight("w", *weight)], "s", domain="own")
    b.add("ReduceSum", ["s", b.values("last", [-1])], "r", keepdims=1)
    b.add("MatMul", ["r", b.weight("v", 1, 8)], "y")
    b.output("y")
    model = b.model(["own"])
    model.graph.value_info.append(value("s", 1, shape))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert read_onnx(tmp_path / "net.onnx").network.caution().startswith(said)


@pytest.mark.parametrize("places", [64, 5000])
def test_masks_are_folded_however_large(places, tmp_path):
    b = Builder()
    b.input("x", ["n", places, 4])
    b.values("mask", np.arange(places) % 4 == 0, bool)
    b.add("Not", ["mask"], "others")
    b.add("Not", ["others"], "again")
    b.add("NonZero", ["again"], "where")
    b.add("Squeeze", ["where", b.values("axis", [0])], "which")
    b.add("Gather", ["x", "which"], "kept", axis=1)
    b.add("MatMul", ["kept", b.weight("w", 4, 2)], "y")
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx"), Given(dims={"n": 1})).network
    assert network.total_macs == places // 4 * 8
    assert [op.kind for op in network.operations] == ["Gather", "MatMul"]


def test_a_past_of_length_0_is_a_shape(tmp_path):
    b = Builder()
    b.input("x", [1, "new", 8])
    b.input("past", [1, "past", 8])
    b.add("Concat", ["past", "x"], "all", axis=1)
    b.add("Transpose", ["all"], "turned", perm=[0, 2, 1])
    b.add("MatMul", ["x", "turned"], "y")
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx"), Given({"past": (1, 0, 8)}, {"new": 3})).network
    assert network.total_macs == 3 * 3 * 8
    assert network.tensors["past"].sent_bytes(None) == 0


def detector(tmp_path):
    b = Builder()
    b.input("x", [1, 3, 32, 32])
    b.conv("x", "backbone", 3, 16, 4, stride=4)
    for name, channels in (("b", 4), ("s", 5)):
        b.conv("backbone", name, 16, channels, 1)
        b.add("Reshape", [name, b.values(f"{name}.to", [1, channels, 64])], "scores" if name == "s" else "flat")
    b.add("Transpose", ["flat"], "boxes", perm=[0, 2, 1])
    most = b.values("most", [10]), b.values("iou", [0.5], np.float32), b.values("least", [0.1], np.float32)
    b.add("NonMaxSuppression", ["boxes", "scores", *most], "selected")
    b.add("Gather", ["selected", b.values("two", 2)], "index", axis=1)
    b.add("Gather", ["boxes", "index"], "found", axis=1)
    b.output("found")
    return b.save(tmp_path / "net.onnx")


def test_a_network_may_end_before_its_outputs(tmp_path):
    path = detector(tmp_path)
    refused(read_onnx, path, '"selected" (NonMaxSuppression)', "--outputs boxes,scores")
    network = read_onnx(path, Given(outputs=("boxes", "scores"))).network
    assert network.total_macs == 64 * 16 * (48 + 9)
    assert network.outputs == ("boxes", "scores")
    assert read_onnx(path, Given(outputs=("scores",))).network.total_macs == 64 * 16 * (48 + 5)
    refused(lambda path: read_onnx(path, Given(outputs=("score",))), path, 'no tensor "score"', 'mean "scores"?')


def test_open_inputs_that_no_output_needs_are_not_asked_for(tmp_path):
    b = Builder()
    b.input("x", [1, 8])
    b.input("state", ["batch", 8])
    b.add("MatMul", ["x", b.weight("w", 8, 4)], "y")
    b.add("Add", ["x", "state"], "next")
    b.output("y")
    b.output("next")
    path = b.save(tmp_path / "net.onnx")
    refused(read_onnx, path, 'input "state" is open', "--dim batch=1")
    assert read_onnx(path, Given(outputs=("y",))).network.inputs == ("x",)


def test_inputs_that_only_weights_can_be_are_weights(tmp_path):
    b = Builder()
    for name, shape in (("x", [1, 3, 16, 16]), ("w", [8, 3, 3, 3]), ("fw", [10, 8]), ("fb", [10])):
        b.input(name, shape)
    b.add("Conv", ["x", "w"], "c", pads=[1] * 4)
    b.add("Flatten", [b.add("GlobalAveragePool", ["c"], "g")], "f")
    b.add("Gemm", ["f", "fw", "fb"], "y", transB=1)
    b.output("y", [1, 10])
    path = b.save(tmp_path / "net.onnx")
    with pytest.warns(Doubt, match='net: the inputs "w", "fw", "fb" count as weights, which are not sent'):
        profile = LayerProfile.from_onnx(path)
    assert profile.input_bytes == 4 * 3 * 256
    assert list(profile.weight_bytes) == [4 * 8 * 27, 4 * 90]
    model = read_onnx(path, Given({"w": (8, 3, 3, 3)}))  # who gives a shape says that it is data
    assert model.network.inputs == ("x", "w")
    assert measure(read_onnx(path), "here").seconds


@pytest.mark.parametrize(
    ("shapes", "weights"),
    [
        ({"x": [2, 8], "w": [8, 4], "b": [4]}, ("w", "b")),
        ({"x": [2, 8], "w": [8, 4]}, ()),  # one of two factors may be anything
        ({"x": [2, 8], "w": ["n", 4], "b": [4]}, ()),
        ({"x": [1, 2, 8], "w": [1, 8, 4], "b": [4]}, ()),
    ],
)
def test_factors_are_weights_only_where_a_model_holds_none(shapes, weights, tmp_path):
    b = Builder()
    for name, shape in shapes.items():
        b.input(name, shape)
    b.add("MatMul", ["x", "w"], "y")
    b.output(b.add("Add", ["y", "b"], "z") if "b" in shapes else "y")
    network = read_onnx(b.save(tmp_path / "net.onnx"), Given(dims={"n": 8} if "n" in shapes["w"] else {})).network
    assert [name for name in shapes if name not in network.inputs] == list(weights)


def test_weights_that_come_in_may_have_another_form(tmp_path):
    b = Builder()
    for name, shape in (("x", [2, 8]), ("fc.weight", [4, 8]), ("other", [4, 8])):
        b.input(name, shape)
    for name in ("fc.weight", "other"):
        b.add("MatMul", ["x", b.add("Transpose", [name], f"{name}.t")], f"{name}.y")
        b.output(f"{name}.y")
    b.weight("held", 8, 4)
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert network.inputs == ("x", "other")  # it is the name that tells them apart


def test_caches_of_keys_grow_by_what_is_new(tmp_path):
    b = Builder()
    b.input("x", ["n", "new", 128])
    for name in ("keys", "values"):
        b.input(name, ["n", 2, "past", 16])
    b.input("length", ["n"], TensorProto.INT32)
    b.input("total", [], TensorProto.INT32)
    inputs = ["x", "", "", "keys", "values", "length", "total"]
    b.add("GroupQueryAttention", inputs, "a", outputs=3, domain=MS, num_heads=4, kv_num_heads=2)
    for output in ("a", "a:1", "a:2"):
        b.output(output)
    network = read_onnx(b.save(tmp_path / "net.onnx", [MS]), Given(dims={"n": 1, "new": 3, "past": 5})).network
    assert [network.tensors[name].shape for name in network.outputs] == [(1, 3, 64), (1, 2, 8, 16), (1, 2, 8, 16)]
    assert network.total_macs == 3 * 8 * 2 * 64


def test_layer_normalization_of_any_version(tmp_path):
    b = Builder(opset=12)
    b.input("x", [1, 6, 8])
    b.add("LayerNormalization", ["x", b.weight("s", 8), b.weight("o", 8)], "n")
    b.add("MatMul", ["n", b.weight("w", 8, 4)], "y")
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert (network.total_macs, network.cautions) == (6 * 8 * 4, ())


@pytest.mark.parametrize("constant", [True, False])
def test_what_constants_dequantise_is_sent_as_it_was(constant, tmp_path):
    b = Builder()
    b.input("x", [1, 8])
    b.add("DynamicQuantizeLinear", ["x"], "q", outputs=3)
    scale = (b.values("s", 0.1, np.float32), b.values("z", 3, np.uint8)) if constant else ("q:1", "q:2")
    b.add("DequantizeLinear", ["q", *scale], "d")
    b.add("Reshape", ["d", b.values("to", [2, 4])], "r")
    b.add("MatMul", ["r", b.weight("w", 4, 4)], "y")
    b.output("y")
    network = read_onnx(b.save(tmp_path / "net.onnx")).network
    assert network.tensors["r"].data == ("q" if constant else "d")


def test_layers_whose_weights_no_file_holds_are_not_timed(tmp_path):
    b = Builder()
    b.input("x", [1, 25_000])
    b.add("MatMul", ["x", b.weight("w", 25_000, 25_000)], "y")
    b.output("y")
    model = read_onnx(b.save(tmp_path / "net.onnx"))
    with pytest.raises(InputError, match='layer "y" has 2,500,000,000 bytes of weights and cannot be timed alone'):
        measure(model, "here")
