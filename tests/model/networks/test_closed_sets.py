from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.model.networks import closed_sets
from dmcjia_opt.model.networks.closed_sets import Datum, Graph, best_chain


def is_closed(graph, members):
    return all(members.issuperset(graph.reads[i]) for i in members)


def every_closed_set(graph):
    n = len(graph.work)
    for size in range(n + 1):
        for picked in combinations(range(n), size):
            if is_closed(graph, frozenset(picked)):
                yield frozenset(picked)


def vertices(points):
    """The lower hull of (work, bytes): the points that alone minimise bytes − y · work for some y."""
    least = {}
    for work, sent in points:
        least[work] = min(sent, least.get(work, sent))
    hull = []
    for x, y in sorted(least.items()):
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) >= (y - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, y))
    return hull


@st.composite
def graphs(draw):
    """Draw a graph of up to 10 operations, each with one datum that any number of later ones read, and an input."""
    n = draw(st.integers(1, 10))
    reads = [sorted(draw(st.sets(st.integers(-1, k - 1), min_size=1, max_size=3))) for k in range(n)]
    sizes = [draw(st.integers(1, 40)) for _ in range(n + 1)]
    readers = [tuple(i for i in range(n) if k in reads[i]) for k in range(-1, n)]
    return Graph(
        work=[draw(st.sampled_from((0, 0, 1, 2, 5, 11))) for _ in range(n)],
        reads=[[j for j in those if j >= 0] for those in reads],
        data=[
            Datum(size, maker, who, kept=maker == n - 1)
            for maker, (size, who) in enumerate(zip(sizes, readers, strict=True), start=-1)
            if who or maker == n - 1
        ],
    )


@given(graphs())
def test_the_chain_has_every_vertex_of_all_closed_sets(graph):
    chain = best_chain(graph)
    assert all(is_closed(graph, members) for members in chain)
    assert all(one < other for one, other in pairwise(chain))
    expected = vertices((graph.done(members), graph.sent(members)) for members in every_closed_set(graph))
    assert [(graph.done(members), graph.sent(members)) for members in chain] == expected


#: 0 → 1 and 2 → 3: a heavy branch on a small input and a cheap one on a large input whose output is small.
TWO = Graph(
    work=[500, 500, 10, 90],
    reads=[[], [0], [], [1, 2]],
    data=[
        Datum(100, -1, (0,), False),
        Datum(9000, -1, (2,), False),
        Datum(400, 0, (1,), False),
        Datum(80, 1, (3,), False),
        Datum(20, 2, (3,), False),
        Datum(4, 3, (), True),
    ],
)


def test_a_cheap_branch_comes_first_where_it_saves_bytes():
    assert best_chain(TWO) == [frozenset(), frozenset({2}), frozenset({0, 1, 2, 3})]
    assert [TWO.sent(members) for members in best_chain(TWO)] == [9100, 120, 4]


def test_a_datum_with_many_readers_is_sent_once():
    graph = Graph([1, 1, 1], [[], [0], [0]], [Datum(7, 0, (1, 2), False), Datum(9, -1, (0,), False)])
    assert [graph.sent(frozenset(range(k))) for k in range(4)] == [9, 7, 7, 0]


@pytest.mark.parametrize("size", [10**6, 10**12])
def test_large_numbers_make_the_same_chain(size):
    """Capacities beyond 32 bits are rounded; what a chain is made of does not depend on the unit."""
    large = Graph(
        [work * size for work in TWO.work],
        TWO.reads,
        [Datum(datum.size * size, datum.maker, datum.readers, datum.kept) for datum in TWO.data],
    )
    assert best_chain(large) == best_chain(TWO)


def test_a_network_of_many_parts_takes_few_minimum_cuts(monkeypatch):
    rng, n = np.random.default_rng(0), 300
    graph = Graph(
        work=rng.integers(1, 1000, n).tolist(),
        reads=[[k - 1] if k else [] for k in range(n)],
        data=[
            *(Datum(int(size), k - 1, (k,), False) for k, size in enumerate(rng.integers(1, 10**6, n))),
            Datum(1, n - 1, (), True),
        ],
    )
    made, inner = [], closed_sets._reached
    monkeypatch.setattr(closed_sets, "_reached", lambda *arcs: made.append(1) or inner(*arcs))
    chain = best_chain(graph)
    points = [(graph.done(frozenset(range(k))), graph.sent(frozenset(range(k)))) for k in range(n + 1)]
    assert [(graph.done(members), graph.sent(members)) for members in chain] == vertices(points)
    assert len(made) == 2 * len(chain) - 1  # two ends, and one for each vertex and each side of the hull between them
