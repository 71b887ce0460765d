"""What a measurement depends on beside the method: machine, BLAS, load, versions, revision of this code."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

from dmcjia_opt.base.limits import memory_bytes

__version__ = "0.2.0"

_PACKAGE = Path(__file__).parents[1]
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


def installing(extra: str) -> str:
    """Return the command that installs an extra of this package, as it was itself: from an index, or from a folder."""
    here = _PACKAGE.parent / "pyproject.toml"
    if here.is_file() and 'name = "dmcjia-opt"' in here.read_text(encoding="utf-8"):
        folder = "." if here.parent == Path.cwd() else here.parent
        return f"pip install -e '{folder}[{extra}]'"
    folder_of = _installed_from()
    return f"pip install '{folder_of or 'dmcjia-opt'}[{extra}]'"


def _installed_from() -> str:
    """Return the folder that pip installed this package from, if it is still there; empty where there was none."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname  # here, since nobody else pays for what it imports

    try:
        origin = json.loads(distribution("dmcjia-opt").read_text("direct_url.json") or "{}").get("url", "")
    except (PackageNotFoundError, ValueError):
        return ""
    folder = url2pathname(urlsplit(origin).path) if origin.startswith("file:") else ""
    return folder if folder and Path(folder, "pyproject.toml").is_file() else ""


def installed_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python, this package and those of some libraries that are installed."""
    found = {name: installed_version(name) for name in ("dmcjia-opt", *libraries)}
    return {"python": platform.python_version()} | {name: known for name, known in found.items() if known}


@cache
def installed_version(library: str) -> str:
    """Return the version of a distribution; empty where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


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
    memory = f"{memory_bytes() / 1e9:.0f} GB"
    return f"{_processor()}, {cores()} cores, {memory}, {platform.system()} {platform.release()}, {_blas()}"


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


def _blas() -> str:
    import numpy as np

    built = np.show_config(mode="dicts")
    blas = built.get("Build Dependencies", {}).get("blas", {}) if isinstance(built, dict) else {}
    return f"{blas.get('name', 'BLAS unknown')} {blas.get('version', '')}".strip()
