"""What is kept of a run in bounded memory: batch means with their intervals, and a histogram for quantiles."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from dmcjia_opt.base.arrays import BoolArray, FloatArray
from dmcjia_opt.base.errors import InputError

#: Batches that the measured tasks are cut into; their means count as independent.
N_BATCHES = 32
#: Chance of calling a run too short although its batches are independent.
_FALSE_ALARM = 0.01
_BITS = 8  # 256 bins an octave: a quantile is within 0.4 %
_SHIFT = 52 - _BITS
_OCTAVES = 80
_LOWEST = 2.0**-40
_FIRST_KEY = int(np.float64(_LOWEST).view(np.int64)) >> _SHIFT
_N_BINS = _OCTAVES << _BITS


class BatchSums:
    """Sums over batches of equal size, fed block by block.

    Parameters
    ----------
    size
        Tasks a batch.
    batches
        How many there are.
    """

    __slots__ = ("_seen", "_size", "_sums")

    def __init__(self, size: int, batches: int = N_BATCHES) -> None:
        self._size, self._seen = size, 0
        self._sums = np.zeros(batches)

    def add(self, values: FloatArray) -> None:
        """Take in the next tasks' values."""
        if not len(values):
            return
        first = self._seen // self._size
        cuts = np.arange(first * self._size - self._seen, len(values), self._size)
        cuts[0] = 0
        self._sums[first : first + len(cuts)] += np.add.reduceat(values, cuts)
        self._seen += len(values)

    @property
    def means(self) -> FloatArray:
        """(n_batches,) mean of each batch."""
        return self._sums / self._size


class Histogram:
    """How many values lie in each bin; each octave is cut into 256 equal parts.

    The leading bits of a positive float64 are its octave and its place there, so no logarithm is taken. Values are
    seconds between 1e-12 and 1e12; others count as these.
    """

    __slots__ = ("_counts", "_high", "_low")

    def __init__(self) -> None:
        self._counts = np.zeros(_N_BINS)
        self._low, self._high = _N_BINS, 0

    def add(self, values: FloatArray) -> None:
        """Take in values, s."""
        if not len(values):
            return
        keys = values.view(np.int64) >> _SHIFT
        keys -= _FIRST_KEY
        np.clip(keys, 0, _N_BINS - 1, out=keys)
        low, high = int(keys.min()), int(keys.max()) + 1
        keys -= low
        self._counts[low:high] += np.bincount(keys)
        self._low, self._high = min(self._low, low), max(self._high, high)

    def mix(self, other: Histogram, weight: float) -> None:
        """Take in what `other` holds, each count times `weight`."""
        part = slice(other._low, other._high)
        self._counts[part] += weight * other._counts[part]
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)

    def quantiles(self, levels: tuple[float, ...]) -> FloatArray:
        """Return the values, s, below which the shares `levels` of the counts lie; within 0.4 %."""
        counts = self._counts[self._low : self._high]
        reached = np.cumsum(counts)
        targets = np.array(levels) * reached[-1]
        k = np.searchsorted(reached, targets)
        inside = np.clip(1.0 - (reached[k] - targets) / counts[k], 0.0, 1.0)
        edges = ((np.stack([k, k + 1]) + self._low + _FIRST_KEY) << _SHIFT).view(np.float64)
        return np.asarray(edges[0] + inside * (edges[1] - edges[0]))


def half_width(batch_means: FloatArray, confidence: float) -> FloatArray:
    """Return half the width of Student's interval for the mean of `batch_means` (..., n_batches).

    Raises
    ------
    InputError
        If `confidence` is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence:g}")
    n = batch_means.shape[-1]
    quantile = float(special.stdtrit(n - 1, 0.5 + 0.5 * confidence))
    return np.asarray(quantile * batch_means.std(axis=-1, ddof=1) / math.sqrt(n))


def correlated(batch_means: FloatArray) -> BoolArray:
    """Return which rows of `batch_means` (n_rows, n_batches) are too correlated for an interval to be trusted.

    The first autocorrelation of independent values is about normal around −1/n with variance 1/n; the test is
    one-sided, at 1 % over all rows together.
    """
    n_rows, n = batch_means.shape
    centred = batch_means - batch_means.mean(axis=-1, keepdims=True)
    power = (centred * centred).sum(-1)
    # batches that differ by rounding alone have no correlation to speak of
    real = power > n * (1e-9 * batch_means.mean(axis=-1)) ** 2
    first = (centred[:, 1:] * centred[:, :-1]).sum(-1) / np.where(real, power, 1.0)
    limit = float(special.ndtri(1.0 - _FALSE_ALARM / n_rows))
    return np.asarray(real & ((first + 1.0 / n) * math.sqrt(n) > limit))
