"""One run of one method on one instance: the row of every results file.

Rows are written as JSON lines the moment a run ends, and read back as a table with one column a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from dmcjia_opt.base.fields import Amount, Number

#: What a benchmark compares.
Compared = Literal["placer", "allocator", "policy"]
Count = Annotated[int, Field(ge=0, le=2**53)]


class Outcome(StrEnum):
    """How a run ended, as seen from outside the process that ran it."""

    ANSWER = "answer"  # a plan (or shares) that the parent has verified as feasible
    NO_PLAN = "no plan"  # the method ended in order and found none
    INVALID = "invalid"  # what it returned is no feasible plan, or is not finite
    ERROR = "error"  # it raised an exception
    CRASH = "crash"  # its process died
    TIMEOUT = "timeout"  # its process was killed at the hard wall limit
    MEMORY = "memory"  # its process passed the memory limit
    REFUSED = "refused"  # it cannot take this instance, or cannot run here


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run.

    Every ``objective``, ``lower_bound`` and ``gap`` without ``claimed`` in its name was computed in the parent, by
    this package, from the splits and shares that came back.

    Parameters
    ----------
    key
        Hash of what decides the result: instance, method, settings, seed, versions, code revision.
    suite, instance, family
        Names; of a policy, the instance and the trace. `instance_sha256` is the hash of the scenario's content.
    n_nodes, n_splits
        Size.
    method
        ``"placer + allocator"``, an allocator or a policy, as given, options included.
    kind
        ``"placer"``, ``"allocator"`` or ``"policy"``: what is compared.
    seed
        Seed of the search.
    limit_seconds, limit_evaluations, limit_gap
        The budget given to the method; None where there was none.
    outcome, message
        How the run ended, and the sentence that goes with it.
    claimed_status, claimed_objective_s, claimed_lower_bound_s
        What the method says.
    objective_s
        Recomputed delay, the mean or that of the worst node; None without an answer.
    lower_bound_s
        The best proved bound on this instance: this package's own, or the library's where that is larger.
    own_bound_s
        The bound that this run itself proves, recomputed from its price or proved by its search.
    gap
        (objective − lower bound)/objective; None without an answer.
    correct
        None where nothing was claimed; False where a claimed "optimal" or a claimed bound is contradicted.
    evaluations
        Distinct plans whose shares were computed; of a policy, plans that it made.
    setup_seconds, wall_seconds, cpu_seconds, peak_mb
        Building the method and compiling the problem; the solve, wall and CPU; and by how many MB the memory of the
        child rose at its peak over what it held before set-up, which a warm child owes to other methods' libraries.
    trace
        Points (evaluations, seconds, objective or None, lower bound) of the incumbent.
    plans, converged, worst_error
        Of an allocator's batch: plans asked for, answered, and the largest relative error of the delay.
    started, machine, load
        UTC time in ISO format, a line about the machine, and its load average at the start.
    versions, revision
        Of the libraries, and of this code.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, allow_inf_nan=False)

    key: str
    suite: str
    instance: str
    instance_sha256: str
    family: str
    n_nodes: Annotated[Count, Field(ge=1)]
    n_splits: Count
    method: Annotated[str, Field(min_length=1)]
    kind: Compared
    seed: Count
    outcome: Outcome
    message: str = ""
    limit_seconds: Amount | None = None
    limit_evaluations: Count | None = None
    limit_gap: Amount | None = None
    claimed_status: str | None = None
    claimed_objective_s: float | None = None
    claimed_lower_bound_s: float | None = None
    objective_s: Amount | None = None
    lower_bound_s: Number | None = None
    own_bound_s: Number | None = None
    gap: Amount | None = None
    correct: bool | None = None
    evaluations: Count | None = None
    setup_seconds: Amount | None = None
    wall_seconds: Amount | None = None
    cpu_seconds: Amount | None = None
    peak_mb: Number | None = None
    trace: tuple[tuple[Count, Amount, float | None, float | None], ...] = ()
    plans: Count | None = None
    converged: Count | None = None
    worst_error: Amount | None = None
    started: str = ""
    machine: str = ""
    load: Amount | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, line: bytes | str) -> Row:
        """Return the row that a line of ``rows.jsonl`` holds; keys this version does not know are left out.

        Raises
        ------
        pydantic.ValidationError
            If the line is no row: a field is missing, of another type, or out of range.
        """
        return _reader().validate_json(line)


@cache
def _reader() -> TypeAdapter[Row]:
    return TypeAdapter(Row)
