"""Problems whose optimum is known on paper, and none of our solvers had a hand in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent, frozen, frozen_int
from dmcjia_opt.model.delay import TANDEM, DelayCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, mg1


@dataclass(frozen=True, slots=True, eq=False)
class KnownAnswer:
    """A problem with its optimum, derived on paper.

    Parameters
    ----------
    name
        A label.
    problem
        The problem.
    splits, shares
        (n_nodes,) an optimal plan; its shares are the only optimal ones for these splits.
    objective
        The least mean delay of any plan, s.
    price
        The multiplier of the capacity constraint at these splits, s per unit share.
    """

    name: str
    problem: Problem
    splits: IntArray
    shares: FloatArray
    objective: float
    price: float


def known_answers() -> tuple[KnownAnswer, ...]:
    """Return problems whose optimal plan, delay and price are known without a solver.

    In all but three there is one sensible split a node, 1; split 0 has the same cloud time and a second more of local
    delay. What remains is the inner problem, with s the cloud time, w the weight, R = 1 − Σλs the surplus:

    * *Identical nodes* share equally, by symmetry and convexity: δ = 1/n, μ = 1/(ns), and ν = w·(−T′(μ))/s.
    * *M/M/1*: T = 1/x with δ = s(λ + x), so stationarity is w/(s x²) = ν and δ = λs + √(ws/ν); Σδ = 1 gives
      Kleinrock's square-root rule δ = λs + R·√(ws)/Σ√(ws), Σ w T = (Σ√(ws))²/R and ν = (Σ√(ws)/R)²
      (L. Kleinrock, Communication Nets, McGraw-Hill 1964).
    * *M/G/1* with c² = 0 is M/D/1 and with c² = 1 is M/M/1: their answers are shared.
    * *A node without cloud work* (s = 0) has no use for a share; the others are a problem of their own.
    * *A binding floor* μ ≥ m takes δ = ms out of the budget; the other nodes are a problem of their own with what
      is left, and ν is theirs.
    * *Tandems* at μ with the longest service m upstream: for μ < 1/m the answer is M/D/1's less the wait W there, for
      μ > 1/m it is T = 1/μ with −T′ = 1/μ², and at μ = 1/m, the kink, any ν·s/w between the two slopes will do.
    """
    return *_identical(), *_square_root(), *_some_idle(), *_floors(), *_tandems(), *_choices()


def _known(
    name: str,
    curve: DelayCurve,
    *,
    shares: Sequence[float],
    local: ArrayLike,
    cloud: ArrayLike,
    objective: float,
    price: float,
    rate: ArrayLike = 1.0,
    weight: ArrayLike | None = None,
    floor: ArrayLike = (),
    wait: ArrayLike = (),
) -> KnownAnswer:
    """Return a problem of one sensible split; one number holds for every node, and weights are equal if omitted."""
    n = len(shares)

    def both(values: ArrayLike) -> FloatArray:
        return np.column_stack([np.broadcast_to(values, n)] * 2) if np.size(values) else absent()

    problem = Problem(
        fixed_delay=both(local) + np.array([1.0, 0.0]),
        service=both(cloud),
        arrival_rate=np.broadcast_to(rate, n),
        weight=np.broadcast_to(1 / n if weight is None else weight, n),
        curves=curve,
        least_rate=both(floor),
        wait=both(wait),
        name=name,
    )
    return KnownAnswer(name, problem, frozen_int(np.ones(n)), frozen(shares), objective, price)


def _identical() -> list[KnownAnswer]:
    """Return equal nodes: λ = 1 and s = 1/20 give μ = 5; λ = 1 and s = 1023/4096 give μ = 1024/1023, load 0.999."""
    r = 1023.0
    cases = (
        (", md1", MD1, 0.05, 1 / 10 + 1 / 8, 1 / 50 + 1 / 32),
        (", mm1", MM1, 0.05, 1 / 4, 1 / 16),
        (", mg1, c² = 0", mg1(0.0), 0.05, 1 / 10 + 1 / 8, 1 / 50 + 1 / 32),
        (", mg1, c² = 1", mg1(1.0), 0.05, 1 / 4, 1 / 16),
        (", mg1, c² = 0.6", mg1(0.6), 0.05, 0.2 / 5 + 0.8 / 4, 0.2 / 25 + 0.8 / 16),
        (", mg1, c² = 4", mg1(4.0), 0.05, -1.5 / 5 + 2.5 / 4, -1.5 / 25 + 2.5 / 16),
        (" near saturation, md1", MD1, r / 4096, (r / 1024 + r) / 2, ((r / 1024) ** 2 + r**2) / 2),
        (" near saturation, mm1", MM1, r / 4096, r, r**2),
    )
    return [
        _known(
            f"identical{name}", curve, shares=[0.25] * 4, local=0.3, cloud=s, objective=0.3 + t, price=0.25 * save / s
        )
        for name, curve, s, t, save in cases
    ]


def _square_root() -> list[KnownAnswer]:
    """Return Kleinrock's rule: √(ws) = 0.1, 0.2, 0.3 with loads 0.22, 0.2, 0.18; then 1, 0.1, 0.01, 0.001 at 0.2."""
    rule = [
        _known(
            f"square-root rule, {name}",
            curve,
            local=[0.1, 0.2, 0.4],
            cloud=[0.02, 0.16, 0.36],
            rate=[11.0, 1.25, 0.5],
            weight=[0.5, 0.25, 0.25],
            shares=[0.22 + 0.4 / 6, 0.2 + 0.4 / 3, 0.18 + 0.4 / 2],
            objective=0.2 + 0.36 / 0.4,
            price=0.36 / 0.16,
        )
        for name, curve in (("mm1", MM1), ("mg1, c² = 1", mg1(1.0)))
    ]
    spread = _known(
        "square-root rule over six decades",
        MM1,
        local=0.0,
        cloud=[4.0, 4e-2, 4e-4, 4e-6],
        rate=[0.05, 5.0, 500.0, 50000.0],
        shares=[0.2 + 0.2 * part / 1.111 for part in (1.0, 0.1, 0.01, 0.001)],
        objective=1.111**2 / 0.2,
        price=(1.111 / 0.2) ** 2,
    )
    return [*rule, spread]


