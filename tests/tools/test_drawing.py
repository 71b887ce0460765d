import numpy as np

from dmcjia_opt.base.errors import InputError
from tools.fuzz.drawn import draw


def drawn(numbers):
    found, refused = [], []
    for number in numbers:
        try:
            found.append(draw(5, number))
        except InputError as error:
            refused.append(str(error))
    assert all("between" in message for message in refused)  # a number out of range, and no other reason
    return found


def test_the_series_is_the_same_every_time():
    for one, other in zip(drawn(range(20)), drawn(range(20)), strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.fixed_delay, other.fixed_delay)
        np.testing.assert_array_equal(one.service, other.service)


def test_it_holds_what_breaks_programs():
    problems = drawn(range(1000))
    assert len(problems) > 980
    assert {problem.name for problem in problems} == {"tables", "scenario", "resources"}
    names = {curve.name for problem in problems for curve in problem.use_curves}
    assert names == {"md1", "mm1", "mg1", "tandem", "delay"}
    assert {problem.n_resources for problem in problems} == {1, 2, 3, 4}
    assert {problem.n_uses for problem in problems} == {1, 2, 3}
    assert sum(problem.coupled for problem in problems) > 30
    assert sum(problem.coupled and problem.ordered for problem in problems) > 5
    finite = [problem.fixed_delay[np.isfinite(problem.fixed_delay)] for problem in problems]
    assert sum((local == 0).any() for local in finite) > 100
    assert sum(bool(np.isinf(problem.fixed_delay).any()) for problem in problems) > 100
    assert sum(bool((problem.service[..., 0] == 0).all()) for problem in problems) > 10
    assert any(problem.n_options == 1 for problem in problems)
    assert any(problem.n_options > 1000 for problem in problems)
    assert any(problem.n_nodes > 20 for problem in problems)
    assert sum(problem.ordered for problem in problems) > 100
    twins = [len(np.unique(problem.service[..., 0], axis=0)) < problem.n_nodes for problem in problems]
    assert sum(twins) > 50
    largest = [problem.service[..., 0].max() for problem in problems]
    assert min(value for value in largest if value > 0) < 1e-12
    assert max(largest) > 1e12
    assert min(problem.arrival_rate.min() for problem in problems) < 1e-12
    assert max(problem.arrival_rate.max() for problem in problems) > 1e12
