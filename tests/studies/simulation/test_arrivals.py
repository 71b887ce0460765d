import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.simulation.arrivals import (
    BLOCK,
    Deterministic,
    Erlang,
    HyperExponential,
    Poisson,
    Trace,
    build_arrivals,
    load_trace,
)

RENEWAL = {"poisson": 1.0, "deterministic": 0.0, "erlang:4": 0.25, "hyperexponential:9": 9.0}


@pytest.mark.parametrize(("name", "scv"), RENEWAL.items())
def test_gaps_have_the_rate_and_variability_asked_for(name, scv):
    arrivals = build_arrivals(name)
    blocks = list(arrivals.gaps("a", 2.5, 10 * BLOCK + 7, np.random.default_rng(1)))
    assert [len(block) for block in blocks] == [BLOCK] * 10 + [7]
    gaps = np.concatenate(blocks)
    assert gaps.mean() == pytest.approx(0.4, rel=0.02)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(scv, rel=0.05)
    assert arrivals.label == name
    assert arrivals.rate("a", 2.5) == 2.5
    assert arrivals.available("a") is None


def test_names_give_processes():
    assert isinstance(build_arrivals("poisson"), Poisson)
    assert isinstance(build_arrivals("deterministic"), Deterministic)
    assert build_arrivals("erlang:3") == Erlang(3)
    assert build_arrivals("hyperexponential:2.5") == HyperExponential(2.5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weibull", 'arrivals "weibull" are unknown; choose poisson, deterministic, erlang:K'),
        ("poisson:2", 'arrivals "poisson:2" are unknown'),
        ("", 'arrivals "" are unknown'),
        ("erlang", '"" is not a number'),
        ("erlang:2.5", '"2.5" is not a number'),
        ("erlang:0", "K of at least 1, got 0"),
        ("hyperexponential:0.5", "finite SCV of at least 1, got 0.5"),
        ("hyperexponential:nan", "finite SCV of at least 1, got nan"),
        ("none.csv", "none.csv: cannot read the arrival times"),
    ],
)
def test_other_names_are_refused(name, words):
    with pytest.raises(InputError, match=words):
        build_arrivals(name)


def test_a_trace_gives_back_its_times():
    times = 5.0 + np.cumsum(np.random.default_rng(1).exponential(1.0, BLOCK + 100))
    trace = Trace(times)
    gaps = np.concatenate(list(trace.gaps("any", 1.0, len(times), np.random.default_rng(1))))
    np.testing.assert_allclose(np.cumsum(gaps), times - times[0], rtol=1e-12)
    assert trace.rate("any", 99.0) == pytest.approx(1.0, rel=0.02)
    assert trace.available("any") == BLOCK + 100


def test_files_of_times(tmp_path):
    path = tmp_path / "times.csv"
    for text in ("1\n2.5\n\n4e0\n", "time_s\n1\n2.5\n4\n", "\ufefftime_s\r\n 1\r\n2.5\r\n4"):
        path.write_text(text, encoding="utf-8")
        trace = build_arrivals(str(path))
        assert trace.label == str(path)
        assert trace.times.tolist() == [1.0, 2.5, 4.0]


def test_files_of_times_by_node(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("time_s,node\n0,a\n3,b\n1,a\n3,b\n5, b\n")
    trace = load_trace(path)
    assert {node: times.tolist() for node, times in trace.times.items()} == {"a": [0, 1], "b": [3, 3, 5]}
    assert trace.rate("b", 1.0) == 1.0
    path.write_text("time_s,node\n1,a\n3,b\n4,b\n")
    lone = load_trace(path)
    assert [(lone.available(node), lone.rate(node, 9.0)) for node in "abc"] == [(1, 0.0), (2, 1.0), (0, 0.0)]
    assert lone.strangers(["b", "c"]) == ["a"]
    with pytest.raises(InputError, match='the arrivals of node "a" are all at 2 s'):
        Trace({"a": [2.0, 2.0]}).rate("a", 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no arrival times; give one a line"),
        ("time_s\n", "holds no arrival times"),
        ("1\nsoon\n", 'line 2: time_s must hold numbers, not "soon"'),
        ("seconds\n1\n", 'line 1: time_s must hold numbers, not "seconds" \\(did you mean "time_s"'),
        (
            "1,a\n2,b\n",
            "line 1: 2 cells for 1 column; give one time_s a line, or name the columns in the first: time_s, node",
        ),
        ("time_s,node\n1\n", "line 2: no node; fill it in"),
        ("1\n3\n2\n", "arrival 3, at 2 s, is before arrival 2, at 3 s; sort the file by time"),
        ("time_s,node\n1,a\n2,a\n3,b\n2,b\n", 'arrival 2 of node "b", at 2 s, is before arrival 1, at 3 s'),
        ("-1\n3\n", "line 1: time_s must be finite and >= 0, got -1"),
        ("1\nnan\n", 'line 2: time_s must hold numbers, not "nan"'),
        ("1\ninf\n", 'line 2: time_s must hold numbers, not "inf"'),
        ("1\n", "must be two or more finite numbers"),
        ("2\n2\n", "the arrivals are all at 2 s"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, words):
    path = tmp_path / "times.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="times.csv: .*" + words):
        load_trace(path)


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "times.csv"
    path.write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(InputError, match="not readable as CSV"):
        load_trace(path)
