"""Statistics of runs: pure functions on arrays and tables, each from a library where one has it.

A run that did not reach its target has the runtime +inf throughout; what it spent before it gave up is passed apart.
Definitions, and why these were chosen, are in ``docs/statistics.md``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from dmcjia_opt.base.arrays import FloatArray

#: Gaps at which a run counts as a success.
TARGETS = (1e-2, 1e-4, 1e-6, 1e-9)
#: Gap below which plans differ in nothing that anyone would call quality, and a plan may be called optimal.
CLOSE = 1e-6
#: Shift of the geometric mean, s: solves take milliseconds here, and what takes less should not decide a ranking.
SHIFT_SECONDS = 1e-3
#: How many limits a failure costs in the penalised average.
PENALTY = 10.0
CONFIDENCE = 0.95
#: Gaps below this are rounding, and are drawn and compared as this.
GAP_FLOOR = 1e-12
_QUARTILES = (25.0, 50.0, 75.0)


@dataclass(frozen=True, slots=True)
class Proportion:
    """Successes among runs, and the ends of the Wilson interval."""

    successes: int
    runs: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Successes over runs; NaN without runs."""
        return self.successes / self.runs if self.runs else math.nan


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles; each is a value that was observed, so +inf stays meaningful."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """A distribution function: `share` of `n` is reached at `at`, between the Wilson bounds `low` and `high`.

    Every array is (n_steps,), increasing; there are no steps where nothing was reached.
    """

    at: FloatArray
    share: FloatArray
    low: FloatArray
    high: FloatArray
    n: int


@dataclass(frozen=True, slots=True)
class Slope:
    """Exponent of a power law, time ∝ size^exponent, its confidence interval, and the constant at size 1, s."""

    exponent: float
    low: float
    high: float
    constant: float
    points: int


def proportion(successes: int, runs: int, confidence: float = CONFIDENCE) -> Proportion:
    """Return a success rate with its score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if runs == 0:
        return Proportion(0, 0, 0.0, 1.0)
    low, high = proportion_confint(successes, runs, alpha=1 - confidence, method="wilson")
    return Proportion(int(successes), int(runs), float(low), float(high))


def shifted_geometric_mean(seconds: ArrayLike, shift: float = SHIFT_SECONDS) -> float:
    """Return exp(mean log(t + shift)) − shift, s; NaN of nothing (Achterberg 2007, A.3).

    Parameters
    ----------
    seconds
        (n,) finite times, failures already at their limit.
    shift
        What times far below it are worth telling apart, s.
    """
    times = np.asarray(seconds, dtype=np.float64)
    return float(stats.gmean(times + shift)) - shift if times.size else math.nan


def penalised_average(runtime: ArrayLike, limit: ArrayLike, penalty: float = PENALTY) -> float:
    """Return the mean runtime, s, a failure (+inf) counting `penalty` limits: PAR10 (doi:10.1613/jair.2861)."""
    times = np.asarray(runtime, dtype=np.float64)
    worst = penalty * np.broadcast_to(np.asarray(limit, dtype=np.float64), times.shape)
    return float(np.where(np.isfinite(times), times, worst).mean()) if times.size else math.nan


def expected_running_time(runtime: ArrayLike, spent: ArrayLike) -> float:
    """Return everything spent over the number of successes: ERT (doi:10.1080/10556788.2020.1808977, section 6).

    It is what a success costs when a method is restarted until it has one.

    Parameters
    ----------
    runtime
        (n,) seconds or evaluations to the target; +inf where it was not reached.
    spent
        (n,) what each run spent in all; read only where the target was not reached.

    Returns
    -------
    float
        +inf if no run reached the target.
    """
    times = np.asarray(runtime, dtype=np.float64)
    reached = np.isfinite(times)
    if not reached.any():
        return math.inf
    return float(np.where(reached, times, np.asarray(spent, dtype=np.float64)).sum() / reached.sum())


