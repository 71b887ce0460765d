"""How little a plan can cost where something is pooled: weak duality over the sums of its users, box by box.

Whatever is pooled costs p·q·φ(ρ), of three sums over its users (`sharing.crowding`). With prices y ≥ 0 of those
sums, and prices ν of what is reserved, every plan whose sums lie in a box costs at least

    Σ_d min_o [ cost at ν + y·parts ] + Σ_r min_x ( p·q·φ(ρ) − y·x ) − Σ ν,

x in the box: each node chooses for itself, and the last minimum is in closed form. Any prices prove it. Over all sums
there may be the product is far from its convex hull; in small boxes it is near, and boxes are split until the bound is
good enough. The value is concave in the prices; steps along its slope, as long as the distance to a value that is
aimed at allows (B. T. Polyak 1969), find good ones for many boxes at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.bounds.columns import columns
from dmcjia_opt.bounds.dual import LEAST_PRICE, rounding_slack
from dmcjia_opt.model import pooling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.sharing.crowding import SUMS, Crowding

_PATIENCE, _SHORTER = 3, 0.6  # steps without a better value after which they become shorter, and by how much
_HAIR = 1e-12  # relative: by how much boxes are larger than they are, for rounding


@dataclass(frozen=True, slots=True, eq=False)
class ClassMenus:
    """What nodes may choose, identical ones once, at fixed prices of what is reserved.

    Parameters
    ----------
    nodes
        The nodes of each class.
    size
        (n_classes,) how many they are.
    option
        (n_classes, k) their options.
    cost
        (n_classes, k) what those cost one node but for crowding, s; +inf where there are fewer.
    parts
        (n_classes, k, n_sums) what they add to the sums.
    use
        (n_classes, k, n_resources) which shares they take of what is reserved.
    prices
        (n_resources,) ν of that, s per unit share; 0 of what is pooled.
    n_nodes
        How many nodes there are in all.
    """

    nodes: tuple[IntArray, ...]
    size: IntArray
    option: IntArray
    cost: FloatArray
    parts: FloatArray
    use: FloatArray
    prices: FloatArray
    n_nodes: int

    @property
    def paid(self) -> float:
        """Σν, s."""
        return float(self.prices.sum())

    def counts(self, options: IntArray) -> IntArray:
        """Return how many nodes (n_classes, k) use each option in a plan (n_nodes,)."""
        rows = [(options[nodes][:, None] == menu).sum(0) for nodes, menu in zip(self.nodes, self.option, strict=True)]
        return np.array(rows, dtype=np.int64)

    def spread(self, counts: IntArray) -> IntArray:
        """Return the options (n_plans, n_nodes) of plans in which so many nodes (n_plans, n_classes, k) use each."""
        plans = np.empty((len(counts), self.n_nodes), dtype=np.int64)
        for c, nodes in enumerate(self.nodes):
            place = (np.arange(len(nodes))[None, :, None] >= counts[:, c].cumsum(-1)[:, None, :]).sum(-1)
            plans[:, nodes] = self.option[c][place]
        return plans


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Cases that are bounded together, one a row.

    Parameters
    ----------
    low, high
        (n, n_sums) between which the sums lie.
    allowed
        (n, n_classes, k) what may be chosen.
    fixed
        (n, n_classes, k) how many nodes have chosen it.
    prices
        (n, n_sums) y, at which they are bounded.
    bound
        (n,) what is proved, s.
    """

    low: FloatArray
    high: FloatArray
    allowed: BoolArray
    fixed: IntArray
    prices: FloatArray
    bound: FloatArray

    def __len__(self) -> int:
        return len(self.low)

    def at(self, rows: IntArray | BoolArray) -> Boxes:
        """Return some of them."""
        tables = (self.low, self.high, self.allowed, self.fixed, self.prices, self.bound)
        return Boxes(*(table[rows] for table in tables))  # type: ignore[arg-type]

    @staticmethod
    def together(parts: list[Boxes]) -> Boxes:
        """Return several batches as one."""
        keys = ("low", "high", "allowed", "fixed", "prices", "bound")
        return Boxes(*(np.concatenate([getattr(part, key) for part in parts]) for key in keys))


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What prices prove of boxes, (n,) each but where it says otherwise.

    Parameters
    ----------
    bound
        Of the cost of every plan of the box, s, less what rounding may have added.
    slope
        (n, n_sums) how it grows with the prices.
    reduced
        (n, n_classes, k) what an option costs more than the cheapest one, s; +inf where it is not allowed.
    """

    bound: FloatArray
    slope: FloatArray
    reduced: FloatArray


class PooledDual:
    """The bound of boxes.

    Parameters
    ----------
    problem
        One of the mean, without deadlines, in which something is pooled.
    prices
        (n_resources,) ν of what is reserved, s per unit share; 0 of what is pooled.
    """

    def __init__(self, problem: Problem, prices: FloatArray) -> None:
        self.problem, self.reserved = problem, pooling.reserved(problem)
        own, parts, empty = pooling.sums(problem)
        self._own, pooled = own, problem.pooled
        self.crowding = Crowding.of([one.pooled.points for one in problem.resources if one.pooled is not None])
        self._parts = parts[:, :, pooled].reshape(*own.shape, -1)
        self.empty = empty[pooled].ravel()
        self._keep = pareto_options(problem)
        groups: dict[bytes, list[int]] = {}
        for d in range(problem.n_nodes):
            groups.setdefault(problem.signature(d), []).append(d)
        self._nodes = tuple(np.array(nodes) for nodes in groups.values())
        self.menus = self.at(prices)

    def at(self, prices: FloatArray) -> ClassMenus:
        """Return what nodes may choose at prices of what is reserved."""
        first = np.array([nodes[0] for nodes in self._nodes])
        at = np.where(self.problem.pooled, 0.0, np.maximum(prices, LEAST_PRICE))
        found, shares = columns(self.reserved, first).priced(at)
        found = np.where(self._keep[first], found + self._own[first], np.inf)
        k = max(1, int(self._keep[first].sum(axis=1).max()))
        order = np.argsort(~self._keep[first], axis=1, kind="stable")[:, :k]
        rows = np.arange(len(first))[:, None]
        use = np.zeros((*order.shape, len(at)))
        for i, share in enumerate(shares):
            on = np.where(self.reserved.service[first[:, None], order, i] > 0, share[rows, order], 0.0)
            use += on[..., None] * (self.problem.resource[first[:, None], order, i][..., None] == np.arange(len(at)))
        size = np.array([len(nodes) for nodes in self._nodes])
        parts = self._parts[first[:, None], order]
        return ClassMenus(self._nodes, size, order, found[rows, order], parts, use, at, self.problem.n_nodes)

    def settle(self, box: Boxes, aim: float, scale: FloatArray, steps: int) -> Boxes:
        """Settle on prices of what is reserved at which the bound of a box is good; return it at prices y to match.

        Arguments are those of `raised`, for a single box.
        """
        best, settled, prices = -np.inf, (self.menus, box.prices), (self.menus.prices, box.prices)
        length, idle, reserved = 1.0, 0, ~self.problem.pooled
        for _ in range(steps):
            self.menus = self.at(prices[0])
            found = self.value(box, prices[1])
            if found.bound[0] > best:
                best, settled, idle = float(found.bound[0]), (self.menus, prices[1]), 0
            else:
                idle += 1
            if idle >= _PATIENCE:
                length, idle = length * _SHORTER, 0
            choice = found.reduced[0].argmin(axis=1)
            used = (self.menus.size[:, None] * self.menus.use[np.arange(len(choice)), choice]).sum(axis=0)
            slopes = np.where(reserved, used - 1.0, 0.0), found.slope / scale
            size = float((slopes[0] ** 2).sum() + (slopes[1] ** 2).sum())
            if best >= aim or not 0.0 < size < np.inf:
                break
            step = length * max(aim - float(found.bound[0]), 1e-9 * abs(aim)) / size
            prices = (
                np.maximum(prices[0] + step * slopes[0], 0.0),
                np.maximum(prices[1] + step * slopes[1] / scale, 0.0),
            )
        self.menus = settled[0]
        return replace(box, prices=settled[1])

    def whole(self, prices: FloatArray) -> Boxes:
        """Return the one box of all plans, at prices y (n_sums,)."""
        menus = self.menus
        top = self.empty + (menus.size[:, None] * menus.parts.max(axis=1)).sum(axis=0)
        low, high = self.empty.copy(), top * (1.0 + _HAIR)
        high[SUMS - 1 :: SUMS] = np.minimum(high[SUMS - 1 :: SUMS], 1.0)
        allowed = np.isfinite(menus.cost)[None]
        bound = np.array([-np.inf])
        return Boxes(low[None], high[None], allowed, np.zeros(allowed.shape, np.int64), prices[None], bound)

    def cost(self, own: FloatArray, sums: FloatArray) -> FloatArray:
        """Return what plans cost at the prices, s, from Σ cost (...,) and Σ parts (..., n_sums) of all nodes."""
        met = self.crowding.cost((sums + self.empty).reshape(*sums.shape[:-1], sums.shape[-1] // SUMS, SUMS)).sum(-1)
        return np.asarray(own + met - self.menus.paid)

    def narrowed(self, boxes: Boxes) -> Boxes:
        """Return boxes without the sums and the options that the others rule out; those that are empty are left out."""
        menus = self.menus
        free = menus.size - boxes.fixed.sum(-1)
        open_ = boxes.allowed & (free > 0)[..., None]
        with np.errstate(invalid="ignore"):  # a class without options left makes the box empty
            return self._within(boxes, free, open_)

    def _within(self, boxes: Boxes, free: IntArray, open_: BoolArray) -> Boxes:
        menus = self.menus
        some = np.where(open_[..., None], menus.parts, np.inf).min(axis=2)
        most = np.where(open_[..., None], menus.parts, -np.inf).max(axis=2)
        some, most = np.where(free[..., None] > 0, some, 0.0), np.where(free[..., None] > 0, most, 0.0)
        base = self.empty + np.einsum("bck,cks->bs", boxes.fixed, menus.parts)
        bottom, top = base + np.einsum("bc,bcs->bs", free, some), base + np.einsum("bc,bcs->bs", free, most)
        room = (_HAIR + 4.0 * menus.n_nodes * EPS) * np.abs(np.where(np.isfinite(top), top, 0.0))
        low, high = np.maximum(boxes.low, bottom - room), np.minimum(boxes.high, top + room)
        for s in range(menus.parts.shape[-1]):
            part = menus.parts[None, :, :, s]
            lowest = bottom[:, s, None, None] - some[..., s, None] + part
            highest = top[:, s, None, None] - most[..., s, None] + part
            near = room[:, s, None, None]
            open_ &= (lowest <= high[:, s, None, None] + near) & (highest >= low[:, s, None, None] - near)
        possible = (low <= high).all(1) & (low[:, SUMS - 1 :: SUMS] < 1.0).all(1) & (open_.any(2) | (free == 0)).all(1)
        return replace(boxes, low=low, high=high, allowed=open_).at(possible)

    def value(self, boxes: Boxes, prices: FloatArray) -> Value:
        """Return what prices y (n, n_sums) prove of boxes."""
        menus, n = self.menus, len(boxes)
        free = menus.size - boxes.fixed.sum(-1)
        priced = menus.cost + (prices @ menus.parts.reshape(-1, prices.shape[1]).T).reshape(n, *menus.cost.shape)
        open_ = np.where(boxes.allowed, priced, np.inf)
        choice = open_.argmin(axis=2)[..., None]
        cheapest = np.take_along_axis(open_, choice, 2)[..., 0]
        with np.errstate(invalid="ignore"):
            reduced = open_ - cheapest[..., None]
            chosen = np.where(free > 0, free * cheapest, 0.0).sum(1)
        rows = np.arange(len(menus.size))[None, :, None]
        sums = np.einsum("bc,bcs->bs", free, menus.parts[rows, choice][:, :, 0])
        taken = (boxes.fixed * np.where(boxes.fixed > 0, priced, 0.0)).sum((1, 2))
        sums += self.empty + np.einsum("bck,cks->bs", boxes.fixed, menus.parts)
        shape = (n, -1, SUMS)
        crowd, at, size = self.crowding.least(
            prices.reshape(shape), boxes.low.reshape(shape), boxes.high.reshape(shape)
        )
        constant = prices @ self.empty
        found = chosen + taken + constant + crowd.sum(1) - menus.paid
        magnitude = chosen + taken + constant + size.sum(1) + menus.paid
        slack = rounding_slack(menus.n_nodes, 2.0) + SUMS * len(self.empty) * EPS
        with np.errstate(invalid="ignore"):
            bound = np.where(
                np.isfinite(found), found - slack * magnitude, np.where(np.isposinf(chosen), np.inf, -np.inf)
            )
        return Value(bound, sums - at.reshape(n, -1), np.where(np.isnan(reduced), np.inf, reduced))

    def raised(self, boxes: Boxes, aim: float, scale: FloatArray, steps: int) -> tuple[Boxes, Value]:
        """Return boxes at better prices, and what those prove.

        Parameters
        ----------
        boxes
            With the prices to begin at.
        aim
            A value that would be enough, s: the steps are as long as if it could be reached.
        scale
            (n_sums,) > 0 of which size the sums are.
        steps
            How many.
        """
        best, at, prices = None, boxes.prices, boxes.prices
        length, idle = np.ones(len(boxes)), np.zeros(len(boxes), dtype=np.int64)
        for _ in range(steps):
            found = self.value(boxes, prices)
            if best is None:
                best = found
            else:
                better = found.bound > best.bound
                best = Value(
                    np.where(better, found.bound, best.bound),
                    np.where(better[:, None], found.slope, best.slope),
                    np.where(better[:, None, None], found.reduced, best.reduced),
                )
                at = np.where(better[:, None], prices, at)
                idle = np.where(better, 0, idle + 1)
                tired = idle >= _PATIENCE
                length, idle = np.where(tired, length * _SHORTER, length), np.where(tired, 0, idle)
            if (best.bound >= aim).all():
                break
            slope = found.slope / scale
            size = (slope * slope).sum(1)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = length * np.maximum(aim - found.bound, 1e-9 * abs(aim)) / size
            step = np.where((size > 0) & np.isfinite(step), step, 0.0)
            prices = np.maximum(prices + step[:, None] * slope / scale, 0.0)
        assert best is not None  # steps ≥ 1
        bound = np.maximum(boxes.bound, best.bound)
        return replace(boxes, prices=at, bound=bound), best

    def marginal(self, sums: FloatArray) -> FloatArray:
        """Return the prices (n_sums,) at which little more of each sum (n_sums,), of all nodes, costs as much."""
        p, q, load = (sums + self.empty).reshape(-1, SUMS).T
        load = np.minimum(load, 1.0 - 2.0**-20)
        factor, slope = self.crowding.factor(load), self.crowding.slope(load)
        return np.stack([q * factor, p * factor, p * q * slope], axis=1).ravel()


def combinations(size: IntArray, allowed: BoolArray) -> FloatArray:
    """Return the logarithm of how many plans there are, (n,), where `size` (n, n_classes) nodes have a choice."""
    number = allowed.sum(-1)
    table = np.array([math.lgamma(i + 1) for i in range(int((size + number).max()) + 1)])
    log = table[np.maximum(size + number - 1, 0)] - table[size] - table[np.maximum(number - 1, 0)]
    return np.asarray(np.where(size > 0, log, 0.0).sum(-1))