def _some_idle() -> list[KnownAnswer]:
    """Return nodes without cloud work: one busy node among three, then two identical ones among four."""
    one = _known(
        "one node gets everything",
        MD1,
        local=[0.5, 0.1, 0.6],
        cloud=[0.0, 0.1, 0.0],
        rate=[1.0, 2.0, 3.0],
        weight=[0.25, 0.5, 0.25],
        shares=[0.0, 1.0, 0.0],
        objective=0.275 + 0.05 + 0.5 * (1 / 20 + 1 / 16),
        price=0.5 * (1 / 200 + 1 / 128) / 0.1,
    )
    two = _known(
        "idle nodes get nothing",
        MD1,
        local=[0.3, 0.5, 0.3, 0.5],
        cloud=[0.1, 0.0, 0.1, 0.0],
        rate=[1.0, 4.0, 1.0, 4.0],
        shares=[0.5, 0.0, 0.5, 0.0],
        objective=0.4 + 0.5 * (1 / 10 + 1 / 8),
        price=0.25 * (1 / 50 + 1 / 32) / 0.1,
    )
    return [one, two]


def _floors() -> list[KnownAnswer]:
    """Return a floor μ ≥ 5 that takes 0.6 of the cloud, of which two more equal nodes keep 0.2 each: μ = 5/3.

    At the floor node 0 would save less than the others: (1/3)·(1/16)/s and less, against (1/3)·(9/4)/s. In a tandem
    it has no wait left there, and the others none upstream.
    """
    bound = partial(_known, shares=[0.6, 0.2, 0.2], cloud=0.12, floor=[5.0, 0.0, 0.0])
    two_md1, price = 2 * (3 / 10 + 3 / 4), (9 / 50 + 9 / 8) / 0.36
    return [
        bound("a floor binds, mm1", MM1, local=0.2, objective=0.2 + (1 / 4 + 2 * 3 / 2) / 3, price=(9 / 4) / 0.36),
        bound("a floor binds, md1", MD1, local=0.2, objective=0.2 + (1 / 10 + 1 / 8 + two_md1) / 3, price=price),
        bound(
            "tandem, a floor binds",
            TANDEM,
            local=0.25,
            wait=[0.25, 0.0, 0.0],
            objective=0.25 + (1 / 5 + two_md1) / 3,
            price=price,
        ),
    ]


