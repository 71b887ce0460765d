from dataclasses import replace
from itertools import accumulate, pairwise, product

import pytest
from hypothesis import given

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.cuts import CUTS, single_tensor_cuts, take_cuts
from dmcjia_opt.model.networks.graph import Network, Operation
from dmcjia_opt.model.networks.profile import LayerProfile
from tests.model.networks.test_closed_sets import vertices
from tests.model.networks.test_graph import BLOCK, SIZES, graphs, network, tensor


def test_a_cut_inside_a_block_sends_the_shortcut_too():
    cuts = take_cuts(network(BLOCK, SIZES))
    assert [cut.name for cut in cuts] == ["stem", "a", "b", "z"]
    assert [cut.macs for cut in cuts] == [10, 20, 30, 5]
    assert [cut.upload_bytes for cut in cuts] == [200, 280, 200, 4]
    assert [cut.own_bytes for cut in cuts] == [200, 80, 200, 4]
    assert [cut.tensors for cut in cuts] == [1, 2, 1, 1]
    assert [cut.tensor_names for cut in cuts] == [("relu",), ("relu", "a"), ("sum",), ("z",)]


def test_blocks_are_the_single_tensor_cuts():
    net = network(BLOCK, SIZES)
    cuts = take_cuts(net, "blocks")
    assert [cut.name for cut in cuts] == ["stem", "b", "z"]
    assert [cut.macs for cut in cuts] == [10, 50, 5]
    assert all(cut.tensors == 1 for cut in cuts)
    assert single_tensor_cuts(net) == ("stem", "relu", "sum", "z")


def test_all_cuts_are_after_every_operation():
    cuts = take_cuts(network(BLOCK, SIZES), "all")
    assert [cut.name for cut in cuts] == [name for name, _, _ in BLOCK]
    assert [cut.upload_bytes for cut in cuts] == [200, 200, 280, 400, 200, 4]


def test_the_papers_chain_leaves_the_shortcut_out():
    cuts = take_cuts(network(BLOCK, SIZES), "chain")
    assert [cut.upload_bytes for cut in cuts] == [200, 80, 200, 4]
    assert [cut.tensors for cut in cuts] == [1, 2, 1, 1]


def test_a_layer_ends_where_fewest_bytes_cross():
    operations = [("conv", ["x"], 10), ("pool", ["conv"], 0), ("grown", ["pool"], 0), ("z", ["grown"], 5)]
    cuts = take_cuts(network(operations, {"x": 9, "conv": 90, "pool": 30, "grown": 60, "z": 1}))
    assert [(cut.upload_bytes, cut.own_bytes, len(cut.operations)) for cut in cuts] == [(120, 360, 2), (4, 4, 2)]


def test_parallel_work_is_one_layer_and_a_projection_is_as_late_as_it_can_be():
    operations = [
        ("stem", ["x"], 10),
        ("a", ["stem"], 20),
        ("b", ["a"], 30),
        ("shortcut", ["stem"], 7),
        ("z", ["b", "shortcut"], 0),
    ]
    cuts = take_cuts(network(operations, {"x": 1, "stem": 40, "a": 10, "b": 5, "shortcut": 5, "z": 5}))
    assert [(cut.name, cut.macs) for cut in cuts] == [("stem", 10), ("a", 20), ("b", 37)]
    assert cuts[1].upload_bytes == 4 * (10 + 40)


def test_preprocessing_without_work_belongs_to_the_first_layer():
    operations = [("scaled", ["x"], 0), ("conv", ["scaled"], 10), ("z", ["conv"], 0)]
    cuts = take_cuts(network(operations, {"x": 8, "scaled": 4, "conv": 2, "z": 2}))
    assert [(cut.name, len(cut.operations), cut.macs) for cut in cuts] == [("conv", 3, 10)]


