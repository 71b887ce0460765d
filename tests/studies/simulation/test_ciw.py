"""The same tasks through ciw, an established simulator that moves one event at a time."""

import ciw
import numpy as np
import pytest

from dmcjia_opt.studies.simulation.arrivals import Trace
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, half_width
from dmcjia_opt.studies.simulation.fleet import simulate
from dmcjia_opt.studies.simulation.node import Stage, run_node
from dmcjia_opt.studies.simulation.serving import Variability
from tests.studies.simulation.fleets import RATE, loaded, service_times

# ciw copies iterators, of which Python 3.13 says that 3.14 will not
pytestmark = pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy:DeprecationWarning")
TASKS = 3200
_NEVER = 1e12


def by_ciw(gaps, services, servers=(1, float("inf"), 1), seed=0):
    """Return (n_tasks,) time from arrival to last departure, s, in the order of arrival; numbers take no chances."""
    ciw.seed(seed)
    n = len(services)
    network = ciw.create_network(
        arrival_distributions=[gaps] + [None] * (n - 1),
        service_distributions=[
            s if isinstance(s, ciw.dists.Distribution) else ciw.dists.Deterministic(s) for s in services
        ],
        routing=np.eye(n, k=1).tolist(),
        number_of_servers=list(servers),
    )
    run = ciw.Simulation(network)
    run.simulate_until_max_customers(TASKS)
    first, last = {}, {}
    for record in run.get_all_records():
        first[record.id_number] = min(record.arrival_date, first.get(record.id_number, np.inf))
        last[record.id_number] = max(record.exit_date, last.get(record.id_number, 0.0))
    return np.array([last[k] - first[k] for k in range(1, TASKS + 1)])


def sequence(values):
    return ciw.dists.Sequential([*values.tolist(), _NEVER])


@pytest.mark.parametrize("uplink", ["delay", "queue"])
@pytest.mark.parametrize("loads", [(0.8, 0.5, 0.6), (0.4, 0.6, 0.9)])
def test_the_same_arrivals_take_the_same_time(uplink, loads):
    scenario, plan = loaded(*loads)
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(1 / RATE, TASKS))
    found = simulate(scenario, plan, arrivals=Trace(times), warm_up=0.0, uplink=uplink)
    services = service_times(scenario, plan)[0].tolist()
    servers = (1, 1 if uplink == "queue" else float("inf"), 1)
    expected = by_ciw(sequence(np.diff(times, prepend=0.0)), services, servers)
    assert found.batch_values[0] == pytest.approx(expected.reshape(N_BATCHES, -1).mean(axis=1), rel=1e-9)
    assert found.quantiles[0] == pytest.approx(np.quantile(expected, (0.5, 0.95, 0.99)), rel=0.005)


def test_the_same_services_take_the_same_time():
    varies = Variability(1.5, "lognormal")
    gaps = np.random.default_rng(1).exponential(1.0, TASKS)
    rngs = np.random.default_rng(2), np.random.default_rng(3)
    blocks = [gaps[:1500], gaps[1500:]]
    stages = [Stage(0.6, True, varies, rngs[0]), Stage(0.3, False), Stage(0.5, True, varies, rngs[1])]
    found = run_node(stages, blocks, TASKS, 0)
    edge, cloud = (
        mean * np.concatenate([varies.draw(n, rng) for n in (1500, 1700)])
        for mean, rng in ((0.6, np.random.default_rng(2)), (0.5, np.random.default_rng(3)))
    )
    expected = by_ciw(sequence(gaps), [sequence(edge), 0.3, sequence(cloud)])
    assert found.batch_values == pytest.approx(expected.reshape(N_BATCHES, -1).mean(axis=1), rel=1e-9)
    assert found.delays.sum() == pytest.approx(expected.mean(), rel=1e-9)


def test_ciws_own_draws_agree_within_the_intervals():
    scenario, plan = loaded(0.4, 0.2, 0.5)
    found = simulate(scenario, plan, tasks=TASKS * 100, seed=1, service_cv=0.5)
    services = service_times(scenario, plan)[0]
    random = [ciw.dists.Gamma(shape=4.0, scale=float(s) / 4.0) for s in services]
    random[1] = float(services[1])
    run = by_ciw(ciw.dists.Exponential(RATE), random)[TASKS // 10 :].reshape(16, -1).mean(axis=1)
    spread = np.hypot(half_width(run, 0.99), found.half_width(0.99)[0])
    assert abs(run.mean() - found.delay[0]) < spread < 0.1 * found.delay[0]
