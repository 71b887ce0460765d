"""Scission: every node takes the best of all its options by itself, as if nobody else were there.

Source: L. Lockhart, P. Harvey, P. Imai, P. Willis, B. Varghese, "Scission: performance-driven and context-aware
cloud-edge distribution of deep neural networks", IEEE/ACM UCC 2020, doi:10.1109/UCC48980.2020.00044.

Times of layers at every place are measured, all ways to cut the network over the places are ranked by the latency of
one task, and the first is taken. Other nodes play no part in it, so a server counts as if it were idle; how it is
shared then is not said. Here that is left to the allocator, or to equal shares.
"""

from __future__ import annotations

import numpy as np

from dmcjia_opt import Problem
from dmcjia_opt.base.arrays import FloatArray, IntArray, over_uses
from dmcjia_opt.methods.placers.baselines import Rule, equal_shares, least_option
from dmcjia_opt.solving.options import method


@method
class Scission(Rule):
    """Every node takes the option with the least latency of one task, all servers idle.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares of these options, instead of equal ones.
    """

    baseline = True
    optimal_shares: bool = True

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return the best option of each node on its own."""
        latency = problem.fixed_delay + over_uses(problem.service)
        options = least_option(problem, latency, [np.isfinite(problem.fixed_delay)])
        return options, None if self.optimal_shares else equal_shares(problem, options)