def test_every_datum_is_counted_once():
    net = Network(
        "net",
        (
            Operation("a", "Op", ("x",), ("a",), 1),
            Operation("view", "Reshape", ("a",), ("view",), 0),
            Operation("b", "Op", ("view",), ("b",), 1),
            Operation("z", "Op", ("a", "b", "view"), ("z",), 1),
        ),
        {
            "x": tensor("x", 9),
            "a": tensor("a", 5),
            "view": tensor("view", 5, data="a"),
            "b": tensor("b", 2),
            "z": tensor("z", 1),
        },
        ("x",),
        ("z",),
    )
    assert [cut.upload_bytes for cut in take_cuts(net, "all")] == [20, 20, 28, 4]
    assert [cut.tensors for cut in take_cuts(net, "all")] == [1, 1, 2, 1]


def test_inputs_and_outputs_stay_alive_as_long_as_they_are_wanted():
    operations = [("a", ["x"], 10), ("early", ["a"], 0), ("z", ["a", "y"], 10)]
    net = network(
        operations, {"x": 8, "y": 3, "a": 4, "early": 2, "z": 1, "idle": 99}, ("x", "y", "idle"), ("early", "z")
    )
    profile = LayerProfile.of_network(net)
    assert profile.input_bytes == 4 * (8 + 3)  # the input that nobody reads is not sent
    last = 4 * (2 + 1)  # both results are uploaded, (3-3)
    assert list(profile.output_bytes) == [4 * (4 + 3), last]


def test_only_floating_tensors_are_quantised():
    net = Network(
        "net",
        (Operation("z", "Op", ("x", "tokens"), ("z",), 5),),
        {"x": tensor("x", 10), "tokens": tensor("tokens", 3, 8.0, floating=False), "z": tensor("z", 5)},
        ("x", "tokens"),
        ("z",),
    )
    assert LayerProfile.of_network(net).input_bytes == 40 + 24
    assert LayerProfile.of_network(net, upload_dtype="uint8").input_bytes == 10 + 24
    assert LayerProfile.of_network(net, upload_dtype="uint4").output_bytes[0] == 3  # five halves of a byte, rounded up
    assert "upload as uint8" in LayerProfile.of_network(net, upload_dtype="uint8").source


def test_layers_of_the_same_name_are_told_apart():
    operations = tuple(Operation("op", "Op", (f"t{k}",), (f"t{k + 1}",), 1) for k in range(3))
    net = Network("net", operations, {f"t{k}": tensor(f"t{k}", 1) for k in range(4)}, ("t0",), ("t3",))
    assert LayerProfile.of_network(net).layer_names == ("op", "op#2", "op#3")


@pytest.mark.parametrize(("cuts", "upload", "part"), [("layer", None, "blocks"), ("layers", "int3", "uint8")])
def test_unknown_choices_are_refused(cuts, upload, part):
    with pytest.raises(InputError, match=part):
        take_cuts(network(BLOCK, SIZES), cuts, upload)


def test_a_network_without_work_has_nothing_to_place():
    with pytest.raises(InputError, match="nothing to place"):
        take_cuts(network([("z", ["x"], 0)], {"x": 1, "z": 1}))


def listed_anyhow(cuts):
    """The cuts without the places that the file has the operations at."""
    return [replace(cut, operations=tuple(replace(op, index=0) for op in cut.operations)) for cut in cuts]


@given(graphs())
def test_nothing_depends_on_the_order_of_the_file(drawn):
    operations, sizes, order = drawn
    last = operations[-1][0]
    one = network(operations, sizes, outputs=(last,))
    other = network([operations[i] for i in order], sizes, outputs=(last,))
    assert [op.name for op in one.operations] == [op.name for op in other.operations]
    assert one.total_macs == other.total_macs
    for cuts in CUTS:
        if one.total_macs or cuts == "all":
            assert listed_anyhow(take_cuts(one, cuts)) == listed_anyhow(take_cuts(other, cuts))


