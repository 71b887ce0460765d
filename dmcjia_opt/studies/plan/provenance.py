"""How a plan was made, as far as its file says, and the command that makes it again."""

from __future__ import annotations

import shlex

from dmcjia_opt.solving.evaluating import GIVEN
from dmcjia_opt.solving.registry import KINDS, METHODS
from dmcjia_opt.studies.look.words import budget
from dmcjia_opt.studies.plan.subject import Subject

UNKNOWN = "not recorded"


def provenance(subject: Subject) -> list[tuple[str, str]]:
    """Return what is recorded of how the plan was made, and what is not."""
    made, scenario, options = subject.provenance, subject.scenario, subject.scenario.options
    of = "" if options.statistic == "mean" else f"{options.statistic} of each node, "
    over = "the worst node" if options.objective == "worst" else f"mean over {options.average}"
    times = "once" if made.evaluations == 1 else f"{made.evaluations or 0:,} times"
    once = f', called "{made.scenario}" when it was planned' if made.scenario not in ("", scenario.name) else ""
    limits = UNKNOWN if made.limits is None else ", ".join(budget(**made.limits.model_dump())) or "none"
    return [
        ("scenario", (scenario.name or "without a name") + once),
        ("file", subject.scenario_file or "none: it was made in Python"),
        ("hash of its content", scenario.sha256()),
        ("delay model", f"{options.delay}, ordering {options.ordering}, {of}{over}"),
        ("placer", made.placer or UNKNOWN),
        ("allocator", made.allocator or UNKNOWN),
        ("seed", str(made.seed) if made.seed is not None else UNKNOWN),
        (
            "limits",
            limits,
        ),
        ("shares computed", times if made.evaluations is not None else UNKNOWN),
        ("started", made.started or UNKNOWN),
        ("machine", made.machine or UNKNOWN),
        ("versions", ", ".join(f"{name} {version}" for name, version in made.versions.items()) or UNKNOWN),
    ]


def command(subject: Subject) -> str:
    """Return the command that makes the plan again; empty where what it needs was not recorded."""
    made = subject.provenance
    if not (subject.scenario_file and made.placer and made.allocator) or GIVEN in (made.placer, made.allocator):
        return ""
    words = ["dmcjia", "solve", subject.scenario_file, "--placer", made.placer, "--allocator", made.allocator]
    limits = made.limits.model_dump() if made.limits else {}
    for option in ("seconds", "evaluations", "gap", "seed"):
        value = made.seed if option == "seed" else limits.get(option)
        if value is not None:
            words += [f"--{option}", repr(value)]
    return shlex.join([*words, "--out", "plan.json"])


def foreign(subject: Subject) -> list[str]:
    """Return the methods, as the command names them, that did not come with this package."""
    made = subject.provenance
    named = {made.placer: ("placer", made.placer), made.allocator: ("allocator", made.allocator)}
    known = {(kind, GIVEN) for kind in KINDS} | METHODS.keys()
    return [name for name, (kind, method) in named.items() if (kind, method.partition(":")[0]) not in known]
