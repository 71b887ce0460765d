"""Suites: what is compared on what, with which budget. Frozen, so that a name says what was run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.studies.bench.lineup import EVERY
from dmcjia_opt.studies.bench.rows import Compared

#: What a hard wall limit adds to a method's own limit of time: half of it, but no less than this, s.
LEAST_GRACE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Methods that are compared on the same instances with the same budget.

    Parameters
    ----------
    kind
        What is compared: ``"placer"``, ``"allocator"`` or ``"policy"``.
    instances
        Names.
    methods
        Names, ``"placer + allocator"`` or a placer alone; ``"*"`` for what else the registry has (see `expand`).
        Policies are called as `build_policy` calls them.
    exact
        Placers that ``"*"`` stands for: exact ones, or heuristics.
    seeds
        Searches, or batches of plans, a method makes on each instance, with seeds 0, 1, …
    stop
        The budget of one run.
    wall_seconds
        Hard limit of set-up and solve of a run whose budget has no seconds; see `hard_limit`.
    memory_mb
        Memory at which a run is killed.
    plans
        Size of an allocator's batch.
    trace
        What policies are replayed along: ``markov:SECONDS`` or ``onoff:SECONDS``, drawn by the seed.
    seconds_a_run
        What a run takes on average, roughly: for the estimate of the whole and the progress bar.
    """

    kind: Compared
    instances: tuple[str, ...]
    methods: tuple[str, ...]
    exact: bool = False
    seeds: int = 1
    stop: Stop = field(default_factory=Stop)
    wall_seconds: float = 60.0
    memory_mb: float = 4096.0
    plans: int = 0
    trace: str = ""
    seconds_a_run: float = 1.0

    @property
    def hard_limit(self) -> float:
        """Seconds of set-up and solve after which the process of a run is killed."""
        seconds = self.stop.seconds
        return self.wall_seconds if seconds is None else seconds + max(LEAST_GRACE, 0.5 * seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A benchmark with a name.

    Parameters
    ----------
    name, summary
        What it is called, and what it shows.
    blocks
        Its parts.
    """

    name: str
    summary: str
    blocks: tuple[Block, ...]


_SEARCHES = ("dmcjia + alm", "dmcjia", "genetic", "pymoo:GA", "pymoo:DE", "pymoo:PSO", "pymoo:RandomSearch")
_SOLVERS = ("scip", "bonmin", "mindtpy", "cvxpy:SCIP", "cvxpy:ECOS_BB")
#: The same with what may suit them better, beside their defaults.
_TUNED = ("scip:perspective", "bonmin:B-Hyb")
_OUTER = (
    *("paper-n10-s1", "paper-n20-s1", "paper-n20-s2", "paper-n50-s1", "scarce-n20-s1"),
    *("homogeneous-n20-s0", "mixed-n20-s1", "near-n20-s1"),
)
_OWN = ("exact", "benders", "branch-and-bound")

_ROWS = (
    Suite(
        name="smoke",
        summary="every part of a benchmark once, in under a minute",
        blocks=(
            Block(
                kind="placer",
                instances=("paper-n5-s1", "homogeneous-n5-s0", "mixed-n5-s1"),
                methods=("exact", "genetic", "dmcjia + alm", "greedy+"),
                stop=Stop(seconds=10.0, evaluations=100),
                seconds_a_run=0.1,
            ),
            Block(
                kind="placer",
                instances=("links-n5-s1", "measured-n5-s1", "paper-n5-s1+worst", "paper-n5-s1+fifo"),
                methods=("exact", "genetic"),
                stop=Stop(seconds=10.0, evaluations=100),
                seconds_a_run=0.2,
            ),
            Block(
                kind="policy",
                instances=("mixed-n5-s1",),
                methods=("static", "oracle"),
                trace="markov:10",
                seconds_a_run=0.2,
            ),
            Block(
                kind="allocator",
                instances=("paper-n5-s1", "mixed-n5-s1"),
                methods=("waterfilling", "alm", "cvxpy:CLARABEL"),
                plans=5,
                seconds_a_run=0.2,
            ),
        ),
    ),
    Suite(
        name="allocators",
        summary="inner problem: time a plan and error of every allocator on the same plans",
        blocks=(
            Block(
                kind="allocator",
                instances=(
                    *("paper-n5-s1", "paper-n20-s1", "paper-n100-s1", "scarce-n20-s1", "homogeneous-n20-s0"),
                    *("mixed-n20-s1", "paper-n20-s1+mm1", "paper-n20-s1+cloud-faster"),
                ),
                methods=("waterfilling", "alm", "cvxpy:CLARABEL", "cvxpy:SCS", "ipopt", EVERY),
                seeds=3,
                plans=50,
                wall_seconds=60.0,
                seconds_a_run=1.0,
            ),
        ),
    ),
    Suite(
        name="placers",
        summary="outer problem: heuristics at the same number of evaluations, the paper's 50 × 32",
        blocks=(
            Block(
                kind="placer",
                instances=_OUTER,
                methods=(*_SEARCHES, EVERY),
                seeds=5,
                stop=Stop(evaluations=1600, seconds=10.0),
                seconds_a_run=1.5,
            ),
            Block(
                kind="placer",
                instances=_OUTER,
                methods=("cloud-only+", "edge-only", "greedy+", "neurosurgeon+", "lagrangian", "exact"),
                stop=Stop(evaluations=1600, seconds=10.0),
                seconds_a_run=0.1,
            ),
        ),
    ),
    Suite(
        name="exact",
        summary="time to a proved gap, down to 1e-9: this package's searches beside general solvers",
        blocks=(
            Block(
                kind="placer",
                instances=(
                    *("paper-n5-s1", "paper-n20-s1", "paper-n200-s1", "scarce-n5-s1", "scarce-n20-s1"),
                    *("scarce-n100-s1", "homogeneous-n5-s0", "homogeneous-n10-s0", "homogeneous-n50-s0"),
                    *("mixed-n10-s1", "mixed-n200-s1", "near-n10-s1", "near-n50-s1", "measured-n5-s1"),
                    *("measured-n40-s1", "hard-cloud20-n20-s1", "hard-knapsack-n20-s1"),
                ),
                methods=(*_OWN, *_SOLVERS, *_TUNED, EVERY),
                exact=True,
                stop=Stop(seconds=20.0, gap=1e-9),
                seconds_a_run=4.0,
            ),
            Block(
                kind="placer",
                instances=(
                    *("paper-n50-s1", "paper-n100-s1", "scarce-n50-s1", "scarce-n200-s1", "mixed-n50-s1"),
                    *("homogeneous-n20-s0", "homogeneous-n200-s0", "near-n20-s1", "near-epsilon0.01-cloud20-n40-s1"),
                    *("hard-epsilon0.0001-cloud40-n40-s1", "hard-n100-s1", "hard-n200-s1", "hard-n500-s1"),
                    *("hard-knapsack-n60-s1", "hard-knapsack-n100-s1", "hard-cells-n200-s1"),
                ),
                methods=_OWN,
                stop=Stop(seconds=20.0, gap=1e-9),
                seconds_a_run=4.0,
            ),
        ),
    ),
    Suite(
        name="resources",
        summary="links, servers, tiers and hosts that nodes share: time to a proved gap, down to 1e-9",
        blocks=(
            Block(
                kind="placer",
                instances=(
                    *("links-n5-s1", "links-n20-s1", "links-n100-s1", "near-links1-n20-s1", "servers-n5-s1"),
                    *("servers-n10-s1", "tiers-n5-s1", "tiers-n10-s1", "hosts-n5-s1", "measured-servers1-n10-s1"),
                    *("measured-servers2-n20-s1", "hard-links1-n40-s1"),
                ),
                methods=("exact", "benders", *_SOLVERS, *_TUNED),
                stop=Stop(seconds=20.0, gap=1e-9),
                seconds_a_run=12.0,
            ),
            Block(
                kind="placer",
                instances=(
                    *("links-n50-s1", "servers-n20-s1", "tiers-n20-s1", "tiers-n50-s1", "hosts-n20-s1"),
                    *("hard-links2-n40-s1", "hard-cells-links5-n100-s1"),
                ),
                methods=("exact", "benders"),
                stop=Stop(seconds=20.0, gap=1e-9),
                seconds_a_run=4.0,
            ),
            Block(
                kind="placer",
                instances=("links-n20-s1", "near-links1-n20-s1", "servers-n10-s1", "tiers-n10-s1", "hosts-n5-s1"),
                methods=("memetic", "genetic"),
                stop=Stop(seconds=10.0, gap=1e-9),
                seconds_a_run=10.0,
            ),
        ),
    ),
    Suite(
        name="promises",
        summary="the worst node, percentiles, deadlines: time to a proved gap, down to 1e-9",
        blocks=(
            Block(
                kind="placer",
                instances=(
                    *("paper-n20-s1+worst", "mixed-n20-s1+worst", "measured-n20-s1+worst", "links-n20-s1+worst"),
                    *("paper-n20-s1+tandem+p95", "mixed-n20-s1+tandem+p95", "measured-n20-s1+tandem+p95"),
                    *("links-n20-s1+tandem+p95", "scarce-n20-s1+tandem+p99", "scarce-n50-s1+tandem+p95"),
                    *("paper-n20-s1+deadline550", "scarce-n20-s1+deadline1000", "mixed-n20-s1+deadline1500"),
                    *("measured-n20-s1+deadline1500", "links-n20-s1+deadline780"),
                ),
                methods=("exact", "memetic", "genetic", "pymoo:DE", "scip", "bonmin"),
                stop=Stop(seconds=10.0, gap=1e-9),
                seconds_a_run=4.0,
            ),
        ),
    ),
    Suite(
        name="pooled",
        summary="servers whose tasks meet, and tasks that arrive periodically: time to a proved gap, down to 1e-9",
        blocks=(
            Block(
                kind="placer",
                instances=(
                    *("paper-n5-s1+fifo", "paper-n10-s1+fifo", "paper-n20-s1+fifo", "paper-n20-s1+ps"),
                    *("homogeneous-n10-s0+fifo", "scarce-n10-s1+fifo", "scarce-n10-s1+ps", "mixed-n10-s1+fifo"),
                    *("servers-n5-s1+ps", "measured-n20-s1+fifo", "paper-n20-s1+periodic", "scarce-n20-s1+periodic"),
                    *("homogeneous-n10-s0+periodic", "links-n20-s1+periodic", "measured-n20-s1+periodic"),
                ),
                methods=("exact", "memetic", "genetic", "pymoo:DE", "neurosurgeon+"),
                stop=Stop(seconds=5.0, gap=1e-9),
                seconds_a_run=2.5,
            ),
        ),
    ),
    Suite(
        name="replay",
        summary="links that change: what plans of each policy take along two minutes, above the bound of every moment",
        blocks=tuple(
            Block(
                kind="policy",
                instances=("paper-n20-s1", "mixed-n20-s1", "links-n20-s1", "measured-n20-s1"),
                methods=(
                    *("static", "static:harmonic", "robust", "periodic:10", "periodic:60"),
                    "change:0.3",
                    "oracle",
                ),
                seeds=2,
                trace=trace,
                wall_seconds=120.0,
                seconds_a_run=4.0,
            )
            for trace in ("markov:120", "onoff:120")
        ),
    ),
    Suite(
        name="scaling",
        summary="the proved optimum from a thousand to a million nodes: time and memory",
        blocks=(
            Block(
                kind="placer",
                instances=("fleet-n1000-s1", "fleet-n10000-s1", "fleet-n100000-s1", "fleet-n1000000-s1"),
                methods=("exact", "lagrangian"),
                stop=Stop(seconds=120.0, gap=1e-6),
                memory_mb=6144.0,
                seconds_a_run=15.0,
            ),
            Block(
                kind="placer",
                instances=("fleet-n1000-s1", "fleet-n10000-s1"),
                methods=("genetic", "greedy+", "neurosurgeon+"),
                stop=Stop(seconds=20.0, evaluations=1600, gap=1e-6),
                seconds_a_run=8.0,
            ),
        ),
    ),
)

SUITES: Mapping[str, Suite] = MappingProxyType({suite.name: suite for suite in _ROWS})