@given(graphs())
def test_crossing_bytes_by_brute_force(drawn):
    """At each cut, whatever was there before and is read later, or is the result, crosses once."""
    operations, sizes, _ = drawn
    last = operations[-1][0]
    net = network(operations, sizes, outputs=(last,))
    for k, cut in enumerate(take_cuts(net, "all")):
        before, after = net.operations[: k + 1], net.operations[k + 1 :]
        assert cut.operations == net.operations[k : k + 1]
        there = {"x"} | {name for op in before for name in op.outputs}
        wanted = {name for op in after for name in op.inputs} | {last}
        assert cut.upload_bytes == sum(4 * sizes[name] for name in there & wanted)
        assert cut.tensors == len(there & wanted)
        assert len(cut.tensor_names) == cut.tensors
        assert set(cut.tensor_names) == there & wanted


@given(graphs())
def test_cuts_along_the_graph_are_real_and_no_closed_set_is_better_at_any_price(drawn):
    operations, sizes, _ = drawn
    last = operations[-1][0]
    net = network(operations, sizes, outputs=(last,))
    if not net.total_macs:
        return
    cuts, done, points = take_cuts(net, "graph"), [], [(0, 4 * sizes["x"])]
    for cut in cuts:
        done += cut.operations
        there = {"x"} | {op.name for op in done}
        assert there.issuperset(name for op in done for name in op.inputs)
        wanted = {name for op in net.operations if op.name not in there for name in op.inputs} | {last}
        assert set(cut.tensor_names) == there & wanted
        assert cut.upload_bytes == sum(4 * sizes[name] for name in there & wanted)
        points.append((points[-1][0] + cut.macs, cut.upload_bytes))
    assert len(done) == len(net.operations)
    assert points[-1][0] == net.total_macs
    assert all(a < c or b > d for (a, b), (c, d) in pairwise(points[:-1]))
    assert set(vertices(points)) == set(vertices(every_split(net, sizes, last)))


def every_split(net, sizes, last):
    """Yield work and bytes of every set of operations that has whatever its members read."""
    n = len(net.operations)
    for some in product((False, True), repeat=n):
        inside = [op for op, taken in zip(net.operations, some, strict=True) if taken]
        there = {"x"} | {op.name for op in inside}
        if there.issuperset(name for op in inside for name in op.inputs):
            wanted = {name for op in net.operations if op.name not in there for name in op.inputs} | {last}
            yield sum(op.macs for op in inside), sum(4 * sizes[name] for name in there & wanted)


@given(graphs())
def test_articulation_points_by_removal(drawn):
    """Without such a tensor the result cannot be computed from the input; without any other it can."""
    operations, sizes, _ = drawn
    last = operations[-1][0]
    net = network(operations, sizes, outputs=(last,))

    def reached(without):
        found = {"x"} - {without}
        for op in net.operations:
            if set(op.inputs) & found and op.name != without:  # data flows through any of the inputs
                found.add(op.name)
        return last in found

    points = {op.name for op in net.operations if not reached(op.name)}
    assert set(single_tensor_cuts(net)) == points


@given(graphs())
def test_each_choice_of_cuts_has_all_the_work_and_the_whole_network_at_its_end(drawn):
    operations, sizes, _ = drawn
    last = operations[-1][0]
    net = network(operations, sizes, outputs=(last,))
    if not net.total_macs:
        return
    found = {cuts: take_cuts(net, cuts) for cuts in CUTS}
    for cuts in found.values():
        assert sum(cut.macs for cut in cuts) == net.total_macs
        assert all(cut.operations for cut in cuts)
    assert {op.name for cut in found.pop("graph") for op in cut.operations} == {op.name for op in net.operations}
    for cuts in found.values():
        assert [op for cut in cuts for op in cut.operations] == list(net.operations)
    places = {name: set(accumulate(len(cut.operations) for cut in cuts)) for name, cuts in found.items()}
    assert places["layers"] == places["chain"] <= places["all"]
    assert all(cut.tensors == 1 for cut in found["blocks"])
