"""The data of the strong mixed-integer cone model, from which every adapter of a general solver builds its own.

Exactly one z of each node is 1, so one pair of cones for each *use* of a node is enough, where T(μ) = a/μ + b/(μ − λ)
would need one for each option. A use is a place in the path with one resource; options that go elsewhere have another.
With s the service time, δ the share and r = Σ √s z over the options that have the use, the model is

    minimise  Σ_d w [ Σ_o fixed·z + Σ_uses (b·t + a·u) ]
    subject to  Σ_o z = 1,   y = δ − Σ_o λ s z ≥ 0,   t·y ≥ r²,   u·δ ≥ r²,   δ ≥ Σ_o least share · z,
                Σ δ ≤ 1 for each resource.

Its relaxation is about as tight as the Lagrangian dual. In a tandem b·t + a·u is one piece of the delay behind the
node, and Σ_o W z, what its wait is relieved by, is linear too: the objective has τ ≥ every piece in the place of one.
Where stages of one tandem are shared together, there is one τ for all of them: it is at least the sum of their u, and
at least that with ½ t + ½ u − Σ W z in the place of the u of any stage.

Solvers of smooth convex programs get t ≥ r²/(y + ε·idle) in place of t·y ≥ r², idle being Σ z over the options without
the use: where idle is 1 both say t ≥ 0, where it is 0 the two are the same, and only in between is the former a little
weaker. Without ε it would be 0/0 at nodes that leave the resource alone.

Shares are scaled by the number of nodes, times by a delay that is typical of the problem, so that all of it is of
order 1, as a solver's absolute tolerances suppose.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.model.delay import TandemCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import of_shares, of_the_mean

#: ε of the smooth form. At 1e-2 the relaxation is so weak that outer approximation takes 15 times as long; at 1e-6
#: Bonmin has been 2e-5 off.
SMOOTHING = 1e-4
_INTEGRAL = 1e-2


@dataclass(frozen=True, slots=True)
class ConePiece:
    """One row of an epigraph: τ ≥ Σ b·t + Σ a·u − relief.

    Parameters
    ----------
    on_spare, on_share
        Pairs of a use and its coefficient of t, or of u.
    relieved
        Whether the wait upstream is taken off.
    """

    on_spare: tuple[tuple[int, float], ...]
    on_share: tuple[tuple[int, float], ...]
    relieved: bool


@dataclass(frozen=True, slots=True)
class Most:
    """A delay τ that is the largest of several pieces: what the tandem's stages of a node take.

    Parameters
    ----------
    node
        Which.
    uses
        The stages.
    half
        c_a²/2 of its gaps.
    """

    node: int
    uses: tuple[int, ...]
    half: float

    @property
    def pieces(self) -> tuple[ConePiece, ...]:
        """Each stage as the slowest of them, and the case that no task waits for any."""
        rows = [
            ConePiece(
                ((use, self.half),), tuple((i, 1.0 - self.half if i == use else 1.0) for i in self.uses), relieved=True
            )
            for use in self.uses
        ]
        return (*rows, ConePiece((), tuple((i, 1.0) for i in self.uses), relieved=False))


class Triplets(NamedTuple):
    """A sparse matrix: row, column and value (n_values,) of what is not 0."""

    row: IntArray
    column: IntArray
    value: FloatArray

    @classmethod
    def of(cls, found: list[tuple[int, int, float]]) -> Triplets:
        """Return the matrix of some rows, columns and values."""
        row, column, value = zip(*found, strict=True) if found else ((), (), ())
        return cls(np.array(row, dtype=np.int64), np.array(column, dtype=np.int64), np.array(value, dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class ConeRows:
    """All pieces of all tandems: P t + Q u − S z ≤ τ of the row.

    Parameters
    ----------
    most
        (n_rows,) which τ.
    on_spare, on_share, relief
        P and Q by use, S by candidate.
    """

    most: IntArray
    on_spare: Triplets
    on_share: Triplets
    relief: Triplets


@dataclass(frozen=True, slots=True, eq=False)
class ConeModel:
    """The model's coefficients, by candidate (a node and an option that may be optimal there), use and node.

    Candidates are in the order of their nodes, uses too. An entry is a use and a candidate of its node; entries are in
    the order of their uses, then candidates. A node without any use has one that none of its candidates has. Times are
    in units of `unit`, shares in units of 1/n_nodes.

    Parameters
    ----------
    n_nodes, n_resources
        Numbers of them.
    node, option
        (n_candidates,) which.
    cost
        (n_candidates,) w·fixed delay.
    wait
        (n_candidates,) the wait paid upstream; None without one.
    user, resource
        (n_uses,) the node of each use, and what it uses.
    use, candidate
        (n_entries,) which.
    root
        (n_entries,) √s, 0 where the candidate does not have the use.
    load
        (n_entries,) λs, the share that stability asks for.
    least
        (n_entries,) least share that an ordering constraint asks for, ≥ `load`; None without one.
    weight
        (n_nodes,) w.
    on_spare, on_share
        (n_uses,) b and a, both ≥ 0: the coefficients of t and u in the delay of the use itself; both 0 for a stage of
        a tandem.
    most
        The delays of tandems.
    unit
        Seconds.
    """

    n_nodes: int
    n_resources: int
    node: IntArray
    option: IntArray
    cost: FloatArray
    wait: FloatArray | None
    user: IntArray
    resource: IntArray
    use: IntArray
    candidate: IntArray
    root: FloatArray
    load: FloatArray
    least: FloatArray | None
    weight: FloatArray
    on_spare: FloatArray
    on_share: FloatArray
    most: tuple[Most, ...]
    unit: float

    @property
    def with_spare(self) -> list[int]:
        """The uses whose delay has a t."""
        return sorted({*np.flatnonzero(self.on_spare).tolist(), *self.rows.on_spare.column.tolist()})

    @property
    def with_share(self) -> list[int]:
        """The uses whose delay has a u."""
        return sorted({*np.flatnonzero(self.on_share).tolist(), *self.rows.on_share.column.tolist()})

    @property
    def rows(self) -> ConeRows:
        """The pieces of `most`."""
        pieces = [(k, piece) for k, most in enumerate(self.most) for piece in most.pieces]
        relief, candidates = [], self.candidates
        for row, (k, piece) in enumerate(pieces):
            if piece.relieved and self.wait is not None:
                relief += [(row, i, float(self.wait[i])) for i in candidates[self.most[k].node]]
        return ConeRows(
            np.array([k for k, _ in pieces], dtype=np.int64),
            Triplets.of([(row, use, c) for row, (_, piece) in enumerate(pieces) for use, c in piece.on_spare]),
            Triplets.of([(row, use, c) for row, (_, piece) in enumerate(pieces) for use, c in piece.on_share]),
            Triplets.of(relief),
        )

    @property
    def candidates(self) -> tuple[range, ...]:
        """For each node, the rows of its candidates."""
        return _ranges(self.node, self.n_nodes)

    @property
    def uses(self) -> tuple[range, ...]:
        """For each node, its uses."""
        return _ranges(self.user, self.n_nodes)

    @property
    def entries(self) -> tuple[range, ...]:
        """For each use, its entries."""
        return _ranges(self.use, len(self.user))

    @property
    def idle(self) -> FloatArray:
        """(n_entries,) 1 for candidates without the use, else 0."""
        return np.where(self.root == 0.0, 1.0, 0.0)

    def is_choice(self, z: FloatArray) -> bool:
        """Return whether z (n_candidates,) picks one candidate of each node, up to a solver's tolerances."""
        near = np.abs(z - np.rint(z)) < _INTEGRAL  # False where z is NaN
        return bool(near.all()) and bool((np.bincount(self.node, np.rint(z), self.n_nodes) == 1.0).all())

    def options(self, z: FloatArray) -> IntArray:
        """Return the options (n_nodes,) whose z is largest, given all z (n_candidates,)."""
        order = np.lexsort((-z, self.node))
        return np.asarray(self.option[order[[rows.start for rows in self.candidates]]])


