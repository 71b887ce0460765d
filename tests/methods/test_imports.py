"""Starting up loads no library and looks for no plug-in; an adapter loads its library when it is put to work."""

import subprocess
import sys

import pytest

LIBRARIES = ["numpy", "pymoo", "cvxpy", "pyomo", "casadi", "scipy", "pandas", "jax"]
SOLVERS = ["nevergrad", "cma", "optuna", "scipy", "ortools", "pymoo", "cvxpy", "pyscipopt", "pyomo", "casadi", "jax"]
ADAPTERS = [
    *(f"placers.blackbox.{name}" for name in ("nevergrad_", "cma_", "optuna_", "scipy_")),
    *("placers.solvers.ortools_", "placers.solvers.cvxpy_cones", "allocators.cvxpy_", "allocators.pyomo_"),
]


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (["dmcjia_opt.cli.main"], [*LIBRARIES, "dmcjia_opt.solving.plugins"]),
        ([f"dmcjia_opt.methods.{name}" for name in ADAPTERS], SOLVERS),
    ],
    ids=["command line", "adapters"],
)
def test_importing_loads_no_library(modules, absent):
    code = f"import sys, {', '.join(modules)}; sys.exit(' '.join({set(absent)} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
