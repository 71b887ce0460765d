"""What every placer and allocator owes, as tests for pytest that the author of a plug-in runs in three lines.

    from dmcjia_opt.testing import PlacerConformance

    class TestMine(PlacerConformance):
        method = MyPlacer()

`method` is an object, or a class or a function without arguments that makes one. `PlacerConformance` is for placers
that search, `BaselineConformance` for those that follow a rule, `AllocatorConformance` for allocators. Every method
of this package passes the same tests.
"""

from __future__ import annotations

from dmcjia_opt.base.errors import BackendMissing

try:
    import pytest
except ModuleNotFoundError:
    raise BackendMissing("dmcjia_opt.testing runs in pytest, which is not installed; pip install pytest") from None

pytest.register_assert_rewrite("dmcjia_opt.testing.placers", "dmcjia_opt.testing.allocators")

from dmcjia_opt.testing.allocators import AllocatorConformance  # noqa: E402 - once asserts are rewritten
from dmcjia_opt.testing.doubles import Counting, Even, Failing  # noqa: E402
from dmcjia_opt.testing.placers import BaselineConformance, PlacerConformance  # noqa: E402

__all__ = ["AllocatorConformance", "BaselineConformance", "Counting", "Even", "Failing", "PlacerConformance"]