def _tandems() -> list[KnownAnswer]:
    """Return tandems on each side of the kink and at it; λ = 1 throughout, and m = 1/2 s is W = 1/4 s.

    Four equal nodes at μ = 5 would wait 1/40 s: W = 1/100 leaves them 3/200 s of it, W = 1/10 nothing. At the kink, of
    three nodes with s = 1/7 the first has μ = 2 = 1/m, where its slopes are 1/4 and 5/8; the others, M/D/1 queues
    without a wait upstream, have μ = 5/2 and the slope 0.08 + 2/9 in between.
    """
    four = partial(_known, curve=TANDEM, shares=[0.25] * 4, local=0.3, cloud=0.05)
    kink = _known(
        "tandem, one node at its kink",
        TANDEM,
        local=0.25,
        cloud=1 / 7,
        shares=[2 / 7, 2.5 / 7, 2.5 / 7],
        wait=[0.25, 0.0, 0.0],
        objective=0.25 + (1 / 2 + 2 * (1 / 5 + 1 / 3)) / 3,
        price=(0.08 + 2 / 9) * 7 / 3,
    )
    return [
        four("tandem, the cloud is slowest", wait=0.01, objective=0.515, price=0.25625),
        four("tandem, the edge is slowest", wait=0.1, objective=0.5, price=0.2),
        four("tandem, no wait upstream", wait=0.0, objective=0.525, price=0.25625),
        kink,
    ]


def _choices() -> list[KnownAnswer]:
    """Return problems with a choice of splits.

    All at the edge: the split with no cloud work has the least local delay too. Symmetry broken: of two equal nodes
    (λ = 1, cloud s = 1/4 after 0.1 s, or 1 s at the edge) both in the cloud have 0.1 + 1/(2 − 1) = 1.1 s, both at the
    edge 1 s, but one of each (0.1 + 1/(4 − 1) + 1)/2 = 0.7167 s. A wait saved: split 1 has 0.1 s more before the
    cloud, and there the same μ = 2; but 0.3 s of it is waiting, more than the 1/4 s that split 0 waits in the cloud, so
    it need not wait there.
    """
    edge = Problem(
        fixed_delay=np.array([[0.9, 0.4, 0.6], [0.8, 0.7, 0.2]]),
        service=np.array([[0.2, 0.0, 0.0], [0.1, 0.05, 0.0]]),
        arrival_rate=np.array([1.0, 2.0]),
        weight=np.array([0.75, 0.25]),
        name="all at the edge",
    )
    broken = Problem(
        fixed_delay=np.array([[0.1, 1.0]] * 2),
        service=np.array([[0.25, 0.0]] * 2),
        arrival_rate=np.ones(2),
        weight=np.full(2, 0.5),
        curves=MM1,
        name="symmetry broken",
    )
    saved = Problem(
        fixed_delay=np.array([[0.3, 0.4, 2.0]]),
        service=np.array([[0.5, 0.5, 0.0]]),
        arrival_rate=np.ones(1),
        weight=np.ones(1),
        curves=TANDEM,
        wait=np.array([[0.0, 0.3, 0.0]]),
        name="a wait saved",
    )
    return [
        KnownAnswer(saved.name, saved, frozen_int([1]), frozen([1.0]), 0.9, (1 / 4) / 0.5),
        KnownAnswer(edge.name, edge, frozen_int([1, 2]), frozen([0.0, 0.0]), 0.35, 0.0),
        KnownAnswer(broken.name, broken, frozen_int([0, 1]), frozen([1.0, 0.0]), (1.1 + 1 / 3) / 2, 0.5 * (1 / 9) * 4),
    ]
