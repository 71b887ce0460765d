"""IAO: units of compute are moved from the fastest to the slowest node.

Source: X. Tang, X. Chen, L. Zeng, S. Yu, L. Chen, "Joint multiuser DNN partitioning and computational resource
allocation for collaborative edge intelligence", IEEE Internet of Things Journal 8(12), 2021,
doi:10.1109/JIOT.2020.3010258.

A server is dealt out in equal units of compute. From equal parts, one unit after another goes from the node that
suffers least to the worst node for as long as that helps, and each node takes the split that is quickest with its
units. So it ends with the best whole numbers of units for the worst node; what it is judged by is the problem's own
objective. The delays it looks at are this package's.
"""

from __future__ import annotations

import numpy as np

from dmcjia_opt import Problem, Search
from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.solving.contract import of_shares
from dmcjia_opt.solving.options import Count, method


@method
class Iao:
    """Moves units of compute from the fastest node to the slowest, each node at its best split.

    Parameters
    ----------
    units
        Equal parts that the server is dealt out in.
    """

    units: Count = 100

    def supports(self, problem: Problem) -> str | None:
        """Return why not, unless nodes share one server and nothing else, without least rates."""
        if not problem.single:
            return "it deals out one server, and here more is shared; use exact"
        if problem.ordered:
            return "it knows no deadlines and no least rates; use exact"
        return of_shares(problem, "exact")

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Offer the plan at which moving one unit no longer helps."""
        options, owned = self.moved(search.problem)
        used = search.problem.at(search.problem.service, options)[..., 0] > 0
        search.offer(options, np.where(used, owned / self.units, 0.0)[:, None])

    def moved(self, problem: Problem) -> tuple[IntArray, IntArray]:
        """Return the options and the units (n_nodes,) of each node.

        Where equal parts are less than some node needs, its delay is +inf, and moves go on while the number of such
        nodes falls.
        """
        n = problem.n_nodes
        owned = np.full(n, self.units // n)
        owned[: self.units - owned.sum()] += 1
        every = np.arange(n)
        now, less, more = (_delays(problem, every, self._parts(owned + i)).min(axis=1) for i in (0, -1, 1))
        while True:
            worst = int(now.argmax())
            giver = np.where((owned > 0) & (every != worst), less, np.inf)
            from_ = int(giver.argmin())
            lost = np.isinf(now).sum() - np.isinf(more[worst])
            gains = max(giver[from_], more[worst]) < now[worst]
            # a worst node that one more unit does not yet make stable goes on to be given units
            if not (gains or (np.isinf(now[worst]) and np.isfinite(giver[from_]))) or lost < 0:
                return _delays(problem, every, self._parts(owned)).argmin(axis=1).astype(np.int64), owned
            owned[worst] += 1
            owned[from_] -= 1
            both = np.array([worst, from_])
            for table, i in ((now, 0), (less, -1), (more, 1)):
                table[both] = _delays(problem, both, self._parts(owned[both] + i)).min(axis=1)

    def _parts(self, units: IntArray) -> FloatArray:
        return np.maximum(units, 0) / self.units


def _delays(problem: Problem, nodes: IntArray, parts: FloatArray) -> FloatArray:
    """Return the delays (n_nodes, n_options) of some nodes at shares `parts`, s."""
    s, rate = problem.service[nodes, :, 0], problem.arrival_rate[nodes, None]
    scv = problem.arrival_scv[nodes, None] if problem.renewal else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = parts[:, None] / s - rate
        cloud = np.where(excess > 0, problem.curve.delay(excess, rate, problem.wait[nodes], scv), np.inf)
    return np.asarray(problem.fixed_delay[nodes] + np.where(s > 0, cloud, 0.0))
