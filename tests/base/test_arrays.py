"""One formula, two libraries: which of them its arguments need, and steps that end when there is nothing left to do."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dmcjia_opt.base.arrays import NUMPY, iterate, namespace
from tests.tracing import agrees, float64


@pytest.fixture(autouse=True)
def _float64():
    with float64():
        yield


def test_numpy_serves_what_is_not_of_jax():
    assert NUMPY is np
    for given in (np.ones(2), 1.0, 1, True, np.float64(1.0), np.int64(1), np.bool_(True), [1.0], np.ones(2, dtype=int)):
        assert namespace(given) is np
    assert namespace() is np


def test_jax_serves_where_one_array_is_its_own_or_traced():
    assert namespace(np.ones(2), 1.0, jnp.ones(2)) is jnp
    seen = []
    jax.jit(lambda x, y: seen.append((namespace(1.0, x), namespace(y), namespace(1.0))) or x)(1.0, np.ones(3))
    assert seen == [(jnp, jnp, np)]


def test_jax_is_not_imported_for_numpy():
    code = (
        "import sys, numpy as np; from dmcjia_opt.base.arrays import namespace; "
        "assert namespace(np.ones(2), 1) is np; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def halved(x, most=100):
    """Return x halved until it is at most 1, and how often any was."""

    def step(k, x, steps, going):
        x = namespace(x).where(going, 0.5 * x, x)
        return x, steps + (k + 1 - k), x > 1.0

    return iterate(step, (x, np.zeros((), dtype=np.int64), x > 1.0), most)


@pytest.mark.parametrize("most", [100, 3, 0])
def test_steps_end_when_nothing_is_left_or_there_were_enough(most):
    x = np.array([0.3, 1.0, 5.0, 1000.0])
    found, steps, going = halved(x, most)
    want = min(most, 10)
    assert steps == want
    np.testing.assert_array_equal(going, x / 2.0**want > 1.0)
    np.testing.assert_array_equal(found[:2], x[:2])
    np.testing.assert_array_equal(found[2:], [5.0 / 2 ** min(want, 3), 1000.0 / 2**want])
    agrees(lambda x: halved(x, most), x, rtol=0.0)
