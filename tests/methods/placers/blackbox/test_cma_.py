import cma
import numpy as np

from dmcjia_opt.methods.placers.blackbox.cma_ import Cma
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Stop
from tests.methods.placers.searches import five_nodes, place


def start(problem, seed=1, **options):
    return Cma(**options).start(problem, Stop(), np.random.default_rng(seed))


def test_the_strategy_is_pycmas_with_integers():
    problem = five_nodes()
    searcher = start(problem, population=11)
    assert isinstance(searcher.strategy, cma.CMAEvolutionStrategy)
    assert searcher.strategy.opts["integer_variables"] == [0, 1, 2, 3, 4]
    population = searcher.ask()
    assert population.shape == (11, 5)
    assert (population >= 0).all()
    assert (population <= problem.last).all()
    searcher.tell(population, np.arange(11.0))
    assert searcher.strategy.countevals == 11
    assert searcher.strategy.best.f == 0.0


def test_it_begins_anew_with_a_larger_population_when_it_has_converged():
    searcher = start(five_nodes(), population=6, growth=3.0)
    sizes = []
    while len(set(sizes)) < 3 and len(sizes) < 200:
        population = searcher.ask()
        sizes.append(len(population))
        searcher.tell(population, np.full(len(population), 1.0))  # there is nothing to learn
    assert list(dict.fromkeys(sizes)) == [6, 18, 54]


def test_one_node():
    problem = Problem(np.array([[0.2, 0.25, 0.6]]), np.array([[0.1, 0.0, 0.0]]), np.ones(1), np.ones(1))
    searcher = start(problem)
    assert searcher.ask().shape[1] == 1
    assert place(Cma(), problem).options.tolist() == [1]


def test_it_reads_and_writes_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cma_signals.in").write_text("{'timeout': 0}")
    found = place(Cma(), five_nodes(), stop=Stop(evaluations=300))
    assert found.evaluations == 300
    assert [path.name for path in tmp_path.iterdir()] == ["cma_signals.in"]
