"""DADS: the minimum cut of one network where load is light, the most balanced pipeline where it is heavy.

Source: C. Hu, W. Bao, D. Wang, F. Liu, "Dynamic adaptive DNN surgery for inference acceleration on the edge", IEEE
INFOCOM 2019, doi:10.1109/INFOCOM.2019.8737614.

A cut pays the device for the layers before it, the network for what crosses it and the server for the rest. Where each
of these stages keeps up with the arrivals, the cut of least latency is taken, and otherwise the one whose slowest stage
is quickest. A menu holds the cuts of a node's network, so that the minimum is found by looking at all of them.
The source has one device and its server: here each device has an equal part of whatever it may use.
"""

from __future__ import annotations

import numpy as np

from dmcjia_opt import Problem
from dmcjia_opt.base.arrays import FloatArray, IntArray, over_uses
from dmcjia_opt.methods.placers.baselines import Rule, equal_shares, least_option, sharers
from dmcjia_opt.solving.options import method


@method
class Dads(Rule):
    """Every node takes the minimum cut of its network, or its most balanced cut where a stage cannot keep up.

    Parameters
    ----------
    optimal_shares
        Let the allocator choose the shares of these cuts, instead of equal ones.
    """

    baseline = True
    optimal_shares: bool = True

    def plan(self, problem: Problem) -> tuple[IntArray, FloatArray | None]:
        """Return the cut of each node."""
        here = np.isfinite(problem.fixed_delay)
        service = problem.service * np.where(problem.pooled[problem.resource], 1, sharers(problem))
        every = np.broadcast_to(np.arange(problem.n_options)[:, None], (problem.n_options, problem.n_nodes))
        device, uplink, trip = (stage.T for stage in problem.own_stages(every))
        slowest = np.maximum(np.maximum(np.where(here, device, np.inf), uplink), service.max(axis=-1))
        light = least_option(problem, device + uplink + trip + over_uses(service), [here])
        heavy = least_option(problem, slowest, [here])
        keeps_up = np.take_along_axis(slowest, light[:, None], 1)[:, 0] * problem.arrival_rate < 1.0
        options = np.where(keeps_up, light, heavy)
        return options, None if self.optimal_shares else equal_shares(problem, options)
