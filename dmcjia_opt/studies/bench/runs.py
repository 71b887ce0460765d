"""One run of a method: what is sent to the process that makes it, what comes back, and what is seen from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.studies.bench.instances import Instance
from dmcjia_opt.studies.bench.rows import Compared, Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One run, as it is sent to a child.

    Parameters
    ----------
    instance, kind, method, seed, stop
        What to run, and its budget.
    plans
        Size of an allocator's batch.
    trace
        What a policy is replayed along, as `links_of` reads it.
    """

    instance: Instance
    kind: Compared
    method: str
    seed: int
    stop: Stop
    plans: int = 0
    trace: str = ""

    @property
    def where(self) -> str:
        """What the run is on, as rows call it: the instance, and the trace if there is one."""
        return f"{self.instance.name} {self.trace}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """When a child is killed.

    Parameters
    ----------
    wall_seconds
        Set-up and solve of one run.
    prepare_seconds
        What comes before: starting the process, generating the instance, imports and the warm-up of a method.
    memory_mb
        Resident memory of the child and of the programs it runs.
    """

    wall_seconds: float
    prepare_seconds: float = 180.0
    memory_mb: float = 4096.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Sent when a run enters ``"warm-up"`` or ``"solve"``."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What a run ended with; nothing of it is believed.

    Parameters
    ----------
    error
        The exception, as a sentence; empty where there was none.
    refused
        The exception says that the method cannot take the instance, or cannot run here.
    options, shares, prices, status
        Of the plan, (n_nodes,), (n_nodes, n_uses) and (n_resources,), or of a batch of plans, with an axis before.
        Arrays of numbers, or None.
    lower_bound, evaluations, trace
        As in `Placement`.
    setup_seconds, wall_seconds, cpu_seconds, peak_mb
        What it took.
    """

    error: str = ""
    refused: bool = False
    options: Any = None
    shares: Any = None
    prices: Any = None
    status: Any = None
    lower_bound: float = -np.inf
    evaluations: int | None = None
    trace: tuple[tuple[int, float, float, float], ...] = ()
    setup_seconds: float | None = None
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """A run as seen from outside: the child's reply, or how it failed to give one.

    Parameters
    ----------
    reply
        Without numbers where the child had to be killed or died.
    outcome, message
        Why there is no reply; None where there is one.
    started, machine, load
        When and where it ran.
    """

    reply: Reply
    outcome: Outcome | None
    message: str
    started: str
    machine: str
    load: float | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The part of a row that a verification gives; fields as in `Row`."""

    outcome: Outcome
    message: str = ""
    claimed_status: str | None = None
    claimed_objective_s: float | None = None
    claimed_lower_bound_s: float | None = None
    objective_s: float | None = None
    lower_bound_s: float | None = None
    own_bound_s: float | None = None
    gap: float | None = None
    correct: bool | None = None
    plans: int | None = None
    converged: int | None = None
    worst_error: float | None = None
