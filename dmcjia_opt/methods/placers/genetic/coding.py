"""Options as bits: the binary code of the paper's chromosomes, its Gray variant, and the problem they make for pymoo.

A node with m options (L + 1 splits where it has L layers and one cloud) takes b = ⌈log2 m⌉ bits (6 for the 34 layers of
ResNet34), most significant first. Read as an integer k, they stand for option ⌊k·m/2^b⌋: the usual linear mapping of a
binary code onto an interval. No code is past the last option and none is coded twice as often as it must be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, IntArray
from dmcjia_opt.methods.placers.genetic.pymoo_ import PlacementProblem
from dmcjia_opt.solving.search import Search


class BinaryCode:
    """Fixed-length binary code of the options of a fleet.

    Parameters
    ----------
    last
        (n_nodes,) last option of each node.
    """

    def __init__(self, last: IntArray) -> None:
        self.n_options = last + 1
        self.bits = np.maximum(1, np.ceil(np.log2(self.n_options)).astype(np.int64))
        self._ends = np.cumsum(self.bits)
        self._starts = self._ends - self.bits
        self._shift = np.repeat(self._ends, self.bits) - 1 - np.arange(self._ends[-1])

    @property
    def length(self) -> int:
        """Bits of one chromosome."""
        return int(self._ends[-1])

    def decode(self, chromosomes: BoolArray) -> IntArray:
        """Return options (n_plans, n_nodes) of `chromosomes` (n_plans, length)."""
        codes = np.add.reduceat(chromosomes * (1 << self._shift), self._starts, axis=1)
        return codes * self.n_options >> self.bits

    def encode(self, options: IntArray) -> BoolArray:
        """Return chromosomes (n_plans, length) of `options` (n_plans, n_nodes): of several, the least code."""
        codes = -(-(options << self.bits) // self.n_options)
        chromosomes: BoolArray = np.repeat(codes, self.bits, axis=1) >> self._shift & 1 == 1
        return chromosomes


class GrayCode(BinaryCode):
    """The same with a reflected Gray code: the codes of neighbouring integers differ in one bit."""

    def decode(self, chromosomes: BoolArray) -> IntArray:
        """Return options (n_plans, n_nodes) of `chromosomes` (n_plans, length)."""
        ones = np.cumsum(chromosomes, axis=1)
        before = np.where(self._starts > 0, ones[:, self._starts - 1], 0)
        return super().decode((ones - np.repeat(before, self.bits, axis=1)) % 2 == 1)

    def encode(self, options: IntArray) -> BoolArray:
        """Return chromosomes (n_plans, length) of `options` (n_plans, n_nodes): of several, the least code."""
        bits = super().encode(options)
        changes = bits.copy()
        changes[:, 1:] ^= bits[:, :-1]
        changes[:, self._starts] = bits[:, self._starts]
        return changes


class BinaryPlacementProblem(PlacementProblem):
    """The placement problem with one boolean variable a bit.

    Parameters
    ----------
    search
        Evaluates the plans.
    code
        How bits stand for options; a plain binary code by default.
    """

    def __init__(self, search: Search, code: BinaryCode | None = None) -> None:
        super().__init__(search.problem, search=search)
        self.code = code or BinaryCode(search.problem.last)
        self.n_var = self.code.length
        self.vtype = bool
        self.xl, self.xu = np.zeros(self.n_var), np.ones(self.n_var)

    def decode(self, x: Any) -> IntArray:  # noqa: ANN401 - pymoo hands over bools or objects
        """Return the options (n_plans, n_nodes) that the bits `x` stand for."""
        return self.code.decode(np.asarray(x, dtype=bool))

    def encode(self, options: IntArray) -> BoolArray:
        """Return bits (n_plans, length) that stand for `options` (n_plans, n_nodes)."""
        return self.code.encode(options)
