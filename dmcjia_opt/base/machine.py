"""What a measurement depends on beside the method: machine, BLAS, load, versions, revision of this code."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

__version__ = "0.1.0"

_PACKAGE = Path(__file__).parents[1]
#: What a plan may depend on; the machine's other solvers are looked for by benchmarks only.
_LIBRARIES = ("numpy", "scipy", "pymoo", "cvxpy", "pyomo", "casadi")
_SOLVERS = (
    *("highspy", "pyscipopt", "clarabel", "scs", "ecos", "osqp", "nevergrad", "cma", "optuna", "ortools", "torch"),
    "distributed",
)
_GROUPS = ("dmcjia_opt.allocators", "dmcjia_opt.placers")
#: Every variable by which a numerical library is told how many threads to use.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, this package and the libraries it may have used."""
    return {"python": platform.python_version()} | _versions_of(("dmcjia-opt", *_LIBRARIES))


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, this package, the solvers and the plug-ins that are installed."""
    plugins = {point.dist.name for group in _GROUPS for point in entry_points(group=group) if point.dist is not None}
    return installed_versions() | _versions_of((*_SOLVERS, *sorted(plugins)))


def _versions_of(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def revision() -> str:
    """Return the version of this package and a hash of its source: the same code, the same revision."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{__version__}-{digest.hexdigest()[:12]}"


def source_of(module: str) -> str | None:
    """Return a hash of a Python file, given by its path or as a module's name, or None if there is none."""
    try:
        spec = None if module.endswith(".py") else find_spec(module)
    except (ImportError, ValueError):
        return None
    path = Path((spec.origin if spec is not None else None) or module)
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None


def commit() -> str:
    """Return the git commit of the checkout this package runs from; empty where there is none."""
    try:
        run = subprocess.run(
            ["git", "-C", str(_PACKAGE), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


@cache
def machine() -> str:
    """Return a line about the machine: processor, cores this process may use, memory, system, BLAS."""
    return (
        f"{_processor()}, {cores()} cores, {_memory_gb():.0f} GB, {platform.system()} {platform.release()}, {_blas()}"
    )


def computer() -> str:
    """Return processor, cores this process may use, and system: what `machine` says without any library."""
    return f"{_processor()}, {cores()} cores, {platform.system()} {platform.release()}"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Return the machine's load average over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gb() -> float:
    import psutil

    return float(psutil.virtual_memory().total) / 1e9


def _blas() -> str:
    import numpy as np

    built = np.show_config(mode="dicts")
    blas = built.get("Build Dependencies", {}).get("blas", {}) if isinstance(built, dict) else {}
    return f"{blas.get('name', 'BLAS unknown')} {blas.get('version', '')}".strip()
