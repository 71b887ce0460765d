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
from typing import Any

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
    over_uses,
)
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import called, counted
from dmcjia_opt.model import deadlines, pooling, slopes
from dmcjia_opt.model.checks import LARGEST, SMALLEST, check_indices, check_values, within_range
from dmcjia_opt.model.delay import DelayCurve, TandemCurve
from dmcjia_opt.model.queues import MD1, Scv
from dmcjia_opt.model.residuals import ORDERING_TOLERANCE, Residuals, residuals_of
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.uplinks import Stages, Uplinks

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

    Examples
    --------
    >>> from dmcjia_opt import Problem, solve
    >>> two = [[0.2, 0.9]] * 2  # all in the cloud, or all at the edge
    >>> problem = Problem(two, service=[[0.2, 0.0]] * 2, arrival_rate=[1, 1], weight=[0.5, 0.5])
    >>> plan = solve(problem)
    >>> plan.options, round(plan.objective, 4)
    (array([0, 1]), 0.6625)
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
            if not within_range(value):
                raise InputError(f"{key} must be 0 or between {SMALLEST:g} and {LARGEST:g}; use other units")
            object.__setattr__(self, key, value)
        curves = self.curves if isinstance(self.curves, tuple) else (self.curves,) * n_uses
        if len(curves) != n_uses:
            raise InputError(f"curves has {len(curves)} delay curves, expected one for each of {n_uses} uses")
        object.__setattr__(self, "curves", curves)
        if len({curve.statistic for curve in curves if isinstance(curve, TandemCurve)}) > 1:
            raise InputError("the stages of a tandem must have one curve; they have two")
        object.__setattr__(self, "kinked", any(isinstance(curve, TandemCurve) for curve in curves))
        check_indices(self, n, m, n_uses)
        object.__setattr__(self, "pooled", pooling.pooled_resources(self))
        stages = [k for k, curve in enumerate(curves) if isinstance(curve, TandemCurve)]
        coupled = len(stages) > 1 and bool((pooling.reserved_uses(self)[..., stages].sum(-1) > 1).any())
        object.__setattr__(self, "coupled", coupled)
        object.__setattr__(self, "renewal", bool((distinct(self.arrival_scv) != 1.0).any()))
        check_values(self)
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

    def __repr__(self) -> str:
        curves = dict.fromkeys(curve.name for curve in self.use_curves)
        sizes = (
            counted(self.n_nodes, "node"),
            counted(self.n_options, "option"),
            counted(self.n_resources, "resource"),
        )
        return called("Problem", *([f'"{self.name}"'] if self.name else []), *sizes, *curves)

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

    def menu(self, node: int) -> bytes:
        """Return what is the same for nodes that have the same options: how many, and the resources they use."""
        which = b"" if self.n_resources == 1 else self.resource[node].tobytes()
        return int(self.last[node]).to_bytes(8, "little") + which

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
            excess = self.spare(s, shares) / s
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

    def spare(self, s: FloatArray, shares: FloatArray) -> FloatArray:
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
        return slopes.own_stages(self, options)

    def gradient(self, options: IntArray, shares: FloatArray) -> FloatArray:
        """Return the derivative of the objective by each share, s per unit share, at fixed options.

        Parameters
        ----------
        options, shares
            As of `objective`.

        Returns
        -------
        The shape of `shares`; 0 where nothing is used, NaN where the queue is unstable. Where the tandem model has a
        kink, what one more unit of the share saves; of the worst node, that of the first that is slowest.

        Examples
        --------
        >>> import numpy as np
        >>> from dmcjia_opt import compile_problem, generate
        >>> problem = compile_problem(generate("paper", nodes=2, seed=1))
        >>> options, shares = np.array([0, 16]), np.array([0.6, 0.4])
        >>> step = np.array([1e-6, 0.0])
        >>> change = problem.objective(options, shares + step) - problem.objective(options, shares)
        >>> bool(np.isclose(change / 1e-6, problem.gradient(options, shares)[0], rtol=1e-4))
        True
        """
        return slopes.gradient(self, options, shares)

    def to_cvxpy(self, options: IntArray) -> Any:  # noqa: ANN401 - untyped library
        """Return the choice of shares at fixed options (n_nodes,) as a problem of cvxpy, in s.

        Its variable is ``problem.var_dict["shares"]``, (n_nodes, n_uses). Nothing is scaled: it is there to be read
        and changed; the allocator "cvxpy" solves the same in a form that solvers like better.

        Raises
        ------
        InputError
            If a delay curve has no form that cvxpy knows to be convex, or no shares make a plan.

        Examples
        --------
        >>> from dmcjia_opt import compile_problem, generate
        >>> model = compile_problem(generate("paper", nodes=2, seed=1)).to_cvxpy([0, 16])
        >>> delay = model.solve()
        >>> model.status, [round(float(share), 2) for share in model.var_dict["shares"].value.ravel()]
        ('optimal', [0.58, 0.42])
        """
        from dmcjia_opt.methods.allocators import written

        return written.to_cvxpy(self, options)

    def to_pyomo(self, options: IntArray) -> Any:  # noqa: ANN401 - untyped library
        """Return the choice of shares at fixed options (n_nodes,) as a model of Pyomo, in s.

        Its variables are ``model.shares[node, use]``, of what is used only; ``model.delay`` is the objective, and
        ``model.budget[resource]`` what there is.

        Raises
        ------
        InputError
            If a delay curve is tabulated, or no shares make a plan.

        Examples
        --------
        >>> from dmcjia_opt import compile_problem, generate
        >>> model = compile_problem(generate("paper", nodes=2, seed=1)).to_pyomo([0, 16])
        >>> list(model.shares), [constraint.name for constraint in model.budget.values()]
        ([(0, 0), (1, 0)], ['budget[cloud]'])
        """
        from dmcjia_opt.methods.allocators import written

        return written.to_pyomo(self, options)

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
        return residuals_of(self, options, shares)
