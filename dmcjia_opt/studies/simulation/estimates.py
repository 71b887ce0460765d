"""What is kept of a run in bounded memory: batch means with their intervals, and a histogram for quantiles."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError

#: Batches that the measured tasks are cut into; their means count as independent.
N_BATCHES = 32
#: Chance of calling a run too short although its batches are independent.
_FALSE_ALARM = 0.01
#: At which the values of batches give the interval of order statistics; at others it is scaled.
_CONFIDENCE = 0.99
_BITS = 12  # 4,096 bins an octave: a quantile is within 0.025 %
_WIDER = 4
_SHIFT = 52 - _BITS
_OCTAVES = 80
_LOWEST, _HIGHEST = 2.0**-40, 2.0**40
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
    """How many values lie in each bin, and their sum; each octave is cut into 4,096 equal parts.

    The leading bits of a positive float64 are its octave and its place there, so no logarithm is taken. Values are
    seconds between 1e-12 and 1e12; others count as these. A value that many tasks have in common, such as that of all
    that never wait, is the mean of its bin, and so keeps its digits. Batches are counted in bins 16 times as wide.

    Parameters
    ----------
    size
        Tasks a batch; 0 where batches do not count.
    batches
        How many there are.
    """

    __slots__ = ("_counts", "_each", "_high", "_low", "_seen", "_size", "_sums")

    def __init__(self, size: int = 0, batches: int = N_BATCHES) -> None:
        self._size, self._seen = size, 0
        self._counts, self._sums = np.zeros((2, _N_BINS))
        self._each = np.zeros((batches, _N_BINS >> _WIDER if size else 0))
        self._low, self._high = _N_BINS, 0

    def add(self, values: FloatArray) -> None:
        """Take in the next tasks' values, s."""
        if not len(values):
            return
        keys = values.view(np.int64) >> _SHIFT
        keys -= _FIRST_KEY
        np.clip(keys, 0, _N_BINS - 1, out=keys)
        low, high = int(keys.min()), int(keys.max()) + 1
        self._low, self._high = min(self._low, low), max(self._high, high)
        keys -= low
        self._counts[low:high] += np.bincount(keys)
        self._sums[low:high] += np.bincount(keys, values)
        if self._size:
            self._add_to_batches((keys + low) >> _WIDER)

    def _add_to_batches(self, keys: IntArray) -> None:
        low, first = int(keys.min()), self._seen // self._size
        keys -= low
        cuts = np.arange((first + 1) * self._size - self._seen, len(keys), self._size)
        for row, part in zip(self._each[first:], np.split(keys, cuts), strict=False):
            counts = np.bincount(part)
            row[low : low + len(counts)] += counts
        self._seen += len(keys)

    def mix(self, other: Histogram, weight: float) -> None:
        """Take in what `other` holds, each count times `weight`."""
        part = slice(other._low, other._high)
        self._counts[part] += weight * other._counts[part]
        self._sums[part] += weight * other._sums[part]
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)

    def quantiles(self, levels: tuple[float, ...]) -> FloatArray:
        """Return the values, s, below which the shares `levels` of the counts lie; within 0.025 %."""
        return self._means(self._bins(levels))

    def batch_values(self, level: float) -> tuple[FloatArray, bool]:
        """Return values (n_batches,), s, whose mean is the quantile of a level and whose scatter is its error.

        A batch's value is the quantile, moved by what part of the batch lies below it less than `level`, over the
        density there. The density is such that Student's interval at 99 % reaches as far, to its farther side, as the
        order statistics do at the levels that the batches leave possible, rounded outward to whole bins. The second
        is whether there are such on both sides: otherwise the run is too short.
        """
        value = float(self.quantiles((level,))[0])
        reached = np.cumsum(self._each.sum(axis=0))
        k, n = int(np.searchsorted(reached, level * reached[-1])), float(reached[-1])
        inside = (level * n - reached[k - 1]) / (reached[k] - reached[k - 1]) if k else level * n / reached[0]
        part = (self._each[:, :k].sum(axis=1) + inside * self._each[:, k]) / self._size
        off = float(half_width(part, _CONFIDENCE))
        if off == 0.0:
            return np.full(len(part), value), True
        low, high = self._bins((max(level - off, 0.0), min(level + off, 1.0)))
        least, most = ((np.array([low, high + 1]) + _FIRST_KEY) << _SHIFT).view(np.float64)
        slope = max(most - value, value - least) / off
        return value + slope * (level - part), off < min(level, 1.0 - level)

    def _bins(self, levels: tuple[float, ...]) -> IntArray:
        """Return the bins in which the shares `levels` of the counts are reached."""
        reached = np.cumsum(self._counts[self._low : self._high])
        return np.asarray(self._low + np.searchsorted(reached, np.array(levels) * reached[-1]))

    def _means(self, bins: IntArray) -> FloatArray:
        """Return the mean value of the tasks in each of some bins, s."""
        return np.clip(self._sums[bins] / self._counts[bins], _LOWEST, _HIGHEST)


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
