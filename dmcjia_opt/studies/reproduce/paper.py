"""What the paper publishes, as numbers, and the scenarios its text describes.

Units are the paper's as we read them: its "1 MHz" of bandwidth is 1 MiB/s, and a FLOP is a multiply–accumulate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import PAPER_MHZ_IN_MBPS, Options, Scenario
from dmcjia_opt.solving.solve import solve

#: Table 5.
CLOUD_GFLOPS = 400.0
COMPUTE_GFLOPS = (5.0, 9.0)
GENERATIONS = 32
#: Largest difference between two layers' upload delays in Fig. 4, ms.
FIG_4_SPREAD_MS = 2945.0
#: Bytes sent in a second at the paper's "1 MHz".
MHZ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Published:
    """A row of Table 1.

    Parameters
    ----------
    title
        The model as the paper writes it.
    layers
        Network layers.
    gmac, gmac_digit
        "GFLOPS" of one inference, and the unit of its last digit.
    megabytes
        Parameters, MB.
    """

    title: str
    layers: int
    gmac: float
    gmac_digit: float
    megabytes: float


TABLE_1: Mapping[str, Published] = MappingProxyType(
    {
        "inception_v3": Published("InceptionV3", 46, 6.0, 1.0, 89.0),
        "resnet34": Published("ResNet34", 34, 3.68, 0.01, 83.0),
        "vgg19": Published("VGG19", 19, 19.6, 0.1, 548.0),
        "alexnet": Published("AlexNet", 8, 0.7, 0.1, 233.0),
    }
)


def fleet(compute_gflops: FloatArray, mhz: float, cloud_gflops: float = CLOUD_GFLOPS) -> Scenario:
    """Return the scenario of section 4.2: ResNet34 at λ = 1/s on nodes with their own compute and one bandwidth.

    Parameters
    ----------
    compute_gflops
        (n_nodes,) edge compute, GFLOP/s.
    mhz
        Bandwidth of each node's uplink in the paper's unit, MiB/s here.
    cloud_gflops
        Total compute of the cloud, GFLOP/s.
    """
    n = len(compute_gflops)
    nodes = NodeTable(
        names=tuple(f"node-{d + 1}" for d in range(n)),
        networks=("resnet34",),
        compute_gflops=compute_gflops,
        uplink_mbps=np.full(n, PAPER_MHZ_IN_MBPS * mhz),
        arrival_rate=np.ones(n),
    )
    return Scenario(cloud_gflops, nodes, Options(flops_per_mac=1.0), name=f"{n} nodes, {mhz:g} MiB/s")


def mean_delay(scenario: Scenario, placer: str, seed: int = 0) -> float:
    """Return the mean delay, s, that a placer reaches with its own shares or the optimal ones; +inf without a plan."""
    try:
        return solve(scenario, placer, seed=seed).objective
    except InfeasibleError:
        return float("inf")