def _ranges(index: IntArray, n: int) -> tuple[range, ...]:
    ends = np.searchsorted(index, np.arange(n + 1)).tolist()
    return tuple(range(start, end) for start, end in pairwise(ends))


def refusal(problem: Problem, max_nodes: int) -> str | None:
    """Return None, or a sentence that says why the cone model cannot take `problem`."""
    instead = "the placer exact"
    if why := of_the_mean(problem, instead, percentiles=False) or of_shares(problem, instead):
        return why
    for curve in problem.use_curves:
        if not curve.is_dcp(problem.gaps()):
            least = float(np.min(curve.pieces(problem.gaps())[0].a))
            return (
                f'the delay curve "{curve.name}" has a negative term (a = {least:g}), which no cone can hold; use the '
                "placer exact, or gaps and services that vary less"
            )
    if problem.n_nodes > max_nodes:
        return (
            f"there are {problem.n_nodes} nodes, more than a general solver is given (max_nodes = {max_nodes}); use "
            "the placer exact"
        )
    return None


def cone_model(problem: Problem) -> ConeModel | None:
    """Return the model of a problem that `refusal` does not refuse; None if some node has no stable option at all."""
    keep = pareto_options(problem)
    if not keep.any(axis=1).all():
        return None
    node, option = np.nonzero(keep)
    n = problem.n_nodes
    s, fixed = n * problem.service[node, option], problem.fixed_delay[node, option]
    typical = np.full(n, np.inf)
    np.minimum.at(typical, node, fixed + s.sum(axis=1))
    unit = float(problem.weight @ typical) or 1.0
    used = problem.resource[node, option]
    user, slot, resource = _uses(node, s > 0, used)
    starts, sizes = np.searchsorted(node, np.arange(n)), np.bincount(node, minlength=n)
    use = np.repeat(np.arange(len(user)), sizes[user])
    before = np.cumsum(sizes[user]) - sizes[user]
    candidate = (starts[user] - before)[use] + np.arange(len(use))
    at = candidate, slot[use]
    mine = np.where(used[at] == resource[use], s[at], 0.0)
    load = problem.arrival_rate[user[use]] * mine
    least = None
    if problem.ordered:
        least = np.maximum(load, problem.least_rate[node, option][at] * mine)
    stage = np.array([isinstance(curve, TandemCurve) for curve in problem.use_curves])[slot]
    first = [curve.pieces(problem.gaps())[0] for curve in problem.use_curves]
    share, spare = (
        np.stack([np.broadcast_to(one, n) for one in each], axis=-1)[user, slot]
        for each in ([piece.a for piece in first], [piece.b for piece in first])
    )
    return ConeModel(
        n_nodes=n,
        n_resources=problem.n_resources,
        node=node,
        option=option,
        cost=problem.weight[node] * fixed / unit,
        wait=problem.wait[node, option] / unit if problem.kinked else None,
        user=user,
        resource=resource,
        use=use,
        candidate=candidate,
        root=np.sqrt(mine / unit),
        load=load,
        least=least,
        weight=problem.weight,
        on_spare=np.where(stage, 0.0, spare),
        on_share=np.where(stage, 0.0, share),
        most=_tandems(user, stage, 0.5 * problem.arrival_scv, together=problem.coupled),
        unit=unit,
    )


def _uses(node: IntArray, busy: BoolArray, used: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return node, place in the path and resource of every use, from those of candidates (n_candidates, n_places)."""
    idle = np.ones(int(node[-1]) + 1, dtype=bool)
    idle[node[busy.any(axis=1)]] = False
    busy = busy.copy()
    busy[np.searchsorted(node, np.flatnonzero(idle)), -1] = True
    row, slot = np.nonzero(busy)
    user, slot, resource = np.unique(np.stack([node[row], slot, used[row, slot]]), axis=1)
    return user, slot, resource


def _tandems(user: IntArray, stage: BoolArray, half: FloatArray, *, together: bool) -> tuple[Most, ...]:
    """Return the delays of the stages, all those of one node in one where several may be in one option."""
    stages = np.flatnonzero(stage)
    if not together:
        return tuple(Most(int(user[i]), (int(i),), float(half[user[i]])) for i in stages)
    nodes = np.unique(user[stages])
    return tuple(Most(int(d), tuple(stages[user[stages] == d].tolist()), float(half[d])) for d in nodes)
