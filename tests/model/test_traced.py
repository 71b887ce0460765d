"""Every curve's formulas give under JAX, traced, what they give under NumPy."""

import numpy as np
import pytest

from dmcjia_opt.model.delay import TANDEM, TandemCurve, series_excess, tandem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from tests.tracing import agrees, float64

N = 60
#: Curves and c_a² of gaps: Poisson's, or of all kinds, periodic ones among them; percentiles know these two alone.
CASES = {
    "md1": (MD1, "poisson"),
    "mm1": (MM1, "poisson"),
    "mg1": (mg1(0.3), "mixed"),
    "overlap": (OVERLAP, "mixed"),
    "tandem": (TANDEM, "poisson"),
    "tandem mixed": (TANDEM, "mixed"),
    "tandem p95": (tandem("p95"), "some"),
}


@pytest.fixture(autouse=True, scope="module")
def _float64():
    with float64():
        yield


def varying(rng, kind):
    if kind == "poisson":
        return 1.0
    scv = np.exp(rng.uniform(-3.0, 2.0, N)) if kind == "mixed" else np.ones(N)
    return np.where(rng.random(N) < 0.3, 0.0, scv)


@pytest.mark.parametrize("case", CASES)
def test_curves(case):
    curve, kind = CASES[case]
    rng = np.random.default_rng(1)
    rate = np.exp(rng.uniform(-4.0, 8.0, N))
    excess = rate * np.exp(rng.uniform(-12.0, 8.0, N))
    wait = np.where(rng.random(N) < 0.3, 0.0, np.exp(rng.uniform(-8.0, 1.0, N)) / rate)
    room = np.where(rng.random(N) < 0.1, rng.uniform(-1.0, 0.0, N), np.exp(rng.uniform(-6.0, 3.0, N)) / rate)
    marginal = np.exp(rng.uniform(-15.0, 12.0, N)) / rate**2
    service = np.exp(rng.uniform(-5.0, 0.5, N)) / rate
    scv = varying(rng, kind)

    def formulas(rate, excess, wait, room, marginal, service, scv=scv):
        found = {
            "delay": curve.delay(excess, rate, wait, scv),
            "marginal": curve.marginal(excess, rate, wait, scv),
            "excess_at": curve.excess_at(marginal, rate, wait, scv),
            "rate_within": curve.rate_within(room, rate, wait, scv),
        }
        if isinstance(curve, TandemCurve):
            found["waited"] = curve.waited(excess, rate, scv)
            found["wait_of"] = curve.wait_of(rate, service, scv)
            found["crossing"] = curve.crossing(rate, wait, scv)
        return found

    agrees(formulas, rate, excess, wait, room, marginal, service, *(() if kind == "poisson" else (scv,)))


def test_stages_of_a_tandem():
    rng = np.random.default_rng(2)
    rate = np.exp(rng.uniform(-4.0, 8.0, N))
    wait = np.where(rng.random(N) < 0.3, 0.0, np.exp(rng.uniform(-8.0, 1.0, N)) / rate)
    marginals = np.exp(rng.uniform(-10.0, 8.0, (3, N))) / rate**2 * (rng.random((3, N)) < 0.7)
    floors = np.where(rng.random((3, N)) < 0.6, -np.inf, rate * np.exp(rng.uniform(-3.0, 3.0, (3, N))))
    scv = varying(rng, "mixed")
    agrees(lambda *given: series_excess(*given, TANDEM, scv), marginals, floors, rate, wait)
