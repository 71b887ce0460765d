"""Where to split the DNN of each edge node, and how to share the cloud, with a proof of how good the answer is.

The names of ``__init__.pyi`` are imported when first used; importing the package imports no solver.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

from dmcjia_opt.base.machine import __version__ as __version__

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOME = {name.name: line.module for line in _STUB.body if isinstance(line, ast.ImportFrom) for name in line.names}
__all__ = [name for name in _HOME if not name.startswith("_")]


def __getattr__(name: str) -> object:
    if name in _HOME:  # modules are never called like a name they export, so neither can hide the other
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dmcjia_opt' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(_HOME)
