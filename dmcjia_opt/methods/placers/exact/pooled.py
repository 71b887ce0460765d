"""The proved optimum where something is pooled: boxes of the sums of its users, split until their bounds meet a plan.

A plan is sought by exchanging one node's option or two nodes', at fixed prices of what is reserved. Then every box is
bounded (`bounds.boxes`), and loses the options that a better plan cannot use there. A box that has few plans left is
searched whole. Another is split: in one of its sums, or, where those are so near to each other that this gains
nothing, by whether anybody chooses an option. Boxes are taken in the order of their bounds, many at a time, so that
the least of those is proved whenever the search ends.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.boxes import Boxes, PooledDual, combinations
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.model.sharing.crowding import SUMS
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.search import Search

_MARGIN = 1e-13  # relative: plans better by less than this are not looked for
_FEW = 2048  # so many plans of a box are evaluated rather than bounded
_AT_ONCE, _ENTRIES = 64, 1 << 20  # boxes bounded together, and their options
_FIRST, _STEPS, _ROUNDS = 150, 25, 3
_PAIRS = 200
_MOST_MEMORY = 1 << 28  # options of all open boxes
_REJECTED = 1e3  # what counts for an overload in the search for a plan, relative to the cost without
_NEAR = 0.25  # of the gap: what the hull of a box may take of it before the options are to blame
_BATCH, _MOVES, _REPAIRS = 32, 128, 40


def search_pooled(search: Search, most_boxes: int) -> None:
    """Search for the plan of least mean delay, and prove how good it is.

    Parameters
    ----------
    search
        Of a problem of the mean, without deadlines, in which something is pooled.
    most_boxes
        Give up after so many, with the bound that is reached.

    Raises
    ------
    BudgetSpent
        When the time or the evaluations are.
    """
    if search.dual.load >= 1.0:
        search.claim(Status.INFEASIBLE)
        return
    complete = _Tree(search).grow(most_boxes)
    search.claim(search.proved(Status.ROUNDED if complete else Status.FEASIBLE))


class _Tree:
    def __init__(self, search: Search) -> None:
        self.search, problem = search, search.problem
        tolerance = search.stop.tolerance
        self.margin = max(_MARGIN, 0.5 * tolerance if tolerance > 1e-8 else 0.0)
        self.dual = PooledDual(problem, search.dual.point.prices)
        self.exact = bool(problem.pooled.all())  # whether the dual's cost of a plan is its delay
        self.least = np.inf  # of the bounds of what is closed
        self.best = np.inf  # the least cost at the prices of what is reserved

    @property
    def target(self) -> float:
        """What a plan must be below to count as better."""
        return self.search.objective * (1.0 - self.margin)

    @property
    def aim(self) -> float:
        """What bounds are to reach: the incumbent, or what a plan costs at least where there is none."""
        found = self.search.objective if np.isfinite(self.search.objective) else self.best
        return found * (1.0 - self.margin)

    def grow(self, most_boxes: int) -> bool:
        """Split and bound boxes; return whether nothing is left out."""
        counts = self._start()
        sums = np.einsum("ck,cks->s", counts, self.dual.menus.parts)
        whole = self.dual.whole(self.dual.marginal(sums))
        most = whole.high[0] - self.dual.empty
        self.scale = np.where(most > 0, np.maximum(sums, 1e-3 * most), 1.0)
        if not self.exact:
            whole = self.dual.settle(whole, self.aim, self.scale, _FIRST)
            self.best = np.inf
            self._try(whole, self.dual.value(whole, whole.prices).reduced)
            self._improve()
        open_, seen = [whole], 0
        for _ in range(_ROUNDS):  # the first box, from better and better plans
            before = self.search.objective
            open_ = [self._bounded(open_, _FIRST)]
            if not len(open_[0]) or not self.search.objective < before:
                break
        open_ = self._parted(open_[0])
        while open_ and seen < most_boxes and not self.search.closed:
            open_.sort(key=lambda box: -float(box.bound[0]))
            self._prove(float(open_[-1].bound[0]))
            if sum(box.allowed.size for box in open_) > _MOST_MEMORY or self.search.seconds_left <= 0.0:
                break
            together = max(1, min(_AT_ONCE, _ENTRIES // self.dual.menus.cost.size, len(open_)))
            taken = [open_.pop() for _ in range(together)]
            seen += together
            open_ += self._parted(self._bounded(taken, _STEPS))
        self._prove(min((float(box.bound[0]) for box in open_), default=np.inf))
        return not open_

    def _prove(self, bound: float) -> None:
        if np.isfinite(proved := min(bound, self.least, self.target)):
            self.search.prove(proved, "exact")

    def _bounded(self, taken: list[Boxes], steps: int) -> Boxes:
        """Return what is left of some boxes once they are bounded."""
        dual = self.dual
        boxes = dual.narrowed(Boxes.together(taken))
        if not len(boxes):
            return boxes
        boxes, value = dual.raised(boxes, self.aim, self.scale, steps)
        self._try(boxes, value.reduced)
        target = self.target
        with np.errstate(invalid="ignore"):
            open_ = boxes.allowed & (boxes.bound[:, None, None] + value.reduced * (1.0 - 1e-14) < target)
        left = (boxes.bound < target) & (open_.any(2) | (dual.menus.size == boxes.fixed.sum(-1))).all(1)
        # an option that a better plan cannot use rules no plan in, and the target is what is proved of the others
        return replace(boxes, allowed=open_).at(left)

    def _parted(self, boxes: Boxes) -> list[Boxes]:
        """Return what boxes are split into; those with few plans left are searched here."""
        found: list[Boxes] = []
        if not len(boxes):
            return found
        menus = self.dual.menus
        free = menus.size - boxes.fixed.sum(-1)
        number = combinations(free, boxes.allowed)
        for i in range(len(boxes)):
            box = boxes.at(np.array([i]))
            if number[i] <= math.log(_FEW):
                self._search_whole(box, free[i])
            else:
                found += self._split(box, free[i])
        return found

    def _split(self, box: Boxes, free: IntArray) -> list[Boxes]:
        """Return two boxes with all plans of one."""
        low, high = box.low[0].reshape(-1, SUMS), box.high[0].reshape(-1, SUMS)
        floor = 0.01 * (self.scale + self.dual.empty).reshape(-1, SUMS)
        bottom = np.maximum(low, floor)
        width = np.log(np.maximum(high, bottom) / bottom)
        spare = np.maximum(1.0 - low[:, 2], 1e-3), np.maximum(1.0 - high[:, 2], 1e-3)
        width[:, 2] = np.log(spare[0] / spare[1])
        # how far the product may be above its hull: by a quarter of what two of its factors change it
        pairs = width[:, 0] * width[:, 1] + width[:, 0] * width[:, 2] + width[:, 1] * width[:, 2]
        middle = np.sqrt(bottom * np.maximum(high, bottom))
        size = middle[:, 0] * middle[:, 1] / np.sqrt(spare[0] * spare[1])
        error = size * pairs / 4.0
        r = int(error.argmax())
        if error[r] > _NEAR * max(self.aim - float(box.bound[0]), 1e-12 * abs(self.aim)):
            s = int(width[r].argmax())
            cut = 1.0 - math.sqrt(spare[0][r] * spare[1][r]) if s == SUMS - 1 else float(middle[r, s])
            if low[r, s] < cut < high[r, s]:
                lower, upper = np.array(box.high), np.array(box.low)
                lower[0, SUMS * r + s] = upper[0, SUMS * r + s] = cut
                return [replace(box, high=lower), replace(box, low=upper)]
        return self._by_option(box, free)

    def _by_option(self, box: Boxes, free: IntArray) -> list[Boxes]:
        """Return the plans in which nobody chooses an option, and those in which somebody does."""
        reduced = self.dual.value(box, box.prices).reduced[0]
        open_ = box.allowed[0] & (free > 0)[:, None]
        torn = open_.sum(1) > 1
        second = np.sort(np.where(open_, reduced, np.inf), axis=1)[:, 1]
        c = int(np.where(torn, second, -np.inf).argmax())
        o = int(np.where(open_[c], reduced[c], np.inf).argmin())
        without, fixed = np.array(box.allowed), np.array(box.fixed)
        without[0, c, o] = False
        fixed[0, c, o] += 1
        return [replace(box, allowed=without), replace(box, fixed=fixed)]

    def _search_whole(self, box: Boxes, free: IntArray) -> None:
        """Evaluate the plans of a box that may be better."""
        menus = self.dual.menus
        counts = box.fixed.astype(np.int64)
        for c in np.flatnonzero(free).tolist():
            options = np.flatnonzero(box.allowed[0, c])
            ways = np.array(list(combinations_with_replacement(options.tolist(), int(free[c]))), dtype=np.int64)
            each = (ways[:, :, None] == np.arange(menus.cost.shape[1])).sum(1)
            counts = np.repeat(counts, len(each), axis=0)
            counts[:, c] += np.tile(each, (len(counts) // len(each), 1))
        self._evaluate(counts)

    def _evaluate(self, counts: IntArray) -> None:
        """Evaluate plans (n_plans, n_classes, k) that may be better, the most promising first."""
        cost = self._costs(counts)
        order = np.argsort(cost, kind="stable")
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            rows = rows[cost[rows] < self.target]
            if not rows.size:
                return
            plans = self.dual.menus.spread(counts[rows])
            _, prices = self.search.solve_in_budget(plans)
            possible = self.search.problem.overload(plans) == 0
            bounds = options_lower_bound(self.search.problem, plans[possible], prices[possible])
            self.least = min(self.least, float(np.min(bounds, initial=np.inf)))

    def _costs(self, counts: IntArray) -> FloatArray:
        """Return what plans cost at the prices of what is reserved, s, +inf where something pooled is overloaded."""
        menus = self.dual.menus
        own = (counts * np.where(counts > 0, menus.cost, 0.0)).sum((1, 2))
        return self.dual.cost(own, np.einsum("bck,cks->bs", counts, menus.parts))

    def _start(self) -> IntArray:
        """Return the best plan (n_classes, k) that exchanges lead to, and have it evaluated.

        Where that overloads what is reserved its prices rise until one does not.
        """
        problem, found = self.search.problem, self._first_plan()
        for _ in range(0 if self.exact else _REPAIRS):
            if self.search.options is not None:
                break
            plan = self.dual.menus.spread(found[None])[0]
            full = problem.by_resource(plan, problem.least_share(plan)) >= 1.0
            prices = self.dual.menus.prices
            self.dual.menus = self.dual.at(np.where(full, np.maximum(1.5 * prices, 1e-3 * prices.max()), prices))
            self.best = np.inf
            found = self._first_plan()
        return found

    def _first_plan(self) -> IntArray:
        menus = self.dual.menus
        load = menus.parts[..., SUMS - 1 :: SUMS].max(-1)
        finite = np.isfinite(menus.cost)
        starts = [
            np.where(finite, score, np.inf).argmin(1)
            for score in (load, menus.cost, menus.cost + menus.cost.min() * load)
        ]
        found = [self._exchanged(self._counts(choice)) for choice in starts]
        values = [float(self._costs(counts[None])[0]) for counts in found]
        best = found[int(np.argmin(values))]
        self._offer(best)
        return best

    def _improve(self) -> None:
        """Exchange one node's option of the incumbent as long as that helps, at the shares that the allocator gives."""
        menus = self.dual.menus
        while self.search.options is not None and not self.search.closed:
            before, counts = self.search.objective, menus.counts(self.search.options)
            moves = _Moves(self.dual, counts)
            near = np.argsort(self.dual.cost(moves.own, moves.sums), kind="stable")[:_MOVES]
            plans = np.repeat(counts[None], len(near), axis=0)
            for plan, one in zip(plans, near.tolist(), strict=True):
                moves.make(plan, one)
            if len(plans):
                self.search.solve_in_budget(menus.spread(plans))
            if not self.search.objective < before:
                return

    def _counts(self, choice: IntArray) -> IntArray:
        counts = np.zeros(self.dual.menus.cost.shape, dtype=np.int64)
        counts[np.arange(len(choice)), choice] = self.dual.menus.size
        return counts

    def _offer(self, counts: IntArray) -> None:
        cost = float(self._costs(counts[None])[0])
        if cost < self.best or self.search.options is None:
            self.best = min(self.best, cost)
            self.search.solve_in_budget(self.dual.menus.spread(counts[None]))

    def _try(self, boxes: Boxes, reduced: FloatArray) -> None:
        """Offer the best of the plans that are cheapest in each box, after exchanges."""
        menus = self.dual.menus
        choice = np.where(boxes.allowed, reduced, np.inf).argmin(2)
        counts = np.array(boxes.fixed)
        rows, classes = np.indices(choice.shape)
        counts[rows, classes, choice] += menus.size - boxes.fixed.sum(-1)
        cost = self._costs(counts)
        best = int(cost.argmin())
        if cost[best] < self.best * (1.0 + 1e-2):
            self._offer(self._exchanged(counts[best]))

    def _exchanged(self, counts: IntArray) -> IntArray:
        """Return a plan (n_classes, k) with one node's option exchanged, or two nodes', for as long as that helps."""
        counts, dual = counts.copy(), self.dual
        while True:
            moves = _Moves(dual, counts)
            if not len(moves.own):
                return counts
            now = float(self._soft(moves.own_before[None], moves.sums_before[None])[0])
            value = self._soft(moves.own, moves.sums)
            best = int(value.argmin())
            if value[best] < now - _MARGIN * abs(now):
                moves.make(counts, best)
                continue
            more, parts = moves.own - moves.own_before, moves.sums - moves.sums_before
            near = np.argsort(more + parts @ dual.marginal(moves.sums_before), kind="stable")[:_PAIRS]
            both = self._soft(moves.own[near, None] + more[near], moves.sums[near, None] + parts[near])
            c, i = moves.of[near], moves.taken[near]
            same = (c[:, None] == c) & (i[:, None] == i) & (counts[c, i][:, None] < 2)
            both = np.where(same, np.inf, both)
            first, second = np.unravel_index(int(both.argmin()), both.shape)
            if not both[first, second] < now - _MARGIN * abs(now):
                return counts
            for one in (near[first], near[second]):
                moves.make(counts, int(one))

    def _soft(self, own: FloatArray, sums: FloatArray) -> FloatArray:
        """Return what plans cost, s, with a penalty in place of +inf where they overload something."""
        load = (sums + self.dual.empty)[..., SUMS - 1 :: SUMS]
        over = np.where(load >= 1.0, load, 0.0).sum(-1)
        cost = self.dual.cost(own, sums)
        return np.asarray(np.where(over > 0, _REJECTED * (np.abs(own) + 1e-300) * (1.0 + over), cost))


class _Moves:
    """Every exchange of one node's option in a plan, (n_moves,) each: the class, what is left and what is taken up.

    `own` and `sums` (n_moves, n_sums) are what the plans then cost but for crowding, s, and their sums.
    """

    def __init__(self, dual: PooledDual, counts: IntArray) -> None:
        menus = dual.menus
        finite = np.isfinite(menus.cost)
        cost = np.where(finite, menus.cost, 0.0)
        self.own_before = np.asarray((counts * cost).sum())
        self.sums_before = np.einsum("ck,cks->s", counts, menus.parts)
        c, i = np.nonzero(counts)
        row, self.new = np.nonzero(finite[c] & (np.arange(counts.shape[1]) != i[:, None]))
        self.of, self.taken = c[row], i[row]
        self.own = self.own_before + cost[self.of, self.new] - cost[self.of, self.taken]
        self.sums = self.sums_before + menus.parts[self.of, self.new] - menus.parts[self.of, self.taken]

    def make(self, counts: IntArray, move: int) -> None:
        """Make one move in `counts` (n_classes, k)."""
        counts[self.of[move], self.taken[move]] -= 1
        counts[self.of[move], self.new[move]] += 1
