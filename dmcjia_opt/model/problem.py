"""The compiled problem: two tables and two vectors, THE objective and THE residuals.

Everything downstream reads this object and nothing else. For node d and split γ, with x_e = C(γ)/F_d the edge
service time (s):

* ``local_delay[d, γ]`` = x_e + λ x_e²/(2(1 − λ x_e)) + M(γ)/B_d, (3-2) and (3-3); +inf where the edge queue is
  unstable or the split does not exist;
* ``cloud_time[d, γ]`` = (C − C(γ))/F_ε, the cloud service time at full share, so that μ = δ / cloud_time (3-4).

In the tandem model the cloud's queue is fed by what leaves the edge. A third table, ``upstream_wait[d, γ]``, says how
much of ``local_delay`` is waiting: λm²/(2(1 − λm)), m the longest service time upstream. That is x_e, or the longer
of x_e and the upload where the link serves one task at a time.

Where layers were measured, their sums of seconds stand for C(γ)/F_d and (C − C(γ))/F_ε.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, difference, frozen, frozen_int
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.delay import MD1, DelayCurve

#: No number of a problem but 0 may be smaller or larger: then no product or quotient that a bound is made of
#: underflows or overflows, at any price between the two of `dual`.
SMALLEST, LARGEST = 1e-80, 1e80
#: How far Σ shares may exceed 1 by rounding. Near saturation the optimum is steep in the budget: no more than this.
BUDGET_TOLERANCE = 64 * EPS
#: How far, relative to the least rate asked for, the ordering constraint may be overstepped by rounding.
ORDERING_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """How far a plan oversteps each constraint; > 0 is a violation.

    Parameters
    ----------
    budget
        (...,) Σδ − 1.
    stability
        (..., n_nodes) λ − μ relative to μ at the cloud where there is cloud work, must be < 0; +inf where the
        edge queue is unstable.
    ordering
        (..., n_nodes) least allowed cloud rate minus μ, relative to the former; −inf where none is asked.
    """

    budget: FloatArray
    stability: FloatArray
    ordering: FloatArray

    @property
    def feasible(self) -> BoolArray:
        """(...,) whether every constraint is met, up to rounding."""
        ok: BoolArray = (
            (self.budget <= BUDGET_TOLERANCE)
            & (self.stability < 0).all(-1)
            & (self.ordering <= ORDERING_TOLERANCE).all(-1)
        )
        return ok


@dataclass(frozen=True, slots=True, eq=False)
class StageDelays:
    """Mean delay of each node by stage, s, each (..., n_nodes)."""

    edge: FloatArray
    upload: FloatArray
    cloud: FloatArray

    @property
    def total(self) -> FloatArray:
        """Sum of the stages, (3-6)."""
        return self.edge + self.upload + self.cloud


@dataclass(frozen=True, slots=True, eq=False)
class Uplinks:
    """Upload times in factored form, for the breakdown by stage only.

    Parameters
    ----------
    upload_bytes
        (n_models, n_splits) bytes sent at each split.
    model_index, bandwidth, input_bytes
        (n_nodes,) row of `upload_bytes`; byte/s; raw input bytes of the node.
    queue
        Whether the link serves one task at a time, so that tasks may wait for it.
    """

    upload_bytes: FloatArray
    model_index: IntArray
    bandwidth: FloatArray
    input_bytes: FloatArray
    queue: bool = False

    def delay(self, splits: IntArray) -> FloatArray:
        """Return the upload time without any wait, s, of each node at `splits` (..., n_nodes)."""
        sent = self.upload_bytes[self.model_index, splits]
        return np.where(splits == 0, self.input_bytes, sent) / self.bandwidth


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A placement problem in the form every allocator, placer and bound reads.

    Parameters
    ----------
    local_delay
        (n_nodes, n_splits) edge and upload delay, s; +inf where the split is not allowed.
    cloud_time
        (n_nodes, n_splits) cloud service time at full share, s.
    arrival_rate
        (n_nodes,) 1/s.
    weight
        (n_nodes,) weight of each node's delay in the mean; sums to 1.
    curve
        Delay curve of the cloud queues.
    least_rate
        (n_nodes, n_splits) least cloud service rate allowed, 1/s (literal C3), or None.
    upstream_wait
        (n_nodes, n_splits) the part of `local_delay` that is waiting, s, which the tandem curve relieves the cloud
        of; None for none, and with every other curve.
    n_layers
        (n_nodes,) last split that exists for each node; n_splits − 1 for all when omitted.
    uplinks
        Upload times for the breakdown by stage, or None (all local delay then counts as edge delay).
    name
        A label.

    Raises
    ------
    InputError
        If shapes disagree or values are out of range.
    """

    local_delay: FloatArray
    cloud_time: FloatArray
    arrival_rate: FloatArray
    weight: FloatArray
    curve: DelayCurve = MD1
    least_rate: FloatArray | None = None
    upstream_wait: FloatArray | None = None
    n_layers: IntArray | None = None
    uplinks: Uplinks | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Freeze the arrays and check them."""
        for key in ("local_delay", "cloud_time", "arrival_rate", "weight", "least_rate", "upstream_wait"):
            value = getattr(self, key)
            if isinstance(value, np.ndarray) and value.dtype == np.float64 and not value.flags.writeable:
                continue  # already frozen: tables of large fleets are not copied
            if value is not None:
                object.__setattr__(self, key, frozen(value))
        n, m = self.local_delay.shape if self.local_delay.ndim == 2 else (0, 0)
        if n == 0 or m == 0:
            raise InputError("local_delay must be a table of at least one node and one split")
        for key, shape in (
            ("cloud_time", (n, m)),
            ("arrival_rate", (n,)),
            ("weight", (n,)),
            ("least_rate", (n, m)),
            ("upstream_wait", (n, m)),
        ):
            value = getattr(self, key)
            if value is not None and value.shape != shape:
                raise InputError(f"{key} has shape {value.shape}, expected {shape}")
            if value is not None and not _within_range(value):
                raise InputError(f"{key} must be 0 or between {SMALLEST:g} and {LARGEST:g}; use other units")
        if not self.local_delay.min() >= 0.0:
            raise InputError("local_delay must be >= 0, or +inf where a split is not allowed")
        for key in ("cloud_time", "least_rate", "upstream_wait"):
            value = getattr(self, key)
            if value is not None and not (value.min() >= 0.0 and value.max() < np.inf):
                raise InputError(f"{key} must be finite and >= 0")
        if self.upstream_wait is not None:
            if len(self.curve.pieces) == 1:
                raise InputError(f'upstream_wait means nothing to the curve "{self.curve.name}"; leave it out')
            if not (self.upstream_wait <= self.local_delay).all():
                raise InputError("upstream_wait must not exceed local_delay, of which it is a part")
        if not (np.isfinite(self.arrival_rate).all() and (self.arrival_rate > 0).all()):
            raise InputError("arrival_rate must be finite and > 0")
        if not ((self.weight > 0).all() and abs(self.weight.sum() - 1.0) < 1e-9):
            raise InputError("weight must be > 0 and sum to 1")
        if self.n_layers is None:
            object.__setattr__(self, "n_layers", np.full(n, m - 1, dtype=np.int64))
        object.__setattr__(self, "n_layers", frozen_int(self.layers))
        if self.layers.shape != (n,) or self.layers.min() < 0 or self.layers.max() >= m:
            raise InputError(f"n_layers must hold one of 0 … {m - 1} for each of the {n} nodes")
        for last in range(int(self.layers.min()), m - 1):
            if np.isfinite(self.local_delay[self.layers == last, last + 1 :]).any():
                raise InputError(f"local_delay must be +inf at splits beyond a node's n_layers ({last})")

    @property
    def n_nodes(self) -> int:
        """Number of edge nodes."""
        return int(self.local_delay.shape[0])

    @property
    def n_splits(self) -> int:
        """Number of columns of the tables, which is the largest number of layers plus one."""
        return int(self.local_delay.shape[1])

    @property
    def layers(self) -> IntArray:
        """(n_nodes,) last split that exists for each node."""
        assert self.n_layers is not None  # set in __post_init__
        return self.n_layers

    def at(self, table: FloatArray, splits: IntArray) -> FloatArray:
        """Return `table` (n_nodes, n_splits) at `splits` (..., n_nodes)."""
        values: FloatArray = table[np.arange(self.n_nodes), splits]
        return values

    def wait_at(self, splits: IntArray) -> FloatArray | None:
        """Return the wait paid upstream, s, at `splits` (..., n_nodes); None without such a table."""
        return None if self.upstream_wait is None else self.at(self.upstream_wait, splits)

    def check_splits(self, splits: IntArray) -> IntArray:
        """Return `splits` as int64 (..., n_nodes), or raise InputError if any is not a split of its node."""
        array = np.asarray(splits)
        if not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"splits must be integers, got {array.dtype}")
        if array.ndim == 0 or array.shape[-1] != self.n_nodes:
            raise InputError(f"splits must have one entry a node ({self.n_nodes}), got shape {array.shape}")
        if (array < 0).any() or (array > self.layers).any():
            d = int(np.argwhere((array < 0) | (array > self.layers))[0][-1])
            raise InputError(f"the split of node {d} must lie in 0 … {self.layers[d]}")
        return array.astype(np.int64, copy=False)

    def cloud_delay(self, splits: IntArray, shares: FloatArray) -> FloatArray:
        """Return each node's mean delay in the cloud, s, (..., n_nodes); 0 without cloud work, +inf if unstable."""
        s = self.at(self.cloud_time, splits)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            excess = self._spare(s, shares) / s
            delay = self.curve.delay(excess, self.arrival_rate, self.wait_at(splits))
        return np.where(s > 0, np.where(excess > 0, delay, np.inf), 0.0)

    def _spare(self, s: FloatArray, shares: FloatArray) -> FloatArray:
        """Return δ − λs (..., n_nodes), what a share has beyond the load, with all its digits near saturation."""
        spare = shares - self.arrival_rate * s
        scarce = np.abs(spare) < 2.0**-10 * shares
        if scarce.any():
            rate = np.broadcast_to(self.arrival_rate, spare.shape)
            spare[scarce] = difference(shares[scarce], rate[scarce], s[scarce])
        return spare

    def objective(self, splits: IntArray, shares: FloatArray) -> FloatArray:
        """Return the mean delay, s, of each plan (P1, (3-7)).

        Parameters
        ----------
        splits, shares
            (..., n_nodes) split points and cloud shares.

        Returns
        -------
        (...,) weighted mean of the nodes' delays; +inf where a queue is unstable. The budget is not looked at:
        see `residuals`.
        """
        total = self.at(self.local_delay, splits) + self.cloud_delay(splits, shares)
        return np.asarray((self.weight * total).sum(-1))

    def breakdown(self, splits: IntArray, shares: FloatArray) -> StageDelays:
        """Return each node's delay by stage, s, each with the wait at that stage.

        In the tandem model too: the first k stages are a tandem of their own, and what they have less than the first
        k + 1 is the wait at the last of those.
        """
        local = self.at(self.local_delay, splits)
        if self.uplinks is None:
            upload = np.zeros_like(local)
        else:
            upload = self.uplinks.delay(splits)
            if self.uplinks.queue and (wait := self.wait_at(splits)) is not None:
                upload = upload + self._wait_for_uplink(local, upload, wait)
        return StageDelays(local - upload, upload, self.cloud_delay(splits, shares))

    def _wait_for_uplink(self, local: FloatArray, upload: FloatArray, wait: FloatArray) -> FloatArray:
        """Return how much of the wait upstream is at the uplink, s: none where the edge is the slower of the two."""
        slower = mean_wait(self.arrival_rate, upload) >= wait * (1.0 - ORDERING_TOLERANCE)
        on = slower & np.isfinite(local)
        service = np.where(on, local, 0.0) - np.where(on, upload + wait, 0.0)
        return np.where(on, np.maximum(wait - mean_wait(self.arrival_rate, np.maximum(service, 0.0)), 0.0), 0.0)

    def least_share(self, splits: IntArray) -> FloatArray:
        """Return the share below which a constraint breaks, (..., n_nodes): λs, or the literal C3's where larger."""
        s = self.at(self.cloud_time, splits)
        rate = self.arrival_rate
        if self.least_rate is None:
            return rate * s
        return np.maximum(rate, self.at(self.least_rate, splits)) * s

    def overload(self, splits: IntArray) -> FloatArray:
        """Return how infeasible each choice of splits is, (...,): 0 if shares exist that make it a plan.

        The cloud's least load beyond 1, plus the number of nodes whose edge queue is unstable.
        """
        stable = self.at(self.cloud_time, splits) * self.arrival_rate
        load = stable.sum(-1)
        over = np.where(load >= 1.0, load - 1.0 + EPS, 0.0)
        if self.least_rate is not None:
            over = np.maximum(over, np.maximum(self.least_share(splits).sum(-1) - 1.0, 0.0))
        return np.asarray(over + np.isinf(self.at(self.local_delay, splits)).sum(-1))

    def residuals(self, splits: IntArray, shares: FloatArray) -> Residuals:
        """Return how far each plan oversteps the budget C1, the stability of its queues and the ordering C3."""
        s = self.at(self.cloud_time, splits)
        busy = s > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            stability = np.where(busy, -self._spare(s, shares) / shares, -1.0)
        negative = ~(shares >= 0) | (busy & (shares == 0))
        stability = np.where(negative | np.isinf(self.at(self.local_delay, splits)), np.inf, stability)
        ordering = np.full(stability.shape, -np.inf)
        if self.least_rate is not None:
            floor = self.at(self.least_rate, splits)
            asked = busy & (floor > 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                ordering = np.where(asked, 1.0 - shares / (s * floor), -np.inf)
        budget = np.asarray(shares.sum(-1) - 1.0)
        return Residuals(np.where(np.isnan(budget), np.inf, budget), stability, ordering)


def all_plans(problem: Problem) -> IntArray:
    """Return every choice of splits, (n_plans, n_nodes)."""
    return np.array(list(itertools.product(*(range(last + 1) for last in problem.layers))), dtype=np.int64)


def _within_range(table: FloatArray) -> bool:
    """Return whether every finite entry > 0 may be computed with; what is not a number ≥ 0 is for others to refuse."""
    if table.ndim == 2 and table.strides[0] == 0:
        table = table[:1]  # one row, shared by all nodes
    real = (table > 0) & (table < np.inf)
    least, most = table.min(where=real, initial=1.0), table.max(where=real, initial=1.0)
    return bool(least >= SMALLEST and most <= LARGEST)


def mean_wait(rate: FloatArray, service: FloatArray) -> FloatArray:
    """Return λx²/(2(1 − λx)), s, the mean wait of an M/D/1 queue; +inf where it is unstable."""
    load = rate * service
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(load < 1.0, load * service / (2.0 * (1.0 - load)), np.inf)
