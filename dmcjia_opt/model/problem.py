"""The compiled problem: menus of options, THE objective and THE residuals.

Every node picks one option from its menu, and an option uses shares of a few shared resources: servers, links, hosts.
With one cloud an option is a split γ and has one use, of the cloud. For node d and option o, with x_e = C(γ)/F_d the
edge service time (s):

* ``fixed_delay[d, o]`` = x_e + λ x_e²/(2(1 − λ x_e)) + M(γ)/B_d, (3-2) and (3-3): what no share changes; +inf where
  the edge queue is unstable or the option does not exist;
* ``service[d, o, k]`` = (C − C(γ))/F_ε, the service time of use k at full share, so that μ = δ / service (3-4);
* ``resource[d, o, k]`` is the resource whose share δ it uses; use k of every option has delay curve k.

In the tandem model a queue is fed by what leaves the one before it: ``wait[d, o]`` says how much of ``fixed_delay`` is
waiting, λm²/(2(1 − λm)), m the longest service time upstream. That is x_e, or the longer of x_e and the upload where
the link serves one task at a time. Uses are in the order of the path; each tandem stage adds its service, and what its
wait exceeds that of all before it (H. D. Friedman 1965).

What is *pooled* has no shares (`pooling`): its uses take longer the more use it, and their share is 0 in every plan.
Where layers were measured, their sums of seconds stand for these. A table that says nothing takes no memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dmcjia_opt.base.arrays import (
    EPS,
    BoolArray,
    FloatArray,
    IntArray,
    Scalar,
    absent,
    constant,
    difference,
    distinct,
    frozen,
    frozen_int,
    over_uses,
)
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model import deadlines, pooling
from dmcjia_opt.model.delay import TANDEM, DelayCurve, TandemCurve
from dmcjia_opt.model.queues import MD1, Scv
from dmcjia_opt.model.residuals import ORDERING_TOLERANCE, Residuals
from dmcjia_opt.model.resources import CLOUD, Resource
from dmcjia_opt.model.uplinks import Stages, Uplinks

#: No number of a problem but 0 may be smaller or larger: then no product or quotient that a bound is made of
#: underflows or overflows, at any price between the two of `dual`.
SMALLEST, LARGEST = 1e-80, 1e80
#: The fields of a problem that hold a row for each node.
TABLES = (
    *("fixed_delay", "service", "arrival_rate", "weight", "resource", "least_rate", "wait", "last"),
    *("deadline", "arrival_scv"),
)


def _no_index() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A placement problem in the form every allocator, placer and bound reads.

    Parameters
    ----------
    fixed_delay
        (n_nodes, n_options) delay that no share changes, s; +inf where the option is not allowed.
    service
        (n_nodes, n_options, n_uses) service time of each use at full share, s; 0 where it uses nothing. The last axis
        may be left out where there is one use.
    arrival_rate
        (n_nodes,) 1/s.
    weight
        (n_nodes,) weight of each node's delay in the mean; sums to 1, or to less where it is `partial`.
    curves
        Delay curve of each use; one stands for all.
    least_rate
        Like `service`: least service rate allowed, 1/s (literal C3); 0 when omitted.
    wait
        (n_nodes, n_options) the part of `fixed_delay` that is waiting, s, of which the tandem curve relieves what
        follows; 0 when omitted, and with every other curve.
    last
        (n_nodes,) last option that exists for each node; n_options − 1 for all when omitted.
    uplinks
        Upload times for the breakdown by stage, or None (all fixed delay then counts as edge delay).
    name
        A label.
    resource
        (n_nodes, n_options, n_uses) index of the resource that is used; all use one when omitted.
    resources
        (n_resources,) what they are; numbered servers when omitted, or the cloud where there is one.
    deadline
        (n_nodes,) most delay that is allowed, s; +inf when omitted. What cannot keep it whatever the shares leaves
        the menu, and the rates that it takes join `least_rate`.
    arrival_scv
        (n_nodes,) c_a², the squared coefficient of variation of the gaps between a node's tasks: 0 periodic, 1 Poisson,
        as when omitted. Those of percentiles are one or the other.
    worst
        Whether the objective is the largest of the nodes' delays rather than their weighted mean.
    partial
        Whether these are some nodes of a fleet.

    Attributes
    ----------
    kinked
        Whether a delay curve has a kink, whose place the wait upstream decides.
    ordered
        Whether some option asks for a least rate.
    coupled
        Whether an option has several uses that are stages of one tandem, so that their shares do not separate by
        resource.
    renewal
        Whether the arrivals of some node are not Poisson.
    pooled
        (n_resources,) which resources have no shares.
    promised
        Whether an option of several uses has a deadline, or counts as the worst node: their rates keep it together.

    Raises
    ------
    InputError
        If shapes disagree or values are out of range.
    """

    fixed_delay: FloatArray
    service: FloatArray
    arrival_rate: FloatArray
    weight: FloatArray
    curves: DelayCurve | tuple[DelayCurve, ...] = MD1
    least_rate: FloatArray = field(default_factory=absent)
    wait: FloatArray = field(default_factory=absent)
    last: IntArray = field(default_factory=_no_index)
    uplinks: Uplinks | None = None
    name: str = ""
    resource: IntArray = field(default_factory=_no_index)
    resources: tuple[Resource, ...] = ()
    deadline: FloatArray = field(default_factory=absent)
    worst: bool = False
    partial: bool = False
    arrival_scv: FloatArray = field(default_factory=absent)
    kinked: bool = field(init=False)
    ordered: bool = field(init=False)
    coupled: bool = field(init=False)
    promised: bool = field(init=False)
    renewal: bool = field(init=False)
    pooled: BoolArray = field(init=False)
    _relaxed: Problem | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Complete and freeze the arrays, and check them."""
        n, m = np.shape(self.fixed_delay) if np.ndim(self.fixed_delay) == 2 else (0, 0)
        if n == 0 or m == 0:
            raise InputError("fixed_delay must be a table of at least one node and one option")
        n_uses = np.shape(self.service)[2] if np.ndim(self.service) == 3 else 1
        shapes: dict[str, tuple[int, ...]] = {
            "fixed_delay": (n, m),
            "service": (n, m, n_uses),
            "arrival_rate": (n,),
            "weight": (n,),
            "least_rate": (n, m, n_uses),
            "wait": (n, m),
            "deadline": (n,),
            "arrival_scv": (n,),
        }
        for key, shape in shapes.items():
            value = getattr(self, key)
            if value is None or np.size(value) == 0:
                value = constant({"deadline": np.inf, "arrival_scv": 1.0}.get(key, 0.0), shape)
            elif not (isinstance(value, np.ndarray) and value.dtype == np.float64 and not value.flags.writeable):
                value = frozen(value)  # those that are frozen, such as tables of large fleets, are not copied
            if len(shape) == 3 and value.ndim == 2 and n_uses == 1:
                value = value[:, :, None]
            if value.shape != shape:
                raise InputError(f"{key} has shape {value.shape}, expected {shape}")
            if not _within_range(value):
                raise InputError(f"{key} must be 0 or between {SMALLEST:g} and {LARGEST:g}; use other units")
            object.__setattr__(self, key, value)
        curves = self.curves if isinstance(self.curves, tuple) else (self.curves,) * n_uses
        if len(curves) != n_uses:
            raise InputError(f"curves has {len(curves)} delay curves, expected one for each of {n_uses} uses")
        object.__setattr__(self, "curves", curves)
        if len({curve.statistic for curve in curves if isinstance(curve, TandemCurve)}) > 1:
            raise InputError("the stages of a tandem must have one curve; they have two")
        object.__setattr__(self, "kinked", any(isinstance(curve, TandemCurve) for curve in curves))
        self._check_indices(n, m, n_uses)
        object.__setattr__(self, "pooled", pooling.pooled_resources(self))
        stages = [k for k, curve in enumerate(curves) if isinstance(curve, TandemCurve)]
        coupled = len(stages) > 1 and bool((pooling.reserved_uses(self)[..., stages].sum(-1) > 1).any())
        object.__setattr__(self, "coupled", coupled)
        if not self.fixed_delay.min() >= 0.0:
            raise InputError("fixed_delay must be >= 0, or +inf where an option is not allowed")
        for key in ("service", "least_rate", "wait", "arrival_scv"):
            value = distinct(getattr(self, key))
            if not (value.min() >= 0.0 and value.max() < np.inf):
                raise InputError(f"{key} must be finite and >= 0")
        if distinct(self.wait).any():
            if not self.kinked:
                raise InputError(f'wait means nothing to the curve "{curves[0].name}"; leave it out')
            if not (self.wait <= self.fixed_delay).all():
                raise InputError("wait must not exceed fixed_delay, of which it is a part")
        if not (np.isfinite(self.arrival_rate).all() and (self.arrival_rate > 0).all()):
            raise InputError("arrival_rate must be finite and > 0")
        if not ((self.weight > 0).all() and (0.0 if self.partial else 1.0) - 1e-9 < self.weight.sum() < 1.0 + 1e-9):
            raise InputError("weight must be > 0 and sum to 1")
        if not (self.deadline > 0).all():
            raise InputError("deadline must be > 0, or +inf where there is none")
        object.__setattr__(self, "renewal", bool((distinct(self.arrival_scv) != 1.0).any()))
        if self.renewal and not all(curve.pieces() for curve in curves) and not np.isin(self.arrival_scv, (0, 1)).all():
            raise InputError("arrival_scv must be 0 or 1 where the curve is of a percentile")
        several = n_uses > 1 and (self.worst or bool(np.isfinite(self.deadline).any()))
        object.__setattr__(self, "promised", several and bool(((distinct(self.service) > 0).sum(-1) > 1).any()))
        if self.pooled.any():
            for key, table in pooling.fast_enough(self).items():
                object.__setattr__(self, key, frozen(table))
            object.__setattr__(self, "_relaxed", pooling.relaxed(self))
        if np.isfinite(distinct(self.deadline)).any():
            for key, table in deadlines.kept(self).items():
                object.__setattr__(self, key, frozen(table))
        object.__setattr__(self, "ordered", bool(distinct(self.least_rate).any()))

    def _check_indices(self, n: int, m: int, n_uses: int) -> None:
        last = self.last if np.size(self.last) else np.full(n, m - 1)
        object.__setattr__(self, "last", frozen_int(last))
        if self.last.shape != (n,) or self.last.min() < 0 or self.last.max() >= m:
            raise InputError(f"last must hold one of 0 … {m - 1} for each of the {n} nodes")
        for most in range(int(self.last.min()), m - 1):
            if np.isfinite(self.fixed_delay[self.last == most, most + 1 :]).any():
                raise InputError(f"fixed_delay must be +inf at options beyond a node's last ({most})")
        if np.size(self.resource) == 0:
            object.__setattr__(self, "resource", np.broadcast_to(np.int64(0), (n, m, n_uses)))
        resource = np.asarray(self.resource)
        if resource.shape != (n, m, n_uses) or not np.issubdtype(resource.dtype, np.integer):
            raise InputError(f"resource must hold integers of shape {(n, m, n_uses)}")
        object.__setattr__(self, "resource", resource)
        least, most = int(distinct(self.resource).min()), int(distinct(self.resource).max())
        if least < 0:
            raise InputError(f"resource must hold indices >= 0, got {least}")
        if not self.resources:
            named = (CLOUD,) if most == 0 else tuple(Resource(f"resource-{r}") for r in range(most + 1))
            object.__setattr__(self, "resources", named)
        elif most >= len(self.resources):
            raise InputError(f"resource holds index {most}, and there are {len(self.resources)} resources")
        curve_of: dict[int, DelayCurve] = {}
        for k, curve in enumerate(self.use_curves if len(set(self.use_curves)) > 1 else ()):
            used = np.bincount(resource[..., k].ravel(), self.service[..., k].ravel() > 0, len(self.resources))
            for r in np.flatnonzero(used).tolist():
                if curve_of.setdefault(r, curve) != curve:
                    raise InputError(f"uses of {self.resources[r]} must have one delay curve; it has two")

    @property
    def n_nodes(self) -> int:
        """Number of edge nodes."""
        return int(self.fixed_delay.shape[0])

    @property
    def n_options(self) -> int:
        """Number of columns of the tables; with one cloud, the largest number of layers plus one."""
        return int(self.fixed_delay.shape[1])

    @property
    def n_uses(self) -> int:
        """Most shares that one option uses."""
        return int(self.service.shape[2])

    @property
    def n_resources(self) -> int:
        """Number of resources that are shared."""
        return len(self.resources)

    @property
    def single(self) -> bool:
        """Whether there is one use of one resource, the case of closed forms without any grouping."""
        return self.n_resources == 1 and self.n_uses == 1

    def gaps(self, rows: slice | IntArray = slice(None)) -> Scv:
        """Return c_a² of some nodes (n,); 1.0 where all are Poisson, for which curves have shorter formulas."""
        return self.arrival_scv[rows] if self.renewal else 1.0

    @property
    def joint(self) -> bool:
        """Whether shares of several resources must be chosen together, because options tie them to each other."""
        return self.coupled or self.promised

    @property
    def use_curves(self) -> tuple[DelayCurve, ...]:
        """(n_uses,) the delay curve of each use."""
        assert isinstance(self.curves, tuple)  # since __post_init__
        return self.curves

    @property
    def curve(self) -> DelayCurve:
        """The delay curve of the last use, the one of servers."""
        return self.use_curves[-1]

    @property
    def relaxed(self) -> Problem:
        """What bounds this problem from below where something is pooled, all of it reserved; or itself."""
        return self._relaxed or self

    def at(self, table: npt.NDArray[Scalar], options: IntArray) -> npt.NDArray[Scalar]:
        """Return `table` (n_nodes, n_options, ...) at `options` (..., n_nodes)."""
        values: npt.NDArray[Scalar] = table[np.arange(self.n_nodes), options]
        return values

    def signature(self, node: int, options: IntArray | slice = slice(None)) -> bytes:
        """Return what is the same for nodes that are alike at `options`: all their tables."""
        tables = [t[node, options].ravel() for t in (self.fixed_delay, self.service, self.least_rate, self.wait)]
        own = [table[node : node + 1] for table in (self.arrival_rate, self.weight, self.deadline, self.arrival_scv)]
        return np.concatenate([*tables, *own]).tobytes() + self.resource[node, options].tobytes()

    def wait_at(self, options: IntArray) -> FloatArray:
        """Return the wait paid upstream of each use, s, at `options` (..., n_nodes): (..., n_nodes, 1)."""
        if not self.kinked:
            return np.zeros((*options.shape, 1))
        return self.at(self.wait, options)[..., None]

    def check_options(self, splits: IntArray) -> IntArray:
        """Return `splits` as int64 (..., n_nodes), or raise InputError if any is not a split of its node."""
        array = np.asarray(splits)
        if not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"splits must be integers, got {array.dtype}")
        if array.ndim == 0 or array.shape[-1] != self.n_nodes:
            raise InputError(f"splits must have one entry a node ({self.n_nodes}), got shape {array.shape}")
        if (array < 0).any() or (array > self.last).any():
            d = int(np.argwhere((array < 0) | (array > self.last))[0][-1])
            raise InputError(f"the split of node {d} must lie in 0 … {self.last[d]}")
        return array.astype(np.int64, copy=False)

    def by_use(self, options: IntArray, shares: FloatArray) -> FloatArray:
        """Return `shares` as (..., n_nodes, n_uses); the last axis may be missing where there is one use."""
        if np.ndim(shares) == np.ndim(options) and self.n_uses == 1:
            return np.asarray(shares)[..., None]
        return np.asarray(shares)

    def by_resource(self, options: IntArray, values: FloatArray) -> FloatArray:
        """Return the sums (..., n_resources) of values (..., n_nodes, n_uses) of what `options` use."""
        if self.n_resources == 1:
            return np.asarray(over_uses(values).sum(-1))[..., None]
        used = self.at(self.resource, options).reshape(-1, self.n_nodes * self.n_uses)
        each = np.broadcast_to(values, (*options.shape, self.n_uses)).ravel()
        index = used + self.n_resources * np.arange(len(used))[:, None]
        total = np.bincount(index.ravel(), each, len(used) * self.n_resources)
        return np.asarray(total.reshape(*options.shape[:-1], self.n_resources), dtype=np.float64)

    def use_delay(self, options: IntArray, shares: FloatArray) -> FloatArray:
        """Return the mean delay of each use, s, (..., n_nodes, n_uses); 0 where there is none, +inf if unstable."""
        if self.pooled.any():
            return self.relaxed.use_delay(options, shares) + pooling.use_delay(self, options)
        s, shares = self.at(self.service, options), self.by_use(options, shares)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            excess = self._spare(s, shares) / s
            if self.n_uses == 1 and self.curve.waits() and not self.renewal:
                delay = self.curve.delay(excess, self.arrival_rate[:, None], self.wait_at(options))
                return np.where(s > 0, np.where(excess > 0, delay, np.inf), 0.0)
            wait, rate, scv = self.wait_at(options)[..., 0], self.arrival_rate, self.gaps()
            delays = np.empty(np.broadcast_shapes(s.shape, shares.shape))
            for k, curve in enumerate(self.use_curves):
                x, busy = excess[..., k], s[..., k] > 0
                stable = x > np.where(curve.waits(scv), 0.0, -ORDERING_TOLERANCE * (rate + x))
                delays[..., k] = np.where(busy, np.where(stable, curve.delay(x, rate, wait, scv), np.inf), 0.0)
                if isinstance(curve, TandemCurve) and k + 1 < self.n_uses:
                    wait = np.where(busy & stable, np.maximum(wait, curve.waited(x, rate, scv)), wait)
        return delays

    def _spare(self, s: FloatArray, shares: FloatArray) -> FloatArray:
        """Return δ − λs (..., n_nodes, n_uses), what a share has beyond the load, exact to its last digits."""
        rate = self.arrival_rate[:, None]
        spare = shares - rate * s
        scarce = np.abs(spare) < 2.0**-10 * shares
        if scarce.any():
            spare[scarce] = difference(shares[scarce], np.broadcast_to(rate, spare.shape)[scarce], s[scarce])
        return spare

    def objective(self, options: IntArray, shares: FloatArray) -> FloatArray:
        """Return the mean delay, s, of each plan (P1, (3-7)), or that of its worst node.

        Parameters
        ----------
        options
            (..., n_nodes) the option of each node: with one cloud, its split.
        shares
            (..., n_nodes, n_uses) shares of the resources; the last axis may be missing where there is one use.

        Returns
        -------
        (...,) weighted mean of the nodes' delays, or the largest; +inf where a queue is unstable. Neither the budget
        nor deadlines are looked at: see `residuals`.
        """
        total = self.node_delay(options, shares)
        return np.asarray(total.max(-1) if self.worst else (self.weight * total).sum(-1))

    def node_delay(self, options: IntArray, shares: FloatArray) -> FloatArray:
        """Return the delay of each node, s, (..., n_nodes): of the statistic that the curves are of."""
        return np.asarray(self.at(self.fixed_delay, options) + over_uses(self.use_delay(options, shares)))

    def breakdown(self, options: IntArray, shares: FloatArray) -> Stages:
        """Return each node's delay by stage, s, each with the wait at that stage.

        In the tandem model too: the first k stages are a tandem of their own, and what they have less than the first
        k + 1 is the wait at the last of those.
        """
        device, uplink, round_trip = self.own_stages(options)
        used = self.use_delay(options, shares)
        if self.n_uses == 1:
            return Stages(device, uplink + round_trip, used[..., 0])
        kinds = np.array([resource.kind for resource in self.resources])[self.at(self.resource, options)]
        host, link, server = (np.where(kinds == kind, used, 0.0).sum(-1) for kind in ("host", "link", "server"))
        return Stages(device + host, uplink + round_trip + link, server)

    def own_stages(self, options: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the fixed delay by stage, s: at the node itself, on its own uplink, in round trips and the result.

        Each is (..., n_nodes), with its wait; where there are no `uplinks`, all is at the node.
        """
        fixed = self.at(self.fixed_delay, options)
        if self.uplinks is None:
            return fixed, np.zeros_like(fixed), np.zeros_like(fixed)
        uplink, trip = self.uplinks.upload(options), self.uplinks.trip(options)
        if self.uplinks.queue:
            wait = self.at(self.wait, options)
            uplink = uplink + self._wait_for_uplink(fixed, uplink, uplink + trip, wait)
        device = fixed - (uplink + trip)
        rounding = np.isfinite(fixed) & (np.abs(device) <= ORDERING_TOLERANCE * fixed)
        return np.where(rounding, 0.0, device), uplink, trip

    def _wait_for_uplink(self, fixed: FloatArray, own: FloatArray, network: FloatArray, wait: FloatArray) -> FloatArray:
        """Return how much of the fixed delay is waiting for the uplink, s.

        In a tandem that is what the wait upstream is beyond the edge's: none where the edge is the slower of the two.
        """
        tandem = next((curve for curve in self.use_curves if isinstance(curve, TandemCurve)), TANDEM)
        scv = self.gaps()
        if not self.kinked:
            varies = 2.0 * self.curve.pieces(scv)[0].b
            return np.where(np.isfinite(fixed), tandem.wait_of(self.arrival_rate, own, varies), 0.0)
        at_uplink = tandem.wait_of(self.arrival_rate, own, scv)
        on = (at_uplink >= wait * (1.0 - ORDERING_TOLERANCE)) & np.isfinite(fixed)
        service = np.where(on, fixed, 0.0) - np.where(on, network + wait, 0.0)
        before = tandem.wait_of(self.arrival_rate, np.maximum(service, 0.0), scv)
        return np.where(on, np.maximum(wait - before, 0.0), 0.0)

    def least_share(self, options: IntArray) -> FloatArray:
        """Return the shares below which a constraint breaks, (..., n_nodes, n_uses): λs, or the literal C3's.

        Of what is pooled it is the load, though no plan has a share there.
        """
        least: FloatArray = self.arrival_rate[:, None]
        if self.ordered:
            least = np.maximum(least, self.at(self.least_rate, options))
        return least * self.at(self.service, options)

    def overload(self, options: IntArray) -> FloatArray:
        """Return how infeasible each choice of options is, (...,): 0 if shares exist that make it a plan.

        The least load of each resource beyond 1, plus the number of nodes whose edge queue is unstable.
        """
        load = self.by_resource(options, self.arrival_rate[:, None] * self.at(self.service, options))
        over = np.where(load >= 1.0, load - 1.0 + EPS, 0.0)
        if self.ordered:
            over = np.maximum(over, np.maximum(self.by_resource(options, self.least_share(options)) - 1.0, 0.0))
        return np.asarray(over.sum(-1) + np.isinf(self.at(self.fixed_delay, options)).sum(-1))

    def residuals(self, options: IntArray, shares: FloatArray) -> Residuals:
        """Return how far each plan oversteps the budgets C1, the stability of its queues and the ordering C3."""
        s, shares = self.at(self.service, options), self.by_use(options, shares)
        busy = s > 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            stability = np.where(busy, -self._spare(s, shares) / shares, -1.0)
        for k, curve in enumerate(self.use_curves):
            if not np.all(waits := curve.waits(self.gaps())):
                enough = ~np.asarray(waits) & (stability[..., k] <= ORDERING_TOLERANCE)
                stability[..., k] = np.where(enough, -1.0, stability[..., k])
        negative = ~(shares >= 0) | (busy & (shares == 0))
        unstable = np.isinf(self.at(self.fixed_delay, options))[..., None]
        stability = np.where(negative | unstable, np.inf, stability)
        ordering = np.full(stability.shape, -np.inf)
        if self.ordered:
            floor = self.at(self.least_rate, options)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ordering = np.where(busy & (floor > 0), 1.0 - shares / (s * floor), -np.inf)
        budget = self.by_resource(options, shares) - 1.0
        if self.pooled.any():
            stability = pooling.stability(self, options, shares, stability)
        lateness = constant(-np.inf, stability.shape[:-1])
        if np.isfinite(distinct(self.deadline)).any():
            delay, promised = self.node_delay(options, shares), np.isfinite(self.deadline)
            lateness = np.where(promised, delay / np.where(promised, self.deadline, 1.0) - 1.0, -np.inf)
        return Residuals(np.where(np.isnan(budget), np.inf, budget), stability, ordering, lateness)


def _within_range(table: FloatArray) -> bool:
    """Return whether every finite entry > 0 may be computed with; what is not a number ≥ 0 is for others to refuse."""
    table = distinct(table)
    real = (table > 0) & (table < np.inf)
    least, most = table.min(where=real, initial=1.0), table.max(where=real, initial=1.0)
    return bool(least >= SMALLEST and most <= LARGEST)
