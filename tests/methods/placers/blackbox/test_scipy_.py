import numpy as np
import scipy.optimize

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.blackbox.scipy_ import METHODS, Scipy
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import spec_of, variants
from tests.methods.placers.searches import (
    five_nodes,
    place,
)


def test_differential_evolution_is_scipys_and_sees_integers_a_generation_at_once(monkeypatch):
    calls, batches = [], []
    original = scipy.optimize.differential_evolution

    def watched(function, *arguments, **options):
        calls.append(options)
        return original(function, *arguments, **options)

    class Watching(WaterFilling):
        def allocate(self, problem, splits):
            batches.append(len(splits))
            return super().allocate(problem, splits)

    monkeypatch.setattr(scipy.optimize, "differential_evolution", watched)
    place(Scipy(population=33), five_nodes(), allocator=Watching(), stop=Stop(evaluations=200))
    assert calls[0]["integrality"].all()
    assert max(batches) > 20


def test_it_begins_anew_when_the_population_is_all_alike(monkeypatch):
    calls = []
    original = scipy.optimize.differential_evolution

    def watched(*arguments, **options):
        calls.append(options["init"])
        return original(*arguments, **options)

    monkeypatch.setattr(scipy.optimize, "differential_evolution", watched)
    place(Scipy(population=5), five_nodes(), stop=Stop(evaluations=500))
    assert len(calls) > 1
    assert not np.array_equal(calls[0], calls[1])


def test_annealing_reaches_first_and_last_splits_as_often_as_others(monkeypatch):
    boxes = []
    monkeypatch.setattr(scipy.optimize, "dual_annealing", lambda f, bounds, **_: boxes.append(bounds) or f(bounds.lb))
    problem = five_nodes()
    found = place(Scipy("dual_annealing"), problem)
    assert found.status == Status.FEASIBLE
    assert found.options.tolist() == [0] * 5
    np.testing.assert_allclose(boxes[0].ub - boxes[0].lb, problem.last + 1, atol=0.01)


def test_the_names_are_the_tables():
    assert variants(spec_of("placer", "scipy")) == tuple(METHODS)
