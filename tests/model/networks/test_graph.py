from dataclasses import replace

import pytest
from hypothesis import strategies as st

from dmcjia_opt.base.errors import Doubt, InputError, UncountedOperators
from dmcjia_opt.model.networks.graph import UPLOAD_BYTES, Network, Operation, Tensor, check_state, topological_order
from dmcjia_opt.model.networks.profile import LayerProfile


def tensor(name, size, item=4.0, floating=True, data=None):
    return Tensor(name, (size,), item, floating, data or name)


def network(operations, sizes, inputs=("x",), outputs=("z",)):
    """Build a network of (name, inputs, MACs) triples, each making one tensor of its own name."""
    ops = tuple(
        Operation(name, "Op", tuple(reads), (name,), macs, i) for i, (name, reads, macs) in enumerate(operations)
    )
    tensors = {name: tensor(name, size) for name, size in sizes.items()}
    return Network("net", ops, tensors, inputs, outputs)


#: x → stem → relu → (a → b) + relu → z
BLOCK = [
    ("stem", ["x"], 10),
    ("relu", ["stem"], 0),
    ("a", ["relu"], 20),
    ("b", ["a"], 30),
    ("sum", ["b", "relu"], 0),
    ("z", ["sum"], 5),
]
SIZES = {"x": 100, "stem": 50, "relu": 50, "a": 20, "b": 50, "sum": 50, "z": 1}


@pytest.mark.parametrize(
    ("estimates", "said"),
    [
        ((0, 0, 0), "an unknown part of the work is not counted"),
        ((0, 0, 2000), "at least 50 % of the work is not counted, by the sizes of weights"),
        ((10**9, 0, 0), "at least 99.99 % of the work"),
        ((0, 5, 0), "at least 0.24 % of the work"),
    ],
)
def test_what_is_not_counted_is_named_with_its_share_of_the_work(estimates, said):
    plain = network(BLOCK, SIZES)
    kinds = ("my:Thing", "Loop", "my:Thing")
    unknown = [
        replace(op, kind=kind, counted=False, macs=0, estimate=n)
        for op, kind, n in zip(plain.operations, kinds, estimates, strict=False)
    ]
    rest = [replace(op, macs=0) for op in plain.operations[3:]]
    rest[-1] = replace(rest[-1], macs=2000)
    net = replace(plain, operations=(*unknown, *rest), notes=("it is late",))
    with (
        pytest.warns(UncountedOperators, match=rf"net: {said}.*: no rule knows Loop, my:Thing \(2\)"),
        pytest.warns(Doubt, match="net: it is late"),
    ):
        profile = LayerProfile.of_network(net)
    assert profile.cautions == net.cautions
    assert len(net.cautions) == 2
    assert plain.caution() == ""


def test_a_cycle_is_refused():
    with pytest.raises(InputError, match="cycle"):
        topological_order([["x", "b"], ["a"]], [["a"], ["b"]], ["b"])


def test_long_chains_need_no_recursion():
    n = 20_000
    order = topological_order([[f"t{k}"] for k in range(n)], [[f"t{k + 1}"] for k in range(n)], [f"t{n}"])
    assert order == list(range(n))


@st.composite
def graphs(draw):
    """Draw a random graph: operations, sizes, and a permutation of the operations."""
    n = draw(st.integers(1, 9))
    names = ["x", *(f"t{k}" for k in range(n))]
    operations = []
    for k in range(n):
        reads = draw(st.lists(st.integers(0, k), min_size=1, max_size=3, unique=True))
        operations.append((f"t{k}", [names[r] for r in reads], draw(st.sampled_from((0, 0, 1, 5)))))
    sizes = {name: draw(st.integers(1, 9)) for name in names}
    return operations, sizes, draw(st.permutations(range(n)))


def test_every_type_of_upload_has_a_size():
    assert all(0 < size <= 4 for size in UPLOAD_BYTES.values())


#: A token meets what was kept of those before it: past → present = [past, key], which is kept for the next one.
CACHED = [
    ("key", ["x"], 10),
    ("present", ["past", "key"], 0),
    ("query", ["x"], 10),
    ("z", ["query", "present"], 50),
]


def test_state_stays_where_it_is():
    sizes = {"x": 4, "past": 1000, "key": 3, "present": 1003, "query": 2, "z": 2}
    open_one = network(CACHED, sizes, ("x", "past"), ("z", "present"))
    kept = open_one.keeping(["pa*", "present"])
    assert (open_one.state, kept.state) == (frozenset(), {"past", "present"})
    assert (kept.received, kept.results) == (["x"], ["z"])
    assert (open_one.received, open_one.results) == (["x", "past"], ["z", "present"])
    last = LayerProfile.of_network(kept).cut_tensors_of(2)
    assert [tensor.name for tensor in last] == ["z"]
    assert LayerProfile.of_network(kept).input_bytes == 4 * 4
    assert LayerProfile.of_network(open_one).input_bytes == 4 * 1004
    assert LayerProfile.of_network(kept).source.endswith("state that stays: past; present")


def test_state_that_both_sides_read_is_sent_from_the_first_of_them():
    operations = [("a", ["x", "past"], 10), ("b", ["a"], 10), ("z", ["b", "past"], 10)]
    kept = network(operations, {"x": 1, "past": 100, "a": 3, "b": 2, "z": 1}, ("x", "past")).keeping(["past"])
    for cuts in ("all", "graph"):
        profile = LayerProfile.of_network(kept, cuts)
        assert profile.input_bytes == 4
        assert profile.output_bytes.tolist() == [412, 408, 4]


def test_names_of_state_that_nothing_has_are_refused():
    net = network(BLOCK, SIZES)
    check_state(["x", "z*"], [net])
    with pytest.raises(InputError, match='state: "past" is no input or output of a network; there are x; z'):
        check_state(["x", "past"], [net])
