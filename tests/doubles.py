"""Allocators that tests put in the place of a real one, and small problems: those of the conformance suite."""

from dmcjia_opt.testing.doubles import Counting, Even, Failing
from dmcjia_opt.testing.placers import trace_of
from dmcjia_opt.testing.problems import impossible, only_way_out

__all__ = ["Counting", "Even", "Failing", "impossible", "only_way_out", "trace_of"]
