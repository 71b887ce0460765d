"""How a plan was made, as far as its file says, and the command that makes it again."""

from __future__ import annotations

import shlex

from dmcjia_opt.solving.plan import Limits, Provenance
from dmcjia_opt.solving.registry import METHODS
from dmcjia_opt.studies.look.page import Html, code, facts, text
from dmcjia_opt.studies.plan.subject import Subject

_UNKNOWN = "not recorded"


def provenance(subject: Subject) -> tuple[Html, ...]:
    """Return what is recorded of how the plan was made, what is not, and the command to make it again."""
    made, scenario = subject.provenance, subject.scenario
    options = scenario.options
    times = "once" if made.evaluations == 1 else f"{made.evaluations or 0:,} times"
    pairs = [
        ("scenario", scenario.name or "without a name"),
        ("file", subject.scenario_file or "none: it was made in Python"),
        ("hash of its content", subject.scenario_sha256),
        ("delay model", f"{options.delay}, ordering {options.ordering}, mean over {options.average}"),
        ("placer", made.placer or _UNKNOWN),
        ("allocator", made.allocator or _UNKNOWN),
        ("seed", str(made.seed) if made.seed is not None else _UNKNOWN),
        ("limits", _limits(made)),
        ("shares computed", times if made.evaluations is not None else _UNKNOWN),
        ("started", made.started or _UNKNOWN),
        ("machine", made.machine or _UNKNOWN),
        ("versions", ", ".join(f"{name} {version}" for name, version in made.versions.items()) or _UNKNOWN),
    ]
    blocks = [facts(pairs)]
    if subject.scenario_file and made.placer and made.allocator:
        blocks += [text("The same plan again, as far as seed, versions and limits decide it:"), code(_command(subject))]
        placer, allocator = made.placer.partition(":")[0], made.allocator.partition(":")[0]
        ours = {made.placer: ("placer", placer) in METHODS, made.allocator: ("allocator", allocator) in METHODS}
        foreign = [f'"{name}"' for name, known in ours.items() if not known]
        if foreign:
            blocks.append(
                text(f"{' and '.join(foreign)} did not come with this package; the command needs it under that name.")
            )
    return tuple(blocks)


def _limits(made: Provenance) -> str:
    limits = made.limits
    if limits is None:
        return _UNKNOWN
    said = [
        form.format(value)
        for value, form in (
            (limits.seconds, "{:g} s"),
            (limits.evaluations, "{:,} plans"),
            (limits.gap, "gap {:g}"),
        )
        if value is not None
    ]
    return ", ".join(said) or "none"


def _command(subject: Subject) -> str:
    made, limits = subject.provenance, subject.provenance.limits or Limits()
    words = ["dmcjia", "solve", subject.scenario_file, "--placer", made.placer, "--allocator", made.allocator]
    for option, value in (
        ("--seconds", limits.seconds),
        ("--evaluations", limits.evaluations),
        ("--gap", limits.gap),
        ("--seed", made.seed),
    ):
        if value is not None:
            words += [option, repr(value)]
    return shlex.join([*words, "--out", "plan.json"])