def spread(values: ArrayLike) -> Spread:
    """Return the quartiles of (n,) values, +inf among them, as observed values; NaN of nothing."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return Spread(math.nan, math.nan, math.nan)
    return Spread(*(float(q) for q in np.percentile(array, _QUARTILES, method="inverted_cdf")))


def median(values: ArrayLike) -> float:
    """Return the least observed value that half of the values do not exceed."""
    return spread(values).median


def virtual_best(table: pd.DataFrame) -> pd.Series[float]:
    """Return the least score of each problem (a row) over all methods (columns): an oracle that picks the method."""
    return table.min(axis=1)


def compare(scores: pd.DataFrame, tolerance: float = 1e-9) -> pd.DataFrame:
    """Compare every pair of methods by Wilcoxon's signed-rank test, all p-values corrected together by Holm.

    Paired over problems, with zero differences split between the signs (Demšar 2006, JMLR 7:1–30, section 3.1.3; Holm
    1979, Scandinavian Journal of Statistics 6:65–70).

    Parameters
    ----------
    scores
        A row a problem, a column a method; finite, and less is better.
    tolerance
        Differences up to this are ties.

    Returns
    -------
    pandas.DataFrame
        first, second, problems, better, worse, ties (of `first`), p, p_holm; a row a pair.
    """
    rows: list[tuple[str, str, int, int, int, int, float]] = []
    for first, second in itertools.combinations(scores.columns, 2):
        difference = (scores[first] - scores[second]).to_numpy(dtype=np.float64)
        difference = np.where(np.abs(difference) <= tolerance, 0.0, difference)
        better, worse = int((difference < 0).sum()), int((difference > 0).sum())
        ties = len(difference) - better - worse
        p = 1.0
        if better or worse:
            p = float(stats.wilcoxon(difference, zero_method="zsplit").pvalue)
        rows.append((first, second, len(difference), better, worse, ties, p))
    frame = pd.DataFrame(rows, columns=["first", "second", "problems", "better", "worse", "ties", "p"])
    frame["p_holm"] = multipletests(frame["p"].to_numpy(), method="holm")[1] if rows else pd.Series(dtype=float)
    return frame


def distribution(values: ArrayLike, runs: int | None = None, confidence: float = CONFIDENCE) -> Steps:
    """Return the empirical distribution of (n,) values, +inf those never reached, with pointwise Wilson bounds.

    Parameters
    ----------
    values
        (n,) runtimes or ratios.
    runs
        Number of independent runs behind the values, which sets the width of the bounds; n by default.
    confidence
        Of the bounds.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    finite = array[np.isfinite(array)]
    n = array.size if runs is None else runs
    if not finite.size:
        nothing = np.empty(0)
        return Steps(nothing, nothing, nothing, nothing, n)
    never = np.full(array.size - finite.size, finite.max())
    cdf = stats.ecdf(stats.CensoredData(uncensored=finite, right=never)).cdf
    share = np.asarray(cdf.probabilities, dtype=np.float64)
    low, high = proportion_confint(share * n, n, alpha=1 - confidence, method="wilson")
    return Steps(np.asarray(cdf.quantiles, dtype=np.float64), share, np.asarray(low), np.asarray(high), n)


def performance_profile(times: pd.DataFrame) -> Mapping[str, Steps]:
    """Return each method's distribution of time over the best time (Dolan & Moré 2002, doi:10.1007/s101070100263).

    Parameters
    ----------
    times
        A row a problem, a column a method; s > 0, +inf where the method failed. A problem that no method solved
        counts against all of them.
    """
    ratios = times.div(virtual_best(times), axis=0).fillna(math.inf)  # ∞/∞ where nobody solved it
    return {str(method): distribution(ratios[method]) for method in times}


def attainment(runs: Sequence[FloatArray], percentiles: Sequence[float] = _QUARTILES) -> Mapping[float, FloatArray]:
    """Return anytime curves: by when, and how good, at least a given percentage of the runs was.

    These are percentiles of the empirical attainment function (Grunert da Fonseca et al. 2001,
    doi:10.1007/3-540-44719-9_15), computed by moocore.

    Parameters
    ----------
    runs
        One (n_points, 2) array a run, of cost and gap, both minimised; every run has a point.
    percentiles
        In (0, 100].

    Returns
    -------
    mapping of percentile to array, shape (n_points, 2)
        Corners of the curve, by increasing cost.
    """
    if not runs:
        return {percentile: np.empty((0, 2)) for percentile in percentiles}
    points = np.concatenate(runs)
    sets = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    surface = moocore.eaf(points, sets=sets, percentiles=list(percentiles))
    curves = {}
    for percentile in percentiles:
        curve = surface[np.isclose(surface[:, 2], percentile), :2]
        curves[percentile] = curve[np.argsort(curve[:, 0], kind="stable")]
    return curves


def scaling(sizes: ArrayLike, seconds: ArrayLike, confidence: float = CONFIDENCE) -> Slope | None:
    """Return the least-squares exponent of time against size on logarithmic axes; None below three sizes.

    Parameters
    ----------
    sizes, seconds
        (n,) nodes and times > 0; times that are not finite are left out.
    confidence
        Of the interval, from Student's t.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    use = np.isfinite(y) & (y > 0)
    x, y = np.log(x[use]), np.log(y[use])
    if len(np.unique(x)) < 3:
        return None
    fit = stats.linregress(x, y)
    half = float(stats.t.ppf(0.5 + confidence / 2, len(x) - 2)) * float(fit.stderr)
    exponent = float(fit.slope)
    return Slope(exponent, exponent - half, exponent + half, math.exp(float(fit.intercept)), len(x))
