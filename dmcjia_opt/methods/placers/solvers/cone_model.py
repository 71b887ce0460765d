"""The data of the strong mixed-integer cone model, from which every adapter of a general solver builds its own.

Exactly one z of each node is 1, so one pair of cones a node is enough, where T(μ) = a/μ + b/(μ − λ) would need one for
each split. With s the cloud time, δ the share and r_d = Σ_γ √s z, the model is

    minimise  Σ_d [ Σ_γ w·local·z + w·(b·t + a·u) ]
    subject to  Σ_γ z = 1,   y = δ − Σ_γ λ s z ≥ 0,   t·y ≥ r²,   u·δ ≥ r²,   Σ δ ≤ 1,   δ ≥ Σ_γ least share · z.

Its relaxation is about as tight as the Lagrangian dual. In a tandem b·t + a·u is one piece of the delay in the cloud,
and Σ_γ W z, what its wait is relieved by, is linear too: the objective has τ ≥ every piece in the place of one.

Solvers of smooth convex programs get t ≥ r²/(y + ε·idle) in place of t·y ≥ r², idle being Σ z over the splits without
cloud work: where idle is 1 both say t ≥ 0, where it is 0 the two are the same, and only in between is the former a
little weaker. Without ε it would be 0/0 at nodes that leave the cloud alone.

Shares are scaled by the number of nodes, times by a delay that
is typical of the problem, so that all of it is of order 1, as a solver's absolute tolerances suppose.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.candidates import pareto_splits
from dmcjia_opt.model.delay import Piece
from dmcjia_opt.model.problem import Problem

#: ε of the smooth form. At 1e-2 the relaxation is so weak that outer approximation takes 15 times as long; at 1e-6
#: Bonmin has been 2e-5 off.
SMOOTHING = 1e-4
_INTEGRAL = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class ConeModel:
    """The model's coefficients, by candidate (a node and a split that may be optimal there) and by node.

    Candidates are in the order of their nodes. Times are in units of `unit`, shares in units of 1/n_nodes.

    Parameters
    ----------
    n_nodes
        Number of nodes.
    node, split
        (n_candidates,) which.
    cost
        (n_candidates,) w·local delay.
    root
        (n_candidates,) √s, 0 without cloud work.
    load
        (n_candidates,) λs, the share that stability asks for.
    least
        (n_candidates,) least share that an ordering constraint asks for, ≥ `load`; None without one.
    wait
        (n_candidates,) the wait paid upstream; None without one.
    weight
        (n_nodes,) w.
    pieces
        Of the delay curve, a and b both ≥ 0.
    unit
        Seconds.
    """

    n_nodes: int
    node: IntArray
    split: IntArray
    cost: FloatArray
    root: FloatArray
    load: FloatArray
    least: FloatArray | None
    wait: FloatArray | None
    weight: FloatArray
    pieces: tuple[Piece, ...]
    unit: float

    @property
    def on_spare(self) -> tuple[float, ...]:
        """The coefficient of t in each piece."""
        return tuple(piece.b for piece in self.pieces)

    @property
    def on_share(self) -> tuple[float, ...]:
        """The coefficient of u in each piece."""
        return tuple(piece.a for piece in self.pieces)

    @property
    def reliefs(self) -> tuple[FloatArray | None, ...]:
        """For each piece, what it is less by, (n_candidates,), or None for 0."""
        none = (None,) * len(self.pieces)
        return none if self.wait is None else tuple(p.relief * self.wait if p.relief else None for p in self.pieces)

    @property
    def candidates(self) -> tuple[range, ...]:
        """For each node, the rows of its candidates."""
        ends = np.searchsorted(self.node, np.arange(self.n_nodes + 1)).tolist()
        return tuple(range(start, end) for start, end in pairwise(ends))

    @property
    def idle(self) -> FloatArray:
        """(n_candidates,) 1 for candidates without cloud work, else 0."""
        return np.where(self.root == 0.0, 1.0, 0.0)

    def is_choice(self, z: FloatArray) -> bool:
        """Return whether z (n_candidates,) picks one candidate of each node, up to a solver's tolerances."""
        near = np.abs(z - np.rint(z)) < _INTEGRAL  # False where z is NaN
        return bool(near.all()) and bool((np.bincount(self.node, np.rint(z), self.n_nodes) == 1.0).all())

    def splits(self, z: FloatArray) -> IntArray:
        """Return the splits (n_nodes,) whose z is largest, given all z (n_candidates,)."""
        order = np.lexsort((-z, self.node))
        return np.asarray(self.split[order[[rows.start for rows in self.candidates]]])


def refusal(problem: Problem, max_nodes: int) -> str | None:
    """Return None, or a sentence that says why the cone model cannot take `problem`."""
    curve = problem.curve
    if not curve.is_dcp:
        return (
            f'the delay curve "{curve.name}" has a negative term (a = {curve.pieces[0].a:g}), which no cone can hold; '
            "use the placer exact or a service_scv of at most 1"
        )
    if problem.n_nodes > max_nodes:
        return (
            f"there are {problem.n_nodes} nodes, more than a general solver is given (max_nodes = {max_nodes}); use "
            "the placer exact"
        )
    return None


def cone_model(problem: Problem) -> ConeModel | None:
    """Return the model of a problem that `refusal` does not refuse; None if some node has no stable split at all."""
    keep = pareto_splits(problem)
    if not keep.any(axis=1).all():
        return None
    node, split = np.nonzero(keep)
    n = problem.n_nodes
    s, local = n * problem.service[node, split, 0], problem.fixed_delay[node, split]
    typical = np.full(n, np.inf)
    np.minimum.at(typical, node, local + s)
    unit = float(problem.weight @ typical) or 1.0
    load = problem.arrival_rate[node] * s
    least = np.maximum(load, problem.least_rate[node, split, 0] * s) if problem.ordered else None
    return ConeModel(
        n_nodes=n,
        node=node,
        split=split,
        cost=problem.weight[node] * local / unit,
        root=np.sqrt(s / unit),
        load=load,
        least=least,
        wait=problem.wait[node, split] / unit if problem.kinked else None,
        weight=problem.weight,
        pieces=problem.curve.pieces,
        unit=unit,
    )
